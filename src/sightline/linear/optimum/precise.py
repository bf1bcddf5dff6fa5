"""The gradient of an objective to the last digit of a double, where the rows are few enough for double-double."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ..blocks import in_memory
from ..classes.elementary import exp
from ..objective import Objective
from ..row_losses import CrossEntropy, GaussianNLL, Huber, Logistic, PoissonNLL, RowLoss, SmoothL1

__all__ = ["gradient_error", "precise_gradient"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
MOST_ENTRIES = 2_000_000  # of the rows times outputs: about a second
MOST_EXPONENT = 600.0


def precise_gradient(objective: Objective, theta: Array, plain: Array | None = None) -> Array:
    """The gradient of loss and ridge `(q,)` at θ; `plain` is that of the loss in float64, where it is known."""
    loss, n = objective.loss, len(objective.loss.X)
    if not _few(loss, theta):
        return (loss.gradient(theta) if plain is None else plain) + objective.ridge * theta + objective.tilt
    W, b = loss.split(theta)
    X = Pair.of(loss.X)
    error = _errors(loss, X.times(Pair.of(W.T)) + b)
    if loss.weight is not None:
        error = error * loss.weight[:, None]
    parts = X.transposed_times(error)
    by_weight, sums = Pair(parts.hi.T.ravel(), parts.lo.T.ravel()), error.sum()
    if loss.intercept:
        by_weight = Pair(np.append(by_weight.hi, sums.hi), np.append(by_weight.lo, sums.lo))
    g = by_weight * (loss.factor / n) + Pair.of(objective.ridge) * theta
    return np.asarray((g + objective.tilt).hi)


def gradient_error(objective: Objective, theta: Array, gradient: Array) -> Array:
    """A bound of the error of that gradient, `(q,)`."""
    rounding = objective.loss.gradient_rounding(theta)
    if _few(objective.loss, theta):
        return np.asarray(EPS * np.abs(gradient) + 2.0**-45 * rounding)
    return np.asarray(rounding + 4.0 * EPS * objective.ridge * np.abs(theta))


def _few(loss: RowLoss, theta: Array) -> bool:
    """Whether double-double takes a second at most, and its exponentials do not overflow."""
    few = in_memory(loss.X) and 0 < loss.X.size * loss.outputs <= MOST_ENTRIES
    return few and bool(np.abs(loss.predictor(theta)).max(initial=0.0) <= MOST_EXPONENT)


def _errors(loss: RowLoss, z: Pair) -> Pair:
    """The errors `(n, k)` of a predictor in double-double."""
    if isinstance(loss, CrossEntropy):
        return _softmax(loss, z)
    if isinstance(loss, GaussianNLL):
        return _gaussian(loss, z)
    y = loss.y[:, None]
    if isinstance(loss, PoissonNLL):
        return exp(z) - y
    if isinstance(loss, Logistic):  # 1 / (1 + e⁻ᶻ)
        return 1.0 / (exp(-z) + 1.0) - y
    r = z - y
    if not isinstance(loss, Huber | SmoothL1):
        return r
    edge = loss.delta if isinstance(loss, Huber) else loss.beta
    inside = np.abs(r.hi) <= edge
    clipped = Pair(np.where(inside, r.hi, edge * np.sign(r.hi)), np.where(inside, r.lo, 0.0))
    return clipped if isinstance(loss, Huber) else clipped / edge


def _softmax(loss: CrossEntropy, z: Pair) -> Pair:
    E = exp(z - z.hi.max(axis=1, keepdims=True))
    p, target = E / E.sum(axis=1).reshape(-1, 1), loss.targets()
    return Pair.of(p * target.sum(axis=1, keepdims=True) - target)


def _gaussian(loss: GaussianNLL, z: Pair) -> Pair:
    """In double-double where the variance is not at its limit."""
    r, e = z[:, 0] - loss.y, exp(z[:, 1])
    free = e.hi >= loss.eps
    v = Pair(np.where(free, e.hi, loss.eps), np.where(free, e.lo, 0.0))
    share = Pair(np.where(free, 1.0, e.hi / loss.eps), np.zeros(len(free)))
    ratio = r / v
    return Pair.stack([ratio, (1.0 - r * ratio) * share * 0.5])
