"""Where Newton's method starts when nobody says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..objective import Objective
from ..row_losses import CrossEntropy, GaussianNLL, Logistic, PoissonNLL, RowLoss
from .frame import Frame, scores_of

__all__ = ["shares_of", "start_of"]

Array = NDArray[np.float64]


def start_of(objective: Objective, frame: Frame) -> Array:
    """The best constant model for classes, a step of weighted least squares for counts, least squares and one variance
    for means and variances, else zero; without a part in the open directions.
    """
    loss = objective.loss
    theta = np.zeros(len(objective.ridge))
    v = np.ones(len(loss.y)) if loss.weight is None else loss.weight
    if isinstance(loss, PoissonNLL):
        theta = frame.fitted(lambda part: np.log(part.y + 0.1), lambda part: shares_of(part) * (part.y + 0.1))
    elif isinstance(loss, GaussianNLL):
        theta = _both(loss, frame)
    elif isinstance(loss, CrossEntropy) and loss.intercept:
        count = np.bincount(loss.y.astype(np.intp), v, minlength=loss.outputs) + 0.5
        theta[-loss.outputs :] = np.log(count / count.mean())
    elif isinstance(loss, Logistic) and loss.intercept:
        theta[-1] = np.log((v @ loss.y + 0.5) / (v @ (1.0 - loss.y) + 0.5))
    return np.asarray(theta - frame.open @ (frame.open.T @ theta))


def shares_of(loss: RowLoss) -> Array:
    return np.ones(len(loss.y)) if loss.weight is None else loss.weight


def _both(loss: GaussianNLL, frame: Frame) -> Array:
    """Least squares for the mean, its mean square for the variance."""
    p, theta = loss.X.shape[1], np.zeros(2 * frame.width)
    mean = frame.fitted(lambda part: part.y, shares_of)
    theta[:p] = mean[:p]
    if loss.intercept:
        squares = loss.over(lambda part: part.total((part.y - scores_of(part, mean)) ** 2))
        theta[2 * p], theta[2 * p + 1] = mean[p], np.log(max(squares / len(loss.y), loss.eps))
    return theta
