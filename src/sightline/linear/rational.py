"""Least squares in exact rational arithmetic: a certificate for small data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rational", "rational_least_squares"]

Exact = NDArray[Any]  # object arrays of Fraction or int


@dataclass(frozen=True)
class Rational:
    """The exact minimizer of Σ w (y - Ab - a)²: no rounding anywhere.

    `coefficients (q,)`: slopes, then the intercept where there is one; `variances (q,)`: theirs, in units of σ²;
    `rss` and `tss`: Σ w r² and what R² compares it with.
    """

    coefficients: tuple[Fraction, ...]
    variances: tuple[Fraction, ...]
    rss: Fraction
    tss: Fraction


def rational_least_squares(
    A: Exact, y: Exact, *, intercept: bool = True, weight: Exact | None = None
) -> Rational | None:
    """Solve the normal equations of `A (n, p)`, `y (n,)`, arrays of Fraction, without rounding; None if singular.

    Columns are multiplied to whole numbers, and the elimination is free of fractions (Bareiss 1968, Sylvester's
    identity and multistep integer-preserving Gaussian elimination), so numbers grow as slowly as they can.

    >>> x, y = (np.array([Fraction(v) for v in values]) for values in ([0, 1, 3], [1, 2, 2]))
    >>> rational_least_squares(x[:, None], y).coefficients
    (Fraction(2, 7), Fraction(9, 7))
    """
    n = len(y)
    columns = [*A.T, *([np.full(n, Fraction(1), dtype=object)] if intercept else []), y]
    scales = [math.lcm(*(v.denominator for v in column), 1) for column in columns]
    Z = np.array([[int(v * s) for v in column] for column, s in zip(columns, scales, strict=True)], dtype=object)
    weights = [Fraction(1)] * n if weight is None else list(weight)
    common = math.lcm(*(w.denominator for w in weights), 1)
    whole = np.array([int(w * common) for w in weights], dtype=object)
    gram = (Z * whole) @ Z.T
    q = len(columns) - 1
    identity = np.array([[int(i == j) for j in range(q)] for i in range(q)], dtype=object).reshape(q, q)
    solved = _eliminate(np.hstack([gram[:q, :q], gram[:q, q:], identity]), q)
    if solved is None:
        return None
    reduced, determinant = solved
    theta = [Fraction(int(reduced[i, q]), determinant) * scales[i] / scales[q] for i in range(q)]
    variances = [Fraction(int(reduced[i, q + 1 + i]), determinant) * scales[i] ** 2 * common for i in range(q)]
    square = Fraction(int(gram[q, q]), scales[q] ** 2 * common)
    explained = sum(t * Fraction(int(gram[i, q]), scales[i] * scales[q] * common) for i, t in enumerate(theta))
    mean = Fraction(0)
    if intercept:
        total = Fraction(int(whole.sum()), common)
        mean = Fraction(int(gram[q - 1, q]), scales[q - 1] * scales[q] * common) ** 2 / total
    return Rational(tuple(theta), tuple(variances), square - explained, square - mean)


def _eliminate(M: Exact, q: int) -> tuple[Exact, int] | None:
    """Bring the left block of integers to determinant times identity; None if it is singular."""
    before = 1
    for k in range(q):
        pivot = next((i for i in range(k, q) if M[i, k]), None)
        if pivot is None:
            return None
        if pivot != k:
            M[[k, pivot]] = M[[pivot, k]]
            M[k] = -M[k]
        for i in range(q):
            if i != k:
                M[i] = (M[i] * M[k, k] - M[k] * M[i, k]) // before
        before = M[k, k]
    return M, int(before)
