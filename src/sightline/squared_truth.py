"""The truth of least squares: the optimum in closed form, a curvature that is the same everywhere, inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .answer import answer, estimable
from .answer_of_many import Answer, Pairs
from .coded_robust import robust_of_blocks
from .data.design import Design
from .digits import Digits
from .double_double import Pair
from .linear.curvature import Curvature
from .linear.exact import EPS, Exact
from .linear.inference import fit_statistics, infer, sigma, standard_errors
from .linear.objective import Objective
from .linear.robust import cluster_sizes, robust_covariance, robust_df
from .linear.wide import Triangle
from .parameters import Layout
from .records import Coefficient, Direction, Warning
from .rows import Rows
from .settings import RunSettings
from .truth import about_constant, collinear, directions_of
from .words import count

__all__ = ["SquaredTruth"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SquaredTruth:
    """The optimum of the mean squared error (+ ridge); `exact` and `curvature` are in training coordinates."""

    quadratic: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    layout: Layout
    objective: Objective
    answer: Answer
    curvature: Curvature
    errors: tuple[float | None, ...]
    error_df: float | None
    level: float = 0.95

    @classmethod
    def of(
        cls, layout: Layout, objective: Objective, rows: Rows, settings: RunSettings, *, pairs: Pairs | None
    ) -> SquaredTruth:
        """Solve the very objective that is trained."""
        design = layout.design
        found = answer(design, rows, pairs, objective.ridge, device=settings.device)
        curvature = _curvature(found.exact)
        errors, df = _errors(design, rows, found, settings)
        return cls(layout, objective, found, curvature, errors, df, settings.level)

    @property
    def design(self) -> Design:
        """The design of the columns."""
        return self.layout.design

    @property
    def exact(self) -> Exact:
        """The optimum in training coordinates."""
        return self.answer.exact

    @property
    def optimum(self) -> Array:
        """θ* of the objective."""
        return self.exact.theta

    @property
    def limit(self) -> Array:
        """θ* too."""
        return self.exact.theta

    @property
    def loss(self) -> float:
        """Mean squared error there."""
        return self.exact.loss

    @property
    def baseline(self) -> float:
        """Mean squared error of always predicting the mean."""
        return self.exact.baseline

    @property
    def scale(self) -> float:
        """The baseline."""
        return self.baseline

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.exact.rows

    @property
    def rank(self) -> int:
        """How many directions the rows determine."""
        return self.exact.rank

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return int(self.statistics["df_resid"])

    def excess(self, theta: Array) -> float:
        """The objective at θ above its optimum, without cancellation."""
        return self.exact.objective_excess(theta)

    def resolution(self, eps: float = EPS) -> float:
        """What arithmetic with this machine epsilon can tell from zero."""
        return self.exact.resolution(eps)

    @property
    def accuracy(self) -> dict[str, Any]:
        """To how many digits the exact column holds, and how it was found."""
        a = self.answer
        return {"digits": round(a.digits, 1), "path": a.path, "reason": a.reason}

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Fit statistics of the exact optimum."""
        return asdict(fit_statistics(self.exact))

    @cached_property
    def estimable(self) -> dict[str, bool]:
        """Whether the data determine the coefficient of each term."""
        return dict(zip(self.design.terms, estimable(self.design, self.exact).tolist(), strict=True))

    def coefficients(self, estimate: Array | None = None) -> list[Coefficient]:
        """The table in the units of the data; `estimate (q,)` are trained coefficients in units, None for the
        exact ones.
        """
        exact = self.answer.coefficients
        reached: Sequence[float] = exact if estimate is None else [float(v) for v in estimate]
        table = []
        for term, at, value, error in zip(self.design.terms, reached, exact, self.errors, strict=True):
            if term in self.design.constant:
                table.append(Coefficient(term, None, None, None, None, None, None, None, None))
                continue
            i = infer(value, error if self.estimable[term] else None, df=self.error_df, level=self.level)
            known = np.isfinite(at) and i.std_error
            off_by = (at - value) / i.std_error if known and i.std_error else None
            table.append(Coefficient(term, at, value, i.std_error, i.t, i.p, i.low, i.high, off_by))
        return table

    def directions(self, contraction: Array | None) -> list[Direction]:
        """Each direction that the data determine, with the epochs that it needs."""
        return directions_of(self.curvature, self.layout, contraction)

    def covariance_factor(self) -> Array | None:
        """F `(rank, q)` with F'F the covariance of θ in units of σ², for intervals; None for very wide designs.

        F'F = (Z'WZ)⁻¹, with a penalty (Z'WZ + P)⁻¹ Z'WZ (Z'WZ + P)⁻¹. The variance of a row z is ‖F z‖²: this loses
        cond(Z) digits and is never negative, while z'(Z'WZ)⁻¹z loses cond(Z)².
        """
        e = self.exact
        if len(e.theta) > 500:
            return None
        per_weight = math.sqrt(e.rows / e.mass)  # R has weights of mean 1
        factor = (e.directions[: e.rank] / e.scale) / e.singular[: e.rank, None]
        if e.penalized:  # F'F = G'G (Z'WZ) G'G with Z'WZ = R'R - P
            values, vectors = np.linalg.eigh(np.eye(e.rank) - factor * (e.rows / 2.0 * e.penalty) @ factor.T)
            factor = (vectors * np.sqrt(np.maximum(values, 0.0))) @ (vectors.T @ factor)
        return np.asarray(factor * per_weight)

    def warnings(self) -> list[Warning]:
        """What to know about columns and rows."""
        return [*map(about_constant, self.design.constant), *self._about_columns(), *self._about_rows()]

    def _about_columns(self) -> list[Warning]:
        e = self.exact
        if e.rank >= min(e.rows, len(self.design.terms) - len(self.design.constant)):
            return []
        return [
            Warning(
                "SL-COLLINEAR",
                f"columns {', '.join(group)} are collinear: one is a combination of the others, so their "
                "coefficients are not determined; the solution of least norm is shown",
                (f"remove {group[-1]} from the formula",),
            )
            for group in collinear(self.design, e)
        ]

    def _about_rows(self) -> list[Warning]:
        n, q = self.exact.rows, len(self.design.terms) - len(self.design.constant)
        if n > q:
            return []
        lead = f"{count(n, 'row')} for {q} coefficients: "
        many = "many exact fits exist, and the one of least norm is shown"
        text = lead + (many if n < q else "the fit goes through every point, and no error can be estimated")
        return [Warning("SL-FEWROWS", text, ("use more rows or fewer columns",))]


def _curvature(exact: Exact) -> Curvature:
    """Of all directions, or of very many columns the steepest and the flattest alone."""
    geometry = exact.geometry
    if isinstance(geometry, Triangle):
        return Curvature.of_ends(*geometry.curvature(exact.rows))
    return Curvature.of(exact.factor, rows=exact.rows, rank=exact.rank)


def _errors_of_many(design: Design, exact: Exact, geometry: Triangle) -> list[float | None]:
    """As `standard_errors`: the variances of all slopes at once, in units, and that of the intercept."""
    s = sigma(exact)
    assert s is not None
    slopes = np.sqrt(geometry.slope_variances * (exact.rows / exact.mass)) / design.scale
    found: list[float | None] = (s * slopes).tolist()
    if not design.intercept:
        return found
    at_zero = np.append(-design.center / design.scale, 1.0)
    return [s * math.sqrt(exact.variance(at_zero)), *found]


def _errors(
    design: Design, rows: Rows, found: Answer, settings: RunSettings
) -> tuple[tuple[float | None, ...], float | None]:
    """Standard errors in the units of the data, in the order of the terms, and their degrees of freedom."""
    exact = found.exact
    free = exact.rows - exact.rank
    if free <= 0:
        return (None,) * len(design.terms), None
    if settings.robust is not None or rows.cluster is not None:
        return _robust_errors(design, rows, found, settings)
    s, geometry = sigma(exact), exact.geometry
    if isinstance(geometry, Triangle) and not exact.penalized:
        return tuple(_errors_of_many(design, exact, geometry)), free
    if found.variances is None or not isinstance(s, Digits):
        return tuple(standard_errors(exact, list(design.unit_map))), free
    errors = (Pair.of(s) * found.variances.sqrt()).digits(min(found.digits, s.trusted or 0.0))
    return tuple(errors), free


def _robust_errors(
    design: Design, rows: Rows, found: Answer, settings: RunSettings
) -> tuple[tuple[float | None, ...], float]:
    exact = found.exact
    kind = "cluster" if rows.cluster is not None else str(settings.robust).lower()
    V = _robust_covariance(design, rows, exact, kind)
    groups = None if rows.cluster is None else cluster_sizes(rows.cluster).count
    df = robust_df(len(rows), exact.rank, clusters=groups)
    return tuple(float(v) for v in np.sqrt(np.diag(V))), float(df)


def _robust_covariance(design: Design, rows: Rows, exact: Exact, kind: str) -> Array:
    if rows.on_disk:
        return robust_of_blocks(rows, exact, kind, design.unit_map, rows.cluster)
    Z = np.column_stack([rows.X, np.ones(len(rows))]) if design.intercept else rows.X
    return robust_covariance(
        Z,
        rows.y - Z @ exact.theta,
        kind=kind,
        combinations=design.unit_map,
        weight=rows.weight,
        clusters=rows.cluster,
        rank=exact.rank,
        penalty=exact.penalty * (exact.mass / 2.0) if exact.penalized else None,
    )
