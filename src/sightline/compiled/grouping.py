"""Rows that are the same to the bit, found by hashing them."""

from __future__ import annotations

import numpy as np

from .jit import compiled
from .memory import address, get

__all__ = ["distinct"]

ODD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ divided by the golden ratio
OTHER = np.uint64(0xD6E8FEB86659FD93)
STEP = OTHER << np.uint64(1)  # from one factor to the next, which stay odd
ONE, HALF, THIRD = np.uint64(1), np.uint64(32), np.uint64(29)
AHEAD = 64  # rows that are hashed at a time, before any of them is looked up
SPARSE = 4  # places of the table for each number at least: most are found where they are looked for first


@compiled
def mixed(words, first, d, total, factor):
    """Add Σ f(wⱼ) mⱼ of these words to a total, with a factor of its own for each place: products that do not wait for
    each other. f folds the high half of a word into the low one, as numbers often end in zeros.
    """
    for j in range(d):
        word = np.uint64(get(words, first + j))
        total += (word ^ (word >> HALF)) * factor
        factor += STEP
    return total


@compiled
def hashed(X, i, d, y, k):
    """A number of 64 bits for row i with its targets; rows that are the same have the same. In the end every bit of
    them reaches the lowest ones.
    """
    total = mixed(y, i * k, k, mixed(X, i * d, d, ODD, ODD), OTHER)
    found = (total ^ (total >> HALF)) * OTHER
    return found ^ (found >> THIRD)


@compiled
def same(words, first, second, d):
    """Whether two rows are the same: most that are compared are, so all of their words are."""
    apart = np.uint64(0)
    for j in range(d):
        apart |= np.uint64(get(words, first + j)) ^ np.uint64(get(words, second + j))
    return apart == np.uint64(0)


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
def distinct(n, rows, d, targets, k, weight, most, first, sums):
    """Number `n` rows by which of them are the same: `first (most,)` gets the place of the first row of each number,
    `sums (most,)` the sum of the `weight (n,)` of all of them, `(1,)` where all have the same; returns how many numbers
    there are, or -1 where there are more than `most`.

    `rows (n d,)` and `targets (n k,)` are unsigned words, a row after the other. An open table that grows with the
    numbers, so that few of them stay in the cache.
    """
    X, y, w, step = address(rows), address(targets), address(weight), int(len(weight) > 1)
    size, count, hashes = 1024, 0, np.empty(most, np.uint64)
    table, mask, ahead = spread_out(hashes, 0, size), np.uint64(size - 1), np.empty(AHEAD, np.uint64)
    for start in range(0, n, AHEAD):
        end = min(start + AHEAD, n)
        for i in range(start, end):
            ahead[i - start] = hashed(X, i, d, y, k)
        for i in range(start, end):
            hash_of_row = ahead[i - start]
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
                hashes[count], first[count], sums[count] = hash_of_row, i, 0.0
                count += 1
                if SPARSE * count > size:
                    size *= 2
                    table, mask = spread_out(hashes, count, size), np.uint64(size - 1)
            sums[number] += get(w, i * step)
    return count
