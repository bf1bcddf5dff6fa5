"""What a test of an assumption of least squares returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

__all__ = ["Degrees", "Test", "unknown"]


class Degrees(Protocol):
    """Of a fit, whether its rows are in memory or come in blocks: how many rows there are, the residual degrees of
    freedom, Σ w r² in the units of its residuals, and up to which of it they are rounding.
    """

    @property
    def rows(self) -> int: ...
    @property
    def df(self) -> int: ...
    @property
    def rss(self) -> float: ...
    @property
    def rounding(self) -> float: ...


@dataclass(frozen=True)
class Test:
    """One test: its statistic, degrees of freedom, p value, what it asks, and numbers that belong to it.

    `statistic` and `p` are None where they are not defined; `reason` then says why.
    """

    __test__ = False  # not one for pytest to run

    name: str
    meaning: str
    statistic: float | None = None
    df: tuple[int, ...] = ()
    p: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None

    def undefined(self, reason: str) -> Test:
        """The same test without a result."""
        return replace(self, reason=reason)

    def found(self, statistic: float, df: tuple[int, ...], p: float | None, **details: float) -> Test:
        """The same test with its result."""
        return replace(self, statistic=statistic, df=df, p=p, details=details)


def unknown(fit: Degrees) -> str | None:
    """Why the residuals of a fit say nothing about its errors; None where they do."""
    if fit.df < 1:
        return "no residual degrees of freedom are left"
    return (
        "residuals that are rounding: the fit is perfect, or is not of least squares"
        if fit.rss <= fit.rounding
        else None
    )
