"""Least squares to some thirty digits: float64 Householder QR as preconditioner, residuals in double-double."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..double_double import PRECISION, Pair

__all__ = ["Refined", "refined_least_squares"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
MOST_STEPS = 60
CONVERGED = 2.0**-103  # corrections of this size are the rounding of double-double itself


@dataclass(frozen=True)
class Refined:
    """The minimizer of Σ w (y - Ab - a)² in the units of A, far beyond float64.

    `coefficients (q, k)`: slopes, then the intercept where there is one; `variances (q,)`: theirs, in units of σ²,
    None where not asked for; `rss (k,)` and `tss (k,)`: Σ w r² and what R² compares it with; `error (q, k)`: how far
    each coefficient may be off, from the last correction; `steps` of refinement taken, `condition` of the centered
    columns scaled to one length.
    """

    coefficients: Pair
    variances: Pair | None
    rss: Pair
    tss: Pair
    error: Array
    steps: int
    condition: float

    @property
    def digits(self) -> float:
        """Significant digits to be trusted in every coefficient, 31 at most."""
        size = np.abs(self.coefficients.hi)
        known = size > self.error
        if not known.any():
            return 31.0
        lost = np.max(self.error[known] / size[known])
        return float(min(31.0, -np.log10(max(lost, 1e-31))))


def refined_least_squares(
    A: Pair, y: Pair, *, intercept: bool = True, weight: Array | None = None, variances: bool = True
) -> Refined | None:
    """Solve min Σ w (y - Ab - a)² for `A (n, p)` of full rank and `y (n, k)`; None if refinement does not converge.

    The augmented system [I A; A' 0] [r; x] = [y; 0] is solved by refinement: A is centered in double-double and its
    columns scaled by powers of two, its QR in float64 gives the corrections, residuals and the solution are kept in
    double-double. Each step gains -log10(κ eps) digits, κ being the condition number of the scaled columns. The
    variance of c'x is ‖r‖² of the solution for [0; -c].

    Björck 1967, Iterative refinement of linear least squares solutions I; Higham, Accuracy and Stability, section 20.5.

    >>> fit = refined_least_squares(Pair.of([[0.0], [1.0], [2.0]]), Pair.of([[1.0], [3.0], [5.0]]))
    >>> fit.coefficients.hi.ravel().tolist(), float(fit.rss.hi[0])
    ([2.0, 1.0], 0.0)
    """
    n, p = A.shape
    root = None if weight is None else Pair.of(weight[:, None]).sqrt()
    center = np.average(A.hi, axis=0, weights=weight) if intercept and n else np.zeros(p)
    B = A - center
    length = np.sqrt(np.sum((B.hi if root is None else B.hi * root.hi) ** 2, axis=0))
    scale = np.exp2(np.round(np.log2(np.where(length > 0, length, 1.0))))
    B = Pair(B.hi / scale, B.lo / scale)
    if intercept:
        B = Pair(np.column_stack([B.hi, np.ones(n)]), np.column_stack([B.lo, np.zeros(n)]))
    system = _System.of(B if root is None else B * root)
    if system is None:
        return None
    solved = system.solve(y if root is None else y * root, None)
    if solved is None:
        return None
    x, r, error, steps = solved
    to_units = _unit_map(center, scale, intercept=intercept)
    variance = system.variances(to_units) if variances else None
    if variances and variance is None:
        return None
    coefficients = Pair.of(to_units).times(x) if not intercept else _in_units(x, center, scale)
    rss = (r * r).sum()
    return Refined(
        coefficients,
        variance,
        rss,
        _total(y, weight, intercept=intercept),
        np.abs(to_units) @ error + PRECISION * np.abs(coefficients.hi),
        steps,
        system.condition,
    )


@dataclass(frozen=True)
class _System:
    """[I A; A' 0] with the QR of A in float64."""

    A: Pair
    Q: Array
    R: Array
    condition: float

    @classmethod
    def of(cls, A: Pair) -> _System | None:
        """None where float64 sees no full rank."""
        if A.shape[0] < A.shape[1]:
            return None
        Q, R = np.linalg.qr(A.hi)
        singular = np.linalg.svd(R, compute_uv=False)
        if not singular.size:
            return cls(A, Q, R, 1.0)
        return None if singular[-1] <= 0.1 * EPS * singular[0] else cls(A, Q, R, float(singular[0] / singular[-1]))

    def solve(self, top: Pair | None, bottom: Array | None) -> tuple[Pair, Pair, Array, int] | None:
        """x, r, the error of x and the number of steps for [top `(n, k)`; bottom `(q, k)`]; None for zeros."""
        from scipy.linalg import solve_triangular

        k = bottom.shape[1] if top is None else top.shape[1]  # type: ignore[union-attr]
        n, q = self.A.shape
        x, r = Pair.of(np.zeros((q, k))), Pair.of(np.zeros((n, k)))
        before, step = np.inf, 0
        while True:
            above = self.A.times(x) + r
            f = -above.hi if top is None else (top - above).hi
            below = self.A.transposed_times(r)
            g = -below.hi if bottom is None else (Pair.of(bottom) - below).hi
            h = solve_triangular(self.R, g, trans="T", check_finite=False) if q else g
            inner = self.Q.T @ f - h
            dx = solve_triangular(self.R, inner, check_finite=False) if q else inner
            x, r, step = x + dx, r + (f - self.Q @ inner), step + 1
            size = np.abs(x.hi).max(axis=0, initial=0.0)
            moved = float(np.max(np.abs(dx).max(axis=0, initial=0.0) / np.where(size > 0, size, 1.0), initial=0.0))
            if not np.isfinite(moved) or step == MOST_STEPS:
                return None
            if moved <= CONVERGED or (step > 2 and moved > 0.5 * before):
                return (x, r, 2.0 * np.abs(dx), step) if moved < 1e-15 else None
            before = moved

    def variances(self, combinations: Array) -> Pair | None:
        """c'(A'A)⁻¹c for each row c of `combinations (m, q)`."""
        size = np.exp2(np.round(np.log2(np.maximum(np.abs(combinations).max(axis=1), 1e-300))))
        solved = self.solve(None, -(combinations / size[:, None]).T)
        if solved is None:
            return None
        r = solved[1]
        v = (r * r).sum()
        return Pair(v.hi * size**2, v.lo * size**2)


def _unit_map(center: Array, scale: Array, *, intercept: bool) -> Array:
    """From the solution in centered, scaled columns to slopes and intercept, `(q, q)`."""
    slopes = np.diag(1.0 / scale)
    if not intercept:
        return slopes
    q = len(scale) + 1
    units = np.zeros((q, q))
    units[:-1, :-1], units[-1, :-1], units[-1, -1] = slopes, -center / scale, 1.0
    return units


def _in_units(x: Pair, center: Array, scale: Array) -> Pair:
    slopes = Pair(x.hi[:-1] / scale[:, None], x.lo[:-1] / scale[:, None])
    bias = x[-1] - (slopes * center[:, None]).sum()
    return Pair(np.vstack([slopes.hi, bias.hi]), np.vstack([slopes.lo, bias.lo]))


def _total(y: Pair, weight: Array | None, *, intercept: bool) -> Pair:
    """Σ w (y - ȳ)², or Σ w y² without an intercept."""
    w = Pair.of(np.ones((len(y), 1)) if weight is None else weight[:, None])
    deviation = y - (w * y).sum() / w.sum() if intercept else y
    return (w * deviation * deviation).sum()
