"""Least squares of rows that are read block by block, from their triangular factor: it bears nearly equal columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import one_blas_thread
from .exact import EPS, Exact, Sums, exact_of, scaled_svd
from .from_moments import Residuals
from .moments import Moments, residual_pass
from .triangle import triangle

__all__ = ["least_squares_from_triangle"]

Array = NDArray[np.float64]
PASSES = 3  # corrections by the gradient of the rows


@one_blas_thread()
def least_squares_from_triangle(
    X: Any,
    y: Array,
    *,
    intercept: bool = True,
    weight: Array | None = None,
    weight_decay: float | Array = 0.0,
    noise: Array | None = None,
    moments: Moments | None = None,
    residuals: Residuals | None = None,
) -> Exact:
    """As `least_squares`, reading blocks of the rows in a few passes; `moments` where they are known, and `residuals`
    where a pass is made in another way than from the columns.

    R of [X 1 y] is merged from those of blocks; θ solves its triangle, of columns that repeat each other with the
    smallest norm, and is corrected by the gradient at θ that a pass over the rows measures, with R'R in place of the
    Hessian. Björck, Numerical Methods for Least Squares Problems, section 6.6.3.

    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> least_squares_from_triangle(X, y).theta.round(12).tolist()
    [2.0, 1.0]
    """
    n, p = X.shape
    target = y[:, None]
    moments = Moments.of(X, y, weight) if moments is None else moments

    def measured(theta: Array) -> tuple[Array, Array, Array]:
        slopes, bias = theta[None, :p], theta[p:] if p < q else None
        return residual_pass(X, target, slopes, bias, weight) if residuals is None else residuals(slopes, bias)

    mass, logs = moments.n, 0.0 if weight is None else float(np.log(weight).sum())
    R = _factor(triangle(X, target, moments, weight), moments, intercept=intercept) * np.sqrt(n / mass)
    q = R.shape[1] - 1
    penalty = np.broadcast_to(np.asarray(weight_decay, dtype=np.float64), q)
    if penalty.any():
        R = np.linalg.qr(np.vstack([R, np.diag(np.sqrt(np.append(penalty * (n / 2.0), 0.0)))[:q]]), mode="r")
    factor = scaled_svd(R[:, :q], q, noise)
    inverse = factor.directions[: factor.rank] / factor.singular[: factor.rank, None]

    def solved(right: Array) -> Array:
        return np.asarray((inverse.T @ (inverse @ (right / factor.scale))) / factor.scale)

    theta, moved = solved(R[:, :q].T @ R[:, q]), np.inf
    for _ in range(PASSES):
        squares, by_slope, by_bias = measured(theta)
        downhill = np.concatenate([by_slope[0], by_bias]) if p < q else by_slope[0]
        delta = solved(downhill * (n / mass) - penalty * (n / 2.0) * theta)
        size, step = float(np.abs(theta * factor.scale).max(initial=0.0)), np.abs(delta * factor.scale).max(initial=0.0)
        if step >= moved:
            break
        theta, moved = theta + delta, float(step)
        if step <= EPS * size:
            break
    squares = measured(theta)[0]
    total = float(moments.yy[0] + mass * moments.y_mean[0] ** 2)
    sums = Sums(float(squares[0]), float(moments.yy[0]), total, mass, logs)
    return exact_of(theta, R[:, :q], factor, sums, intercept=intercept, penalty=penalty, rows=n)


def _factor(centered: Array, m: Moments, *, intercept: bool) -> Array:
    """R of [X 1 y], or of [X y], from that of the centered columns and their means."""
    p = len(m.x_mean)
    if not intercept:
        means = np.sqrt(m.n) * np.append(m.x_mean, m.y_mean)
        return np.asarray(np.linalg.qr(np.vstack([centered, means]), mode="r"))
    R = np.zeros((p + 2, p + 2))
    R[:p, :p], R[:p, p + 1] = centered[:p, :p], centered[:p, p]
    R[p, :p], R[p, p], R[p, p + 1] = np.sqrt(m.n) * m.x_mean, np.sqrt(m.n), np.sqrt(m.n) * m.y_mean[0]
    R[p + 1, p + 1] = centered[p, p]
    return R
