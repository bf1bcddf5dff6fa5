"""What robust standard errors need of rows of which categories are kept as codes: sums of squares of their scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .coded_blocks import ByCodes, by_codes
from .coded_rows import CodedRows
from .linear.exact import Exact
from .linear.robust import full_leverage
from .linear.robust_blocks import NEAR, orthonormal, robust_covariance_of_blocks
from .rows import Rows

__all__ = ["robust_of_blocks"]

Array = NDArray[np.float64]
POWERS = {"hc2": 0.5, "hc3": 1.0}  # of 1 - h, by which they divide


def robust_of_blocks(
    rows: Rows, exact: Exact, kind: str, combinations: Array, clusters: NDArray[np.intp] | None
) -> Array:
    """`robust_covariance_of_blocks` of rows that are read block by block; where categories are kept as codes without
    their columns, but for hc2 and hc3 where a row has a leverage near 1.
    """
    squares, X = None, by_codes(rows.X)
    if isinstance(X, ByCodes):
        pull = _pull(X, rows.y, exact.theta, intercept=exact.intercept, weight=rows.weight)
        if clusters is None and kind in POWERS:
            basis = orthonormal(exact)
            left = X.left(basis @ basis.T, rows.weight)
            _refuse_alone(X.rows, left, kind)
            if left.min() >= NEAR:
                squares = X.score_squares((pull / left ** POWERS[kind])[:, None], intercept=exact.intercept)
        else:
            squares = X.score_squares(pull[:, None], clusters, intercept=exact.intercept)
    return robust_covariance_of_blocks(
        rows.X, rows.y, exact, kind=kind, combinations=combinations, weight=rows.weight, clusters=clusters,
        known_squares=squares,
    )  # fmt: skip


def _refuse_alone(X: CodedRows, left: Array, kind: str) -> None:
    """Refuse rows that alone have a category: then the fit goes through them, whatever else there is."""
    near = np.flatnonzero(left < NEAR)
    if not len(near):
        return
    alone = np.zeros(len(left), dtype=bool)
    for part in X.parts:
        count = np.zeros(len(part.columns), dtype=np.int64)
        for first, last in X.blocks():
            count += np.bincount(part.codes[first:last], minlength=len(count))
        for first, last in X.blocks():
            alone[first:last] |= (count == 1)[part.codes[first:last]]
    if alone[near].any():
        raise full_leverage(near[alone[near]], kind)


def _pull(X: ByCodes, y: Array, theta: Array, *, intercept: bool, weight: Array | None) -> Array:
    """w r of each row, `(n,)`."""
    p, pull = X.shape[1], np.empty(len(X))
    for ends in X.rows.blocks():
        part = slice(*ends)
        pull[part] = y[part] - X[part] @ theta[:p] - (theta[p] if intercept else 0.0)
    return pull if weight is None else pull * weight
