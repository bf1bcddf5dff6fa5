"""Upper tails of distributions, from scipy.special, which is imported only when a table needs it."""

from __future__ import annotations

__all__ = ["chi2_tail", "f_tail", "two_sided"]


def chi2_tail(df: int, value: float) -> float:
    """The probability that χ² with `df` degrees of freedom is above the value.

    >>> round(chi2_tail(1, 3.841458820694124), 12)
    0.05
    """
    from scipy.special import chdtrc

    return float(chdtrc(df, value))


def f_tail(df: int, df_resid: float, value: float) -> float:
    """The probability that F with these degrees of freedom is above the value.

    >>> round(f_tail(2, 8, 2.0), 6)
    0.197531
    """
    from scipy.special import fdtrc

    return float(fdtrc(df, df_resid, value))


def two_sided(df: float | None, t: float) -> float:
    """The probability that |t| of Student with `df` degrees of freedom, or of the normal, is larger.

    >>> round(two_sided(None, 1.959963984540054), 12)
    0.05
    """
    from scipy.special import ndtr, stdtr

    return float(2.0 * (ndtr(-abs(t)) if df is None else stdtr(df, -abs(t))))
