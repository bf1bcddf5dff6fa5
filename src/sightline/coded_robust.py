"""What robust standard errors need of rows of which categories are kept as codes: sums of squares of their scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_rows import CodedRows, add_rows
from .coded_sums import coded_moments
from .linear.exact import Exact
from .linear.robust_blocks import robust_covariance_of_blocks
from .rows import Rows

__all__ = ["robust_of_blocks", "squares_of_scores"]

Array = NDArray[np.float64]


def robust_of_blocks(
    rows: Rows, exact: Exact, kind: str, combinations: Array, clusters: NDArray[np.intp] | None
) -> Array:
    """`robust_covariance_of_blocks` of rows that are read block by block; where categories are kept as codes without
    their columns, but for hc2 and hc3, which need each row's leverage.
    """
    squares = None
    if rows.coded and rows.blocks.parts and (clusters is not None or kind in ("hc0", "hc1")):
        squares = squares_of_scores(
            rows.blocks, rows.y, exact.theta, intercept=exact.intercept, weight=rows.weight, clusters=clusters
        )  # fmt: skip
    return robust_covariance_of_blocks(
        rows.X, rows.y, exact, kind=kind, combinations=combinations, weight=rows.weight, clusters=clusters,
        known_squares=squares,
    )  # fmt: skip


def squares_of_scores(
    X: CodedRows, y: Array, theta: Array, *, intercept: bool, weight: Array | None, clusters: NDArray[np.intp] | None
) -> Array:
    """Σ ss' `(q, q)` of the scores s = w r [x 1] of the rows, or of their sums over each of the `clusters (n,)`.

    No column of a category is made: Σ (w r)² xx' are moments with other weights, and the sums of a cluster have no more
    numbers that are not zero than it has rows, times factors.

    >>> from .coded_rows import Indicators
    >>> X = CodedRows(3, 1, (Indicators(np.array([0, 1, 1]), np.array([-1, 0])),), np.array([], int),
    ...               lambda a, b: np.empty((b - a, 0)))
    >>> squares_of_scores(X, np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.0]), intercept=True, weight=None,
    ...                   clusters=None).round(12).tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    pull = _pull(X, y, theta, intercept=intercept, weight=weight)
    if clusters is not None:
        return _of_clusters(X, pull, clusters, intercept=intercept)
    m = coded_moments(X, np.zeros((len(X), 0)), pull**2)
    squares = m.xx + m.n * np.multiply.outer(m.x_mean, m.x_mean)
    return _bordered(squares, m.n * m.x_mean, m.n) if intercept else squares


def _pull(X: CodedRows, y: Array, theta: Array, *, intercept: bool, weight: Array | None) -> Array:
    """w r of each row, `(n,)`."""
    p = X.shape[1]
    slopes, bias = theta[None, :p], theta[p:] if intercept else None
    pull = np.empty(len(X))
    for first, last in X.blocks():
        block = X.placed_block(first, last)
        pull[block.part] = y[block.part] - X.scores(block, slopes, bias)[:, 0]
    return pull if weight is None else pull * weight


def _of_clusters(X: CodedRows, pull: Array, clusters: NDArray[np.intp], *, intercept: bool) -> Array:
    """From the sums of each cluster: sparse ones of indicators as 0 and 1, which are centered and scaled afterwards."""
    from scipy.sparse import coo_array

    groups, p, places = int(clusters.max(initial=0)) + 1, X.shape[1], X.places
    marked: Any = coo_array((groups, p)).tocsr()
    dense, total = np.zeros((groups, len(places))), np.bincount(clusters, weights=pull, minlength=groups)
    for first, last in X.blocks():
        block = X.placed_block(first, last)
        group, u = clusters[block.part], pull[block.part]
        dense += add_rows(group.astype(np.int32), block.dense * u[:, None], groups)
        for part, codes in zip(X.parts, block.codes, strict=True):
            columns = part.columns[codes]
            kept = columns >= 0
            marked = marked + coo_array((u[kept], (group[kept], columns[kept])), shape=(groups, p)).tocsr()
    other = np.isin(np.arange(p), places)
    off, scale = np.where(other, 0.0, X.center), np.where(other, 1.0, X.scale)
    squares, own, size = (marked.T @ marked).toarray(), marked.T @ total, float(total @ total)
    squares += size * np.multiply.outer(off, off) - np.multiply.outer(off, own) - np.multiply.outer(own, off)
    squares /= np.multiply.outer(scale, scale)
    beside = (marked.T @ dense - np.multiply.outer(off, total @ dense)) / scale[:, None]
    squares[:, places], squares[places] = beside, beside.T
    squares[np.ix_(places, places)] = dense.T @ dense
    of_one = (own - off * size) / scale
    of_one[places] = total @ dense
    return _bordered(squares, of_one, size) if intercept else squares


def _bordered(squares: Array, edge: Array, corner: float) -> Array:
    """With the row and the column of the intercept."""
    return np.block([[squares, edge[:, None]], [edge[None, :], np.array([[corner]])]])
