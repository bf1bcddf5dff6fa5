"""What is known of the minimum of an objective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOTHING", "Optimum", "trusted"]

Array = NDArray[np.float64]
MOST_DIGITS = 16.0
NOUGHT = 1e-8  # an error up to which a number that is smaller counts as zero
NOTHING = 1e-20  # of what a coefficient would be that moves predictions as the answer does


@dataclass(frozen=True)
class Optimum:
    """The minimizer θ of an objective, with what is proved of it.

    `value` is the objective there, `loss` without penalties; `gap` bounds how far the value is above the infimum, to
    first order in rounding (an estimate with Newton's method); `error (q,)` how far each coefficient may be off, and
    `digits` the significant digits to trust in those that are not zero to rounding, 16 at most. `steps` are those of
    the last method, `path` its name, `reason` a sentence. `unique` tells whether θ is the only minimizer (for
    cross-entropy: but for a number added to all classes); else θ is one of them.

    Where the infimum is approached only at infinity, the rows of `at_infinity (m, q)` are directions along which the
    loss falls for ever. θ is then ±inf in the entries that move along them, `value` the infimum and `limit (q,)` the
    finite answer for the rows that those directions do not move.
    """

    theta: Array
    value: float
    loss: float
    gap: float
    error: Array
    steps: int
    path: str
    reason: str
    unique: bool
    at_infinity: Array
    limit: Array

    @property
    def digits(self) -> float:
        """Significant digits to trust in every finite coefficient."""
        return trusted(self.limit, self.error)

    @property
    def finite(self) -> bool:
        """Whether there is a minimum."""
        return not len(self.at_infinity)


def trusted(theta: Array, error: Array) -> float:
    """Significant digits of the least certain of the numbers that differ from zero by more than their error; of none
    that does all where they are zero but for rounding, else none.

    >>> trusted(np.array([100.0, 0.0]), np.array([1e-8, 1e-12])).__round__(6)
    10.0
    """
    if np.isinf(error).any():
        return 0.0
    size = np.abs(theta)
    known = np.isfinite(size) & (size > error)
    if not known.any():
        return MOST_DIGITS if float(error[np.isfinite(error)].max(initial=0.0)) < NOUGHT else 0.0
    return float(min(MOST_DIGITS, -np.log10(max(float(np.max(error[known] / size[known])), 1e-30))))
