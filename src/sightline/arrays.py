"""Least squares of plain arrays, one or several targets at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.decimals import decimal_pair
from .double_double import Pair
from .errors import DataError, UsageError
from .linear.exact import EPS, Exact
from .linear.exact import least_squares as by_qr
from .linear.from_moments import least_squares_from_moments
from .linear.moments import Moments
from .linear.refined import refined_least_squares
from .linear.span import root_weights

__all__ = ["LeastSquares", "least_squares"]

Array = NDArray[np.float64]
REFINED = 200_000_000  # rows times coefficients squared: up to here in double-double, a few seconds at most


@dataclass(frozen=True)
class LeastSquares:
    """The minimizer for k targets; slopes first, then the intercept where there is one.

    `coefficients (q, k)` and `std_errors (q, k)` (NaN without residual degrees of freedom or where columns repeat each
    other) are rounded from `exact`, the pair (hi, lo) of each coefficient where the path is double-double. `sigma
    (k,)` residual standard errors, `rank`, `df` = n - rank; `digits` of the coefficients hold, found by `path`.
    """

    coefficients: Array
    std_errors: Array
    sigma: Array
    rank: int
    df: int
    digits: float
    path: str
    exact: tuple[Array, Array]


def least_squares(
    X: Any, Y: Any, *, intercept: bool = True, weight: Any = None, l2: float = 0.0, decimal: bool = False
) -> LeastSquares:
    """Solve min Σ w ‖y - xB - a‖² / Σ w + l2 ‖B‖² / 2 for `X (n, p)` and `Y (n,)` or `(n, k)` as exactly as solve does.

    The doubles are taken as they are, or with `decimal` as the shortest decimals that they print as. In double-double
    up to 200 million rows times coefficients squared, beyond it from centered moments or QR. Where columns repeat each
    other (or there are fewer rows than coefficients), the solution of least norm in float64.

    Raises:
        UsageError: shapes that do not belong together, a negative penalty.
        DataError: numbers that are not finite; weights that are negative or all zero.

    >>> fit = least_squares([[0.0], [1.0], [2.0]], [[1.0, 0.0], [3.0, 1.0], [5.0, 5.0]])
    >>> fit.coefficients.tolist(), fit.df
    ([[2.0, 2.5], [1.0, -0.5]], 1)
    """
    A, y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if A.ndim != 2 or y.ndim != 2 or len(A) != len(y) or not len(A):
        raise UsageError(f"X of shape {A.shape} does not go with Y of shape {np.shape(Y)}: give (n, p) and (n, k)")
    for name, values in (("X", A), ("Y", y)):
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise DataError(
                f"{name} has {values[row, column]} in row {row + 1}, column {column + 1}: leave the row out"
            )
    if not l2 >= 0.0:
        raise UsageError(f"l2 cannot be {l2}: give a number of at least 0")
    used = root_weights(weight, len(A)) > 0
    w = None if weight is None else np.asarray(weight, dtype=np.float64)[used]
    A, y = A[used], y[used]
    q = A.shape[1] + int(intercept)
    penalty = np.full(q, l2)
    if intercept:
        penalty[-1] = 0.0
    if len(A) * q * q <= REFINED and len(A) >= q:
        found = _refined(A, y, w, penalty, intercept=intercept, decimal=decimal)
        if found is not None:
            return found
    return _plain(A, y, w, penalty, intercept=intercept)


def _refined(
    A: Array, y: Array, w: Array | None, penalty: Array, *, intercept: bool, decimal: bool
) -> LeastSquares | None:
    X, Y = (_decimals(v) if decimal else Pair.of(v) for v in (A, y))
    n, q = len(A), len(penalty)
    rank = by_qr(A, y[:, 0], intercept=intercept, weight=w, weight_decay=penalty).rank
    if rank < q:
        return None
    if penalty.any():  # rows of their own, without centering
        ones = Pair.of(np.ones((n, 1))) if intercept else Pair.of(np.ones((n, 0)))
        roots = (Pair.of(penalty) * ((n if w is None else float(w.sum())) / 2.0)).sqrt()
        X = Pair(np.block([[X.hi, ones.hi], [np.diag(roots.hi)]]), np.block([[X.lo, ones.lo], [np.diag(roots.lo)]]))
        Y = Pair(np.vstack([Y.hi, np.zeros((q, y.shape[1]))]), np.vstack([Y.lo, np.zeros((q, y.shape[1]))]))
        v = None if w is None else np.append(w, np.ones(q))
        found = refined_least_squares(X, Y, intercept=False, weight=v, variances=False)
    else:
        found = refined_least_squares(X, Y, intercept=intercept, weight=w)
    if found is None:
        return None
    theta = found.coefficients
    if found.variances is None:
        plain = _plain(A, y, w, penalty, intercept=intercept)
        errors, sigma = plain.std_errors, plain.sigma
    else:
        sigma = np.sqrt(found.rss.hi / (n - q)) if n > q else np.full(y.shape[1], math.nan)
        errors = np.sqrt(found.variances.hi)[:, None] * sigma
    return LeastSquares(theta.hi, errors, sigma, q, n - q, found.digits, "double-double", (theta.hi, theta.lo))


def _plain(A: Array, y: Array, w: Array | None, penalty: Array, *, intercept: bool) -> LeastSquares:
    """In float64, target after target."""
    n, q = len(A), len(penalty)
    fits, digits, path = [], 16.0, "QR"
    for target in y.T:
        exact = None
        if n * q * q > REFINED / 10 and n > 20 * q:
            found = least_squares_from_moments(
                A, target, Moments.of(A, target, w), intercept=intercept, weight=w, weight_decay=penalty
            )
            if found is not None:
                exact, path, digits = found[0], "moments", min(digits, found[1])
        if exact is None:
            exact = by_qr(A, target, intercept=intercept, weight=w, weight_decay=penalty)
            digits = min(digits, max(0.0, -math.log10(8.0 * q * EPS * max(exact.condition, 1.0))))
        fits.append(exact)
    theta = np.column_stack([exact.theta for exact in fits])
    errors = np.column_stack([_errors(exact) for exact in fits])
    df = n - fits[0].rank
    sigma = np.array([math.sqrt(exact.rss / df) if df > 0 else math.nan for exact in fits])
    return LeastSquares(theta, errors, sigma, fits[0].rank, df, digits, path, (theta, np.zeros_like(theta)))


def _errors(exact: Exact) -> Array:
    from .linear.inference import standard_errors

    found = standard_errors(exact, list(np.eye(len(exact.theta))))
    free = np.abs(exact.directions[exact.rank :] / exact.scale).max(axis=0, initial=0.0) > 1e-8
    return np.where(free, math.nan, np.array([math.nan if e is None else e for e in found]))


def _decimals(values: Array) -> Pair:
    return decimal_pair(values.ravel(), None).reshape(*values.shape)
