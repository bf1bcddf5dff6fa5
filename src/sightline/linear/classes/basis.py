"""Columns centered, scaled and orthonormalized in double-double, so that what is fitted in them is well conditioned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ...errors import DataError
from ..derived import Derived
from .elementary import MOST_WORK, solve_lower, solved

__all__ = ["CACHED", "Basis", "precise_size"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
CACHED = 8192  # numbers at a time: the operations of double-double then stay in the cache
MOST_ENTRIES = 1_000_000


def precise_size(n: int, q: int) -> bool:
    """Whether n rows of q columns are few enough for double-double arithmetic: some seconds."""
    return n * q <= MOST_ENTRIES and n * q * q <= MOST_WORK


@dataclass(frozen=True)
class Basis:
    """Z R⁻¹ with Z = [(X - center) / scale, 1], the scales powers of two, and Z'WZ (+ the ridge) = R'R.

    What is linear in orthonormal coordinates θ̃ `(q, m)` goes back to the units of X by `in_units`; a combination c'θ in
    the units of X is `combination(c)`'θ̃. Solving with R is backward stable row by row, so a condition number κ of Z
    costs log10 κ of the 31 digits, where normal equations in Z would cost twice that.
    """

    center: Array
    scale: Array
    R: Pair
    intercept: bool

    @classmethod
    def of(cls, X: Pair, weight: Array, *, intercept: bool, ridge: float = 0.0) -> tuple[Basis, Pair]:
        """The basis for `X (n, p)` and `weight (n,)`, and Z `(n, q)`; Z'WZ has `ridge` times the squared slopes.

        Raises DataError where columns are linearly dependent: leave one of them out.
        """
        n, p = X.shape
        center = np.average(X.hi, axis=0, weights=weight) if intercept else np.zeros(p)
        B = X - center
        top = np.abs(B.hi).max(axis=0, initial=0.0)
        top[top == 0] = 1.0  # so that squares neither vanish nor overflow
        size = top * np.sqrt(np.average((B.hi / top) ** 2, axis=0, weights=weight))
        scale = np.exp2(np.round(np.log2(np.where(size > 0, size, 1.0))))
        Z = Pair(B.hi / scale, B.lo / scale)
        if intercept:
            Z = Pair(np.column_stack([Z.hi, np.ones(n)]), np.column_stack([Z.lo, np.zeros(n)]))
        rows = Z.hi * np.sqrt(weight)[:, None]
        if ridge:
            rows = np.vstack([rows, np.sqrt(ridge) * np.eye(p, Z.shape[1]) / np.append(scale, 1.0)[: Z.shape[1]]])
        R = np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)
        _refuse_dependent(R, n)
        return cls(center, scale, Pair.of(R), intercept), Z

    @classmethod
    def of_factor(cls, R: Array, mass: float, *, rows: int, intercept: bool, ridge: float = 0.0) -> Basis:
        """The same from the triangular factor `R (q, q)` of √w [1 X], or of √w X, for weights with the sum `mass`."""
        first, p = int(intercept), R.shape[1] - int(intercept)
        center = R[0, 1:] / R[0, 0] if intercept else np.zeros(p)
        inner = R[first:, first:]
        size = np.sqrt((inner**2).sum(axis=0) / mass)
        scale = np.exp2(np.round(np.log2(np.where(size > 0, size, 1.0))))
        Z = np.zeros((p + first, p + first))
        Z[:p, :p] = inner / scale
        if intercept:
            Z[p, p] = np.sqrt(mass)
        if ridge:
            Z = np.linalg.qr(
                np.vstack([Z, np.sqrt(ridge) * np.eye(p, p + first) / np.append(scale, 1.0)[: p + first]])
            )[1]
        _refuse_dependent(Z, rows)
        return cls(center, scale, Pair.of(Z), intercept)

    def rows_of(self, X: Any, *, orthonormal: bool) -> Derived:
        """Z, or Z R⁻¹, of rows `X (n, p)` of which only blocks are in memory."""
        from scipy.linalg import solve_triangular

        def made(rows: Array) -> Array:
            Z = (rows - self.center) / self.scale
            if self.intercept:
                Z = np.column_stack([Z, np.ones(len(Z))])
            if not orthonormal:
                return Z
            return np.asarray(solve_triangular(self.R.hi, Z.T, trans="T", check_finite=False).T)

        return Derived(X, made, len(self.R))

    def orthonormal(self, Z: Pair) -> Pair:
        """Z R⁻¹, `(n, q)`."""
        from scipy.linalg import solve_triangular

        n, q = Z.shape
        if not precise_size(n, q):
            return Pair.of(solve_triangular(self.R.hi, Z.hi.T, trans="T", check_finite=False).T)
        lower, step = Pair(self.R.hi.T, self.R.lo.T), max(CACHED // max(q, 1), 64)
        parts = [solve_lower(lower, Pair(Z.hi[i : i + step].T, Z.lo[i : i + step].T)) for i in range(0, n, step)]
        return Pair(np.concatenate([b.hi.T for b in parts]), np.concatenate([b.lo.T for b in parts]))

    @property
    def to_units(self) -> Array:
        """The map `(q, q)` from coefficients of Z to slopes and intercept in the units of X, in float64."""
        q, p = len(self.R), len(self.scale)
        T = np.eye(q)
        T[:p, :p] /= self.scale
        if self.intercept:
            T[p, :p] = -self.center / self.scale
        return T

    def slopes(self) -> Pair:
        """The map from θ̃ to the slopes in the units of X, `(p, q)`."""
        p = len(self.scale)
        inverse = solved(self.R, Pair.of(np.eye(len(self.R))), lower=False)
        return Pair(inverse.hi[:p] / self.scale[:, None], inverse.lo[:p] / self.scale[:, None])

    def in_units(self, theta: Pair) -> Pair:
        """Slopes and then the intercept in the units of X, from θ̃ `(q, m)`."""
        z, p = solved(self.R, theta, lower=False), len(self.scale)
        slopes = Pair(z.hi[:p] / self.scale[:, None], z.lo[:p] / self.scale[:, None])
        if not self.intercept:
            return slopes
        bias = z[p] - (slopes * self.center[:, None]).sum()
        return Pair(np.vstack([slopes.hi, bias.hi]), np.vstack([slopes.lo, bias.lo]))

    def in_units_error(self, error: Array, theta: Array) -> Array:
        """How far `in_units` may be off, for `error (q, m)` of θ̃ and the rounding of the basis."""
        z, unit = np.abs(np.linalg.solve(self.R.hi, theta)), 2.0**-102
        across = np.abs(self.to_units @ np.linalg.inv(self.R.hi))
        return np.asarray(across @ (error + unit * np.abs(self.R.hi) @ z) + unit * np.abs(self.to_units) @ z)

    def combination(self, c: Pair) -> Pair:
        """R⁻ᵀ times the combinations `c (r, q)` of coefficients in the units of X, shape `(q, r)`."""
        p = len(self.scale)
        slopes = c[:, :p] - c[:, p:] * self.center if self.intercept else c
        hi = np.column_stack([slopes.hi / self.scale, c.hi[:, p:]])
        lo = np.column_stack([slopes.lo / self.scale, c.lo[:, p:]])
        return solved(Pair(self.R.hi.T, self.R.lo.T), Pair(hi.T, lo.T), lower=True)

    def gradient(self, g: Array) -> Array:
        """A gradient `(q, m)` in θ̃ as one in the units of X."""
        return np.asarray(np.linalg.solve(self.to_units.T, self.R.hi.T @ g))


def _refuse_dependent(R: Array, n: int) -> None:
    q = R.shape[1]
    length = np.sqrt((R**2).sum(axis=0))
    singular = np.linalg.svd(R / np.where(length > 0, length, 1.0), compute_uv=False)
    rank = int((singular > 0.1 * EPS * singular[:1].sum()).sum()) if (length > 0).all() else int((length > 0).sum())
    if rank < q:
        raise DataError(
            f"only {rank} of the {q} columns of the design are linearly independent on its {n} rows: "
            "leave out those that the others determine"
        )
