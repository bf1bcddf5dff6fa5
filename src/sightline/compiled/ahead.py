"""A second thread that reads rows before the first one needs them, so that both wait for memory at the same time."""

from __future__ import annotations

from .jit import compiled
from .memory import address, get, published
from .vectors import add, lanes, load, spread, total

__all__ = ["read"]

NEAR, JUMP = 32, 512  # where the first thread comes nearer, the next so many rows are left to it
FAR = 2**21  # bytes read ahead at most, which stay in the cache that threads share


@compiled
def read(rows, order, d, done):
    """Read the rows `(n d,)` in this order, until `done (1,)` is n; never further ahead of it than the cache holds.

    Returns a sum of what was read, so that reading is not left out.
    """
    n, X, permutation, position = len(order), address(rows), address(order), address(done)
    sums, last, wide = spread(X, 0.0), 0.0, lanes(X)
    far = max(4 * JUMP, FAR // (d * rows.itemsize))
    i = behind = 0
    while i < n and behind < n:
        behind = published(position, 0)
        if i < behind + NEAR:
            i = behind + JUMP
        end = min(i + 8, behind + far, n)
        while i < end:
            first = get(permutation, i) * d
            for j in range(first, first + d - wide + 1, wide):
                sums = add(sums, load(X, j))
            last += get(X, first + d - 1)
            i += 1
    return total(sums) + last
