"""Mini-batch training of a linear model with one output, step after step in machine code."""

from __future__ import annotations

import numpy as np

from .jit import compiled
from .memory import address, behind, get, prefetch, publish, put
from .row_losses import losses_and_slopes
from .updates import BETA1, BETA2, DAMPENING, LR, kept, size_and_root, update
from .vectors import add, broadcast, fma, lanes, load, load_some, multiply, spread, store, store_totals

__all__ = ["at_rest", "steps"]

TILE = 8  # rows whose sums are made side by side
CHUNK = 32  # rows that are predicted before their gradients are added, so that they are in the cache still
AHEAD = 16  # rows for which memory is asked before they are needed


@compiled
def predict(X, at, tile, d, theta, z):
    """x'w of eight rows, which begin at the elements `at` from `tile` on, into `z`."""
    wide = lanes(X)
    a = b = c = e = f = g = h = i = spread(X, 0.0)
    a0, a1, a2, a3 = get(at, tile), get(at, tile + 1), get(at, tile + 2), get(at, tile + 3)
    a4, a5, a6, a7 = get(at, tile + 4), get(at, tile + 5), get(at, tile + 6), get(at, tile + 7)
    whole = d - d % wide
    for j in range(0, whole, wide):
        w = load(theta, j)
        a, b = fma(load(X, a0 + j), w, a), fma(load(X, a1 + j), w, b)
        c, e = fma(load(X, a2 + j), w, c), fma(load(X, a3 + j), w, e)
        f, g = fma(load(X, a4 + j), w, f), fma(load(X, a5 + j), w, g)
        h, i = fma(load(X, a6 + j), w, h), fma(load(X, a7 + j), w, i)
    if whole < d:
        w, j, left = load(theta, whole), whole, d - whole
        a, b = fma(load_some(X, a0 + j, left), w, a), fma(load_some(X, a1 + j, left), w, b)
        c, e = fma(load_some(X, a2 + j, left), w, c), fma(load_some(X, a3 + j, left), w, e)
        f, g = fma(load_some(X, a4 + j, left), w, f), fma(load_some(X, a5 + j, left), w, g)
        h, i = fma(load_some(X, a6 + j, left), w, h), fma(load_some(X, a7 + j, left), w, i)
    store_totals(z, tile, a, b, c, e, f, g, h, i)


@compiled
def add_rows(X, at, tile, d, slopes, gradient):
    """gradient += Σ slope x of the same eight rows."""
    wide = lanes(X)
    a0, a1, a2, a3 = get(at, tile), get(at, tile + 1), get(at, tile + 2), get(at, tile + 3)
    a4, a5, a6, a7 = get(at, tile + 4), get(at, tile + 5), get(at, tile + 6), get(at, tile + 7)
    s0, s1, s2 = broadcast(slopes, tile), broadcast(slopes, tile + 1), broadcast(slopes, tile + 2)
    s3, s4, s5 = broadcast(slopes, tile + 3), broadcast(slopes, tile + 4), broadcast(slopes, tile + 5)
    s6, s7 = broadcast(slopes, tile + 6), broadcast(slopes, tile + 7)
    whole = d - d % wide
    for j in range(0, whole, wide):
        even = fma(load(X, a2 + j), s2, fma(load(X, a0 + j), s0, load(gradient, j)))
        odd = fma(load(X, a3 + j), s3, multiply(load(X, a1 + j), s1))
        even = fma(load(X, a6 + j), s6, fma(load(X, a4 + j), s4, even))
        odd = fma(load(X, a7 + j), s7, fma(load(X, a5 + j), s5, odd))
        store(gradient, j, add(even, odd))
    if whole < d:
        j, left = whole, d - whole
        even = fma(load_some(X, a2 + j, left), s2, fma(load_some(X, a0 + j, left), s0, load(gradient, j)))
        odd = fma(load_some(X, a3 + j, left), s3, multiply(load_some(X, a1 + j, left), s1))
        even = fma(load_some(X, a6 + j, left), s6, fma(load_some(X, a4 + j, left), s4, even))
        odd = fma(load_some(X, a7 + j, left), s7, fma(load_some(X, a5 + j, left), s5, odd))
        store(gradient, j, add(even, odd))


@compiled
def ask_for(X, y, row, d):
    """Have the row and its target brought into the cache."""
    for j in range(row * d, (row + 1) * d, lanes(X)):
        prefetch(X, j)
    prefetch(X, (row + 1) * d - 1)
    prefetch(y, row)


@compiled
def visit(X, y, weight, weighted, rows, count, left, at, d, theta, intercept, loss, delta, z, gradient):
    """Σ losses and Σ slopes of `count` rows, whose slopes times rows are added to the gradient of the weights.

    `rows` has their numbers, `left` in all with those to come; `at` is room for a chunk and `z` for three: predictions,
    then slopes; targets; losses. Where a tile has
    fewer rows than eight, the last one stands in for the others, and counts nothing.
    """
    tiles = (count + TILE - 1) // TILE * TILE
    for k in range(tiles):
        put(at, k, get(rows, min(k, count - 1)) * d)
    for tile in range(0, tiles, TILE):
        for k in range(tile + AHEAD, min(tile + AHEAD + TILE, left)):
            ask_for(X, y, get(rows, k), d)
        predict(X, at, tile, d, theta, z)
    targets, values, offset = behind(z, CHUNK), behind(z, 2 * CHUNK), spread(z, intercept)
    for k in range(tiles):
        put(targets, k, get(y, get(rows, min(k, count - 1))))
    for k in range(0, tiles, lanes(z)):
        value, slope = losses_and_slopes(loss, delta, z, add(load(z, k), offset), load(targets, k))
        store(values, k, value)
        store(z, k, slope)
    losses, slopes = 0.0, 0.0
    for k in range(count):
        if weighted:
            w = get(weight, get(rows, k))
            put(values, k, get(values, k) * w)
            put(z, k, get(z, k) * w)
        losses, slopes = losses + get(values, k), slopes + get(z, k)
    for k in range(count, tiles):
        put(z, k, 0.0)
    for tile in range(0, tiles, TILE):
        add_rows(X, at, tile, d, z, gradient)
    return losses, slopes


@compiled
def steps(rows, targets, weights, order, batch, loss, delta, scale, optimizer, options, count, state, done):
    """Steps over the rows in this order, a batch each; returns Σ of their losses, batch means times rows.

    `rows (n d,)` one after the other, `targets (n,)`; `weights (n,)` of the rows, or empty; `options (2, ...)` of
    weights and bias; `count` steps were taken before. `state (4, m)` holds parameters, first and second moment, and
    room for the gradient: the weights, padded to whole vectors, and after them the bias, where there is one. `done
    (1,)` tells `ahead.read` how many rows are behind.
    """
    n, d, width, weighted = len(order), len(rows) // len(targets), state.shape[1], len(weights) > 0
    X, y, weight, permutation = address(rows), address(targets), address(weights), address(order)
    theta, first, second, gradient = address(state[0]), address(state[1]), address(state[2]), address(state[3])
    of_weights, of_bias = address(options[0]), address(options[1])
    starts, room = np.empty(CHUNK, np.int64), np.empty(3 * CHUNK, state.dtype)
    at, z, position = address(starts), address(room), address(done)
    wide, losses = lanes(X), 0.0
    bias = (d + wide - 1) // wide * wide
    has_bias = width > bias
    power1, power2 = options[0, BETA1] ** count, options[0, BETA2] ** count
    for start in range(0, n, batch):
        end = min(start + batch, n)
        for j in range(0, width, wide):
            store(gradient, j, spread(X, 0.0))
        by_bias, of_batch = 0.0, 0.0
        intercept = get(theta, bias) if has_bias else room.dtype.type(0.0)
        for i in range(start, end, CHUNK):
            publish(position, 0, i)
            value, slope = visit(
                X, y, weight, weighted, behind(permutation, i), min(CHUNK, end - i), n - i, at, d, theta, intercept,
                loss, delta, z, gradient,
            )  # fmt: skip
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
    numbers, starts, room = (
        np.empty(CHUNK + TILE + AHEAD, np.int64),
        np.empty(CHUNK, np.int64),
        np.empty(3 * CHUNK, state.dtype),
    )
    at, z, order, out = address(starts), address(room), address(numbers), address(sums)
    sum_of_rows = np.empty(width, state.dtype)
    gradient, wide = address(sum_of_rows), lanes(X)
    bias = (d + wide - 1) // wide * wide
    intercept = get(theta, bias) if width > bias else room.dtype.type(0.0)
    for k in range(first, last):
        for j in range(0, width, wide):
            store(gradient, j, spread(X, 0.0))
        by_bias, of_block, end = 0.0, 0.0, min((k + 1) * block, n)
        for i in range(k * block, end, CHUNK):
            left = min(CHUNK + TILE + AHEAD, n - i)
            for j in range(left):
                put(order, j, i + j)
            value, slope = visit(
                X, y, weight, weighted, order, min(CHUNK, end - i), left, at, d, theta, intercept, loss, delta, z,
                gradient,
            )  # fmt: skip
            of_block, by_bias = of_block + value, by_bias + slope
        put(out, k * (1 + width), of_block)
        for j in range(width):
            put(out, k * (1 + width) + 1 + j, get(gradient, j))
        if width > bias:
            put(out, k * (1 + width) + 1 + bias, by_bias)
