"""Standard errors, tests and fit statistics of least squares, defined as in R."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..digits import Digits
from ..double_double import Pair
from .exact import Exact
from .tails import f_tail, two_sided

__all__ = [
    "FitStatistics",
    "Inference",
    "fit_statistics",
    "infer",
    "sigma",
    "standard_errors",
    "t_interval",
    "z_interval",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inference:
    """Estimate, standard error, t, p and interval of one linear combination c'θ; None where it is not defined."""

    estimate: float | None
    std_error: float | None
    t: float | None
    p: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class FitStatistics:
    """Residual standard error, R² and its adjusted form, F and its p, AIC, BIC, log L, as in R; None where undefined.

    `df_model` counts slopes, `df_resid` = n - rank. Without an intercept R² is the uncentred one.
    AIC = -2 log L + 2 (rank + 1), BIC = -2 log L + log(n) (rank + 1), L the normal likelihood at σ² = RSS / n.
    """

    sigma: float | None
    r2: float | None
    adj_r2: float | None
    f: float | None
    f_p: float | None
    df_model: int
    df_resid: int
    aic: float | None
    bic: float | None
    baseline_loss: float
    log_likelihood: float | None


def fit_statistics(exact: Exact) -> FitStatistics:
    """The line below the table: see `FitStatistics`."""
    n, rss, tss = exact.rows, float(exact.rss), float(exact.tss)
    df_model, df_resid = max(exact.rank - int(exact.intercept), 0), n - exact.rank
    explained = tss - rss
    r2 = None if not tss else 1.0 if not rss else precise(1.0 - Pair.of(exact.rss) / Pair.of(exact.tss), exact.rss)
    adjusted = f = f_p = None
    if r2 is not None and df_resid > 0:
        adjusted = 1.0 - (1.0 - r2) * (n - int(exact.intercept)) / df_resid
        if df_model > 0 and rss > 0 and not exact.penalized:  # a penalized fit is no nested least squares
            f = (explained / df_model) / (rss / df_resid)
            f_p = f_tail(df_model, df_resid, f)
    aic = bic = log_likelihood = None
    if rss > 0:
        minus_2_log_l = n * (math.log(2.0 * math.pi * rss / n) + 1.0) - exact.log_weights
        aic, bic = minus_2_log_l + 2.0 * (exact.rank + 1), minus_2_log_l + math.log(n) * (exact.rank + 1)
        log_likelihood = -0.5 * minus_2_log_l
    return FitStatistics(
        sigma(exact), r2, adjusted, f, f_p, df_model, df_resid, aic, bic, exact.baseline, log_likelihood
    )


def sigma(exact: Exact) -> float | None:
    """Residual standard error √(RSS / (n - rank)); None without residual degrees of freedom."""
    df = exact.rows - exact.rank
    return precise((Pair.of(exact.rss) / float(df)).sqrt(), exact.rss) if df > 0 else None


def precise(value: Pair, source: float) -> float:
    """A number computed from another, with its digits where that one has any."""
    return value.digits(source.trusted)[0] if isinstance(source, Digits) else float(value.hi)


def standard_errors(exact: Exact, combinations: Sequence[Array]) -> list[float | None]:
    """Standard errors of c'θ for each row c `(q,)` of `combinations`; None without residual degrees of freedom."""
    s = sigma(exact)
    if s is None:
        return [None] * len(combinations)
    sizes = [float(np.abs(c).max()) or 1.0 for c in combinations]  # so that squares of tiny combinations do not vanish
    return [s * size * math.sqrt(exact.variance(c / size)) for c, size in zip(combinations, sizes, strict=True)]


def infer(estimate: float, error: float | None, *, df: float | None, level: float = 0.95) -> Inference:
    """Test of estimate = 0 and two-sided interval at `level`: Student's t with `df`, the normal where df is None.

    A standard error of zero (a perfect fit) leaves t and p undefined.

    >>> round(infer(0.5657534, 0.2574, df=3).p, 4)
    0.1154
    """
    if error is None or not math.isfinite(error):
        return Inference(estimate, None, None, None, None, None)
    half = error * (z_interval(level) if df is None else t_interval(level, df))
    t = estimate / error if error > 0 else None
    p = None if t is None else two_sided(df, t)
    return Inference(estimate, error, t, p, estimate - half, estimate + half)


def t_interval(level: float, df: float) -> float:
    """The quantile of Student's t with `df` degrees of freedom that leaves (1 - level) / 2 above it."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + level / 2.0))


def z_interval(level: float) -> float:
    """The quantile of the normal distribution that leaves (1 - level) / 2 above it."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2.0))
