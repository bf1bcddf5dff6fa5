"""Mini-batch training of several outputs, or several models, side by side in the lanes of vectors, in machine code.

Row j of the matrix of weights holds those of column j, one in each lane; a bias is the weight of a last column of ones.
"""

from __future__ import annotations

import math

import numpy as np

from .functions import add_to, exp_negative, first_lanes, peak
from .jit import compiled
from .memory import address, get, prefetch, put
from .row_losses import SOFTMAX, losses_and_slopes
from .updates import BETA1, BETA2, DAMPENING, kept, size_and_root, update
from .vectors import add, broadcast, fma, lanes, load, load_some, multiply, spread, store, subtract, total

__all__ = ["at_rest", "steps"]

CHUNK = 64  # rows whose predictions and slopes are kept
EIGHT = 8  # sums at a time, so that no addition waits for the one before


@compiled
def eight(A, at, across, along, B, b, by, count):
    """Σ_t a_kt b_t for k = 0, ..., 7: a_kt is element `at + k across + t along` of A, b_t the vector at `b + t by` of
    B.
    """
    zero = spread(B, 0.0)
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    for t in range(count):
        v = load(B, b + t * by)
        s0 = fma(broadcast(A, at), v, s0)
        s1 = fma(broadcast(A, at + across), v, s1)
        s2 = fma(broadcast(A, at + 2 * across), v, s2)
        s3 = fma(broadcast(A, at + 3 * across), v, s3)
        s4 = fma(broadcast(A, at + 4 * across), v, s4)
        s5 = fma(broadcast(A, at + 5 * across), v, s5)
        s6 = fma(broadcast(A, at + 6 * across), v, s6)
        s7 = fma(broadcast(A, at + 7 * across), v, s7)
        at += along
    return s0, s1, s2, s3, s4, s5, s6, s7


@compiled
def take(X, order, first, m, d, ones, width, buffer):
    """m rows, from that place of the order on, beside each other: zeros behind their columns, or a one and zeros."""
    wide = lanes(X)
    whole = d - d % wide
    for i in range(m):
        at, to = get(order, first + i) * d, i * width
        for j in range(0, whole, wide):
            store(buffer, to + j, load(X, at + j))
        if whole < width:
            store(buffer, to + whole, load_some(X, at + whole, d - whole))
        if ones:
            put(buffer, to + d, 1.0)


@compiled
def predict(buffer, m, width, columns, theta, outputs, Z):
    """Z, in which each row has its predictions in the lanes of whole vectors."""
    for i in range(0, m, EIGHT):
        for c in range(0, outputs, lanes(Z)):
            z0, z1, z2, z3, z4, z5, z6, z7 = eight(buffer, i * width, width, 1, theta, c, outputs, columns)
            at = i * outputs + c
            store(Z, at, z0)
            store(Z, at + outputs, z1)
            store(Z, at + 2 * outputs, z2)
            store(Z, at + 3 * outputs, z3)
            store(Z, at + 4 * outputs, z4)
            store(Z, at + 5 * outputs, z5)
            store(Z, at + 6 * outputs, z6)
            store(Z, at + 7 * outputs, z7)


@compiled
def clear(memory, count):
    """Zeros in whole vectors."""
    for i in range(0, count, lanes(memory)):
        store(memory, i, spread(memory, 0.0))


@compiled
def more(G, at, sum_of_chunk):
    """Add a vector to the gradient."""
    store(G, at, add(load(G, at), sum_of_chunk))


@compiled
def add_rows(buffer, m, width, columns, Z, outputs, G, X, order, following, n, d):
    """Add each row times its slopes to the gradient G; meanwhile have the rows that follow brought into the cache."""
    wide = lanes(X)
    for j in range(0, columns, EIGHT):
        for c in range(0, outputs, wide):
            g0, g1, g2, g3, g4, g5, g6, g7 = eight(buffer, j, 1, width, Z, c, outputs, m)
            at = j * outputs + c
            more(G, at, g0)
            more(G, at + outputs, g1)
            more(G, at + 2 * outputs, g2)
            more(G, at + 3 * outputs, g3)
            more(G, at + 4 * outputs, g4)
            more(G, at + 5 * outputs, g5)
            more(G, at + 6 * outputs, g6)
            more(G, at + 7 * outputs, g7)
        if j % wide == 0:
            for i in range(following, min(following + m, n)):
                prefetch(X, get(order, i) * d + min(j, d - 1))


@compiled
def slopes_apart(loss, delta, targets, each, weight, weighted, order, first, m, k, outputs, Z, sums):
    """Of a loss of each lane by itself: slopes in place of predictions, losses added to the sum of each lane.

    All lanes have one target of a row, or with `each` one of the k targets of the row.
    """
    wide = lanes(Z)
    for c in range(0, outputs, wide):
        together = spread(Z, 0.0)
        for i in range(m):
            row, at = get(order, first + i), i * outputs + c
            y = load_some(targets, row * k + c, k - c) if each else broadcast(targets, row)
            value, slope = losses_and_slopes(loss, delta, Z, load(Z, at), y)
            if weighted:
                w = broadcast(weight, row)
                value, slope = multiply(value, w), multiply(slope, w)
            store(Z, at, slope)
            together = add(together, value)
        add_to(sums, c, together)


@compiled
def slopes_of_classes(smoothing, classes, weight, weighted, order, first, m, k, outputs, Z):
    """Of the cross-entropy of k classes: slopes in place of scores; returns Σ of the losses."""
    wide, losses = lanes(Z), 0.0
    for i in range(m):
        row, at = get(order, first + i), i * outputs
        label, top, mean = at + get(classes, row), -math.inf, 0.0
        for c in range(0, outputs, wide):
            z = load(Z, at + c)
            if smoothing != 0.0:
                mean += total(first_lanes(z, k - c, 0.0)) / k
            top = max(top, peak(first_lanes(z, k - c, -math.inf)))
        score, sum_of_row = get(Z, label), 0.0
        for c in range(0, outputs, wide):
            e = exp_negative(subtract(first_lanes(load(Z, at + c), k - c, -math.inf), spread(Z, top)))
            store(Z, at + c, e)
            sum_of_row += total(e)
        value = math.log(sum_of_row) + (top - score)
        if smoothing != 0.0:
            value += smoothing * (score - mean)
        w = get(weight, row) if weighted else 1.0
        share, even = spread(Z, w / sum_of_row), spread(Z, w * smoothing / k)
        for c in range(0, outputs, wide):
            store(Z, at + c, subtract(multiply(load(Z, at + c), share), first_lanes(even, k - c, 0.0)))
        put(Z, label, get(Z, label) - w * (1.0 - smoothing))
        losses += value * w
    return losses


@compiled
def visit(data, order, first, last, n, loss, k, shape, theta, gradient, room, sums):
    """Add losses and gradient of the rows from place `first` to `last` of the order; those up to n follow."""
    rows, targets, classes, weights = data
    kind, delta = loss
    d, ones, width, outputs = shape
    X, permutation, weighted = address(rows), address(order), len(weights) > 0
    buffer, Z, of_lanes, weight = address(room[0]), address(room[1]), address(sums), address(weights)
    for start in range(first, last, CHUNK):
        m = min(CHUNK, last - start)
        take(X, permutation, start, m, d, ones, width, buffer)
        predict(buffer, m, width, d + ones, theta, outputs, Z)
        if kind == SOFTMAX:
            sums[0] += slopes_of_classes(
                delta, address(classes), weight, weighted, permutation, start, m, k, outputs, Z
            )
        else:
            each = len(targets) * d > len(rows)
            slopes_apart(
                kind, delta, address(targets), each, weight, weighted, permutation, start, m, k, outputs, Z, of_lanes
            )
        add_rows(buffer, m, width, d + ones, Z, outputs, gradient, X, permutation, start + m, n, d)


@compiled
def room_for(state, width, outputs):
    """A chunk of rows, and their predictions: a whole number of eights."""
    return np.zeros(CHUNK * width, state.dtype), np.zeros(CHUNK * outputs, state.dtype)


@compiled
def sizes(optimizer, rates, options, power1, power2, back, keep):
    """Minus the size of the step of each lane, and what decay leaves; returns the divisor of the second moment's root.

    Of weights and bias, a row each of `rates`, `options`, `back` and `keep`.
    """
    root = 1.0
    for group in range(2):
        for i in range(rates.shape[1]):
            size, root = size_and_root(optimizer, rates[group, i], power1, power2)
            back[group, i] = -size
            keep[group, i] = kept(optimizer, address(options[group]), rates[group, i])
    return root


@compiled
def move(optimizer, options, fresh, back, keep, root, share, first, last, state):
    """One step of the parameters from element `first` to `last`, whose gradient is a sum, `share` each."""
    theta, one, two, gradient = address(state[0]), address(state[1]), address(state[2]), address(state[3])
    outputs, wide = len(back), lanes(theta)
    of_group, by, kept_of = address(options), address(back), address(keep)
    for j in range(first, last, outputs):
        for c in range(0, outputs, wide):
            store(gradient, j + c, multiply(load(gradient, j + c), spread(theta, share)))
            back_of_lanes, keep_of_lanes = load(by, c), load(kept_of, c)
            update(optimizer, of_group, fresh, back_of_lanes, keep_of_lanes, root, j + c, theta, gradient, one, two)


@compiled
def steps(data, order, batch, loss, scale, optimizer, options, rates, count, shape, state, sums):
    """Steps over the rows in this order, a batch each; adds the losses of each lane to `sums`, of classes to the first.

    `data` are rows `(n d,)`, targets `(n,)` or `(n k,)`, classes `(n,)` and weights of the rows `(n,)`, each one after
    the other, or empty; `loss` which it is and its option, `scale` what a mean of it is multiplied with; `options (2,
    ...)` of weights and bias, `rates (2, lanes)`; `count` steps were taken before; `shape` the columns and how many
    outputs there are. `state (4, m)` holds parameters, first and second moment, and room for the gradient.
    """
    n, (d, ones, k), outputs = len(order), shape, rates.shape[1]
    width, columns = state.shape[1] // outputs, d + ones
    room, gradient = room_for(state, width, outputs), address(state[3])
    back, keep = np.zeros((2, outputs), state.dtype), np.zeros((2, outputs), state.dtype)
    power1, power2, root = options[0, BETA1] ** count, options[0, BETA2] ** count, 1.0
    for start in range(0, n, batch):
        end = min(start + batch, n)
        clear(gradient, columns * outputs)
        visit(data, order, start, end, n, loss, k, (d, ones, width, outputs), address(state[0]), gradient, room, sums)
        fresh = 1.0 if count == 0 else 1.0 - options[0, DAMPENING]
        count += 1
        power1, power2 = power1 * options[0, BETA1], power2 * options[0, BETA2]
        if start == 0 or power1 + power2 > 0.0:
            root = sizes(optimizer, rates, options, power1, power2, back, keep)
        share, weights = scale / (end - start), d * outputs
        for group in range(1 + ones):
            begin, finish = group * weights, (d + group) * outputs
            move(optimizer, options[group], fresh, back[group], keep[group], root, share, begin, finish, state)


@compiled
def at_rest(data, loss, shape, outputs, state, block, first, last, sums):
    """Losses and gradient of blocks `first` to `last` of so many rows, a row of `sums` each.

    `sums (blocks, lanes + m)` in float64 are added up in their order, whoever has made them.
    """
    (d, ones, k), width = shape, state.shape[1] // outputs
    room, theta = room_for(state, width, outputs), address(state[0])
    begin, end = first * block, min(last * block, len(data[0]) // d)
    order = np.empty(end - begin, np.int64)
    for i in range(end - begin):
        order[i] = begin + i
    by_parameter, losses = np.empty(state.shape[1], state.dtype), np.empty(outputs)
    gradient, n = address(by_parameter), end - begin
    for number in range(first, last):
        at = number * block - begin
        clear(gradient, state.shape[1])
        losses[:] = 0.0
        visit(data, order, at, min(at + block, n), n, loss, k, (d, ones, width, outputs), theta, gradient, room, losses)
        for i in range(outputs):
            sums[number, i] = losses[i]
        for i in range(state.shape[1]):
            sums[number, outputs + i] = by_parameter[i]
