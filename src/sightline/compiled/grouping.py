"""Rows that are the same to the bit, found by hashing them."""

from __future__ import annotations

import numpy as np

from .jit import compiled
from .memory import address, get

__all__ = ["distinct"]

ODD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ divided by the golden ratio
OTHER = np.uint64(0xD6E8FEB86659FD93)
ONE, HALF, THIRD = np.uint64(1), np.uint64(32), np.uint64(29)


@compiled
def hashed(words, first, d, salt):
    """A number of 64 bits for these words; rows that are the same have the same. Two chains, as each waits for its own
    products; in the end every bit of them reaches the lowest ones.
    """
    even, odd, end = salt, salt * OTHER, first + d - d % 2
    for j in range(first, end, 2):
        even = (even ^ np.uint64(get(words, j))) * ODD
        odd = (odd ^ np.uint64(get(words, j + 1))) * OTHER
    if d % 2:
        even = (even ^ np.uint64(get(words, end))) * ODD
    found = (even ^ (even >> HALF)) + (odd ^ (odd >> THIRD)) * ODD
    found = (found ^ (found >> HALF)) * OTHER
    return found ^ (found >> THIRD)


@compiled
def same(words, first, second, d):
    """Whether two rows are the same."""
    j = 0
    while j < d and get(words, first + j) == get(words, second + j):
        j += 1
    return j == d


@compiled
def spread_out(hashes, count, size):
    """A table of so many places with the numbers below `count`, each where its hash says or in the next free one."""
    table, mask = np.full(size, -1, np.int64), np.uint64(size - 1)
    for number in range(count):
        place = hashes[number] & mask
        while table[place] >= 0:
            place = (place + ONE) & mask
        table[place] = number
    return table


@compiled
def distinct(rows, d, targets, k, most, group, first):
    """Number the rows by which of them are the same: `group (n,)` gets the number of each, `first (most,)` the place of
    the first row of each number; returns how many there are, or -1 where there are more than `most`.

    `rows (n d,)` and `targets (n k,)` are unsigned words, a row after the other. An open table with at least two places
    for each number, which grows with them, so that few numbers stay in the cache.
    """
    n, X, y = len(group), address(rows), address(targets)
    size, count, hashes = 1024, 0, np.empty(most, np.uint64)
    table, mask = spread_out(hashes, 0, size), np.uint64(size - 1)
    for i in range(n):
        hash_of_row = hashed(y, i * k, k, hashed(X, i * d, d, ODD))
        place = hash_of_row & mask
        number = table[place]
        while number >= 0:
            other = first[number]
            if hashes[number] == hash_of_row and same(X, i * d, other * d, d) and same(y, i * k, other * k, k):
                break
            place = (place + ONE) & mask
            number = table[place]
        if number < 0:
            if count == most:
                return -1
            number, table[place] = count, count
            hashes[count], first[count] = hash_of_row, i
            count += 1
            if 2 * count > size:
                size *= 2
                table, mask = spread_out(hashes, count, size), np.uint64(size - 1)
        group[i] = number
    return count
