"""The truth of a logistic or softmax model: the maximum of its likelihood, or the word that it has none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answer import Pairs, independent
from .data.design import Design
from .data.table import names_of
from .double_double import Pair
from .linear.classes.basis import precise_size
from .linear.classes.curvature import class_curvature
from .linear.classes.fit import ClassFit
from .linear.classes.robust import robust_class_covariance
from .linear.classes.softmax import softmax_optimum
from .linear.classes.statistics import ClassStatistics, class_statistics
from .linear.exact import least_squares
from .linear.inference import infer
from .records import Coefficient, Warning
from .rows import Rows
from .settings import RunSettings
from .truth import collinear
from .verdict import about_constant
from .words import count, plain

__all__ = ["ClassTruth"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClassTruth:
    """The optimum of the mean negative log-likelihood (+ l2 ‖W‖² / 2 in training coordinates).

    `estimates` and `std_errors (q', m)` are in the units of the data, slopes of the `kept` columns and then the
    intercept, of the second class against the first, or of each other class against it. The columns that are not kept
    are constant or combinations of these; `groups` names the collinear ones. `digits` can be trusted.
    """

    design: Design
    fit: ClassFit
    estimates: Pair
    std_errors: Pair
    digits: float
    kept: NDArray[np.intp]
    groups: tuple[tuple[str, ...], ...]
    rows: Rows
    settings: RunSettings

    @classmethod
    def of(cls, design: Design, rows: Rows, settings: RunSettings, *, pairs: Pairs) -> ClassTruth:
        """Maximize, with the standard errors that the settings ask for."""
        exact = least_squares(rows.X, rows.y, intercept=design.intercept, weight=rows.weight, noise=design.noise)
        varying = ~np.isin(design.encoding.terms, design.constant)
        kept = np.flatnonzero(varying) if settings.l2 else independent(rows, exact, intercept=design.intercept)
        kept = kept[varying[kept]]
        groups = tuple(collinear(design, exact)) if len(kept) < int(varying.sum()) else ()
        center, scale = np.zeros(len(kept)), np.ones(len(kept))
        if settings.l2:  # the penalty is defined in training coordinates
            center, scale = design.center[kept], design.scale[kept]
        fit = softmax_optimum(
            (pairs()[0][:, kept] - center) / Pair.of(scale), rows.y.astype(np.int64), len(design.classes),
            intercept=design.intercept, weight=rows.weight, l2=settings.l2 or 0.0,
        )  # fmt: skip
        units, shape = _unit_map(center, scale, intercept=design.intercept), fit.coefficients.shape
        combinations = _for_each_class(units, shape[1])
        estimates, digits = fit.coefficients, fit.digits
        if settings.l2:
            estimates, digits = fit.estimate(combinations).reshape(*shape), digits - _lost(units, estimates)
        if settings.robust is None and rows.cluster is None:
            errors = fit.combinations.std_errors(combinations)
        else:
            V = _robust(fit, rows, settings, combinations, (_in_units(design, rows, kept) - center) / scale)
            errors = Pair.of(np.sqrt(np.diag(V)))
        return cls(design, fit, estimates, errors.reshape(*shape), digits, kept, groups, rows, settings)

    def covariance(self, combinations: Array) -> Array:
        """Cov `(r, r)` of sums of coefficients in the units of the data, of the kind asked for, without a penalty.

        `combinations (r, q m)` are in the order of the table; those of columns that were left out must be zero.
        """
        terms, m = list(self.design.terms), len(self.design.classes) - 1
        order = [terms.index(name) for name in self.terms]
        c = Pair.of(np.moveaxis(combinations.reshape(len(combinations), m, len(terms)), 1, 2)[:, order])
        if self.settings.robust is None and self.rows.cluster is None:
            return self.fit.covariance(c)
        return _robust(self.fit, self.rows, self.settings, c, _in_units(self.design, self.rows, self.kept))

    @property
    def terms(self) -> list[str]:
        """The terms of the fit: kept columns, then the intercept."""
        return [*(self.design.encoding.terms[j] for j in self.kept), *["Intercept"][: int(self.design.intercept)]]

    @cached_property
    def statistics(self) -> ClassStatistics:
        """Deviance, likelihood-ratio test, information criteria."""
        return class_statistics(self.fit)

    @property
    def loss(self) -> float:
        """The mean negative log-likelihood at the optimum (its infimum where classes are separated)."""
        return 0.0 - self.fit.log_likelihood / self.fit.total

    @property
    def accuracy(self) -> dict[str, Any]:
        """To how many digits the exact column holds, and how it was found."""
        path = "double-double" if precise_size(self.fit.rows, len(self.terms)) else "float64"
        reason = f"Newton's method, {count(self.fit.steps, 'step')}; condition {self.fit.condition:.3g}"
        return {"digits": round(self.digits, 1), "path": path, "reason": reason}

    def curvature(self) -> dict[str, float | None]:
        """At the optimum, in training coordinates: a larger rate than 2 / max circles around it instead of settling."""
        Z = self.rows.X[:, self.kept]
        ridge = np.full(Z.shape[1], self.fit.l2)
        if self.design.intercept:
            Z, ridge = np.column_stack([Z, np.ones(len(Z))]), np.append(ridge, 0.0)
        values = class_curvature(Z, self.fit.probabilities, weight=self.rows.weight, ridge=ridge)
        largest = float(values[0]) if len(values) else 0.0
        least = float(values[values > 1e-14 * largest][-1]) if largest else 0.0
        if not largest:
            return dict.fromkeys(("min", "max", "condition", "lr_limit"))
        return {"min": least, "max": largest, "condition": largest / least, "lr_limit": 2.0 / largest}

    def coefficients(self) -> list[Coefficient]:
        """The table of the second class against the first, or of each other class against it, one after the other."""
        estimates, errors = self.estimates, self.std_errors
        at = {name: i for i, name in enumerate(self.terms)}
        table = []
        for k, label in enumerate(self.design.classes[1:]):
            for term in self.design.terms:
                name = f"{label}: {term}" if len(self.design.classes) > 2 else term
                if term in at:
                    table.append(self._line(name, estimates[at[term], k], errors[at[term], k]))
                else:
                    table.append(Coefficient(name, None, None, None, None, None, None, None, None))
        return table

    def _line(self, name: str, estimate: Pair, error: Pair) -> Coefficient:
        """NaN, which no value is better than another, is None; a coefficient at infinity has no standard error."""
        value = None if math.isnan(estimate.hi) else estimate.digits(self.digits)[0]
        if value is None or math.isinf(value):
            return Coefficient(name, value, value, None, None, None, None, None, None)
        classical = self.settings.robust is None and self.rows.cluster is None
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
        return [*found, *self._separation()]

    def _separation(self) -> list[Warning]:
        s = self.fit.separation
        if s is None:
            return []
        columns, labels = [self.design.encoding.terms[self.kept[j]] for j in s.columns], self.design.classes
        which = "the classes" if len(labels) == 2 else f"some of the classes ({self._pairs(s.pairs)})"
        if s.kind == "complete":
            how = "completely: every row is on the side of its own class"
        elif s.pairs == s.whole_pairs:
            how = "completely"
        elif len(labels) > 2:  # rows of other classes are on the boundary too
            how = "but for rows on the boundary itself"
        else:
            how = f"but for {count(s.overlap, 'row')} on the boundary itself"
        separates = f"{names_of(columns[:6])}{', ...' * (len(columns) > 6)} separate{'s' * (len(columns) == 1)}"
        lead = f"{separates} {which}{self._boundary(s.direction, columns)} {how}"
        if self.fit.l2:
            return [Warning("SL-SEPARATED", f"{lead}; only the penalty keeps the coefficients finite")]
        text = f"{lead}, so the likelihood grows for ever along it and coefficients go to infinity: the limit is shown"
        fix = ("--l2 0.01  # a penalty keeps them finite", f"remove {columns[0]} from the formula")
        return [Warning("SL-SEPARABLE", text, fix)]

    def _boundary(self, direction: Array, columns: list[str]) -> str:
        """The equation of the hyperplane between two classes, where it is short."""
        if direction.shape[1] > 1 or len(columns) > 3 or not self.design.intercept or self.fit.l2:
            return ""
        slopes = direction[np.flatnonzero(direction[:-1, 0]), 0]
        text = ""
        for v, name in zip(slopes.tolist(), columns, strict=True):
            sign = (" - " if v < 0 else " + ") if text else "-" if v < 0 else ""
            text += sign + ("" if abs(v) == 1.0 else f"{plain(abs(v))} ") + name
        return f" at {text} = {plain(0.0 - float(direction[-1, 0]))}"

    def _pairs(self, pairs: tuple[tuple[int, int], ...]) -> str:
        labels = self.design.classes
        named = [f"{labels[a]} from {labels[b]}" for a, b in pairs]
        return ", ".join(named[:4]) + (", ..." if len(named) > 4 else "")


def _in_units(design: Design, rows: Rows, kept: NDArray[np.intp]) -> Array:
    return np.asarray(rows.X[:, kept] * design.scale[kept] + design.center[kept])


def _robust(fit: ClassFit, rows: Rows, settings: RunSettings, combinations: Pair, X: Array) -> Array:
    kind = "cluster" if rows.cluster is not None else str(settings.robust).lower()
    codes = rows.y.astype(np.int64)
    return robust_class_covariance(
        fit, X, codes, combinations=combinations, kind=kind, weight=rows.weight, clusters=rows.cluster
    )


def _unit_map(center: Array, scale: Array, *, intercept: bool) -> Pair:
    """The map `(q', q')` from slopes and then the intercept in these coordinates to those in the units of the data."""
    p = len(scale)
    q = p + int(intercept)
    slope = Pair.of(1.0) / Pair.of(scale)
    T = Pair(np.eye(q), np.zeros((q, q)))
    T.hi[range(p), range(p)], T.lo[range(p), range(p)] = slope.hi, slope.lo
    if intercept:
        shift = slope * -center
        T.hi[p, :p], T.lo[p, :p] = shift.hi, shift.lo
    return T


def _for_each_class(T: Pair, m: int) -> Pair:
    """The combinations `(q m, q, m)` of every coefficient of every class, coefficient after coefficient."""
    q = len(T)
    hi, lo = np.zeros((q, m, q, m)), np.zeros((q, m, q, m))
    for k in range(m):
        hi[:, k, :, k], lo[:, k, :, k] = T.hi, T.lo
    return Pair(hi.reshape(q * m, q, m), lo.reshape(q * m, q, m))


def _lost(T: Pair, theta: Pair) -> float:
    """Digits that the map loses where large terms cancel."""
    parts, sums = np.abs(T.hi) @ np.abs(theta.hi), np.abs(T.hi @ theta.hi)
    return max(0.0, float(np.log10(np.max(parts / np.maximum(sums, 1e-300), initial=1.0))))
