"""The losses of a row as machine code: value and slope in the prediction, as torch has them."""

from __future__ import annotations

import math

from .jit import compiled

__all__ = ["HUBER", "L1", "LOGISTIC", "SQUARED", "loss_and_slope"]

SQUARED, L1, HUBER, LOGISTIC = 0, 1, 2, 3


@compiled
def loss_and_slope(loss, delta, z, y):
    """ℓ(z, y) and dℓ/dz for the prediction z of a row; `delta` is where Huber's loss becomes linear."""
    r = z - y
    if loss == SQUARED:
        return r * r, 2.0 * r
    if loss == L1:
        return abs(r), 1.0 if r > 0.0 else (-1.0 if r < 0.0 else r)  # NaN stays NaN
    if loss == HUBER:
        if abs(r) <= delta:
            return 0.5 * r * r, r
        return delta * (abs(r) - 0.5 * delta), delta if r > 0.0 else (-delta if r < 0.0 else r)
    e = math.exp(-abs(z))
    value = max(z, 0.0) - y * z + math.log1p(e)
    return value, (1.0 if z >= 0.0 else e) / (1.0 + e) - y
