"""Whether a step was large enough for the number that it should move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rounding", "rounding"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rounding:
    """For each parameter `(q,)`: the step as it was meant, half the distance to the next number in its direction, and
    whether the parameter stayed where it was although its step was not zero.
    """

    step: Array
    half_unit: Array
    swallowed: NDArray[np.bool_]


def rounding(before: Array, after: Array, step: Array, *, dtype: str) -> Rounding:
    """Compare a step with half a unit in the last place of the parameter that it should move.

    A sum is rounded to the nearest number of its dtype, so a step below half the distance to the next number is lost
    (Goldberg 1991, What every computer scientist should know about floating-point arithmetic).

    >>> found = rounding(np.array([35.0]), np.array([35.0]), np.array([-2.7e-7]), dtype="float32")
    >>> found.half_unit.tolist(), found.swallowed.tolist()
    ([1.9073486328125e-06], [True])
    """
    kind = np.dtype(dtype).type
    at = before.astype(kind)
    toward = np.where(step < 0.0, -np.inf, np.inf).astype(kind)
    half = np.abs(np.nextafter(at, toward).astype(np.float64) - at.astype(np.float64)) / 2.0
    return Rounding(step, half, (after == before) & (step != 0.0))
