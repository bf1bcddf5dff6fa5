"""The likelihood of classes as a problem to solve: where its maximum is looked for, what proves it, and its limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ...errors import DataError
from ..blocks import adds_up, every
from .basis import Basis
from .elementary import factored
from .fit import NEGLIGIBLE, ClassFit, Combinations, Separation, null_log_likelihood
from .information import information, overlap_proven, unseen
from .likelihood import Chances, ClassRows, Ridge
from .newton import Descent, descend, polish
from .rounding import basis_rounding, plain_rounding
from .separation import DOUBLES, EXACT, Hyperplane, separating_hyperplane
from .thresholds import threshold_direction

__all__ = ["Problem", "at_infinity", "ridge_of"]

Array = NDArray[np.float64]
FIRST_STEPS, MOST_STEPS = 25, 250  # after the first, separation is looked for before going on
SAMPLE = 20_000  # rows on which the descent of more rows than memory holds begins
MOST_SINGULAR = 500  # coefficients whose condition is found from singular values
MOST_SEARCHED = 200_000  # entries; with a penalty the optimum does not depend on the search


def ridge_of(basis: Basis, classes: int, total: Any, l2: float) -> Ridge | None:
    """The penalty (l2 / 2) ‖W‖² in the coordinates of the basis."""
    if not l2:
        return None
    slopes, m = basis.slopes(), classes - 1
    G = Pair.of(np.eye(m)) - Pair.of(np.full((m, m), float(m > 1))) / float(classes)
    return Ridge(slopes.transposed_times(slopes) * (total * l2), G)


@dataclass(frozen=True)
class Problem:
    """The rows in their basis; `Z (n, q)` are the centered and scaled columns before they are orthonormalized."""

    basis: Basis
    Z: Pair | Any
    rows: ClassRows
    l2: float

    @classmethod
    def of(
        cls, X: Pair, codes: NDArray[np.int64], classes: int, weight: Array | None, intercept: bool, l2: float
    ) -> Problem:
        w = np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=np.float64)
        empty = np.flatnonzero(np.bincount(codes, minlength=classes) == 0)
        if len(empty):
            raise DataError(f"class {empty[0]} has no rows: leave it out")
        basis, Z = Basis.of(X, w, intercept=intercept, ridge=l2 * float(w.sum()))
        ridge = ridge_of(basis, classes, Pair.of(w).sum(), l2)
        return cls(basis, Z, ClassRows(basis.orthonormal(Z), codes, w, classes, ridge), l2)

    def solved(self) -> ClassFit:
        """The minimum, or its limit."""
        return self.penalized() if self.l2 else self.unpenalized()

    def start(self) -> Array:
        """No slopes, and the log odds of the classes as intercepts."""
        theta = np.zeros(self.rows.shape)
        if self.basis.intercept:
            count = np.bincount(self.rows.codes, self.rows.weight)
            theta[-1] = np.log(count[1:] / count[0])
        theta = np.asarray(self.basis.R.hi @ theta)
        return theta if self.rows.at_hand or adds_up(self.Z) else self.sample().arrived(theta)

    def sample(self) -> Problem:
        """That of some rows, in memory."""
        codes, w = self.rows.codes, self.rows.weight
        step = -(-len(codes) // SAMPLE)
        some = codes[::step], w[::step]
        share = None if self.rows.ridge is None else replace(self.rows.ridge, Q=self.rows.ridge.Q / float(step))
        Z = Pair.of(every(self.rows.Z, step))
        return Problem(self.basis, Z, ClassRows(Z, *some, self.rows.classes, share), self.l2)

    def arrived(self, theta: Array) -> Array:
        """Where Newton's method ends on these rows; where it began if they have no maximum."""
        seen = np.bincount(self.rows.codes, minlength=self.rows.classes)
        found = descend(self.rows, theta, most=FIRST_STEPS, separable=True) if seen.all() else None
        return theta if found is None or not found.converged else found.theta.hi

    def penalized(self) -> ClassFit:
        """There is a minimum, whatever the rows."""
        found = polish(self.rows, descend(self.rows, self.start(), most=MOST_STEPS, separable=False))
        hyperplane = None
        if found.every_row_right or self.few:
            hyperplane = self.hyperplane(found)
        separation = None if hyperplane is None else self.separation(hyperplane, self.limit(hyperplane)[1])
        return self.fit(self.rows, found, separation, None)

    def unpenalized(self) -> ClassFit:
        """The maximum where its existence is proven, else separation is looked for, at last up to rounding."""
        at_infinity = self.by_thresholds()
        if at_infinity is not None:
            return at_infinity
        found, hyperplane = descend(self.rows, self.start(), most=FIRST_STEPS, separable=True), None
        for zero, most in ((EXACT, MOST_STEPS), (DOUBLES, 0)):
            if found.converged:
                found = polish(self.rows, found)
                if found.converged and overlap_proven(self.rows, found.point):
                    break
            hyperplane = self.hyperplane(found, zero)
            if hyperplane is not None:
                break
            if not found.converged:
                found = descend(self.rows, found.theta.hi, most=most, separable=True)
        if hyperplane is None:
            return self.fit(self.rows, found, None, None)
        rows, end = self.limit(hyperplane)
        return self.fit(rows, replace(end, steps=found.steps + end.steps), self.separation(hyperplane, end), hyperplane)

    def by_thresholds(self) -> ClassFit | None:
        """Of many rows whose classes thresholds of single columns separate, and, as is proven, nothing else does."""
        if self.few:
            return None
        known = threshold_direction(self.Z, self.rows.codes, self.rows.classes, intercept=self.basis.intercept)
        if known is None:
            return None
        direction, separated = known
        opened = unseen(replace(self.rows, allowed=~separated))
        if opened is None:
            return None
        inner = np.linalg.solve(np.kron(np.eye(self.rows.shape[1]), self.basis.R.hi), opened)
        hyperplane = Hyperplane(direction, separated, np.linalg.qr(inner)[0])
        rows, end = self.limit(hyperplane, separable=True)
        nothing_left = opened.shape[1] == len(opened)
        if not end.converged or not (nothing_left or overlap_proven(rows, end.point)):
            return None
        return self.fit(rows, end, self.separation(hyperplane, end), hyperplane)

    @property
    def few(self) -> bool:
        """Whether the search for a hyperplane takes no time."""
        return self.rows.at_hand and self.Z.shape[0] * self.rows.shape[0] * self.rows.shape[1] <= MOST_SEARCHED

    def hyperplane(self, found: Descent, zero: float = EXACT) -> Hyperplane | None:
        """The separating hyperplane in the coordinates of Z."""
        known = None
        if found.every_row_right:
            known = np.asarray(np.linalg.solve(self.basis.R.hi, found.theta.hi), dtype=np.float64)
        own = self.rows.over(lambda s, _: [_own(self.rows.chances(found.point, s), self.rows.codes[s])])
        return separating_hyperplane(
            self.Z, self.rows.codes, np.concatenate(own), self.rows.classes, intercept=self.basis.intercept, zero=zero,
            known=known,
        )  # fmt: skip

    def limit(self, hyperplane: Hyperplane, *, separable: bool = False) -> tuple[ClassRows, Descent]:
        """The fit of what lies on the hyperplane, which may be `separable` itself; entries of θ that change nothing
        there are held at zero.
        """
        from scipy.linalg import qr

        q, m = self.rows.shape
        opened = np.concatenate([self.basis.R.hi @ part for part in hyperplane.open.reshape(m, q, -1)])
        held = qr(opened.T, mode="r", pivoting=True)[1][: opened.shape[1]]
        free = np.setdiff1d(np.arange(q * m), held)
        rows = replace(self.rows, ridge=None, allowed=~hyperplane.separated, free=free)
        zero = np.zeros((q, m))
        if not len(free):
            return rows, Descent(Pair.of(zero), rows.at(zero), zero, 0)
        end = descend(rows, zero, most=FIRST_STEPS if separable else MOST_STEPS, separable=separable)
        return rows, end if separable and not end.converged else polish(rows, end)

    def separation(self, hyperplane: Hyperplane, limit: Descent) -> Separation:
        """In the units of X."""
        codes, K, p = self.rows.codes, self.rows.classes, len(self.basis.scale)
        T, D = self.basis.to_units, hyperplane.direction
        direction = T @ D
        direction = np.where(np.abs(direction) > NEGLIGIBLE * (np.abs(T) @ np.abs(D)), direction, 0.0)
        share = np.array([[hyperplane.separated[codes == a, b].mean() for b in range(K)] for a in range(K)])
        both = [(a, b, share[a, b] + share[b, a]) for a in range(K) for b in range(a + 1, K)]
        return Separation(
            "complete" if hyperplane.complete else "quasi",
            direction / np.abs(direction[:p]).max(initial=0.0),
            tuple(np.flatnonzero(D[:p].any(axis=1)).tolist()),
            int((hyperplane.separated.sum(axis=1) < K - 1).sum()),
            tuple((a, b) for a, b, s in both if s > 0.0),
            tuple((a, b) for a, b, s in both if s == 2.0),
            0.0 - limit.point.value,
        )

    def fit(
        self, rows: ClassRows, found: Descent, separation: Separation | None, hyperplane: Hyperplane | None
    ) -> ClassFit:
        """The answer in the units of X."""
        H = information(rows, found.point)
        L = factored(H)
        if found.error is None or L is None:
            raise DataError(
                "the likelihood cannot be maximized in double precision: its information is singular to rounding; "
                "leave out columns that others nearly determine, or ask for a penalty l2"
            )
        (q, m), total = rows.shape, float(rows.weight.sum())
        plain = information(rows, found.point, penalized=False) if self.l2 else None
        free = np.arange(q * m) if rows.free is None else rows.free
        opened = np.zeros((q * m, 0)) if hyperplane is None else hyperplane.open
        opened = np.where(np.abs(opened) > NEGLIGIBLE, opened, 0.0)
        combinations = Combinations(self.basis, found.theta, L, plain, free, opened)
        std_errors = combinations.std_errors(Pair.of(np.eye(q * m).reshape(q * m, q, m))).reshape(q, m)
        coefficients = self.basis.in_units(found.theta)
        if adds_up(self.Z):
            rounding = plain_rounding(rows, L.hi, found.point, found.theta.hi, self.inexact())
            plain_units = 2.0**-52 * np.abs(self.basis.to_units) @ np.abs(found.theta.hi)
        else:
            rounding = basis_rounding(rows, self.basis.R.hi, L.hi, found.point, found.theta.hi)
            plain_units = np.zeros((q, m))
        error = self.basis.in_units_error(found.error + rounding, found.theta.hi) + plain_units
        if hyperplane is not None and separation is not None:
            lost = np.isnan(std_errors.hi)
            coefficients, error = at_infinity(coefficients, separation.direction, lost), np.where(lost, np.nan, error)
        return ClassFit(
            coefficients,
            std_errors,
            error,
            0.0 - (found.point.value if not self.l2 else _unpenalized(rows, found)),
            null_log_likelihood(np.bincount(rows.codes, rows.weight), intercept=self.basis.intercept),
            float(np.linalg.norm(self.basis.gradient(rows.placed(rows.flat(found.point.gradient.hi))))) / total,
            found.steps,
            self.condition(L.hi, free),
            separation,
            Chances(rows, found.point) if found.point.P is None else found.point.P.hi,
            combinations,
            self.basis.intercept,
            self.l2,
            len(rows.codes),
            total,
        )

    def inexact(self) -> NDArray[np.intp]:
        """The columns that may be rounded, of rows whose indicators are not: all others but the ones."""
        Z: Any = self.Z
        return np.asarray(Z.numbers[: -1 if self.basis.intercept else None])

    def condition(self, L: Array, free: NDArray[np.intp]) -> float:
        """Of the information (R ⊗ I)'LL'(R ⊗ I) with its diagonal scaled to one."""
        m = self.rows.shape[1]
        F = L.T @ np.kron(np.eye(m), self.basis.R.hi)[free]
        length = np.sqrt((F**2).sum(axis=0))
        if len(F) > MOST_SINGULAR:
            F = F / np.where(length > 0, length, 1.0)
            ends = np.linalg.eigvalsh(F @ F.T)
            return float(ends[-1] / ends[0]) if ends[0] > 0 else float("inf")
        singular = np.linalg.svd(F / np.where(length > 0, length, 1.0), compute_uv=False)
        return float((singular[0] / singular[-1]) ** 2) if len(free) else 1.0


def _own(P: Array, codes: NDArray[np.int64]) -> Array:
    return np.asarray(np.take_along_axis(P, codes[:, None], axis=1)[:, 0])


def _unpenalized(rows: ClassRows, found: Descent) -> float:
    """What the objective is without its penalty."""
    if rows.at_hand or rows.ridge is None:
        return replace(rows, ridge=None).measured(found.theta).value
    return found.point.value - rows.ridge.value(found.theta)


def at_infinity(coefficients: Pair, direction: Array, lost: NDArray[np.bool_]) -> Pair:
    """±inf along the direction, NaN where it has no part in what is open."""
    end = np.where(direction > 0, np.inf, np.where(direction < 0, -np.inf, np.nan))
    return Pair(np.where(lost, end, coefficients.hi), np.where(lost, 0.0, coefficients.lo))
