"""Sums of products that are the same for a row whatever rows are beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["row_products"]

Array = NDArray[np.float64]


@np.errstate(over="ignore", invalid="ignore")
def row_products(X: Array, W: Array) -> Array:
    """XW' `(n, m)` for rows `X (n, p)` and `W (m, p)`, each number as a sum of its own.

    A matrix product adds in an order that depends on the library and on how many rows there are. Here it depends on p
    alone, so rows that come in pieces give the bits that all of them give at once.

    >>> row_products(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[10.0, 1.0]])).tolist()
    [[12.0], [34.0]]
    """
    return np.asarray(np.einsum("ij,kj->ik", np.ascontiguousarray(X), np.ascontiguousarray(W)))
