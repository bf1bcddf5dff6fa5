"""The truth beside the training: exact answer, curvature and inference, computed before the first epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answer import Answer, Pairs, answer, estimable
from .data.design import Design
from .digits import Digits
from .double_double import Pair
from .linear.curvature import Curvature, epochs_per_digit, epochs_per_factor
from .linear.exact import Exact
from .linear.inference import FitStatistics, fit_statistics, infer, sigma, standard_errors
from .linear.robust import cluster_sizes, robust_covariance, robust_df
from .records import Coefficient, Direction
from .rows import Rows
from .settings import RunSettings

__all__ = ["Truth", "collinear"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What is known of a linear model without training it; `exact` and `curvature` are in training coordinates."""

    design: Design
    answer: Answer
    curvature: Curvature
    errors: tuple[float | None, ...]
    df: float | None
    level: float = 0.95

    @classmethod
    def of(cls, design: Design, rows: Rows, settings: RunSettings, *, decay: float = 0.0, pairs: Pairs | None) -> Truth:
        """Solve the very objective that is trained: `decay` on all parameters, l2 on all but the intercept."""
        penalty = np.full(len(design.terms), decay + (settings.l2 or 0.0))
        if design.intercept:
            penalty[-1] = decay
        found = answer(design, rows, pairs, penalty)
        exact = found.exact
        errors, df = _errors(design, rows, found, settings)
        return cls(design, found, Curvature.of(exact.R, rows=len(rows), rank=exact.rank), errors, df, settings.level)

    @property
    def exact(self) -> Exact:
        """The optimum in training coordinates."""
        return self.answer.exact

    @property
    def accuracy(self) -> dict[str, Any]:
        """To how many digits the exact column holds, and how it was found."""
        a = self.answer
        return {"digits": round(a.digits, 1), "path": a.path, "reason": a.reason}

    @cached_property
    def statistics(self) -> FitStatistics:
        """Fit statistics of the exact optimum."""
        return fit_statistics(self.exact)

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
            i = infer(value, error if self.estimable[term] else None, df=self.df, level=self.level)
            known = np.isfinite(at) and i.std_error
            off_by = (at - value) / i.std_error if known and i.std_error else None
            table.append(Coefficient(term, at, value, i.std_error, i.t, i.p, i.low, i.high, off_by))
        return table

    def directions(self, contraction: Array | None) -> list[Direction]:
        """Each direction that the data determine, steepest first, at most 100; `contraction (rank,)` is per epoch,
        None if unknown.
        """
        names = [*self.design.encoding.terms, *(["Intercept"] if self.design.intercept else [])]
        found = []
        for i in range(min(self.curvature.rank, 100)):
            factor = math.inf if contraction is None else float(contraction[i])
            times = [epochs_per_factor(factor), epochs_per_digit(factor)]
            constant, digit = (time if math.isfinite(time) else None for time in times)
            parts = zip(names, self.curvature.directions[i].tolist(), strict=True)
            found.append(Direction(float(self.curvature.eigenvalues[i]), constant, digit, dict(parts)))
        return found

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

    def collinear(self) -> list[tuple[str, ...]]:
        """Groups of terms that say the same."""
        return collinear(self.design, self.exact)


def collinear(design: Design, exact: Exact) -> list[tuple[str, ...]]:
    """The columns that take part in each direction which the data leave open."""
    free = exact.directions[exact.rank :]
    names = [*design.encoding.terms, *(["Intercept"] if design.intercept else [])]
    groups = []
    for direction in _sparse_basis(free):
        group = tuple(names[j] for j in np.flatnonzero(np.abs(direction) > 1e-6 * np.abs(direction).max()))
        if not (len(group) == 1 and group[0] in design.constant):
            groups.append(group)
    return groups


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
    s = sigma(exact)
    if found.variances is None or not isinstance(s, Digits):
        return tuple(standard_errors(exact, list(design.unit_map))), free
    errors = (Pair.of(s) * found.variances.sqrt()).digits(min(found.digits, s.trusted or 0.0))
    return tuple(errors), free


def _robust_errors(
    design: Design, rows: Rows, found: Answer, settings: RunSettings
) -> tuple[tuple[float | None, ...], float]:
    exact = found.exact
    Z = np.column_stack([rows.X, np.ones(len(rows))]) if design.intercept else rows.X
    kind = "cluster" if rows.cluster is not None else str(settings.robust).lower()
    V = robust_covariance(
        Z,
        rows.y - Z @ exact.theta,
        kind=kind,
        combinations=design.unit_map,
        weight=rows.weight,
        clusters=rows.cluster,
        rank=exact.rank,
        penalty=exact.penalty * (exact.mass / 2.0) if exact.penalized else None,
    )
    groups = None if rows.cluster is None else cluster_sizes(rows.cluster).count
    df = robust_df(len(rows), exact.rank, clusters=groups)
    return tuple(float(v) for v in np.sqrt(np.diag(V))), float(df)


def _sparse_basis(free: Array) -> Array:
    """The same directions with as many zeros as elimination gives, so that each names only the columns it needs."""
    basis = free.copy()
    row = 0
    for column in reversed(range(basis.shape[1] if len(basis) else 0)):
        if row == len(basis):
            break
        pivot = row + int(np.argmax(np.abs(basis[row:, column])))
        if abs(basis[pivot, column]) < 1e-8:
            continue
        basis[[row, pivot]] = basis[[pivot, row]]
        basis[row] /= basis[row, column]
        others = np.arange(len(basis)) != row
        basis[others] -= np.outer(basis[others, column], basis[row])
        row += 1
    return basis
