"""Analysis of variance: what each term explains, in three orders of asking.

    type I     each term after those before it, as R's anova(); the sums add up to the whole
    type II    each term after all that do not contain it, as car::Anova() (Fox 2016, section 8.2)
    type III   each term after all others, in the coding at hand: of a term that an interaction contains it asks about
               the reference category or the value zero, so it means what the coding means

A sum of squares is the squared length of the response projected on what the term's columns add to the others, never a
difference of two residual sums, which would lose digits. Columns that add nothing have no degree of freedom. With an
intercept, columns and response are centered first, which changes none of these spans and keeps the digits of data far
from zero. `Z (n, q)` is the design with its column of ones, which the group "Intercept" names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, nearest, shown
from .span import Span, added, centered, qr, root_weights
from .tails import f_tail
from .triangle import rows_factor

__all__ = ["Anova", "AnovaRow", "anova_type_1", "anova_type_2", "anova_type_3"]

INTERCEPT = "Intercept"
Array = NDArray[np.float64]
Columns = NDArray[np.intp]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class AnovaRow:
    """A term with its degrees of freedom, sum of squares, mean square, F and p; None where not defined."""

    term: str
    df: int
    sum_squares: float
    mean_square: float | None
    f: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Anova:
    """The table of one type: the terms in their order, and the residuals, which have neither F nor p."""

    type: int
    terms: tuple[AnovaRow, ...]
    residuals: AnovaRow


def anova_type_1(Z: Array, y: Array, *, groups: Sequence[str], weight: Any = None, noise: Array | None = None) -> Anova:
    """Each term after those before it, in the order in which `groups` first names them, the intercept first of all.

    `Z (n, q)`, `y (n,)`, `weight (n,)` (inverse variances); `groups (q,)` the term of each column; `noise (q,)` the
    relative rounding of each column, as in `exact.least_squares`. SS = ‖P y‖², P the projection on what the term adds.

    >>> Z = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    >>> table = anova_type_1(Z, np.array([1.0, 3.0, 2.0, 4.0]), groups=["Intercept", "x"])
    >>> row = table.terms[0]
    >>> row.term, row.df, round(row.sum_squares, 12), round(row.f, 12), round(table.residuals.sum_squares, 12)
    ('x', 1, 3.2, 3.555555555556, 1.8)

    Raises:
        UsageError: groups or weights that do not fit the columns or rows.
    """
    problem = _Problem.of(Z, y, groups, weight, noise)
    before: list[str] = [INTERCEPT] if INTERCEPT in problem.places else []
    parts = []
    for term in problem.terms:
        parts.append((term, *problem.adds(term, before)))
        before.append(term)
    return problem.table(1, parts)


def anova_type_2(
    Z: Array,
    y: Array,
    *,
    groups: Sequence[str],
    factors: Mapping[str, frozenset[str]],
    weight: Any = None,
    noise: Array | None = None,
) -> Anova:
    """Each term after all others but those that contain it: a after b, though not after a:b.

    `factors` has for each term the factors that it multiplies; a term contains another if it has all its factors and
    more. The rest is as in `anova_type_1`. F compares with the residuals of the whole model.

    Raises:
        UsageError: groups or weights that do not fit the columns or rows; a term without factors.
    """
    problem = _Problem.of(Z, y, groups, weight, noise)
    for term in problem.terms:
        if term not in factors:
            raise UsageError(f"the factors of the term {shown(term)} are missing: {nearest(term, factors)}")
    sets = {INTERCEPT: frozenset[str](), **{term: factors[term] for term in problem.terms}}
    parts = []
    for term in problem.terms:
        others = [other for other in problem.places if other != term and not sets[term] < sets[other]]
        parts.append((term, *problem.adds(term, others)))
    return problem.table(2, parts)


def anova_type_3(
    Z: Array,
    y: Array,
    *,
    groups: Sequence[str],
    weight: Any = None,
    noise: Array | None = None,
    intercept: Array | None = None,
) -> Anova:
    """Each term after all others, the intercept too, in the coding at hand.

    The intercept depends on where columns have their zero: in standardized coordinates `intercept (q,)` is the row that
    leads from parameters to the intercept in the units of the data; without it, it is the coefficient of the ones in
    Z. The rest is as in `anova_type_1`.

    Raises:
        UsageError: groups or weights that do not fit the columns or rows.
    """
    problem = _Problem.of(Z, y, groups, weight, noise)
    parts = []
    if INTERCEPT in problem.places:
        row = np.zeros(len(groups)) if intercept is None else np.array(intercept, dtype=np.float64)
        if intercept is None:
            row[problem.places[INTERCEPT]] = 1.0
        parts.append((INTERCEPT, *problem.explained_by(row)))
    for term in problem.terms:
        parts.append((term, *problem.adds(term, [other for other in problem.places if other != term])))
    return problem.table(3, parts)


@dataclass(frozen=True)
class _Problem:
    """Rows turned to the triangle R of their design (columns centered where there is an intercept), Q'y, and the rest.

    `right` is Q'y of the centered response, `whole` of the one as it was; `means (q,)` are what centering took.
    """

    places: dict[str, Columns]
    rows: int
    R: Array
    right: Array
    whole: Array
    means: Array
    rss: float
    squares: float
    noise: Array | None

    @classmethod
    def of(cls, Z: Array, y: Array, groups: Sequence[str], weight: Any, noise: Array | None) -> _Problem:
        """Check, weight, center, and factor once; all that follows has q rows."""
        if not isinstance(Z, np.ndarray):
            return cls._of_blocks(Z, y, groups, weight, noise)
        if len(groups) != Z.shape[1] or len(y) != len(Z):
            raise UsageError(
                f"the design has {Z.shape[0]:,} rows and {Z.shape[1]:,} columns, for {len(y):,} values and "
                f"{len(groups):,} groups: give one value for each row, one group for each column"
            )
        root = root_weights(weight, len(Z))
        used = root > 0
        Z, y, root = Z[used], np.asarray(y, dtype=np.float64)[used], root[used]
        places = {term: np.flatnonzero([group == term for group in groups]) for term in dict.fromkeys(groups)}
        means, target = np.zeros(Z.shape[1]), y
        if INTERCEPT in places:
            if len(places[INTERCEPT]) != 1 or not (Z[:, places[INTERCEPT]] == 1.0).all():
                raise UsageError("the group Intercept must be one column of ones: give other columns another group")
            others = np.arange(Z.shape[1]) != places[INTERCEPT][0]
            Z = Z.copy()
            Z[:, others], means[others] = centered(Z[:, others], root)
            target = centered(y[:, None], root)[0][:, 0]
        Q, R = qr(root[:, None] * Z)
        whole, right = Q.T @ (root * y), Q.T @ (root * target)
        inside = Span.of(R, rows=len(Z), noise=noise).left
        rest = right - inside @ (inside.T @ right)  # of the directions of Q that the columns do not determine
        outside = root * target - Q @ right
        squares = float((root * y) @ (root * y))
        rss = float(outside @ outside) + float(rest @ rest)
        return cls(places, len(Z), R, right, whole, means, rss, squares, noise)

    @classmethod
    def _of_blocks(cls, X: Any, y: Array, groups: Sequence[str], weight: Any, noise: Array | None) -> _Problem:
        """The same of rows in blocks, without their column of ones: all from the factor T of √w [1 X y]."""
        places = {term: np.flatnonzero([group == term for group in groups]) for term in dict.fromkeys(groups)}
        first, p = int(INTERCEPT in places), X.shape[1]
        T = rows_factor(X, weight, intercept=bool(first), target=y)
        columns, target = T[: first + p, first:-1].copy(), T[: first + p, -1].copy()
        whole, means = target.copy(), np.zeros(p + first)
        if first:
            means[:p] = columns[0] / T[0, 0]
            columns[0], target[0] = 0.0, 0.0
            columns = np.column_stack([columns, np.eye(len(T) - 1)[0] * T[0, 0]])
        inside = Span.of(columns, rows=len(X), noise=noise).left
        rest = target - inside @ (inside.T @ target)
        rss = float(T[-1, -1] ** 2) + float(rest @ rest)
        return cls(places, len(X), columns, target, whole, means, rss, float(T[:, -1] @ T[:, -1]), noise)

    @property
    def terms(self) -> list[str]:
        """The terms but for the intercept, in the order of their first columns."""
        return [term for term in self.places if term != INTERCEPT]

    def adds(self, term: str, others: Sequence[str]) -> tuple[int, float]:
        """Degrees of freedom and sum of squares that a term adds to others."""
        before = np.concatenate([np.empty(0, dtype=np.intp), *(self.places[other] for other in others)])
        extra = added(self.R, self.places[term], before, rows=self.rows, noise=self.noise)
        part = extra.basis.T @ self.right
        return extra.df, float(part @ part)

    def explained_by(self, row: Array) -> tuple[int, float]:
        """Degrees of freedom and sum of squares of c'θ = 0, (u'y)² / u'u with c'θ = u'y, for the row c `(q,)`."""
        row = row - row[self.places[INTERCEPT]] * self.means
        span = Span.of(self.R, rows=self.rows, noise=self.noise)
        row = row / (np.abs(row).max() or 1.0)
        if not span.estimable(row[None])[0]:
            return 0, 0.0
        u = span.left @ span.coordinates(row[None])[:, 0]
        return 1, float((u @ self.whole) ** 2 / (u @ u))

    def table(self, kind: int, parts: Sequence[tuple[str, int, float]]) -> Anova:
        """The rows with their mean squares, F and p; residuals that are rounding alone count as none."""
        df = self.rows - Span.of(self.R, rows=self.rows, noise=self.noise).rank
        rss = self.rss if df > 0 and self.rss > (16.0 * EPS) ** 2 * self.squares else 0.0
        noise = rss / df if rss > 0 else None
        return Anova(
            kind,
            tuple(_row(*part, noise, df) for part in parts),
            AnovaRow("Residuals", df, rss, rss / df if df > 0 else None, None, None),
        )


def _row(term: str, df: int, squares: float, noise: float | None, df_resid: int) -> AnovaRow:
    if df == 0:
        return AnovaRow(term, 0, 0.0, None, None, None)
    if noise is None:
        return AnovaRow(term, df, squares, squares / df, None, None)
    f = squares / df / noise
    return AnovaRow(term, df, squares, squares / df, f, f_tail(df, df_resid, f))
