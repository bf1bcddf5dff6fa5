"""Sums over rows of which categories are kept as codes."""

from __future__ import annotations

from .jit import compiled

__all__ = ["add_counts", "add_rows", "add_shares", "take_rows"]


@compiled
def add_counts(first, second, table):
    """To `table (a, b)` how many rows have each pair of codes, `first (n,)` below a and `second (n,)` below b."""
    width, cells = table.shape[1], table.reshape(-1)
    for i in range(len(first)):
        cells[first[i] * width + second[i]] += 1


@compiled
def add_shares(first, second, weight, table):
    """The same with Σ weight of the rows instead of their number."""
    width, cells = table.shape[1], table.reshape(-1)
    for i in range(len(first)):
        cells[first[i] * width + second[i]] += weight[i]


@compiled
def add_rows(codes, values, sums):
    """To `sums (a, k)` the rows of `values (n, k)` that have each code."""
    k = values.shape[1]
    for i in range(len(codes)):
        code = codes[i]
        for j in range(k):
            sums[code, j] += values[i, j]


@compiled
def take_rows(codes, table, found):
    """To `found (n, k)` the row of `table (a, k)` that each code names."""
    k = table.shape[1]
    for i in range(len(codes)):
        code = codes[i]
        for j in range(k):
            found[i, j] += table[code, j]
