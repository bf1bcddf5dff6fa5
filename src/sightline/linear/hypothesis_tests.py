"""Tests of several restrictions at once: Wald's from one fit, the likelihood ratio and F from two nested fits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from .tails import chi2_tail, f_tail

__all__ = ["ModelComparison", "WaldTest", "likelihood_ratio", "nested_f", "wald"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class WaldTest:
    """F with `df` and `df_resid` degrees of freedom, or chi-squared with `df` where `df_resid` is None; its p."""

    statistic: float
    df: int
    df_resid: float | None
    p: float


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """F with `df` and `df_resid` degrees of freedom, or chi-squared with `df` where `df_resid` is None; its p.

    Statistic and p are None where the larger model leaves nothing to measure chance by.
    """

    statistic: float | None
    df: int
    df_resid: int | None
    p: float | None


def wald(estimates: Array, covariance: Array, L: Array, c: Array, *, df: float | None) -> WaldTest:
    """Test Lθ = c: W = d'(L V L')⁻¹d with d = Lθ - c is chi-squared with m degrees of freedom, F = W / m with m and df.

    `estimates (q,)` and their `covariance (q, q)`, classical or robust; `L (m, q)` of rank m, `c (m,)`; `df` are the
    degrees of freedom of the covariance, None for as many as one likes. Where coefficients are strongly correlated,
    L V L' cancels: give the combinations themselves as estimates, their covariance, and L = I, to keep the digits.
    The source is Wald 1943, Tests of statistical hypotheses concerning several parameters.

    >>> test = wald(np.array([2.0, 1.0]), np.diag([1.0, 4.0]), np.eye(2), np.zeros(2), df=None)
    >>> test.statistic, test.df, round(test.p, 6)
    (4.25, 2, 0.119433)

    Raises:
        DataError: a coefficient in the hypothesis without a variance; a covariance that is singular in its directions;
            no degrees of freedom.
    """
    used = (L != 0).any(axis=0)
    L, theta, V = L[:, used], estimates[used], covariance[np.ix_(used, used)]
    if not (np.isfinite(V).all() and np.isfinite(theta).all()):
        raise DataError(
            "a coefficient in the hypothesis has no variance, as the data do not determine it or no degrees of "
            "freedom are left: leave it out of the hypothesis"
        )
    if df is not None and not df > 0:
        raise DataError(f"the covariance has {df:g} degrees of freedom, nothing to test with: add rows or clusters")
    statistic = _quadratic_form(L @ theta - c, *_scaled_covariance(L, V))
    m = len(L)
    if df is None:
        return WaldTest(statistic, m, None, chi2_tail(m, statistic))
    return WaldTest(statistic / m, m, df, f_tail(m, df, statistic / m))


def likelihood_ratio(loglik_small: float, df_small: int, loglik_large: float, df_large: int) -> ModelComparison:
    """Compare two nested models by 2 (log L_large - log L_small), chi-squared with the difference of parameters.

    The source is Wilks 1938, The large-sample distribution of the likelihood ratio. `df_small` and `df_large` count
    the parameters that each model estimates; the rows must be the same.

    >>> likelihood_ratio(-12.0, 2, -9.0, 4).statistic, round(likelihood_ratio(-12.0, 2, -9.0, 4).p, 6)
    (6.0, 0.049787)

    Raises:
        UsageError: models that cannot be nested: as many parameters in both, or a larger one that fits worse.
    """
    _check_finite("log-likelihood", loglik_small, loglik_large)
    df = df_large - df_small
    _check_nested(df, f"{df_small:,} and {df_large:,} parameters")
    statistic = 2.0 * (loglik_large - loglik_small)
    if statistic < -ROUNDING * max(abs(loglik_small), abs(loglik_large)):
        raise UsageError(
            f"the larger model has the lower log-likelihood, {loglik_large:.6g} after {loglik_small:.6g}, so the "
            "models are not nested, have other rows, or did not converge: compare a model with one that contains it"
        )
    statistic = max(statistic, 0.0)
    return ModelComparison(statistic, df, None, chi2_tail(df, statistic))


def nested_f(rss_small: float, df_small: int, rss_large: float, df_large: int) -> ModelComparison:
    """Compare two nested least-squares fits by F, with df_small - df_large and df_large degrees of freedom.

    F = ((RSS_small - RSS_large) / (df_small - df_large)) / (RSS_large / df_large), as R's anova(small, large).
    `df_small` and `df_large` are the residual degrees of freedom, n - rank; rows and weights must be the same. None
    where the larger model fits perfectly or has no degrees of freedom left.

    >>> test = nested_f(30.0, 10, 20.0, 8)
    >>> test.statistic, test.df, test.df_resid, round(test.p, 6)
    (2.0, 2, 8, 0.197531)

    Raises:
        UsageError: models that cannot be nested: as many degrees of freedom in both, or a larger one that fits worse.
    """
    _check_finite("residual sum of squares", rss_small, rss_large)
    df = df_small - df_large
    _check_nested(df, f"{df_small:,} and {df_large:,} residual degrees of freedom")
    gain = rss_small - rss_large
    if gain < -ROUNDING * max(rss_small, rss_large):
        raise UsageError(
            f"the larger model has the larger residual sum of squares, {rss_large:.6g} after {rss_small:.6g}, so the "
            "models are not nested or have other rows: compare models of which one contains the other"
        )
    if df_large <= 0 or rss_large <= 0:
        return ModelComparison(None, df, df_large, None)
    statistic = max(gain, 0.0) / df / (rss_large / df_large)
    return ModelComparison(statistic, df, df_large, f_tail(df, df_large, statistic))


ROUNDING = 1e-9  # of the size of two numbers, by which the larger model may look worse and still be equal


def _scaled_covariance(L: Array, V: Array) -> tuple[Array, Array, Array]:
    """Standard errors `(m,)` of the rows of L, and eigenvalues and eigenvectors of their correlation matrix.

    Rounding of L V L' is below q eps |L| |V| |L'|; what is not above a few times that is no variance.
    """
    # estimates may differ by many powers of ten: each is measured in its own standard error before anything is added
    unit = np.sqrt(np.maximum(np.diag(V), 0.0))
    unit[unit == 0] = 1.0
    L, V = L * unit, V / np.multiply.outer(unit, unit)
    size = np.abs(L).max(axis=1)
    L = L / size[:, None]
    M = L @ ((V + V.T) / 2.0) @ L.T
    noise = 8.0 * EPS * len(V) * (np.abs(L) @ np.abs(V) @ np.abs(L).T)
    error = np.sqrt(np.maximum(np.diag(M), 0.0))
    if (np.diag(M) <= np.diag(noise)).any():
        raise DataError(
            "a hypothesis has no variance: the fit is perfect there, or what it compares is always equal; leave it out"
        )
    scale = np.multiply.outer(error, error)
    values, vectors = np.linalg.eigh(M / scale)
    rank = int((values > np.linalg.norm(noise / scale)).sum())
    if rank < len(M):
        raise DataError(
            f"the covariance of these {len(M):,} hypotheses has rank {rank:,}, as where there are fewer clusters than "
            f"hypotheses: test at most {rank:,} at once"
        )
    return error * size, values, vectors


def _quadratic_form(distance: Array, error: Array, values: Array, vectors: Array) -> float:
    """d'M⁻¹d for the parts of M that `_scaled_covariance` returns."""
    z = vectors.T @ (distance / error)
    return float((z**2 / values).sum())


def _check_finite(name: str, *values: float) -> None:
    for value in values:
        if not math.isfinite(value):
            raise UsageError(f"a {name} is {value:g}: compare fits that have a finite one")


def _check_nested(df: int, counts: str) -> None:
    if df == 0:
        raise UsageError(f"the two models have {counts}, so neither contains the other: leave something out of one")
    if df < 0:
        raise UsageError(f"the models have {counts}, so the first is the larger one: give the smaller model first")
