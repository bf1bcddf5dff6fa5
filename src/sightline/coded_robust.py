"""What robust standard errors need of rows of which categories are kept as codes: sums of squares of their scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_blocks import ByCodes, CodedBlock, placed_squares
from .coded_rows import CodedRows, add_rows
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
        pull = _pull(rows.blocks, rows.y, exact.theta, intercept=exact.intercept, weight=rows.weight)
        squares = squares_of_scores(rows.blocks, pull[:, None], intercept=exact.intercept, clusters=clusters)
    return robust_covariance_of_blocks(
        rows.X, rows.y, exact, kind=kind, combinations=combinations, weight=rows.weight, clusters=clusters,
        known_squares=squares,
    )  # fmt: skip


def _pull(X: CodedRows, y: Array, theta: Array, *, intercept: bool, weight: Array | None) -> Array:
    """w r of each row, `(n,)`."""
    p, rows = X.shape[1], ByCodes(X)
    pull = np.empty(len(X))
    for ends in X.blocks():
        part = slice(*ends)
        pull[part] = y[part] - rows[part] @ theta[:p] - (theta[p] if intercept else 0.0)
    return pull if weight is None else pull * weight


def squares_of_scores(
    X: CodedRows, pull: Array, *, intercept: bool, clusters: NDArray[np.intp] | None = None
) -> Array:
    """Σ ss' `(m q, m q)` of the scores s = u ⊗ [x 1] of the rows, u their `pull (n, m)`, or of the sums of the scores
    over each of the `clusters (n,)`.

    No column of a category is made: Σ u_a u_b xx' are counts with weights, and the sums of a cluster have no more
    numbers that are not zero than it has rows, times factors.

    >>> from .coded_rows import Indicators
    >>> X = CodedRows(3, 1, (Indicators(np.array([0, 1, 1]), np.array([-1, 0])),), np.array([], int),
    ...               lambda a, b: np.empty((b - a, 0)))
    >>> squares_of_scores(X, np.array([[0.0], [-1.0], [1.0]]), intercept=True).tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    m, p = pull.shape[1], X.shape[1]
    pairs = [(a, b) for a in range(m) for b in range(m)]
    if clusters is None:

        def weights(part: slice, _: CodedBlock) -> Array:
            return np.column_stack([pull[part, a] * pull[part, b] for a, b in pairs])

        squares = ByCodes(X).squares(weights, m * m)
    else:
        squares = placed_squares(X, _of_clusters(X, pull, clusters))
    q = p + int(intercept)
    return squares.reshape(m, m, p + 1, p + 1)[:, :, :q, :q].swapaxes(1, 2).reshape(m * q, m * q)


def _of_clusters(X: CodedRows, pull: Array, clusters: NDArray[np.intp]) -> Array:
    """From the sums of each cluster `(m m, p + 1, p + 1)`, those of indicators that are 0 and 1 sparse."""
    from scipy.sparse import coo_array

    groups, p, d, m = int(clusters.max(initial=0)) + 1, X.shape[1], len(X.places), pull.shape[1]
    marked: Any = coo_array((groups, m * p)).tocsr()
    dense = np.zeros((groups, m * (d + 1)))
    for first, last in X.blocks():
        block = X.placed_block(first, last)
        group, own = clusters[block.part], pull[block.part]
        ones = np.column_stack([block.dense, np.ones(len(own))])
        dense += add_rows(group.astype(np.int32), (own[:, :, None] * ones[:, None, :]).reshape(len(own), -1), groups)
        for part, codes in zip(X.parts, block.codes, strict=True):
            columns = part.columns[codes]
            kept = np.flatnonzero(columns >= 0)
            at = np.add.outer(columns[kept], p * np.arange(m)).ravel()
            entries = (own[kept].ravel(), (np.repeat(group[kept], m), at))
            marked = marked + coo_array(entries, shape=(groups, m * p)).tocsr()
    found = np.zeros((m, m, p + 1, p + 1))
    places = np.append(X.places, p)
    of_marks = (marked.T @ marked).toarray().reshape(m, p, m, p)
    found[:, :, :p, :p] = of_marks.swapaxes(1, 2)
    beside = (marked.T @ dense).reshape(m, p, m, d + 1).swapaxes(1, 2)
    at = X.marked
    found[:, :, at[:, None], places] = beside[:, :, at]
    found[:, :, places[:, None], at] = beside[:, :, at].transpose(1, 0, 3, 2)
    found[:, :, places[:, None], places] = (dense.T @ dense).reshape(m, d + 1, m, d + 1).swapaxes(1, 2)
    return found.reshape(m * m, p + 1, p + 1)
