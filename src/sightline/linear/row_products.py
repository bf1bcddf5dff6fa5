"""Sums of products that are the same for a row whatever rows are beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["row_products"]

Array = NDArray[np.float64]
NUMBERS = 2**15  # of sums at a time, so that they stay in the cache


@np.errstate(over="ignore", invalid="ignore")
def row_products(X: Array, W: Array) -> Array:
    """XW' `(n, m)` for rows `X (n, p)` and `W (m, p)`: Σ_j x_ij w_kj, added in the order of the columns.

    A matrix product adds in an order that depends on the library and on how many rows there are; here the bits of a row
    are its own, so rows that come in pieces give what all of them give at once.

    >>> row_products(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[10.0, 1.0]])).tolist()
    [[12.0], [34.0]]
    """
    found = np.zeros((len(W), len(X)))
    size = max(1, NUMBERS // max(1, len(W)))
    for first in range(0, len(X), size):
        sums = found[:, first : first + size]
        for column, weight in zip(np.ascontiguousarray(X[first : first + size].T), W.T, strict=True):
            sums += weight[:, None] * column
    return np.ascontiguousarray(found.T)
