"""Where Newton's method starts when nobody says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..objective import Objective
from ..row_losses import CrossEntropy, GaussianNLL, Logistic, PoissonNLL
from .frame import Frame

__all__ = ["start_of"]

Array = NDArray[np.float64]


def start_of(objective: Objective, frame: Frame) -> Array:
    """The best constant model for classes, a step of weighted least squares for counts, least squares and one variance
    for means and variances, else zero; without a part in the open directions.
    """
    loss = objective.loss
    theta = np.zeros(len(objective.ridge))
    v = np.ones(len(loss.y)) if loss.weight is None else loss.weight
    if isinstance(loss, PoissonNLL):
        theta = _fitted(frame, np.log(loss.y + 0.1), v * (loss.y + 0.1))
    elif isinstance(loss, GaussianNLL):
        theta = _both(loss, v, theta)
    elif isinstance(loss, CrossEntropy) and loss.intercept:
        count = np.bincount(loss.y.astype(np.intp), v, minlength=loss.outputs) + 0.5
        theta[-loss.outputs :] = np.log(count / count.mean())
    elif isinstance(loss, Logistic) and loss.intercept:
        theta[-1] = np.log((v @ loss.y + 0.5) / (v @ (1.0 - loss.y) + 0.5))
    return np.asarray(theta - frame.open @ (frame.open.T @ theta))


def _fitted(frame: Frame, target: Array, weight: Array) -> Array:
    """Weighted least squares in φ, one output."""
    root = np.sqrt(weight)
    return np.asarray(frame.J @ np.linalg.lstsq(root[:, None] * frame.design, root * target, rcond=1e-12)[0])


def _both(loss: GaussianNLL, weight: Array, theta: Array) -> Array:
    """Least squares for the mean, its mean square for the variance."""
    p, root = loss.X.shape[1], np.sqrt(weight)
    Z = np.column_stack([loss.X, np.ones(len(loss.y))]) if loss.intercept else loss.X
    mean = np.linalg.lstsq(root[:, None] * Z, root * loss.y, rcond=None)[0]
    theta[:p] = mean[:p]
    if loss.intercept:
        spread = float(np.mean((root * (loss.y - Z @ mean)) ** 2))
        theta[2 * p], theta[2 * p + 1] = mean[p], np.log(max(spread, loss.eps))
    return theta
