"""Least squares of many rows: from centered moments, refined by passes over the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import one_blas_thread
from .exact import EPS, Exact, Sums, exact_of, scaled_svd
from .moments import Moments, residual_pass

__all__ = ["Residuals", "descend", "least_squares_from_moments", "sums_at"]

Array = NDArray[np.float64]
Residuals = Callable[[Array, Array | None], tuple[Array, Array, Array]]  # Σ w r², Σ w r x' and Σ w r at (w, b)
STEEP = 1e4  # condition number beyond which QR of the rows is worth its cost
MOST_PASSES = 4


@one_blas_thread()  # the bits are those of one thread, and small systems do not wait for a second
def least_squares_from_moments(
    X: Any,
    y: Array,
    moments: Moments,
    *,
    intercept: bool = True,
    weight: Array | None = None,
    weight_decay: float | Array = 0.0,
    residuals: Residuals | None = None,
) -> tuple[Exact, float] | None:
    """As `least_squares`, with the digits of θ that can be trusted; None where the columns are too ill-conditioned.

    The Cholesky factor of the centered moments is the preconditioner; each pass over the rows measures the gradient
    at θ and corrects θ by it, so the rounding of the moments does not stay in the answer. `moments` are those of X, y
    and weights of any scale; `residuals(slopes, bias)` makes a pass in another way than from the columns.
    Björck, Numerical Methods for Least Squares Problems, section 6.6.
    """
    n = len(X)
    mass = moments.n
    factor_rows = _factor(moments, intercept=intercept)
    if factor_rows is None:
        return None
    R = factor_rows * np.sqrt(n / mass)
    q = R.shape[1]
    penalty = np.broadcast_to(np.asarray(weight_decay, dtype=np.float64), q)
    if penalty.any():
        R = np.linalg.qr(np.vstack([R, np.diag(np.sqrt(penalty * (n / 2.0)))]), mode="r")
    factor = scaled_svd(R, q, None)
    if factor.rank < q or (q and factor.singular[0] > STEEP * factor.singular[-1]):
        return None
    start = _start(moments, intercept=intercept) if not penalty.any() else np.zeros(q)
    condition = float(factor.singular[0] / factor.singular[-1]) if q else 1.0
    gram = R.T @ R / factor.scale / factor.scale[:, None]
    found = descend(
        residuals or (lambda slopes, bias: residual_pass(X, y[:, None], slopes, bias, weight)),
        lambda downhill: np.linalg.solve(gram, downhill / factor.scale) / factor.scale,
        start, factor.scale, penalty, condition=condition, intercept=intercept, shares=(n, mass),
    )  # fmt: skip
    if found is None:
        return None
    theta, rss, digits = found
    sums = sums_at(moments, rss, weight, intercept=intercept)
    return exact_of(theta, R, factor, sums, intercept=intercept, penalty=penalty, rows=n), digits


def _factor(m: Moments, *, intercept: bool) -> Array | None:
    """R with R'R = [X 1]'W[X 1] from the centered moments; None where they are not positive definite."""
    p = len(m.x_mean)
    gram = m.xx if intercept else m.xx + m.n * np.outer(m.x_mean, m.x_mean)
    length = np.sqrt(np.diag(gram))
    if not (length > 0).all():
        return None
    try:
        upper = np.linalg.cholesky(gram / length / length[:, None]).T * length
    except np.linalg.LinAlgError:
        return None
    if not intercept:
        return np.asarray(upper)
    R = np.zeros((p + 1, p + 1))
    R[:p, :p], R[p, :p], R[p, p] = upper, np.sqrt(m.n) * m.x_mean, np.sqrt(m.n)
    return R


def _start(m: Moments, *, intercept: bool) -> Array:
    """The solution of the normal equations, the intercept last."""
    p = len(m.x_mean)
    gram, right = (
        (m.xx, m.xy[:, 0])
        if intercept
        else (m.xx + m.n * np.outer(m.x_mean, m.x_mean), m.xy[:, 0] + m.n * m.x_mean * m.y_mean[0])
    )
    length = np.sqrt(np.diag(gram))
    slopes = np.linalg.solve(gram / length / length[:, None], right / length) / length if p else np.zeros(0)
    return np.append(slopes, m.y_mean[0] - m.x_mean @ slopes) if intercept else slopes


def sums_at(m: Moments, rss: float, weight: Array | None, *, intercept: bool) -> Sums:
    """The sums that statistics are made of, with the Σ w r² of the optimum."""
    squares = float(m.yy[0] + m.n * m.y_mean[0] ** 2)
    logs = 0.0 if weight is None else float(np.log(weight).sum())
    rss = min(rss, float(m.yy[0])) if intercept else rss  # the mean alone has the larger one, but for its rounding
    return Sums(rss, float(m.yy[0]), squares, m.n, logs)


def descend(
    residuals: Residuals,
    solve: Callable[[Array], Array],
    theta: Array,
    scale: Array,
    penalty: Array,
    *,
    condition: float,
    intercept: bool,
    shares: tuple[int, float],
) -> tuple[Array, float, float] | None:
    """θ, Σ w r² and trusted digits, by passes over the rows until the next correction would be rounding.

    `residuals(slopes, bias)` is a pass, `solve` multiplies by the inverse of half the Hessian times n, and `shares`
    are n and Σ w.
    """
    q = len(scale)
    p = q - int(intercept)
    n, mass = shares
    for _ in range(MOST_PASSES):
        squares, by_slope, by_bias = residuals(theta[None, :p], theta[p:] if intercept else None)
        downhill = np.concatenate([by_slope[0], by_bias]) if intercept else by_slope[0]
        delta = solve(downhill * (n / mass) - penalty * (n / 2.0) * theta)
        theta = theta + delta
        size = np.abs(theta * scale).max(initial=0.0)
        moved = float(np.abs(delta * scale).max(initial=0.0) / size) if size else 0.0
        left = EPS * (8.0 * condition + 4.0 * q * condition**2 * moved)  # rounding of the gradient, next correction
        if moved <= 1e-7 and left <= 1e-10:
            return theta, float(squares[0]), float(min(15.5, -np.log10(left)))
    return None
