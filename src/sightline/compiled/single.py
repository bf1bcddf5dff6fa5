"""Mini-batch training of a linear model with one output, step after step in machine code."""

from __future__ import annotations

import numpy as np

from .jit import compiled
from .row_losses import loss_and_slope
from .updates import BETA1, BETA2, DAMPENING, LR, kept, size_and_root, update
from .vectors import add, address, fma, get, lanes, load, load_some, multiply, prefetch, spread, store, total

__all__ = ["at_rest", "steps"]

AHEAD = 16  # rows for which memory is asked before they are needed


@compiled
def predicted(X, at, d, theta):
    """x'w of the row that begins at element `at`: two sums of every other vector, and their sum."""
    wide = lanes(X)
    even, odd = spread(X, 0.0), spread(X, 0.0)
    j, whole = 0, d - d % wide
    while j + wide < whole:
        even = fma(load(X, at + j), load(theta, j), even)
        odd = fma(load(X, at + j + wide), load(theta, j + wide), odd)
        j += 2 * wide
    if j < whole:
        even = fma(load(X, at + j), load(theta, j), even)
    if whole < d:
        odd = fma(load_some(X, at + whole, d - whole), load(theta, whole), odd)
    return total(add(even, odd))


@compiled
def add_row(X, at, d, slope, gradient):
    """gradient += slope x for the row that begins at element `at`."""
    wide, s = lanes(X), spread(X, slope)
    whole = d - d % wide
    for j in range(0, whole, wide):
        store(gradient, j, fma(load(X, at + j), s, load(gradient, j)))
    if whole < d:
        store(gradient, whole, fma(load_some(X, at + whole, d - whole), s, load(gradient, whole)))


@compiled
def ask_for(X, y, row, d):
    """Have the row and its target brought into the cache."""
    for j in range(row * d, (row + 1) * d, lanes(X)):
        prefetch(X, j)
    prefetch(X, (row + 1) * d - 1)
    prefetch(y, row)


@compiled
def visit(X, y, weight, weighted, row, d, theta, bias, has_bias, loss, delta, gradient):
    """The loss of a row and its slope; the row times the slope is added to the gradient of the weights."""
    z = predicted(X, row * d, d, theta)
    if has_bias:
        z += get(theta, bias)
    value, slope = loss_and_slope(loss, delta, z, get(y, row))
    if weighted:
        value, slope = value * get(weight, row), slope * get(weight, row)
    add_row(X, row * d, d, slope, gradient)
    return value, slope


@compiled
def steps(rows, targets, weights, order, batch, loss, delta, scale, optimizer, options, count, state):
    """Steps over the rows in this order, a batch each; returns Σ of their losses, batch means times rows.

    `rows (n d,)` one after the other, `targets (n,)`; `weights (n,)` of the rows, or empty; `options (2, ...)` of
    weights and bias; `count` steps were taken before. `state (4, m)` holds parameters, first and second moment, and
    room for the gradient: the weights, padded to whole vectors, and after them the bias, where there is one.
    """
    n, d, width, weighted = len(order), len(rows) // len(targets), state.shape[1], len(weights) > 0
    X, y, weight, permutation = address(rows), address(targets), address(weights), address(order)
    theta, first, second, gradient = address(state[0]), address(state[1]), address(state[2]), address(state[3])
    of_weights, of_bias = address(options[0]), address(options[1])
    wide, losses = lanes(X), 0.0
    bias = (d + wide - 1) // wide * wide
    has_bias = width > bias
    power1, power2 = options[0, BETA1] ** count, options[0, BETA2] ** count
    for start in range(0, n, batch):
        end = min(start + batch, n)
        for j in range(0, width, wide):
            store(gradient, j, spread(X, 0.0))
        by_bias, of_batch = 0.0, 0.0
        for i in range(start, end):
            ask_for(X, y, get(permutation, min(i + AHEAD, n - 1)), d)
            row = get(permutation, i)
            value, slope = visit(X, y, weight, weighted, row, d, theta, bias, has_bias, loss, delta, gradient)
            of_batch, by_bias = of_batch + value, by_bias + slope
        losses += of_batch * scale
        fresh = 1.0 if count == 0 else 1.0 - options[0, DAMPENING]
        count += 1
        power1, power2 = power1 * options[0, BETA1], power2 * options[0, BETA2]
        share = spread(X, scale / (end - start))
        size, root = size_and_root(optimizer, options[0, LR], power1, power2)
        back, keep = spread(X, -size), spread(X, kept(optimizer, of_weights, options[0, LR]))
        for j in range(0, bias, wide):
            store(gradient, j, multiply(load(gradient, j), share))
            update(optimizer, of_weights, fresh, back, keep, root, j, theta, gradient, first, second)
        if has_bias:
            store(gradient, bias, multiply(spread(X, by_bias), share))
            size, root = size_and_root(optimizer, options[1, LR], power1, power2)
            back, keep = spread(X, -size), spread(X, kept(optimizer, of_bias, options[1, LR]))
            update(optimizer, of_bias, fresh, back, keep, root, bias, theta, gradient, first, second)
    return losses


@compiled
def at_rest(rows, targets, weights, loss, delta, state, block, first, last, sums):
    """Loss and gradient of blocks `first` to `last` of so many rows: Σ ℓ, Σ dℓ/dθ in a row of `sums` each.

    `sums (blocks, 1 + m)` in float64 are added up in their order, whoever has made them.
    """
    n, d, width, weighted = len(targets), len(rows) // len(targets), state.shape[1], len(weights) > 0
    X, y, weight, theta = address(rows), address(targets), address(weights), address(state[0])
    room = np.empty(width, state.dtype)
    gradient, wide = address(room), lanes(X)
    bias = (d + wide - 1) // wide * wide
    for k in range(first, last):
        for j in range(0, width, wide):
            store(gradient, j, spread(X, 0.0))
        by_bias, of_block = 0.0, 0.0
        for row in range(k * block, min((k + 1) * block, n)):
            value, slope = visit(X, y, weight, weighted, row, d, theta, bias, width > bias, loss, delta, gradient)
            of_block, by_bias = of_block + value, by_bias + slope
        sums[k, 0] = of_block
        sums[k, 1:] = room
        if width > bias:
            sums[k, 1 + bias] = by_bias
