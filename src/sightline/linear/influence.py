"""What each row does to a least-squares fit: leverage, studentized residuals, Cook's distance, DFFITS, DFBETAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .assumptions import Degrees
from .projection import ALONE, EPS, Deletion, Projection

__all__ = ["Fit", "Influence", "influence", "influence_of", "measures"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Influence:
    """One value for each `row (n,)`, from 0, as R's `influence.measures`; NaN where a quantity is not defined.

    With the residual r, leverage h, rank p, s² = Σ w r² / df, and s₍ᵢ₎ that of the fit without row i:
    `standardized` √w r / (s √(1 - h)), R's `rstandard`; `studentized` √w r / (s₍ᵢ₎ √(1 - h)), R's `rstudent`;
    `cook` standardized² h / ((1 - h) p); `dffits` studentized √(h / (1 - h)); `dfbetas (n, m)` the change of each
    combination c'θ when the row is left out, in units of s₍ᵢ₎ √(c'(Z'WZ)⁻¹c).

    A row of weight zero has no influence (zeros) and no standardized residual. NaN stands where the row alone
    determines a coefficient (leverage 1), where no degrees of freedom are left, and where residuals are rounding.
    """

    row: NDArray[np.intp]
    leverage: Array
    standardized: Array
    studentized: Array
    cook: Array
    dffits: Array
    dfbetas: Array

    def largest(self, most: int) -> Influence:
        """That many rows with the largest Cook's distances, largest first, before them those that have none."""
        order = np.lexsort((self.row, -np.where(np.isnan(self.cook), np.inf, self.cook)))[:most]
        return Influence(**{name: values[order] for name, values in vars(self).items()})


def influence(
    Z: Any, residual: Any, *, rank: int | None = None, weight: Any = None, combinations: Any = None
) -> Influence:
    """Diagnostics of each row of the (weighted) least-squares fit with design `Z (n, q)` and residuals `(n,)`.

    `Z` includes its column of ones and may be in any coordinates; `combinations (m, q)` holds the c of each c'θ whose
    change is wanted (default: the coefficients in the coordinates of Z). `rank` is that of the fit where it was judged
    before; `weight (n,)` are prior weights. Work is O(n q²) on an orthonormal basis, with U = Q R⁻ᵀ C'.

    Belsley, Kuh and Welsch 1980, Regression Diagnostics, chapter 2; Cook and Weisberg 1982, Residuals and Influence in
    Regression; R, stats::influence.measures.

    Raises:
        UsageError: shapes that do not belong together.
        DataError: a weight that is negative or not finite, or weights that are all zero.

    >>> Z, residual = np.column_stack([[0.0, 1.0, 2.0, 3.0], np.ones(4)]), np.array([0.1, -0.3, 0.3, -0.1])
    >>> influence(Z, residual).cook.round(6).tolist()
    [0.388889, 0.27551, 0.27551, 0.388889]
    """
    return influence_of(Projection.of(Z, residual, rank=rank, weight=weight), combinations)


class Fit(Degrees, Protocol):
    """What measures of influence need of a fit, whether its rows are in memory or come in blocks."""

    @property
    def rank(self) -> int: ...
    @property
    def condition(self) -> float: ...
    @property
    def scale(self) -> Array: ...
    @property
    def singular(self) -> Array: ...
    @property
    def directions(self) -> Array: ...
    def estimable(self, combinations: Array) -> NDArray[np.bool_]:
        """Whether the data determine c'θ for each row c."""


def influence_of(fit: Projection, combinations: Any = None) -> Influence:
    """The same of a projection that is already made."""
    found = measures(fit, fit.basis, fit.leverage, fit.deletion, combinations)
    return Influence(
        np.arange(len(fit.used)), fit.spread(found.leverage), fit.spread(found.standardized, np.nan),
        fit.spread(found.studentized, np.nan), fit.spread(found.cook), fit.spread(found.dffits),
        fit.spread(found.dfbetas),
    )  # fmt: skip


def measures(fit: Fit, coordinates: Array, leverage: Array, without: Deletion, combinations: Any = None) -> Influence:
    """Of rows with these `coordinates (m, r)` in the orthonormal basis, leverages, and fits without them."""
    q = len(fit.scale)
    C = np.eye(q) if combinations is None else np.asarray(combinations, dtype=np.float64)
    if C.ndim != 2 or C.shape[1] != q:
        raise UsageError(f"combinations of shape {C.shape} for {q:,} columns: give one row of {q:,} numbers for each")
    with np.errstate(divide="ignore", invalid="ignore"):
        complement = np.where(without.complement > 0.0, without.complement, np.nan)
        pull = without.residual / np.sqrt(complement)
        standardized = pull / _sigma(fit, fit.rss, fit.df)
        sigma = _sigma(fit, without.rss, fit.df - (without.complement > 0.0))
        studentized = pull / sigma
        cook = standardized**2 * leverage / (complement * fit.rank)
        dffits = studentized * np.sqrt(leverage / complement)
        dfbetas = _share_of_row(fit, coordinates, C)
        moved = np.abs(dfbetas[np.isnan(complement)]) > ALONE * EPS * fit.condition
        dfbetas *= (studentized / np.sqrt(complement))[:, None]
    # a combination in which the row that stands alone has no part is that of the others
    dfbetas[np.isnan(complement)] = np.where(moved | np.isnan(sigma[np.isnan(complement), None]), np.nan, 0.0)
    dfbetas[:, ~fit.estimable(C)] = np.nan
    return Influence(np.arange(len(leverage)), leverage, standardized, studentized, cook, dffits, dfbetas)


def _sigma(fit: Fit, rss: Any, df: Any) -> Any:
    """√(rss / df); NaN where what is left is rounding, or no degrees of freedom are."""
    return np.sqrt(np.where((rss > fit.rounding) & (np.asarray(df) > 0), rss, np.nan) / df)


def _share_of_row(fit: Fit, coordinates: Array, C: Array) -> Array:
    """U = Q R⁻ᵀ C' with columns of length 1, `(m, ·)`: how the residual of each row enters each combination."""
    scaled = C / fit.scale
    largest = np.abs(scaled).max(axis=1, keepdims=True, initial=0.0)
    scaled = scaled / np.where(largest > 0.0, largest, 1.0)  # so that squares of tiny combinations do not vanish
    entering = fit.directions[: fit.rank] @ scaled.T / fit.singular[: fit.rank, None]
    return np.asarray(coordinates @ (entering / np.linalg.norm(entering, axis=0)))
