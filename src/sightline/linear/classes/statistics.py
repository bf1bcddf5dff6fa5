"""How well a logistic or softmax model fits: deviance, likelihood-ratio test, information criteria, pseudo-R²."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..tails import chi2_tail
from .fit import ClassFit

__all__ = ["ClassStatistics", "class_statistics"]


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """Of a maximum of the likelihood with k coefficients on n rows; what a penalty takes the meaning from is None.

    `deviance` is -2 ln L, `null_deviance` that of the shares of the classes (equal chances without an intercept), `lr`
    their difference, chi-squared with `df_model` degrees of freedom and the tail `lr_p`; `df_resid` is n - k;
    AIC = 2k - 2 ln L, BIC = k ln n - 2 ln L. `mcfadden` is r / null_deviance with r = null_deviance - deviance,
    `cox_snell` 1 - exp(-r / Σw), `nagelkerke` that over its largest value, `baseline_loss` null_deviance / 2 Σw.
    """

    log_likelihood: float
    deviance: float
    null_deviance: float
    lr: float | None
    lr_p: float | None
    df_model: int
    df_resid: int
    aic: float | None
    bic: float | None
    mcfadden: float | None
    cox_snell: float | None
    nagelkerke: float | None
    baseline_loss: float


def class_statistics(fit: ClassFit) -> ClassStatistics:
    """The statistics of a fit.

    McFadden 1974, Conditional logit analysis of qualitative choice behavior; Cox and Snell 1989, Analysis of Binary
    Data; Nagelkerke 1991, A note on a general definition of the coefficient of determination.

    >>> from ...double_double import Pair
    >>> from .softmax import logistic_optimum
    >>> found = class_statistics(logistic_optimum(Pair.of([[0.0], [0], [0], [1], [1], [1]]), [0, 0, 1, 0, 1, 1]))
    >>> round(found.deviance, 6), round(found.lr, 6), found.df_model
    (7.63817, 0.679596, 1)
    """
    q, m = fit.coefficients.shape
    k, n, total = q * m, fit.rows, fit.total
    df_model = k - (m if fit.intercept else 0)
    deviance, null = 0.0 - 2.0 * fit.log_likelihood, 0.0 - 2.0 * fit.null_log_likelihood
    penalized = fit.l2 > 0
    r = max(null - deviance, 0.0)
    lr = r if df_model and not penalized else None
    share = None if penalized or not null else -math.expm1(-r / total)
    most = -math.expm1(-null / total)
    return ClassStatistics(
        fit.log_likelihood,
        deviance,
        null,
        lr,
        None if lr is None else chi2_tail(df_model, lr),
        df_model,
        n - k,
        None if penalized else 2.0 * k + deviance,
        None if penalized else k * math.log(n) + deviance,
        None if penalized or not null else r / null,
        share,
        None if share is None else share / most,
        null / 2.0 / total,
    )
