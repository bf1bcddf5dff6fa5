"""The truth of any other objective: absolute, Huber, Poisson, Gaussian, hinge losses, and whatever has a lasso."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .answer import determined_columns
from .data.design import Design
from .data.table import names_of
from .errors import UsageError
from .linear.curvature import Curvature
from .linear.exact import EPS
from .linear.inference import infer
from .linear.objective import Objective
from .linear.optimum import Optimum, optimum
from .linear.optimum.inference import Covariance, covariance
from .linear.optimum.result import trusted
from .linear.optimum.statistics import LossStatistics, loss_statistics
from .parameters import Layout
from .records import Coefficient, Direction, Warning
from .rows import Rows
from .settings import RunSettings
from .truth import about_constant, collinear, directions_of

__all__ = ["GeneralTruth"]

Array = NDArray[np.float64]
KINKED = ("l1", "hinge")


@dataclass(frozen=True)
class GeneralTruth:
    """The minimum of an objective, found in training coordinates in float64."""

    quadratic: ClassVar[bool] = False

    layout: Layout
    objective: Objective
    found: Optimum
    data: Rows
    settings: RunSettings

    @classmethod
    def of(cls, layout: Layout, objective: Objective, rows: Rows, settings: RunSettings) -> GeneralTruth:
        """Minimize the very objective that is trained.

        Raises UsageError for standard errors that are not known of it.
        """
        if settings.robust is not None and settings.robust.lower() not in ("hc0", "hc1"):
            raise UsageError(f"--robust {settings.robust} is known for least squares and for classes: use hc0 or hc1")
        return cls(layout, objective, optimum(objective, noise=layout.design.rounding), rows, settings)

    @property
    def design(self) -> Design:
        """The design of the columns."""
        return self.layout.design

    @property
    def smooth(self) -> bool:
        """Whether the loss of a row has no kinks; those of a lasso are taken by the proximal step."""
        return self.layout.loss not in KINKED

    @property
    def optimum(self) -> Array | None:
        """θ*, None where the loss falls for ever."""
        return self.found.theta if self.found.finite else None

    @property
    def limit(self) -> Array:
        """θ*, or that of the rows that do not move."""
        return self.found.limit

    @property
    def loss(self) -> float:
        """The mean loss there, without penalties."""
        return self.found.loss

    @cached_property
    def covariance(self) -> Covariance:
        """Of θ, of the kind that the settings ask for, or that the loss has."""
        clusters, robust = self.data.cluster, self.settings.robust
        kind = "cluster" if clusters is not None else None if robust is None else robust.lower()
        return covariance(self.objective, self.found, kind=kind, clusters=clusters, total=self._total)

    @property
    def _total(self) -> float | None:
        """The sum of the rows' weights, as given."""
        return None if self.data.weight is None else float(self.data.weight.sum())

    @cached_property
    def _statistics(self) -> LossStatistics:
        return loss_statistics(self.objective, self.found, total=self._total)

    @property
    def statistics(self) -> dict[str, Any]:
        """Those of the public contract, None where this loss has none; what the standard errors are, or why not."""
        none = dict.fromkeys(("sigma", "r2", "adj_r2", "f", "f_p"))
        return {
            **none,
            **asdict(self._statistics),
            "errors": self.covariance.kind,
            "normal": self.covariance.df is None,
            "why": self.covariance.reason,
        }

    @property
    def baseline(self) -> float:
        """The loss of the best constant."""
        return self._statistics.baseline_loss

    @property
    def scale(self) -> float:
        """The baseline; of likelihoods, whose zero means nothing, how far it is above the optimum, if that is more."""
        return max(abs(self.baseline), self.baseline - self.loss)

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.data)

    @property
    def rank(self) -> int:
        """How many coefficients the rows determine."""
        return self.rows - self.df

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return self._statistics.df_resid

    @property
    def accuracy(self) -> dict[str, Any]:
        """To how many digits the exact column holds, and how it was found."""
        U = self.layout.map_units()
        known = not np.isinf(self.found.error).any()
        error = np.abs(U) @ self.found.error + 4.0 * EPS * np.abs(U) @ np.abs(self.found.limit) if known else None
        digits = 0.0 if error is None else trusted(U @ self.found.limit, error)
        return {"digits": round(digits, 1), "path": self.found.path, "reason": self.found.reason}

    @cached_property
    def curvature(self) -> Curvature:
        """At the optimum, of the parameters that a lasso has not put to zero."""
        point = self.found.limit
        if not self.objective.lasso.any():
            return self.objective.curvature(point)
        free = (point != 0.0) | (self.objective.lasso == 0.0)
        return Curvature.of_hessian(self.objective.hessian(point) * np.outer(free, free))

    def excess(self, theta: Array) -> float:
        """The objective at θ above its optimum, or its infimum."""
        if self.optimum is None:
            return self.objective.value(theta) - self.found.value
        return self.objective.excess(theta, self.optimum)

    def resolution(self, eps: float = EPS) -> float:
        """What rounding of the rows' losses can move, and what is not known of the optimum."""
        rounding = self.objective.loss.largest_rounding(self.found.limit, eps)
        moved = rounding**2 if self.smooth else rounding
        return 4.0 * eps * self.scale + self.found.gap + moved

    def directions(self, contraction: Array | None) -> list[Direction]:
        """Each direction that the data determine, at the optimum."""
        known = self.smooth and self.optimum is not None
        return directions_of(self.curvature, self.layout, contraction) if known else []

    def covariance_factor(self) -> None:
        """Intervals of predictions are those of least squares."""

    def coefficients(self, estimate: Array | None = None) -> list[Coefficient]:
        """The table, with standard errors where the loss has them."""
        if estimate is None:
            return list(self._table)
        return [self._reached(c, at) for c, at in zip(self._table, estimate.tolist(), strict=True)]

    def _reached(self, c: Coefficient, at: float) -> Coefficient:
        if c.exact is None:
            return c
        off_by = (at - c.exact) / c.std_error if c.std_error and math.isfinite(at) else None
        return replace(c, estimate=at, off_by=off_by)

    @cached_property
    def _table(self) -> tuple[Coefficient, ...]:
        U = self.layout.map_units()
        exact = U @ self.found.limit
        if len(self.found.at_infinity):
            away = (self.found.at_infinity @ U.T).sum(axis=0)
            exact = np.where(np.abs(away) > 1e-9 * np.abs(away).max(), np.copysign(np.inf, away), exact)
        errors = self._errors(U)
        terms = self.design.terms
        table = []
        for j, (name, value, error) in enumerate(zip(self.layout.names, exact.tolist(), errors, strict=True)):
            if terms[j % len(terms)] in self.design.constant:
                table.append(Coefficient(name, None, None, None, None, None, None, None, None))
                continue
            i = infer(value, error if math.isfinite(value) else None, df=self.covariance.df, level=self.settings.level)
            table.append(Coefficient(name, value, value, i.std_error, i.t, i.p, i.low, i.high, 0.0 if error else None))
        return tuple(table)

    def _errors(self, U: Array) -> list[float | None]:
        C = self.covariance.matrix
        if C is None:
            return [None] * len(U)
        return [math.sqrt(v) if v > 0 else None for v in ((U @ C) * U).sum(axis=1).tolist()]

    def warnings(self) -> list[Warning]:
        """What to know about columns and rows."""
        return [*map(about_constant, self.design.constant), *self._about_columns(), *self._about_answer()]

    def _about_columns(self) -> list[Warning]:
        if self.found.unique or not self.found.finite:
            return []
        rows, design = self.data, self.design
        exact = determined_columns(design, rows)
        if exact.rank >= len(design.terms) - len(design.constant):
            text = f"more than one set of coefficients has the smallest {self.layout.loss} loss: one of them is shown"
            return [Warning("SL-FLAT", text, ("add --l2 0.001, which makes the answer unique",))]
        return [
            Warning(
                "SL-COLLINEAR",
                f"columns {', '.join(group)} are collinear: one is a combination of the others, so their coefficients "
                "are not determined; the solution of least norm is shown",
                (f"remove {group[-1]} from the formula",),
            )
            for group in collinear(design, exact)
        ]

    def _about_answer(self) -> list[Warning]:
        if self.found.finite:
            return []
        gone = [c.term for c in self._table if c.exact is not None and math.isinf(c.exact)]
        text = (
            f"the loss falls for ever as {names_of(gone[:6])}{', ...' * (len(gone) > 6)} go to infinity: the limit is "
            "shown"
        )
        slopes = self.layout.outputs * len(self.design.encoding.terms)
        helps = not self.objective.penalized and bool(self.found.at_infinity[:, :slopes].any(axis=1).all())
        remedy = (
            "--l2 0.01  # a penalty keeps them finite"
            if helps
            else "name another target: this one leaves nothing to fit"
        )
        return [Warning("SL-INFINITE", text, (remedy,))]
