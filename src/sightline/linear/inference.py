"""Standard errors, tests and fit statistics of least squares, defined as in R."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .exact import Exact

__all__ = ["FitStatistics", "Inference", "fit_statistics", "t_interval"]

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
    """Residual standard error, R² and its adjusted form, F and its p, AIC and BIC, as in R; None where undefined.

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


def fit_statistics(exact: Exact) -> FitStatistics:
    """The line below the table: see `FitStatistics`."""
    n, rss, tss = exact.rows, exact.rss, exact.tss
    df_model, df_resid = max(exact.rank - int(exact.intercept), 0), n - exact.rank
    explained = tss - rss
    r2 = 1.0 - rss / tss if tss > 0 else None
    adjusted = f = f_p = None
    if r2 is not None and df_resid > 0:
        adjusted = 1.0 - (1.0 - r2) * (n - int(exact.intercept)) / df_resid
        if df_model > 0 and rss > 0 and not exact.weight_decay:  # a penalized fit is no nested least squares
            f = (explained / df_model) / (rss / df_resid)
            f_p = _f_tail(df_model, df_resid, f)
    aic = bic = None
    if rss > 0:
        minus_2_log_l = n * (math.log(2.0 * math.pi * rss / n) + 1.0)
        aic, bic = minus_2_log_l + 2.0 * (exact.rank + 1), minus_2_log_l + math.log(n) * (exact.rank + 1)
    return FitStatistics(sigma(exact), r2, adjusted, f, f_p, df_model, df_resid, aic, bic, exact.baseline)


def sigma(exact: Exact) -> float | None:
    """Residual standard error √(RSS / (n - rank)); None without residual degrees of freedom."""
    df = exact.rows - exact.rank
    return math.sqrt(exact.rss / df) if df > 0 else None


def infer(
    exact: Exact, combinations: Sequence[Array], estimates: Sequence[float], *, level: float = 0.95
) -> list[Inference]:
    """t tests of c'θ = 0 and two-sided intervals at `level`, one for each row c `(q,)` of `combinations`."""
    s, df = sigma(exact), exact.rows - exact.rank
    half = t_interval(level, df) if df > 0 else None
    result = []
    for combination, estimate in zip(combinations, estimates, strict=True):
        if s is None or half is None:
            result.append(Inference(estimate, None, None, None, None, None))
            continue
        size = float(np.abs(combination).max()) or 1.0  # so that the squares of tiny combinations do not vanish
        error = s * size * math.sqrt(exact.variance(combination / size))
        t = estimate / error if error > 0 else None
        p = None if t is None else _t_two_sided(df, t)
        result.append(Inference(estimate, error, t, p, estimate - half * error, estimate + half * error))
    return result


def t_interval(level: float, df: int) -> float:
    """The quantile of Student's t with `df` degrees of freedom that leaves (1 - level) / 2 above it."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + level / 2.0))


def _t_two_sided(df: int, t: float) -> float:
    from scipy.special import stdtr

    return float(2.0 * stdtr(df, -abs(t)))


def _f_tail(df_model: int, df_resid: int, f: float) -> float:
    from scipy.special import fdtrc

    return float(fdtrc(df_model, df_resid, f))
