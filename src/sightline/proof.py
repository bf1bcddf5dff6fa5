"""A certificate: the same answer in exact rational arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .digits import Digits
from .double_double import Pair
from .errors import DataError, UsageError
from .linear.rational import rational_least_squares
from .records import Coefficient

__all__ = ["Proof", "prove"]

LARGEST = 3_000_000  # rows times coefficients squared: some seconds of rational arithmetic
MOST_TEXT = 60  # longer fractions tell a reader nothing


@dataclass(frozen=True)
class Proof:
    """The exact coefficients, and to how many digits coefficients and standard errors of the fit agree with them."""

    coefficients: tuple[Fraction, ...]
    digits: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON: fractions as text."""
        return {"digits": self.digits, "coefficients": [str(c) for c in self.coefficients]}

    def sentence(self) -> str:
        """What was proved."""
        return f"proved: exact rational arithmetic gives the same {math.floor(self.digits)} digits of every number"


def prove(
    coefficients: Sequence[Coefficient],
    A: NDArray[Any],
    y: NDArray[Any],
    weight: NDArray[np.float64] | None,
    *,
    intercept: bool,
    classical: bool = True,
) -> Proof:
    """Solve min Σ w (y - Aθ)² for `A (n, p)`, `y (n,)` of Fraction exactly and compare the exact column with it.

    Standard errors are compared where they are `classical`. Raises UsageError for problems that would take minutes,
    DataError where the data do not determine every coefficient.
    """
    n, q = len(y), len(coefficients)
    if n * q * q > LARGEST:
        raise UsageError(
            f"--prove takes exact rational arithmetic, which {n:,} rows and {q} coefficients would keep busy for long: "
            "prove a sample of the rows"
        )
    weights = None if weight is None else np.array([Fraction(float(w)) for w in weight], dtype=object)
    exact = rational_least_squares(A, y, intercept=intercept, weight=weights)
    if exact is None:
        raise DataError(
            "--prove needs coefficients that the data determine, and some columns repeat others: remove one"
        )
    order = [q - 1, *range(q - 1)] if intercept else list(range(q))
    theta = [exact.coefficients[i] for i in order]
    agreed = [_digits(0.0 if c.exact is None else c.exact, t) for c, t in zip(coefficients, theta, strict=True)]
    if classical and n > q and exact.rss:
        variances = [exact.variances[i] * exact.rss / (n - q) for i in order]
        agreed += _error_digits(coefficients, variances)
    return Proof(tuple(theta), min(agreed))


def _error_digits(coefficients: Sequence[Coefficient], variances: Sequence[Fraction]) -> list[float]:
    """Digits of the standard errors: half a relative error of the squares, which are rational."""
    pairs = zip(coefficients, variances, strict=True)
    return [_digits(_fraction(c.std_error) ** 2, v) + math.log10(2.0) for c, v in pairs if c.std_error is not None]


def _digits(found: float | Fraction, exact: Fraction) -> float:
    """Digits in which two numbers agree, 31 at most; for an exact zero, digits behind the point."""
    difference = abs(_fraction(found) - exact)
    relative = difference / abs(exact) if exact else difference
    return min(31.0, -math.log10(relative)) if relative else 31.0


def _fraction(value: float | Fraction) -> Fraction:
    if isinstance(value, Digits):
        return Fraction(Pair.of(value).fractions().item())
    return Fraction(value)
