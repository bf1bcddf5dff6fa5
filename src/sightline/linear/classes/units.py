"""From coefficients in coordinates of the training to those in the units of the data, to double-double."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair

__all__ = ["for_each_class", "lost_digits", "unit_map"]

Array = NDArray[np.float64]


def unit_map(center: Array, scale: Array, *, intercept: bool) -> Pair:
    """The map `(q', q')` from slopes and then the intercept in these coordinates to those in the units of the data."""
    p = len(scale)
    q = p + int(intercept)
    slope = Pair.of(1.0) / Pair.of(scale)
    T = Pair(np.eye(q), np.zeros((q, q)))
    T.hi[range(p), range(p)], T.lo[range(p), range(p)] = slope.hi, slope.lo
    if intercept:
        shift = slope * -center
        T.hi[p, :p], T.lo[p, :p] = shift.hi, shift.lo
    return T


def for_each_class(T: Pair, m: int) -> Pair:
    """The combinations `(q m, q, m)` of every coefficient of every class, coefficient after coefficient."""
    q = len(T)
    hi, lo = np.zeros((q, m, q, m)), np.zeros((q, m, q, m))
    for k in range(m):
        hi[:, k, :, k], lo[:, k, :, k] = T.hi, T.lo
    return Pair(hi.reshape(q * m, q, m), lo.reshape(q * m, q, m))


def lost_digits(T: Pair, theta: Pair) -> float:
    """Digits that the map loses where large terms cancel."""
    known = np.where(np.isfinite(theta.hi), theta.hi, 0.0)
    parts, sums = np.abs(T.hi) @ np.abs(known), np.abs(T.hi @ known)
    return max(0.0, float(np.log10(np.max(parts / np.maximum(sums, 1e-300), initial=1.0))))
