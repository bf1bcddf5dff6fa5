"""Least squares of plain arrays, one or several targets at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answer import moderate, refinement
from .answer_of_many import are_many, float64_digits
from .data.decimals import decimal_pair
from .double_double import Pair
from .errors import DataError, UsageError
from .linear.blocks import largest_size, real
from .linear.exact import Exact, least_squares_each
from .linear.from_moments import least_squares_from_moments
from .linear.inference import standard_errors
from .linear.moments import Moments
from .linear.refined import refined_least_squares, refined_ridge
from .linear.span import root_weights

__all__ = ["LeastSquares", "least_squares"]

Array = NDArray[np.float64]
SMALL, LARGE = 2.0**-10, 2.0**64  # the largest magnitude of numbers that are taken as they are


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

    The doubles are taken as they are, or with `decimal` as the shortest decimals that they print as. The path is chosen
    as for `solve`; of many rows on a GPU the moments are added up there, and what refines the answer reads a copy in
    memory. Where columns repeat each other (or there are fewer rows than coefficients), it is the solution of
    least norm in float64.

    Raises:
        UsageError: shapes that do not belong together, a negative penalty.
        DataError: numbers that are not finite; weights that are negative or all zero.

    >>> fit = least_squares([[0.0], [1.0], [2.0]], [[1.0, 0.0], [3.0, 1.0], [5.0, 5.0]])
    >>> fit.coefficients.tolist(), fit.df
    ([[2.0, 2.5], [1.0, -0.5]], 1)
    """
    A, y = real(_here(X)), np.asarray(_here(Y), dtype=np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if A.ndim != 2 or y.ndim != 2 or len(A) != len(y) or not len(A):
        raise UsageError(f"X of shape {A.shape} does not go with Y of shape {np.shape(Y)}: give (n, p) and (n, k)")
    if not l2 >= 0.0:
        raise UsageError(f"l2 cannot be {l2}: give a number of at least 0")
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found in the sums
        many = weight is None and are_many(len(A), A.shape[1] + int(intercept))
        moments = _moments(X, Y, A, y) if many else None
    unit, height = (1.0, 1.0) if moments is not None and _plain(moments) else (_unit("X", A), _unit("Y", y))
    penalty = np.full(A.shape[1] + int(intercept), l2 / unit / unit)
    penalty[A.shape[1] :] = 0.0
    given, w = (A, y), None
    if weight is not None:
        used = root_weights(weight, len(A)) > 0
        rows = slice(None) if used.all() else used
        given, w = (A[rows], y[rows]), np.asarray(weight, dtype=np.float64)[rows]

    def pairs() -> tuple[Pair, Pair]:
        doubles = (np.asarray(v, dtype=np.float64) for v in given)
        X, Y = (decimal_pair(v.ravel(), None).reshape(*v.shape) if decimal else Pair.of(v) for v in doubles)
        return Pair(X.hi / unit, X.lo / unit), Pair(Y.hi / height, Y.lo / height)

    of_these = moments if unit == height == 1.0 else None
    problem = _Problem(_divided(given[0], unit), _divided(given[1], height), w, penalty, intercept, pairs, of_these)
    plain, condition = problem.in_doubles()
    size = np.full((len(penalty), 1), height)
    size[: A.shape[1]] /= unit
    return _in_units(problem.refined(plain, condition) or plain, size, height)


def _here(values: Any) -> Any:
    """A tensor that lies on a device as an array on the CPU; anything else as it is."""
    return values if _device(values) is None else values.detach().cpu().numpy()


def _device(*values: Any) -> Any:
    """The device of the first tensor that does not lie on the CPU; None where all do."""
    places = [getattr(value, "device", None) for value in values]
    return next((place for place in places if getattr(place, "type", "cpu") != "cpu"), None)


def _moments(X: Any, Y: Any, A: NDArray[Any], y: Array) -> Moments:
    """Added up where the numbers lie."""
    device = _device(X, Y)
    if device is None:
        return Moments.of(A, y)
    from .engines.device_moments import moments_on

    return moments_on(device, *(v if _device(v) is not None else own for v, own in ((X, A), (Y, y))))


def _in_units(found: LeastSquares, size: Array, height: float) -> LeastSquares:
    """The same for the columns and targets as they were given."""
    hi, lo = found.exact
    return replace(
        found,
        coefficients=found.coefficients * size,
        std_errors=found.std_errors * size,
        sigma=found.sigma * height,
        exact=(hi * size, lo * size),
    )


def _unit(name: str, values: NDArray[Any]) -> float:
    """1, or the power of two near a largest so far from 1 that squares could vanish or overflow without it."""
    largest = largest_size(values)
    if not math.isfinite(largest):
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{name} has {values[row, column]} in row {row + 1}, column {column + 1}: leave the row out")
    if not largest or SMALL <= largest <= LARGE:
        return 1.0
    return float(2.0 ** math.floor(math.log2(largest)))


def _plain(moments: Moments) -> bool:
    """Whether all numbers are finite and of moderate size, which their sums of squares tell."""
    means, sums = (moments.x_mean, moments.y_mean), (np.diag(moments.xx), moments.yy)
    sizes = [np.sqrt(s / moments.n + m * m).max(initial=0.0) for m, s in zip(means, sums, strict=True)]
    return all(size == 0.0 or SMALL <= size <= LARGE for size in sizes)


def _divided(values: NDArray[Any], unit: float) -> NDArray[Any]:
    """By a power of two, in float64, where nothing is rounded; not copied where the unit is 1."""
    return values if unit == 1.0 else np.asarray(values, dtype=np.float64) / unit


@dataclass(frozen=True)
class _Problem:
    """Rows of positive weight, of moderate sizes; `penalty (q,)` of each coefficient; `pairs` what they stand for;
    `moments` where they are known.
    """

    A: NDArray[Any]
    y: Array
    weight: Array | None
    penalty: Array
    intercept: bool
    pairs: Callable[[], tuple[Pair, Pair]]
    moments: Moments | None = None

    def in_doubles(self) -> tuple[LeastSquares, float]:
        """From moments where rows are many, else by QR; and the condition number."""
        found = self._from_moments()
        if found is None:
            exact = least_squares_each(
                np.asarray(self.A, dtype=np.float64),
                self.y,
                intercept=self.intercept,
                weight=self.weight,
                weight_decay=self.penalty,
            )
            digits, path = float64_digits(exact[0]), "QR"
        else:
            exact, digits, path = [fit for fit, _ in found], min(told for _, told in found), "moments"
        theta, rank = np.column_stack([fit.theta for fit in exact]), exact[0].rank
        errors, df = np.column_stack([_errors(fit) for fit in exact]), len(self.A) - rank
        sigma = np.array([math.sqrt(fit.rss / df) if df > 0 else math.nan for fit in exact])
        pair = theta, np.zeros_like(theta)
        return LeastSquares(theta, errors, sigma, rank, df, digits, path, pair), exact[0].condition

    def _from_moments(self) -> list[tuple[Exact, float]] | None:
        if not are_many(len(self.A), len(self.penalty)):
            return None
        moments, found = self.moments or Moments.of(self.A, self.y, self.weight), []
        for k in range(self.y.shape[1]):
            own = replace(moments, y_mean=moments.y_mean[[k]], xy=moments.xy[:, [k]], yy=moments.yy[[k]])
            fit = least_squares_from_moments(
                self.A, self.y[:, k], own, intercept=self.intercept, weight=self.weight, weight_decay=self.penalty
            )
            if fit is None:
                return None
            found.append(fit)
        return found

    def refined(self, plain: LeastSquares, condition: float) -> LeastSquares | None:
        """The coefficients, and the standard errors where they are worth it, in double-double."""
        n, q = len(self.A), len(self.penalty)
        worth, variances = refinement(n, q, condition)
        if plain.path == "moments" or plain.rank < q or not (worth and moderate(self.A) and moderate(self.y)):
            return None
        X, Y = self.pairs()
        if self.penalty.any():
            ones = [Pair.of(np.ones(n))] if self.intercept else []
            Z = Pair.stack([*(X[:, j] for j in range(X.shape[1])), *ones])
            mass = n if self.weight is None else float(self.weight.sum())
            found = refined_ridge(Z, Y, self.penalty * (mass / 2.0), weight=self.weight)
        else:
            found = refined_least_squares(X, Y, intercept=self.intercept, weight=self.weight, variances=variances)
        if found is None:
            return None
        theta, sigma, errors = found.coefficients, plain.sigma, plain.std_errors
        if found.variances is not None and n > q:
            sigma = np.sqrt(found.rss.hi / (n - q))
            errors = np.sqrt(found.variances.hi)[:, None] * sigma
        return LeastSquares(theta.hi, errors, sigma, q, n - q, found.digits, "double-double", (theta.hi, theta.lo))


def _errors(exact: Exact) -> Array:
    """Standard errors, NaN where they are not defined or the data leave the coefficient open."""
    found = standard_errors(exact, list(np.eye(len(exact.theta))))
    free = np.abs(exact.directions[exact.rank :] / exact.scale).max(axis=0, initial=0.0) > 1e-8
    return np.where(free, math.nan, np.array([math.nan if e is None else e for e in found]))
