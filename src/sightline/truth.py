"""The truth beside the training: exact answer, curvature and inference, computed before the first epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .linear.curvature import Curvature, epochs_per_digit, epochs_per_factor
from .linear.exact import Exact, least_squares
from .linear.inference import FitStatistics, fit_statistics, infer
from .records import Coefficient, Direction
from .rows import Rows

__all__ = ["Truth"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What is known of a linear model without training it; `exact` and `curvature` are in training coordinates."""

    design: Design
    exact: Exact
    curvature: Curvature
    level: float = 0.95

    @classmethod
    def of(cls, design: Design, rows: Rows, *, weight_decay: float = 0.0, level: float = 0.95) -> Truth:
        """Solve the very objective that is trained."""
        exact = least_squares(rows.X, rows.y, intercept=design.intercept, weight_decay=weight_decay, noise=design.noise)
        return cls(design, exact, Curvature.of(exact.R, rows=len(rows), rank=exact.rank), level)

    @cached_property
    def statistics(self) -> FitStatistics:
        """Fit statistics of the exact optimum."""
        return fit_statistics(self.exact)

    @cached_property
    def estimable(self) -> dict[str, bool]:
        """Whether the data determine the coefficient of each term."""
        scaled = self.design.unit_map / self.exact.scale
        scaled[:, [self.design.encoding.terms.index(name) for name in self.design.constant]] = 0.0  # they stay at zero
        scaled = scaled / np.maximum(np.abs(scaled).max(axis=1, keepdims=True), np.finfo(float).tiny)
        free = self.exact.directions[self.exact.rank :] @ scaled.T
        part = np.abs(free).max(axis=0, initial=0.0)
        return {
            term: bool(size < 1e-8) and term not in self.design.constant
            for term, size in zip(self.design.terms, part, strict=True)
        }

    def coefficients(self, estimate: Array | None = None) -> list[Coefficient]:
        """The table in the units of the data; `estimate (q,)` are trained coefficients in units, None for the
        exact ones.
        """
        exact = self.design.in_units(self.exact.theta)
        estimates: Sequence[float | None] = [float(v) for v in (exact if estimate is None else estimate)]
        inferred = infer(self.exact, list(self.design.unit_map), [float(v) for v in exact], level=self.level)
        table = []
        for term, reached, i in zip(self.design.terms, estimates, inferred, strict=True):
            if term in self.design.constant:
                table.append(Coefficient(term, None, None, None, None, None, None, None, None))
            elif not self.estimable[term]:
                table.append(Coefficient(term, reached, i.estimate, None, None, None, None, None, None))
            else:
                known = reached is not None and np.isfinite(reached) and i.estimate is not None and i.std_error
                off_by = (reached - i.estimate) / i.std_error if known else None  # type: ignore[operator]
                table.append(Coefficient(term, reached, i.estimate, i.std_error, i.t, i.p, i.low, i.high, off_by))
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
        """F `(rank, q)` with F'F = (Z'Z)⁻¹ in training coordinates, for prediction intervals; None for very wide
        designs.

        The leverage of a row z is ‖F z‖², which loses cond(Z) digits and is never negative; z'(Z'Z)⁻¹z loses cond(Z)².
        """
        e = self.exact
        if len(e.theta) > 500:
            return None
        return np.asarray((e.directions[: e.rank] / e.scale) / e.singular[: e.rank, None])

    def collinear(self) -> list[tuple[str, ...]]:
        """Groups of terms that say the same: the columns that take part in each direction which the data leave open."""
        free = self.exact.directions[self.exact.rank :]
        names = [*self.design.encoding.terms, *(["Intercept"] if self.design.intercept else [])]
        groups = []
        for direction in _sparse_basis(free):
            group = tuple(names[j] for j in np.flatnonzero(np.abs(direction) > 1e-6 * np.abs(direction).max()))
            if not (len(group) == 1 and group[0] in self.design.constant):
                groups.append(group)
        return groups


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
