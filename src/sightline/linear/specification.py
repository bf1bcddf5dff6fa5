"""Tests of what least squares takes for granted: independent, equally spread, normal errors, and a linear mean.

All take a `Projection` of the fit. With weights they look at the rows of positive weight, and at the weighted residuals
√w r, which have one variance if the weights are right.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .assumptions import Degrees, Test, unknown
from .projection import EPS, Projection
from .tails import f_tail
from .variance_tests import breusch_pagan, white

__all__ = [
    "DURBIN_WATSON",
    "FITTED",
    "JARQUE_BERA",
    "RESET",
    "Test",
    "breusch_pagan",
    "durbin_watson",
    "durbin_watson_of",
    "jarque_bera",
    "jarque_bera_of",
    "new_directions",
    "reset",
    "reset_of",
    "specification_tests",
    "white",
]

Array = NDArray[np.float64]
FITTED = 64.0 * EPS  # rounding of fitted values, as a share of the largest
DURBIN_WATSON = Test(
    "Durbin-Watson",
    "A small p says that errors of neighboring rows are correlated: positively below 2, negatively above.",
)
JARQUE_BERA = Test("Jarque-Bera", "A small p says that the errors are not normal: lopsided, or with other tails.")
RESET = Test(
    "RESET",
    "A small p says that the mean is not linear in the columns: powers of the fitted values improve the fit.",
)


def specification_tests(fit: Projection, fitted: Any) -> tuple[Test, ...]:
    """Durbin-Watson, Breusch-Pagan (studentized), White, Jarque-Bera and RESET; `fitted (n,)` as in `reset`."""
    return durbin_watson(fit), breusch_pagan(fit), white(fit), jarque_bera(fit), reset(fit, fitted)


def durbin_watson(fit: Projection) -> Test:
    """Durbin-Watson d = Σ (eₜ - eₜ₋₁)² / Σ eₜ² of e = √w r, rows in their order: about 2 (1 - autocorrelation).

    The p value is two-sided and approximate: d / 4 is taken for beta, with the exact mean and variance that it has for
    independent normal errors and this design (R's dwtest has the exact p below 100 rows, from there on that of the
    normal with them). `details` has the first `autocorrelation`, Σ eₜ eₜ₋₁ / Σ eₜ². Durbin and Watson 1950 and 1951,
    Testing for serial correlation in least squares regression, I and II.

    >>> test = durbin_watson(Projection.of(np.ones((4, 1)), [1.0, -1.0, 1.0, -1.0]))
    >>> test.statistic, test.details["autocorrelation"], round(test.p, 4)
    (3.0, -0.75, 0.1877)
    """
    if reason := unknown(fit):
        return DURBIN_WATSON.undefined(reason)
    e, DQ = fit.residual, np.diff(fit.basis, axis=0)
    step, AQ = np.diff(e), np.zeros_like(fit.basis)
    AQ[1:] += DQ
    AQ[:-1] -= DQ
    return durbin_watson_of(fit, float(step @ step), float(e[1:] @ e[:-1]), DQ.T @ DQ, float(np.vdot(AQ, AQ)))


def durbin_watson_of(fit: Degrees, steps: float, lagged: float, QAQ: Array, AQ2: float) -> Test:
    """From Σ (eₜ - eₜ₋₁)², Σ eₜ eₜ₋₁, and for an orthonormal basis Q of the columns Q'AQ `(r, r)` and tr Q'A²Q."""
    d = steps / fit.rss
    p = _two_sided(d / 4.0, *_moments_of_d(fit, QAQ, AQ2))
    return DURBIN_WATSON.found(d, (), p, autocorrelation=lagged / fit.rss)


def _two_sided(share: float, mean: float, variance: float) -> float | None:
    """Twice the smaller tail at d / 4 of the beta distribution with the mean and variance of d over 4 and 16."""
    from scipy.special import betainc, betaincc

    if not variance:
        return None
    mean, variance = mean / 4.0, variance / 16.0
    size = mean * (1.0 - mean) / variance - 1.0
    shape = mean * size, (1.0 - mean) * size
    return float(min(1.0, 2.0 * min(betainc(*shape, share), betaincc(*shape, share))))


def _moments_of_d(fit: Degrees, QAQ: Array, AQ2: float) -> tuple[float, float]:
    """Mean and variance of d = e'MAMe / e'Me with M = I - QQ' and A = D'D, D the first differences.

    tr MA = tr A - tr Q'AQ and tr (MA)² = tr A² - 2 tr Q'A²Q + tr (Q'AQ)²; tr A = 2 (m - 1), tr A² = 6m - 8. Where MA
    has one eigenvalue only, d is that, and the variance zero.
    """
    m, df = fit.rows, fit.df
    first = 2.0 * (m - 1) - float(np.trace(QAQ))
    second = 6.0 * m - 8.0 - 2.0 * AQ2 + float(np.vdot(QAQ, QAQ))
    mean = first / df
    variance = 2.0 * (second / df - mean**2) / (df + 2)
    return mean, variance if variance > 64.0 * m * EPS else 0.0


def jarque_bera(fit: Projection) -> Test:
    """Jarque-Bera m / 6 (S² + (K - 3)² / 4), S and K skewness and kurtosis of √w r about its mean; χ² with 2 degrees.

    `details` has S and K. Jarque and Bera 1980, Efficient tests for normality, homoscedasticity and serial independence
    of regression residuals.

    >>> test = jarque_bera(Projection.of(np.ones((4, 1)), [1.0, -1.0, 1.0, -1.0]))
    >>> round(test.statistic, 12), test.details["kurtosis"]
    (0.666666666667, 1.0)
    """
    if reason := unknown(fit):
        return JARQUE_BERA.undefined(reason)
    centered = fit.residual - fit.residual.mean()
    squares = centered**2
    return jarque_bera_of(fit.rows, float(squares.sum()), float(squares @ centered), float(squares @ squares))


def jarque_bera_of(rows: int, second: float, third: float, fourth: float) -> Test:
    """From the sums of the powers of the centered residuals, the largest of which are about 1."""
    variance = second / rows
    if variance <= (16.0 * EPS) ** 2:
        return JARQUE_BERA.undefined("all residuals are the same")
    skewness = third / rows / variance**1.5
    kurtosis = fourth / rows / variance**2
    statistic = rows / 6.0 * (skewness**2 + (kurtosis - 3.0) ** 2 / 4.0)
    return JARQUE_BERA.found(statistic, (2,), math.exp(-statistic / 2.0), skewness=skewness, kurtosis=kurtosis)


def reset(fit: Projection, fitted: Any, *, powers: tuple[int, ...] = (2, 3)) -> Test:
    """Ramsey's RESET: the F test of powers of the fitted values `(n,)`, added to the columns.

    The fitted values are scaled and, where the design has a constant, centered first, which leaves F as it is. With
    weights it is the F test of the two weighted fits. Ramsey 1969, Tests for specification errors in classical linear
    least-squares regression analysis; R, lmtest::resettest.

    Raises:
        UsageError: powers that are not whole numbers above 1, or fitted values that are not one for each row.

    >>> x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    >>> fit = Projection.of(np.column_stack([x, np.ones(5)]), [2.0, -1.0, -2.0, -1.0, 2.0])
    >>> reset(fit, x, powers=(2,)).reason
    'with powers of the fitted values the fit is perfect'
    """
    values = np.asarray(fitted, dtype=np.float64)
    if values.shape != fit.used.shape:
        raise UsageError(f"fitted values of shape {values.shape} for {len(fit.used):,} rows: give one for each row")
    if not powers or any(k != int(k) or k < 2 for k in powers):
        raise UsageError(f"powers {powers} of the fitted values: give whole numbers above 1")
    if reason := unknown(fit):
        return RESET.undefined(reason)
    columns, rounding = _powers(fit, values[fit.used], powers)
    return reset_of(fit, new_directions(columns, rounding), fit.residual)


def reset_of(fit: Degrees, added: Array, residual: Array) -> Test:
    """From an orthonormal basis `(·, k)` of what powers add to the columns, and the residuals in its coordinates."""
    df, left = added.shape[1], fit.df - added.shape[1]
    if not df:
        return RESET.undefined("powers of the fitted values add nothing to the columns")
    along = added.T @ residual
    rest = residual - added @ along
    rss = float(rest @ rest)
    if left < 1 or rss <= fit.rounding:
        return RESET.undefined("with powers of the fitted values the fit is perfect")
    statistic = float(along @ along) / df / (rss / left)
    return RESET.found(statistic, (df, left), f_tail(df, left, statistic))


def _powers(fit: Projection, values: Array, powers: tuple[int, ...]) -> tuple[Array, float]:
    """√w fᵏ `(m, k)` of length 1, f the standardized fitted values, less its part in the columns; and their rounding.

    Values that are a line in the columns are rounded by eps of the largest; a part of that size is nothing new.
    """
    rounding = FITTED * float(np.abs(values).max())
    if fit.has_constant:
        values = values - np.average(values, weights=fit.root**2)
    size = float(np.abs(values).max())
    if size <= rounding:
        return np.empty((fit.rows, 0)), 0.0
    columns = np.column_stack([fit.root * (values / size) ** k for k in powers])
    columns /= np.linalg.norm(columns, axis=0)
    for _ in range(2):  # the second time takes out what rounding left
        columns = columns - fit.basis @ (fit.basis.T @ columns)
    return columns, rounding / size


def new_directions(columns: Array, rounding: float) -> Array:
    """An orthonormal basis of columns that had length 1, less their part in others; what is rounding is none."""
    U, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(U[:, singular > max(rounding, 1e-10)])
