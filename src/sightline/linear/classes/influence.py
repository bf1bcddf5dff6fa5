"""What each row does to a logistic fit: leverage, deviance residuals, Cook's distance, as R's `glm` has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..projection import Projection

__all__ = ["ClassInfluence", "logistic_influence"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassInfluence:
    """One value for each row, `(n,)`; NaN where it is not defined.

    With P the probability of the second class, its variance v = P (1 - P), q coefficients and prior weight w:
    `deviance` d = ±√(-2 w ln P(own class)), positive for the second class; `leverage` h, the diagonal of the hat matrix
    of √(w v) Z; `sigma` √((Σ d² - d²/(1 - h)) / (n - q - 1)), R's `influence(fit)$sigma`; `cook` r² h / (q (1 - h)²)
    of the Pearson residual r = (y - P) √(w / v); `standardized` d / √(1 - h), R's `rstandard`.
    """

    deviance: Array
    leverage: Array
    sigma: Array
    cook: Array
    standardized: Array


def logistic_influence(Z: Array, code: NDArray[np.intp], P: Array, weight: Array | None = None) -> ClassInfluence:
    """Diagnostics of each row of a logistic fit without a penalty; work is O(n q²).

    `Z (n, q)` has its column of ones, `code (n,)` is 0 or 1, `P (n, 2)` are the fitted probabilities.

    Pregibon 1981, Logistic regression diagnostics; R, stats::influence and stats::cooks.distance of a `glm`.

    >>> found = logistic_influence(np.ones((4, 1)), np.array([0, 0, 1, 1]), np.full((4, 2), 0.5))
    >>> found.leverage.round(6).tolist(), found.deviance.round(6).tolist()
    ([0.25, 0.25, 0.25, 0.25], [-1.17741, -1.17741, 1.17741, 1.17741])
    """
    w = np.ones(len(code)) if weight is None else weight
    own, other = P[np.arange(len(code)), code], P[np.arange(len(code)), 1 - code]
    with np.errstate(divide="ignore"):
        deviance = np.where(code == 1, 1.0, -1.0) * np.sqrt(-2.0 * w * np.log(own))
    fit = Projection.of(Z, deviance, weight=w * own * other)
    h = fit.spread(fit.leverage)
    complement = fit.deletion.complement  # 1 - h, exactly zero for a row that alone determines a coefficient
    left = fit.spread(np.where(complement > 0.0, complement, np.nan), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        total, df = float(deviance @ deviance), len(code) - fit.rank - 1
        sigma = np.sqrt((total - deviance**2 / left) / (df if df > 0 else np.nan))
        cook = w * other / own * h / (fit.rank * left**2)
    return ClassInfluence(deviance, h, sigma, cook, deviance / np.sqrt(left))
