"""One step of SGD, Adam, AdamW or RMSprop on a vector of parameters, in the order of operations of torch.optim."""

from __future__ import annotations

import math

from .jit import compiled
from .memory import get
from .vectors import add, divide, fma, load, multiply, spread, square_root, store, subtract

__all__ = ["ADAM", "ADAMW", "OPTIONS", "RMSPROP", "SGD", "kept", "size_and_root", "update"]

SGD, ADAM, ADAMW, RMSPROP = 0, 1, 2, 3
# A row of options for each group of parameters, of which SGD uses momentum, dampening and nesterov, Adam the two betas,
# RMSprop alpha (as the second beta) and momentum.
OPTIONS = ("lr", "decay", "momentum", "dampening", "nesterov", "beta1", "beta2", "eps")
LR, DECAY, MOMENTUM, DAMPENING, NESTEROV, BETA1, BETA2, EPS = range(len(OPTIONS))


@compiled
def size_and_root(optimizer, lr, power1, power2):
    """The size of a step, and what the root of the second moment is divided by; the powers are those of the betas."""
    if optimizer in (ADAM, ADAMW):
        return lr / (1.0 - power1), math.sqrt(1.0 - power2)
    return lr, 1.0


@compiled
def kept(optimizer, options, lr):
    """The share of a parameter that decay apart from the gradient leaves."""
    return 1.0 - lr * get(options, DECAY) if optimizer == ADAMW else 1.0


@compiled
def update(optimizer, options, fresh, back, keep, root, at, theta, gradient, first, second):
    """θ after the step, from element `at` on; `options` and `root` are those of its group, `fresh` is the share of the
    gradient in the momentum; vectors with a lane each: `back`, minus the size of the step, and `keep`.
    """
    w, g, decay = load(theta, at), load(gradient, at), get(options, DECAY)
    if decay != 0.0:
        if optimizer == ADAMW:
            w = multiply(w, keep)
        else:
            g = fma(w, spread(theta, decay), g)
    if optimizer == SGD:
        momentum = get(options, MOMENTUM)
        if momentum != 0.0:
            m = fma(g, spread(theta, fresh), multiply(load(first, at), spread(theta, momentum)))
            store(first, at, m)
            g = fma(m, spread(theta, momentum), g) if get(options, NESTEROV) != 0.0 else m
        store(theta, at, fma(g, back, w))
    elif optimizer == RMSPROP:
        beta = get(options, BETA2)
        v = fma(multiply(g, spread(theta, 1.0 - beta)), g, multiply(load(second, at), spread(theta, beta)))
        store(second, at, v)
        ratio = divide(g, add(square_root(v), spread(theta, get(options, EPS))))
        if get(options, MOMENTUM) != 0.0:
            ratio = fma(load(first, at), spread(theta, get(options, MOMENTUM)), ratio)
            store(first, at, ratio)
        store(theta, at, fma(ratio, back, w))
    else:
        m, beta = load(first, at), get(options, BETA2)
        m = fma(subtract(g, m), spread(theta, 1.0 - get(options, BETA1)), m)
        v = fma(multiply(g, spread(theta, 1.0 - beta)), g, multiply(load(second, at), spread(theta, beta)))
        store(first, at, m)
        store(second, at, v)
        root = add(divide(square_root(v), spread(theta, root)), spread(theta, get(options, EPS)))
        store(theta, at, fma(divide(m, root), back, w))
