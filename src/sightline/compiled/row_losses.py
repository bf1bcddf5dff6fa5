"""The losses of a row as machine code: value and slope in the prediction, as torch has them."""

from __future__ import annotations

from .functions import absolute, exp_negative, log1p_unit, where_less
from .jit import compiled
from .vectors import add, divide, fma, multiply, spread, subtract

__all__ = ["HUBER", "L1", "LOGISTIC", "SOFTMAX", "SQUARED", "losses_and_slopes"]

SQUARED, L1, HUBER, LOGISTIC, SOFTMAX = 0, 1, 2, 3, 4


@compiled
def losses_and_slopes(loss, delta, memory, z, y):
    """ℓ(z, y) and dℓ/dz of a prediction and a target in each lane, of the dtype of this memory; from `delta` on Huber's
    loss is linear.
    """
    zero, one, bend = spread(memory, 0.0), spread(memory, 1.0), spread(memory, delta)
    r = subtract(z, y)
    if loss == SQUARED:
        return multiply(r, r), add(r, r)
    size = absolute(r)
    if loss == L1:
        return size, where_less(zero, r, one, where_less(r, zero, subtract(zero, one), r))
    if loss == HUBER:
        half = spread(memory, 0.5)
        far = multiply(bend, fma(bend, spread(memory, -0.5), size))
        slope = where_less(zero, r, bend, subtract(zero, bend))
        return where_less(bend, size, far, multiply(multiply(half, r), r)), where_less(bend, size, slope, r)
    e = exp_negative(subtract(zero, absolute(z)))
    value = add(subtract(where_less(z, zero, zero, z), multiply(y, z)), log1p_unit(e))
    return value, subtract(divide(where_less(z, zero, e, one), add(one, e)), y)
