"""How well the minimum of a loss fits: beside the best constant, and as a likelihood where the loss is one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..objective import Objective
from ..row_losses import Absolute, CrossEntropy, GaussianNLL, PoissonNLL, RowLoss
from .find import optimum
from .frame import Frame
from .result import Optimum

__all__ = ["LossStatistics", "baseline_loss", "loss_statistics"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LossStatistics:
    """Of n rows with weights w; None where it has no meaning for the loss, or under a penalty.

    `baseline_loss` is that of the best constant model (of z = 0 without an intercept). `df_model` counts the
    coefficients that are determined and not zero by the lasso, without the intercepts; `df_resid` = n less all of them.
    `log_likelihood` is Σ w log p(y), with all its constants; AIC = 2k - 2 log L, BIC = k log n - 2 log L. `deviance` of
    counts is 2 Σ w (y log(y / μ) - (y - μ)), `null_deviance` that of the baseline, as R's glm. `pseudo_r2` of the
    absolute error is 1 - loss / baseline_loss: Koenker and Machado 1999, Goodness of fit and related inference
    processes for quantile regression.
    """

    loss: float
    baseline_loss: float
    df_model: int
    df_resid: int
    log_likelihood: float | None
    aic: float | None
    bic: float | None
    deviance: float | None
    null_deviance: float | None
    pseudo_r2: float | None


def loss_statistics(objective: Objective, found: Optimum, *, total: float | None = None) -> LossStatistics:
    """The line below the table; `total` is the sum of weights before they were given a mean of 1, n unless given.

    >>> from ..row_losses import PoissonNLL
    >>> objective = Objective.plain(PoissonNLL(np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([1.0, 3.0, 4.0, 8.0])))
    >>> s = loss_statistics(objective, optimum(objective))
    >>> round(s.deviance, 6), round(s.null_deviance, 6), s.df_model
    (2.405689, 6.591674, 1)
    """
    loss, base = objective.loss, baseline_loss(objective.loss)
    n, mass = len(loss.y), float(len(loss.y)) if total is None else total
    k = Frame.of(objective).J.shape[1] - int(((found.theta == 0) & (objective.lasso > 0)).sum())
    df_model = max(k - _constants(loss), 0)
    log_likelihood = None if objective.penalized else _log_likelihood(loss, found.loss, mass)
    aic = bic = deviance = null_deviance = pseudo = None
    if log_likelihood is not None:
        aic, bic = 2.0 * k - 2.0 * log_likelihood, k * math.log(n) - 2.0 * log_likelihood
    if isinstance(loss, PoissonNLL):
        deviance, null_deviance = (max(2.0 * mass * (v - _saturated(loss)), 0.0) for v in (found.loss, base))
    if isinstance(loss, Absolute) and base > 0 and not objective.penalized:
        pseudo = 1.0 - found.loss / base
    return LossStatistics(
        found.loss, base, df_model, n - k, log_likelihood, aic, bic, deviance, null_deviance, pseudo
    )  # fmt: skip


def baseline_loss(loss: RowLoss) -> float:
    """The loss of the best constant model: of the intercept alone, or of z = 0 where there is none.

    >>> from ..row_losses import Absolute
    >>> baseline_loss(Absolute(np.ones((3, 1)), np.array([1.0, 2.0, 9.0]))).__round__(12)
    2.666666666667
    """
    constant = _targets(loss)
    if not loss.intercept:
        return constant.value(np.zeros(0))
    if isinstance(loss, CrossEntropy):  # the shares of the targets, whatever classes have no rows
        target = _targets(loss).over(_shares) / len(loss.y)
        seen = target[target > 0]
        return float(-seen @ np.log(seen / target.sum()))
    return optimum(Objective.plain(constant)).value


def _shares(part: RowLoss) -> Array:
    """Σ v target of each class."""
    assert isinstance(part, CrossEntropy)
    return part.pull(part.targets())[-part.outputs :]


def _targets(loss: RowLoss) -> RowLoss:
    """The rows without their columns."""
    return replace(loss, X=np.zeros((len(loss.y), 0)))


def _constants(loss: RowLoss) -> int:
    """How many intercepts are determined."""
    return int(loss.intercept) * (loss.outputs - int(isinstance(loss, CrossEntropy)))


def _log_likelihood(loss: RowLoss, value: float, mass: float) -> float | None:
    """Σ w log p(y) of a mean loss that is a likelihood but for constants."""
    from scipy.special import gammaln

    if isinstance(loss, PoissonNLL):
        return -mass * (value + _targets(loss).over(lambda part: part.total(gammaln(part.y + 1.0))) / len(loss.y))
    return -mass * (value + 0.5 * math.log(2.0 * math.pi)) if isinstance(loss, GaussianNLL) else None


def _saturated(loss: PoissonNLL) -> float:
    """The mean loss of a model with a mean of its own for each row: y - y log y."""
    from scipy.special import xlogy

    return _targets(loss).over(lambda part: part.total(part.y - xlogy(part.y, part.y))) / len(loss.y)
