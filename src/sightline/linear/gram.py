"""A factor of rows that add up their own products, where the sums of these tell what the rows determine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import leaf_rows, summed

__all__ = ["CLEAR", "LEAST", "NONE", "ROUNDING", "gram_factor"]

Array = NDArray[np.float64]
LEAST = 1e-9  # eigenvalue of X'X, its diagonal scaled to one, from which a direction is one that the rows determine
CLEAR = 1e-6  # the same without ones, which would take the means of columns out of their squares
NONE = 1e-11  # and up to which it may be none
ROUNDING = 1e-13  # of a row along such a direction, relative to its numbers


def gram_factor(X: Any, weight: Array | None, *, intercept: bool) -> Array | None:
    """R `(q, q)` with R'R = Σ w [x 1][x 1]' of rows `X` that have `squares`; with a row of zeros for each direction
    that is zero on every row. None where rounding of the squares may hide a direction.

    The eigenvalues of R'R with columns of one length tell which directions may be zero; a pass over the rows shows
    whether they are.
    """
    p = X.shape[1]

    def weights(part: slice, _: Any) -> Array:
        return np.ones((part.stop - part.start, 1)) if weight is None else np.asarray(weight[part])[:, None]

    q = p + int(intercept)
    G = X.squares(weights, 1)[0, :q, :q]
    size = np.sqrt(np.diag(G))
    size[size == 0] = 1.0
    scaled = G / size / size[:, None]
    least = LEAST if intercept else CLEAR
    known = _root(scaled, least)
    if known is not None:
        return known * size
    values, vectors = np.linalg.eigh(scaled)
    top = float(values[-1:].sum())
    zero = values <= NONE * top
    if (values[~zero] < least * top).any():
        return None
    V = vectors[:, zero] / size[:, None]
    if zero.any() and not _vanishes(X, V, weight):
        return None
    return np.asarray(np.sqrt(np.where(zero, 0.0, values))[:, None] * vectors.T * size)


def _root(scaled: Array, least: float) -> Array | None:
    """The upper triangular factor, where the estimate of its condition says that it has kept its digits."""
    from scipy.linalg.lapack import dpocon, dpotrf

    upper, failed = dpotrf(scaled)
    if failed:
        return None
    share, _ = dpocon(upper, float(np.abs(scaled).sum(axis=0).max(initial=0.0)))
    return np.asarray(upper) if share > least else None


def _vanishes(X: Any, V: Array, weight: Array | None) -> bool:
    """Whether x'v is rounding for every row of a weight and each v of `V (q, r)`, beside what it is made of in any."""
    n, p = X.shape

    def leaf(part: slice, _: None) -> tuple[Array, Array]:
        rows, bias = X[part], V[p:]
        there = slice(None) if weight is None else np.asarray(weight[part]) > 0
        found, size = rows @ V[:p] + bias.sum(axis=0), abs(rows) @ np.abs(V[:p]) + np.abs(bias).sum(axis=0)
        return np.abs(found[there]).max(axis=0, initial=0.0), size.max(axis=0, initial=0.0)

    off, size = summed(
        leaf, lambda _: None, rows=n, columns=p, work=64 * n * p, leaf_rows=leaf_rows(X),
        add=lambda a, b: (np.maximum(a[0], b[0]), np.maximum(a[1], b[1])),
    )  # fmt: skip
    return bool((off <= ROUNDING * len(V) * size).all())
