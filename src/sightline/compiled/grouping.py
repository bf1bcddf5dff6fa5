"""Rows that are the same to the bit, found by hashing them."""

from __future__ import annotations

import numpy as np

from .jit import compiled
from .memory import address, get

__all__ = ["distinct"]

ODD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ divided by the golden ratio: neighboring numbers come far apart
HALF = np.uint64(32)


@compiled
def hashed(words, first, d, salt):
    """A number of 64 bits for these words; rows that are the same have the same."""
    found = salt
    for j in range(first, first + d):
        found = (found ^ get(words, j)) * ODD
        found ^= found >> HALF
    return found


@compiled
def same(words, first, second, d):
    """Whether two rows are the same."""
    j = 0
    while j < d and get(words, first + j) == get(words, second + j):
        j += 1
    return j == d


@compiled
def distinct(rows, d, targets, k, most, group, first):
    """Number the rows by which of them are the same: `group (n,)` gets the number of each, `first (most,)` the place of
    the first row of each number; returns how many there are, or -1 where there are more than `most`.

    `rows (n d,)` and `targets (n k,)` are words of 64 bits, a row after the other. An open table of twice as many
    places as there may be numbers, at least, which are tried one after the other.
    """
    n, X, y = len(group), address(rows), address(targets)
    size = 16
    while size < 2 * most:
        size *= 2
    table, mask, count = np.full(size, -1, np.int64), np.int64(size - 1), 0
    for i in range(n):
        place = np.int64(hashed(y, i * k, k, hashed(X, i * d, d, ODD)) & np.uint64(mask))
        while table[place] >= 0:
            other = first[table[place]]
            if same(X, i * d, other * d, d) and same(y, i * k, other * k, k):
                break
            place = (place + 1) & mask
        if table[place] < 0:
            if count == most:
                return -1
            table[place], first[count] = count, i
            count += 1
        group[i] = table[place]
    return count
