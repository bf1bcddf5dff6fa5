"""Least squares to some thirty digits: a QR factor gives corrections, residuals are kept in double-double."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..double_double import PRECISION, Pair
from .factors import FloatFactor, PairFactor

__all__ = ["Refined", "refined_least_squares", "refined_ridge"]

Array = NDArray[np.float64]
MOST_STEPS = 60
CONVERGED = 2.0**-103  # corrections of this size are the rounding of double-double itself
SETTLED = 1e-6  # where larger ones no longer shrink, there is no answer


@dataclass(frozen=True)
class Refined:
    """The minimizer of Σ w (y - Ab - a)² in the units of A, far beyond float64.

    `coefficients (q, k)`: slopes, then the intercept where there is one; `variances (q,)`: theirs, in units of σ²,
    None where not asked for, and `variance_error` their relative error; `rss (k,)` and `tss (k,)`: Σ w r² and what R²
    compares it with; `error (q, k)`: how far each coefficient may be off, from the last correction; `steps` of
    refinement taken, `condition` of the centered columns scaled to one length.
    """

    coefficients: Pair
    variances: Pair | None
    variance_error: float
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
    columns scaled by powers of two; its QR in float64 (beyond κ of about 1e15 in double-double) gives the
    corrections, residuals and the solution are kept in double-double. Each step gains -log10(κ eps) digits, κ being
    the condition number of the scaled columns. The variance of c'x is ‖r‖² of the solution for [0; -c].

    Björck 1967, Iterative refinement of linear least squares solutions I; Higham, Accuracy and Stability, section 20.5.

    >>> fit = refined_least_squares(Pair.of([[0.0], [1.0], [2.0]]), Pair.of([[1.0], [3.0], [5.0]]))
    >>> fit.coefficients.hi.ravel().tolist(), bool(fit.rss.hi[0] < 1e-60)
    ([2.0, 1.0], True)
    """
    n, p = A.shape
    root = None if weight is None else Pair.of(weight[:, None]).sqrt()
    center = np.average(A.hi, axis=0, weights=weight) if intercept and A.hi.size else np.zeros(p)
    B = A - center
    length = np.sqrt(np.sum((B.hi if root is None else B.hi * root.hi) ** 2, axis=0))
    scale = np.exp2(np.round(np.log2(np.where(length > 0, length, 1.0))))
    B = Pair(B.hi / scale, B.lo / scale)
    to_units = _unit_map(center, scale, intercept=intercept)
    if intercept:
        B = Pair(np.column_stack([B.hi, np.ones(n)]), np.column_stack([B.lo, np.zeros(n)]))
    y = y if root is None else y * root
    found = _solve(B if root is None else B * root, y, to_units, variances=variances)
    if found is None:
        return None
    solved, spread, condition = found
    coefficients = _in_units(solved.x, center, scale, intercept=intercept)
    error = 4.0 * np.abs(to_units @ solved.dx) + PRECISION * (np.abs(to_units) @ np.abs(solved.x.hi))
    return Refined(
        coefficients,
        None if spread is None else spread[0],
        0.0 if spread is None else spread[1],
        (solved.r * solved.r).sum(),
        _total(y, root, intercept=intercept),
        error,
        solved.steps,
        condition,
    )


def refined_ridge(Z: Pair, y: Pair, penalty: Array, *, weight: Array | None = None) -> Refined | None:
    """The minimizer of Σ w (y - Zθ)² + Σ penalty θ² for `Z (n, q)` with its ones, `y (n, k)`, `penalty (q,)` >= 0.

    The roots of the penalties are rows of their own, as in Björck 1996, section 2.7.2; no variances, and `rss` counts
    the penalty.

    >>> refined_ridge(Pair.of([[1.0], [1.0]]), Pair.of([[2.0], [2.0]]), np.array([2.0])).coefficients.hi.tolist()
    [[1.0]]
    """
    (q, k), roots = (Z.shape[1], y.shape[1]), Pair.of(penalty).sqrt()
    rows = Pair(np.vstack([Z.hi, np.diag(roots.hi)]), np.vstack([Z.lo, np.diag(roots.lo)]))
    target = Pair(np.vstack([y.hi, np.zeros((q, k))]), np.vstack([y.lo, np.zeros((q, k))]))
    w = None if weight is None else np.append(weight, np.ones(q))
    return refined_least_squares(rows, target, intercept=False, weight=w, variances=False)


@dataclass(frozen=True, slots=True)
class _Solved:
    """x `(q, k)` and r `(n, k)`, how much the last step still moved them, and the number of steps."""

    x: Pair
    r: Pair
    dx: Array
    dr: Array
    steps: int


def _solve(
    B: Pair, y: Pair, to_units: Array, *, variances: bool
) -> tuple[_Solved, tuple[Pair, float] | None, float] | None:
    """The solution, the variances of its combinations where wanted, and κ, by the first factor that converges."""
    kinds: tuple[type[FloatFactor | PairFactor], ...] = (FloatFactor, PairFactor)
    for kind in kinds:
        factor = kind.of(B)
        solved = None if factor is None else _refine(B, factor, y, None)
        if factor is None or solved is None:
            continue
        spread = _variances(B, factor, to_units) if variances else None
        if spread is not None or not variances:
            return solved, spread, factor.condition
    return None


def _refine(A: Pair, factor: FloatFactor | PairFactor, top: Pair | None, bottom: Array | None) -> _Solved | None:
    """[I A; A' 0] [r; x] = [top `(n, k)`; bottom `(q, k)`], None for zeros; None where it does not converge."""
    k = bottom.shape[1] if top is None else top.shape[1]  # type: ignore[union-attr]
    n, q = A.shape
    x, r = Pair.of(np.zeros((q, k))), Pair.of(np.zeros((n, k)))
    above, below, before = r, x, np.inf
    for step in range(1, MOST_STEPS):
        if step > 1:
            above, below = A.times(x) + r, A.transposed_times(r)
        dx, dr = factor.correction(-above if top is None else top - above, -below if bottom is None else bottom - below)
        x, r = x + dx, r + dr
        moved = _share(dx.hi, x.hi)
        if moved <= CONVERGED or (step > 2 and moved > 0.5 * before):
            return _Solved(x, r, dx.hi, dr.hi, step) if moved < SETTLED else None
        before = moved
    return None


def _variances(A: Pair, factor: FloatFactor | PairFactor, combinations: Array) -> tuple[Pair, float] | None:
    """c'(A'A)⁻¹c for each row c of `combinations (m, q)`, and their largest relative error."""
    size = np.exp2(np.round(np.log2(np.maximum(np.abs(combinations).max(axis=1), 1e-300))))
    solved = _refine(A, factor, None, -(combinations / size[:, None]).T)
    if solved is None:
        return None
    v = (solved.r * solved.r).sum()
    return Pair(v.hi * size**2, v.lo * size**2), 8.0 * _share(solved.dr, solved.r.hi) + PRECISION


def _share(part: Array, whole: Array) -> float:
    """The largest of the columns' ratios of largest entries."""
    size = np.abs(whole).max(axis=0, initial=0.0)
    return float(np.max(np.abs(part).max(axis=0, initial=0.0) / np.where(size > 0, size, 1.0), initial=0.0))


def _unit_map(center: Array, scale: Array, *, intercept: bool) -> Array:
    """From the solution in centered, scaled columns to slopes and intercept, `(q, q)`."""
    slopes = np.diag(1.0 / scale)
    if not intercept:
        return slopes
    q = len(scale) + 1
    units = np.zeros((q, q))
    units[:-1, :-1], units[-1, :-1], units[-1, -1] = slopes, -center / scale, 1.0
    return units


def _in_units(x: Pair, center: Array, scale: Array, *, intercept: bool) -> Pair:
    slopes = x[: len(scale)]
    slopes = Pair(slopes.hi / scale[:, None], slopes.lo / scale[:, None])
    if not intercept:
        return slopes
    bias = x[-1] - (slopes * center[:, None]).sum()
    return Pair(np.vstack([slopes.hi, bias.hi]), np.vstack([slopes.lo, bias.lo]))


def _total(y: Pair, root: Pair | None, *, intercept: bool) -> Pair:
    """Σ w (y - ȳ)², or Σ w y² without an intercept, of √w y."""
    if intercept:
        ones = Pair.of(np.ones((len(y), 1))) if root is None else root
        y = y - ones * ((ones * y).sum() / (ones * ones).sum())
    return (y * y).sum()
