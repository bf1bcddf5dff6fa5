"""The truth of a logistic or softmax model: the maximum of its likelihood, or the word that it has none."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .answer import determined_columns
from .answer_of_many import Pairs
from .coded_blocks import by_codes
from .coded_classes import fit_of_codes
from .data.design import Design
from .double_double import Pair
from .linear.classes.basis import precise_size
from .linear.classes.curvature import class_curvature
from .linear.classes.fit import ClassFit
from .linear.classes.problem import at_infinity
from .linear.classes.robust import robust_class_covariance
from .linear.classes.softmax import softmax_of_blocks, softmax_optimum
from .linear.classes.statistics import class_statistics
from .linear.classes.units import for_each_class, lost_digits, unit_map
from .linear.curvature import Curvature
from .linear.derived import LastRead, columns_of
from .linear.exact import EPS
from .linear.inference import infer
from .linear.objective import Objective
from .parameters import Layout
from .records import Coefficient, Direction, Warning
from .rows import Rows
from .separation_words import separation_warnings
from .settings import RunSettings
from .truth import about_constant, collinear, directions_of
from .words import count

__all__ = ["ClassTruth"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClassTruth:
    """The optimum of the mean negative log-likelihood (+ l2 ‖W‖² / 2 in training coordinates).

    `estimates` and `std_errors (q', m)` are in the units of the data, slopes of the `kept` columns and then the
    intercept, of the second class against the first, or of each other class against it. The columns that are not kept
    are constant or combinations of these; `groups` names the collinear ones. `digits` can be trusted.
    """

    quadratic: ClassVar[bool] = False
    smooth: ClassVar[bool] = True

    layout: Layout
    objective: Objective
    fit: ClassFit
    estimates: Pair
    std_errors: Pair
    digits: float
    kept: NDArray[np.intp]
    groups: tuple[tuple[str, ...], ...]
    data: Rows
    settings: RunSettings

    @classmethod
    def of(
        cls, layout: Layout, objective: Objective, rows: Rows, settings: RunSettings, *, pairs: Pairs | None
    ) -> ClassTruth:
        """Maximize, with the standard errors that the settings ask for; without `pairs` in training coordinates, block
        by block.
        """
        design, l2 = layout.design, _penalty(layout, settings)
        determined = determined_columns(design, rows)
        if rows.on_disk and not determined.counted:
            rows = replace(rows, X=LastRead(rows.X))  # type: ignore[arg-type]
        varying = ~np.isin(design.encoding.terms, design.constant)
        kept = np.flatnonzero(varying) if l2 else determined.kept
        kept = kept[varying[kept]]
        groups = tuple(collinear(design, determined)) if len(kept) < int(varying.sum()) else ()
        placed = bool(l2) or pairs is None  # in training coordinates, where the penalty is defined
        center, scale = design.center[kept] * placed, design.scale[kept] if placed else np.ones(len(kept))
        K, codes = len(design.classes), _codes(rows, len(design.classes))
        if determined.counted:
            fit = fit_of_codes(
                rows.blocks.picked(kept), determined.factor(kept), codes, K, intercept=design.intercept,
                weight=rows.weight, l2=l2,
            )  # fmt: skip
        elif pairs is None:
            fit = softmax_of_blocks(
                columns_of(rows.X, kept), determined.factor(kept), codes, K, intercept=design.intercept,
                weight=rows.weight, l2=l2,
            )  # fmt: skip
        else:
            columns = pairs()[0][:, kept]
            fit = softmax_optimum(
                (columns - center) / Pair.of(scale) if l2 else columns, codes, K, intercept=design.intercept,
                weight=rows.weight, l2=l2,
            )  # fmt: skip
        units, shape = unit_map(center, scale, intercept=design.intercept), fit.coefficients.shape
        combinations = for_each_class(units, shape[1])
        estimates, digits = fit.coefficients, fit.digits
        if placed:
            estimates, digits = fit.estimate(combinations).reshape(*shape), digits - lost_digits(units, estimates)
        if fit.separation is not None and not l2 and pairs is None:
            fit = replace(fit, separation=fit.separation.mapped(units.hi))
            assert fit.separation is not None
            estimates = at_infinity(estimates, fit.separation.direction, np.isnan(estimates.hi))
        if settings.robust is None and rows.cluster is None:
            errors = fit.combinations.std_errors(combinations)
        else:
            V = _robust(fit, rows, settings, combinations, _columns(design, rows, kept, l2=bool(l2)))
            errors = Pair.of(np.sqrt(np.diag(V)))
        return cls(layout, objective, fit, estimates, errors.reshape(*shape), digits, kept, groups, rows, settings)

    def covariance(self, combinations: Array) -> Array:
        """Cov `(r, r)` of sums of coefficients in the units of the data, of the kind asked for, without a penalty.

        `combinations (r, q m)` are in the order of the table; those of columns that were left out must be zero.
        """
        terms, m = list(self.design.terms), len(self.design.classes) - 1
        order = [terms.index(name) for name in self.terms]
        c = Pair.of(np.moveaxis(combinations.reshape(len(combinations), m, len(terms)), 1, 2)[:, order])
        if self.data.on_disk:  # whose fit is in training coordinates
            scale, center = self.design.scale[self.kept], self.design.center[self.kept]
            units = unit_map(center, scale, intercept=self.design.intercept).hi
            c = Pair.of(np.einsum("rqm,qt->rtm", c.hi, units))
        if self.settings.robust is None and self.data.cluster is None:
            return self.fit.covariance(c)
        return _robust(self.fit, self.data, self.settings, c, _columns(self.design, self.data, self.kept, l2=False))

    @property
    def terms(self) -> list[str]:
        """The terms of the fit: kept columns, then the intercept."""
        return [*(self.design.encoding.terms[j] for j in self.kept), *["Intercept"][: int(self.design.intercept)]]

    @property
    def design(self) -> Design:
        """The design of the columns."""
        return self.layout.design

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Deviance, likelihood-ratio test, information criteria; None for what only numbers have."""
        none = dict.fromkeys(("sigma", "r2", "adj_r2", "f", "f_p"))
        return {**none, **asdict(class_statistics(self.fit))}

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return int(self.statistics["df_resid"])

    @property
    def baseline(self) -> float:
        """The loss of always predicting the shares of the classes."""
        return float(self.statistics["baseline_loss"])

    @property
    def scale(self) -> float:
        """The baseline."""
        return self.baseline

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.data)

    @property
    def rank(self) -> int:
        """How many coefficients the rows determine."""
        return int(self.fit.coefficients.hi.size)

    @property
    def loss(self) -> float:
        """The mean negative log-likelihood at the optimum (its infimum where classes are separated)."""
        return 0.0 - self.fit.log_likelihood / self.fit.total

    @property
    def accuracy(self) -> dict[str, Any]:
        """To how many digits the exact column holds, and how it was found."""
        precise = precise_size(self.fit.rows, len(self.terms)) and not self.data.on_disk
        path = "double-double" if precise else "float64"
        reason = f"Newton's method, {count(self.fit.steps, 'step')}; condition {self.fit.condition:.3g}"
        return {"digits": round(self.digits, 1), "path": path, "reason": reason}

    @cached_property
    def optimum(self) -> Array | None:
        """θ* in training coordinates; None where classes are separated."""
        if self.fit.separation is not None and not self.fit.l2:
            return None
        return self.layout.from_table(np.array([0.0 if c.exact is None else float(c.exact) for c in self._table]))

    @property
    def limit(self) -> Array | None:
        """θ*."""
        return self.optimum

    @cached_property
    def curvature(self) -> Curvature:
        """At the optimum: a rate above 2 / λmax circles around it instead of settling."""
        return class_curvature(
            by_codes(self.data.X), self.fit.probabilities, intercept=self.design.intercept, scores=self.layout.outputs,
            weight=self.data.weight, ridge=self.objective.ridge,
        )  # fmt: skip

    def excess(self, theta: Array) -> float:
        """The objective at θ above its optimum, or its infimum."""
        if self.optimum is not None:
            return self.objective.excess(theta, self.optimum)
        return self.objective.value(theta) - self.loss

    def resolution(self, eps: float = EPS) -> float:
        """Rounding of the probabilities of the rows moves the loss by as much."""
        return 4.0 * eps * self.baseline

    def directions(self, contraction: Array | None) -> list[Direction]:
        """Each direction that the data determine, at the optimum."""
        return directions_of(self.curvature, self.layout, contraction) if self.optimum is not None else []

    def covariance_factor(self) -> None:
        """Intervals are for predictions of a number."""

    def coefficients(self, estimate: Array | None = None) -> list[Coefficient]:
        """The table of the second class against the first, or of each other class against it, one after the other."""
        if estimate is None:
            return list(self._table)
        open_terms = {name for group in self.groups for name in group}
        found = []
        for c, at in zip(self._table, estimate.tolist(), strict=True):
            known = c.std_error and c.exact is not None and c.term.rpartition(": ")[2] not in open_terms
            off_by = (at - float(c.exact or 0.0)) / float(c.std_error or 1.0) if known and math.isfinite(at) else None
            constant = c.term.rpartition(": ")[2] in self.design.constant
            found.append(replace(c, estimate=None if constant else at, off_by=off_by))
        return found

    @cached_property
    def _table(self) -> tuple[Coefficient, ...]:
        at, terms = {name: i for i, name in enumerate(self.terms)}, self.design.terms
        table = []
        for j, name in enumerate(self.layout.names):
            k, term = j // len(terms), terms[j % len(terms)]
            if term in at:
                table.append(self._line(name, self.estimates[at[term], k], self.std_errors[at[term], k]))
            else:
                table.append(Coefficient(name, None, None, None, None, None, None, None, None))
        return tuple(table)

    def _line(self, name: str, estimate: Pair, error: Pair) -> Coefficient:
        """NaN, which no value is better than another, is None; a coefficient at infinity has no standard error."""
        value = None if math.isnan(estimate.hi) else estimate.digits(self.digits)[0]
        if value is None or math.isinf(value):
            return Coefficient(name, value, value, None, None, None, None, None, None)
        classical = self.settings.robust is None and self.data.cluster is None
        std_error = error.digits(self.digits)[0] if classical else float(error.hi)  # robust ones are doubles
        i = infer(value, std_error, df=None, level=self.settings.level)
        return Coefficient(name, value, value, i.std_error, i.t, i.p, i.low, i.high, 0.0 if i.std_error else None)

    def warnings(self) -> list[Warning]:
        """What to know about the columns and the classes."""
        found = [about_constant(name) for name in self.design.constant]
        for group in self.groups:
            text = (
                f"columns {', '.join(group)} are collinear: one is a combination of the others, and those without a "
                "coefficient were left out"
            )
            found.append(Warning("SL-COLLINEAR", text, (f"remove {group[-1]} from the formula",)))
        columns = [self.design.encoding.terms[j] for j in self.kept]
        return [*found, *separation_warnings(self.fit, columns, self.design.classes)]


def _penalty(layout: Layout, settings: RunSettings) -> float:
    """The ridge on the coefficients of one class against another: two scores ±w/2 are penalized half as much as one w
    would be.
    """
    both = layout.outputs == 2
    return (settings.l2 or 0.0) / (2.0 if both else 1.0)


def _codes(rows: Rows, classes: int) -> NDArray[Any]:
    """The class of each row, `(n,)`: of rows on the disk in as few bytes as hold it."""
    return np.asarray(rows.y).astype(np.min_scalar_type(classes) if rows.on_disk else np.int64)


def _columns(design: Design, rows: Rows, kept: NDArray[np.intp], *, l2: bool) -> Any:
    """These columns as they were fitted: in training coordinates with a penalty and on the disk, else in units."""
    if rows.on_disk:
        return columns_of(rows.X, kept)
    return rows.X[:, kept] if l2 else rows.X[:, kept] * design.scale[kept] + design.center[kept]


def _robust(fit: ClassFit, rows: Rows, settings: RunSettings, combinations: Pair, X: Array) -> Array:
    kind = "cluster" if rows.cluster is not None else str(settings.robust).lower()
    codes = _codes(rows, fit.coefficients.shape[1] + 1)
    return robust_class_covariance(
        fit, X, codes, combinations=combinations, kind=kind, weight=rows.weight, clusters=rows.cluster
    )
