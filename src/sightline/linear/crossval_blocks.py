"""Cross-validation of least squares whose rows are read block by block: a factor for each fold, and two passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import summed, with_ones
from .crossval import CrossValidation, numbered
from .exact import scaled_svd
from .projection import LOOSE
from .triangle import merged_factors

__all__ = ["cross_validate_blocks"]

Array = NDArray[np.float64]


def cross_validate_blocks(
    X: Any, y: Array, fold: Any, *, intercept: bool = True, weight: Array | None = None, noise: Array | None = None
) -> CrossValidation:
    """As `cross_validate`, for rows `X (n, p)` of which blocks are read; target, fold and residual of each are kept.

    The triangular factors of the folds, of √w [X 1 y], are merged to that of all others for each, so that nothing is
    lost where columns nearly repeat each other.
    """
    fold, sizes = numbered(fold, len(y))
    factors = _factors(X, y, fold, len(sizes), weight, intercept=intercept)
    models = [_solved(_of_others(factors, k), noise) for k in range(len(sizes))]
    residual, level = np.empty(len(y)), float(np.average(y, weights=weight)) if intercept else 0.0

    def leaf(part: slice, _: None) -> Array:
        Z, target = with_ones(X[part], intercept), y[part]
        w = np.ones(len(Z)) if weight is None else weight[part]
        for k in np.unique(fold[part]):
            own = np.flatnonzero(fold[part] == k)
            residual[part.start + own] = _left(Z[own], target[own], models[k])
        return _sums(residual[part], target - level, w, fold[part], len(sizes))

    n, p = X.shape
    sums = summed(leaf, lambda _: None, rows=n, columns=p, work=64 * n * (p + 1))
    return _summary(sums, residual, sizes, intercept=intercept)


def _factors(X: Any, y: Array, fold: Any, folds: int, weight: Array | None, *, intercept: bool) -> list[Array]:
    """R of √w [X 1 y] of the rows of each fold."""

    def leaf(part: slice, _: None) -> list[Array]:
        rows = np.column_stack([with_ones(X[part], intercept), y[part]])
        rows = rows if weight is None else rows * np.sqrt(weight[part])[:, None]
        return [np.asarray(np.linalg.qr(rows[fold[part] == k], mode="r")) for k in range(folds)]

    def add(a: list[Array], b: list[Array]) -> list[Array]:
        return [merged_factors(one, other) for one, other in zip(a, b, strict=True)]

    n, p = X.shape
    return summed(leaf, lambda _: None, rows=n, columns=p, work=2 * n * (p + 2) ** 2, add=add)


def _of_others(factors: list[Array], k: int) -> Array:
    """The factor of the rows of all folds but one."""
    return np.asarray(np.linalg.qr(np.vstack([R for j, R in enumerate(factors) if j != k]), mode="r"))


def _solved(R: Array, noise: Array | None) -> tuple[Array, Array, Array, Array]:
    """θ, the lengths of the columns, and the open directions with what rounding leaves along them."""
    q = R.shape[1] - 1
    factor = scaled_svd(R[:, :q], q, noise)
    free = factor.directions[factor.rank :]
    grain = np.full(q, np.finfo(float).eps) if noise is None else noise
    return factor.solve(R[:, q]), factor.scale, free, (np.abs(free) * grain).T


def _left(Z: Array, y: Array, model: tuple[Array, Array, Array, Array]) -> Array:
    """Residuals; NaN where the other folds do not determine the prediction."""
    theta, scale, free, grain = model
    residual = y - Z @ theta
    if len(free):
        scaled = np.abs(Z / scale)
        rounding = LOOSE * scaled.max(axis=1, initial=0.0, keepdims=True) + 64.0 * scaled @ grain
        residual[(np.abs(Z / scale @ free.T) > rounding).any(axis=1)] = np.nan
    return np.asarray(residual)


def _sums(residual: Array, y: Array, w: Array, fold: Any, folds: int) -> Array:
    """Of each fold `(folds, 5)`, of rows whose residual is known: Σ w r², Σ w, Σ w y, Σ w y², and how many are not."""
    known = ~np.isnan(residual)
    r, w = np.where(known, residual, 0.0), w * known
    columns = (w * r * r, w, w * y, w * y * y, ~known)
    return np.column_stack([np.bincount(fold, weights=column, minlength=folds) for column in columns])


def _summary(sums: Array, residual: Array, sizes: NDArray[np.intp], *, intercept: bool) -> CrossValidation:
    with np.errstate(invalid="ignore", divide="ignore"):
        fold_mse = sums[:, 0] / sums[:, 1]
    squares, mass, first, second, lost = sums.sum(axis=0).tolist()
    if not mass:
        return CrossValidation(residual, fold_mse, sizes, None, None, None, (), int(lost))
    mse, total = squares / mass, (second - first * first / mass if intercept else second) / mass
    r2 = 1.0 - mse / total if total > 0 else None
    return CrossValidation(residual, fold_mse, sizes, mse, math.sqrt(mse), r2, (), int(lost))
