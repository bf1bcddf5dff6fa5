"""Exponential, logarithm, Cholesky factors and triangular systems of double-double numbers."""

from __future__ import annotations

from fractions import Fraction
from math import factorial

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair

__all__ = ["MOST_WORK", "cholesky", "exp", "factored", "log", "plain_root", "solve_lower", "solve_upper", "solved"]

Array = NDArray[np.float64]
LN2 = Pair.of(0.6931471805599453, 2.3190468138462996e-17)
MOST_WORK = 100_000_000  # operations of double-double, some 20 ns each: a second or two
WEAK = 1e-13  # a Cholesky pivot this far below its diagonal entry is rounding
HALVINGS = 9  # the argument of the series is below ln 2 / 2^10, where nine terms reach 1e-35
SERIES = Pair.of_fractions([Fraction(1, factorial(k)) for k in range(1, 10)])
LEAST = -650.0  # below it the low part of the result would come near the subnormal numbers


def exp(x: Pair) -> Pair:
    """e^x to a few units of 1e-31 for x <= 709; zero for x < -650.

    x = k ln 2 + 2^9 r, e^r - 1 from its series, nine times s → 2s + s². Hida, Li and Bailey 2001.

    >>> e = exp(Pair.of([1.0]))
    >>> float(e.hi[0]), float(e.lo[0])
    (2.718281828459045, 1.4456468917292502e-16)
    """
    tiny = ~(x.hi >= LEAST)
    x = Pair(np.where(tiny, 0.0, x.hi), np.where(tiny, 0.0, x.lo))
    k = np.round(x.hi / LN2.hi)
    r = x - LN2 * k
    r = Pair(np.ldexp(r.hi, -HALVINGS), np.ldexp(r.lo, -HALVINGS))
    s = SERIES[-1]
    for j in range(len(SERIES) - 2, -1, -1):
        s = s * r + SERIES[j]
    s = s * r
    for _ in range(HALVINGS):
        s = s * s + Pair(2.0 * s.hi, 2.0 * s.lo)
    s = s + 1.0
    power = k.astype(np.int64)
    return Pair(np.where(tiny, 0.0, np.ldexp(s.hi, power)), np.where(tiny, 0.0, np.ldexp(s.lo, power)))


def log(x: Pair) -> Pair:
    """ln x to a few units of 1e-31 of the larger of ln x and 1, for 1e-280 <= x <= 1e280.

    y + ln(x e^-y) from the float64 logarithm y, the second by its series.

    >>> y = log(exp(Pair.of([0.1])))
    >>> float(y.hi[0]), abs(float(y.lo[0])) < 1e-31
    (0.1, True)
    """
    y = np.log(x.hi)
    rest = x * exp(Pair.of(-y)) - 1.0
    return rest - 0.5 * rest.hi**2 + y


def cholesky(A: Pair) -> Pair | None:
    """The lower L with LL' = A for `A (d, d)`; None where A is not positive definite. Golub and Van Loan, section 4.2.

    >>> cholesky(Pair.of([[4.0, 2.0], [2.0, 2.0]])).hi.tolist()
    [[2.0, 0.0], [1.0, 1.0]]
    """
    d = len(A)
    L = Pair(np.zeros((d, d)), np.zeros((d, d)))
    rest = Pair(A.hi.copy(), A.lo.copy())
    for j in range(d):
        if not rest.hi[j, j] > 0:
            return None
        column = rest[j:, j] / rest[j, j].sqrt()
        L.hi[j:, j], L.lo[j:, j] = column.hi, column.lo
        _subtract(rest, slice(j, None), slice(j, None), column[:, None] * column[None, :])
    return L


def solve_lower(L: Pair, B: Pair) -> Pair:
    """X with LX = B for a lower triangular `L (d, d)` and `B (d, k)`, by forward substitution.

    >>> solve_lower(Pair.of([[2.0, 0.0], [1.0, 1.0]]), Pair.of([[4.0], [5.0]])).hi.ravel().tolist()
    [2.0, 3.0]
    """
    X = Pair(B.hi.copy(), B.lo.copy())
    for j in range(len(L)):
        row = X[j] / L[j, j]
        X.hi[j], X.lo[j] = row.hi, row.lo
        _subtract(X, slice(j + 1, None), slice(None), L[j + 1 :, j : j + 1] * row[None])
    return X


def solve_upper(R: Pair, B: Pair) -> Pair:
    """X with RX = B for an upper triangular `R (d, d)`: both turned upside down."""
    return solve_lower(R[::-1, ::-1], B[::-1])[::-1]


def plain_root(A: Array) -> Array | None:
    """The lower L in float64 with LL' = A; None where A is singular as far as can be seen, its pivots rounding.

    >>> plain_root(np.array([[4.0, 2.0], [2.0, 2.0]])).tolist(), plain_root(np.ones((2, 2)))
    ([[2.0, 0.0], [1.0, 1.0]], None)
    """
    try:
        L = np.asarray(np.linalg.cholesky(A), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return L if (np.diag(L) ** 2 > WEAK * np.diag(A)).all() else None


def factored(A: Pair) -> Pair | None:
    """`cholesky`, in float64 where A is large."""
    if len(A) ** 3 <= MOST_WORK // 4:
        return cholesky(A)
    try:
        return Pair.of(np.linalg.cholesky(A.hi))
    except np.linalg.LinAlgError:
        return None


def solved(T: Pair, B: Pair, *, lower: bool) -> Pair:
    """T⁻¹B for a triangular `T (d, d)`, in float64 where the system is large."""
    from scipy.linalg import solve_triangular

    if len(T) * B.hi.size <= MOST_WORK // 4:
        return solve_lower(T, B) if lower else solve_upper(T, B)
    return Pair.of(solve_triangular(T.hi, B.hi, lower=lower, check_finite=False))


def _subtract(A: Pair, rows: slice, columns: slice, B: Pair) -> None:
    rest = A[rows, columns] - B
    A.hi[rows, columns], A.lo[rows, columns] = rest.hi, rest.lo
