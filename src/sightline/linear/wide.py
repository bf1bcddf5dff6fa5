"""Least squares of many columns from their moments: one Cholesky factor instead of singular values, where it exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import one_blas_thread
from .exact import EPS, Exact, ScaledFactor, Spectrum, put_together, scaled_svd
from .from_moments import STEEP, Residuals, descend, sums_at
from .moments import Moments

__all__ = ["Triangle", "least_squares_by_eigenvalues", "least_squares_of_many_columns"]

Array = NDArray[np.float64]
CORRECTIONS = 2  # by the gradient that a pass over the rows measures
AT_ONCE = 256  # columns of an inverse that are held at a time
CLOSE = 1e-5  # of the largest and the smallest singular value, relative


@dataclass(frozen=True)
class Triangle:
    """The geometry of R = [[U D, 0], [√n x̄', √n]] (without an intercept U D alone) of full rank, where D is diagonal
    and C = U'U has ones on its diagonal.

    `both (p, p)` holds U⁻¹, and C below its diagonal: one matrix where there would be several. `lengths (p,)` are D.
    R itself, singular values and directions are found only when someone asks for them.
    """

    both: Array
    lengths: Array
    mean: Array | None
    root: float

    @cached_property
    def factor(self) -> Array:
        """The factor `(q, q)` of [X 1]."""
        from scipy.linalg.lapack import dpotrf

        p = len(self.lengths)
        C = np.array(self.both.T, order="F")
        C[np.diag_indices(p)] = 1.0
        upper = dpotrf(C, clean=1, overwrite_a=1)[0]
        upper *= self.lengths
        if self.mean is None:
            return np.asarray(upper)
        R = np.zeros((p + 1, p + 1), order="F")
        R[:p, :p], R[p, :p], R[p, p] = upper, self.root * self.mean, self.root
        return R

    def stretched(self, v: Array) -> Array:
        """R v."""
        from scipy.linalg.blas import dtrsv

        p = len(self.lengths)
        slopes = dtrsv(self.both, self.lengths * v[:p])
        return slopes if self.mean is None else np.append(slopes, self.root * (self.mean @ v[:p] + v[p]))

    @cached_property
    def scale(self) -> Array:
        """The lengths of the columns of R."""
        if self.mean is None:
            return self.lengths
        return np.asarray(np.sqrt(np.append(self.lengths**2 + (self.root * self.mean) ** 2, self.root**2)))

    @cached_property
    def spectrum(self) -> ScaledFactor:
        """All singular values and directions."""
        return scaled_svd(self.factor, len(self.scale), None)

    @property
    def singular(self) -> Array:
        """Singular values of R with its columns divided by their lengths."""
        return self.spectrum.singular

    @property
    def directions(self) -> Array:
        """Their directions, in rows."""
        return self.spectrum.directions

    def condition(self, rank: int) -> float:
        """The condition number of R with columns of one length."""
        del rank  # it is full
        high, low = self.extremes
        return float(np.sqrt(high / low))

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The largest and the smallest eigenvalue of R'R with columns of one length."""
        scale = self.scale
        return self._extremes(lambda v: v / scale)

    def curvature(self, rows: int) -> tuple[float, float]:
        """The same of the Hessian 2 R'R / n itself."""
        scale = self.scale
        same = np.ptp(scale) <= 1e-12 * scale[0]  # of standardized columns
        found = np.array(self.extremes) * scale[0] ** 2 if same else np.array(self._extremes(lambda v: v))
        high, low = (2.0 / rows * found).tolist()
        return high, low

    def _extremes(self, scaled: Callable[[Array], Array]) -> tuple[float, float]:
        """By Lanczos' method, of R'R and of its inverse; `scaled` divides by what the columns are divided by."""
        from scipy.sparse.linalg import LinearOperator, eigsh

        q = len(self.scale)
        unscaled = 1.0 / scaled(np.ones(q))
        start = np.random.default_rng(0).normal(size=q)
        found = []
        for product in (
            lambda v: scaled(self._product(scaled(v))),
            lambda v: self.solve(v * unscaled) * unscaled,
        ):
            operator = LinearOperator((q, q), matvec=product, dtype=np.float64)
            found.append(float(eigsh(operator, k=1, which="LA", v0=start, tol=CLOSE, return_eigenvectors=False)[0]))
        return found[0], 1.0 / found[1]

    def _product(self, v: Array) -> Array:
        """R'R v."""
        from scipy.linalg.blas import dsymv

        p, lengths = len(self.lengths), self.lengths
        x = lengths * v[:p]
        slopes = lengths * (dsymv(1.0, self.both, x, lower=1) + (1.0 - np.diag(self.both)) * x)
        if self.mean is None:
            return np.asarray(slopes)
        last = self.root**2 * (self.mean @ v[:p] + v[p])
        return np.append(slopes + last * self.mean, last)

    def half(self, combination: Array, rank: int) -> Array:
        """v = R'⁻¹ c, so that v'v = c'(R'R)⁻¹c."""
        del rank
        if self.mean is None:
            return self._inverse(combination / self.lengths, transposed=True)
        p = len(self.lengths)
        slopes = self._inverse((combination[:p] - self.mean * combination[p]) / self.lengths, transposed=True)
        return np.append(slopes, combination[p] / self.root)

    def back(self, v: Array, rank: int) -> Array:
        """R⁻¹ v."""
        del rank
        p = len(self.lengths)
        slopes = self._inverse(v[:p]) / self.lengths
        return slopes if self.mean is None else np.append(slopes, v[p] / self.root - self.mean @ slopes)

    def _inverse(self, v: Array, *, transposed: bool = False) -> Array:
        """U⁻¹ v, or U'⁻¹ v."""
        from scipy.linalg.blas import dtrmv

        return np.asarray(dtrmv(self.both, v, trans=int(transposed)))

    def slopes(self, right: Array) -> Array:
        """(D C D)⁻¹ `right`, of centered columns."""
        return np.asarray(self._inverse(self._inverse(right / self.lengths, transposed=True)) / self.lengths)

    def solve(self, right: Array) -> Array:
        """(R'R)⁻¹ `right`."""
        return self.back(self.half(right, 0), 0)

    @cached_property
    def slope_variances(self) -> Array:
        """The diagonal of (D C D)⁻¹, `(p,)`: squared lengths of the rows of U⁻¹, some columns at a time."""
        p, inverse = len(self.lengths), self.both
        found = np.zeros(p)
        for first in range(0, p, AT_ONCE):
            some = slice(first, first + AT_ONCE)
            for part, rows in ((inverse[:first, some], slice(0, first)), (np.triu(inverse[some, some]), some)):
                found[rows] += np.einsum("ij,ij->i", part, part)
        return found / self.lengths**2


def least_squares_of_many_columns(
    moments: Moments,
    residuals: Residuals,
    *,
    rows: int,
    intercept: bool,
    weight: Array | None,
    penalty: Array,
) -> tuple[Exact, float] | None:
    """As `least_squares_from_moments`, with a `Triangle` for geometry; None where the columns are too nearly collinear,
    or where the intercept has a penalty.

    `residuals(slopes, bias)` gives Σ w r², Σ w r x' and Σ w r of the rows.
    """
    m, n, p = moments, rows, len(moments.x_mean)
    if intercept and penalty[p:].any():
        return None
    import scipy.linalg  # noqa: F401  so that its threads are held to one too

    with one_blas_thread():
        geometry = _triangle(m, n, penalty[:p] * (n / 2.0), intercept=intercept)
        if geometry is None or geometry.condition(p) > STEEP:
            return None
        right = m.xy[:, 0] if intercept else m.xy[:, 0] + m.n * m.x_mean * m.y_mean[0]
        slopes = geometry.slopes(right * (n / m.n))
        start = np.append(slopes, m.y_mean[0] - m.x_mean @ slopes) if intercept else slopes
        found = descend(
            residuals, geometry.solve, start, geometry.scale, penalty, condition=geometry.condition(p),
            intercept=intercept, shares=(n, m.n),
        )  # fmt: skip
    if found is None:
        return None
    theta, rss, digits = found
    sums, q = sums_at(m, rss, weight, intercept=intercept), len(theta)
    exact = put_together(theta, geometry, sums, rank=q, intercept=intercept, penalty=penalty, rows=n)
    return exact, digits


@one_blas_thread()
def least_squares_by_eigenvalues(
    moments: Moments,
    residuals: Residuals,
    *,
    rows: int,
    intercept: bool,
    weight: Array | None,
    penalty: Array,
) -> tuple[Exact, float]:
    """The same of any columns: of those that repeat each other the solution of least norm, from the eigenvalues of
    X'X with columns of one length, of which those within rounding of zero count as zero.
    """
    m, n = moments, rows
    gram, right = _normal_equations(m, n / m.n, intercept=intercept)
    gram[np.diag_indices(len(gram))] += penalty * (n / 2.0)
    scale = np.sqrt(np.diag(gram))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(gram / scale / scale[:, None])
    singular, directions = np.sqrt(np.maximum(values[::-1], 0.0)), vectors[:, ::-1].T
    rank = int((values > 4.0 * len(values) * EPS * values[-1:].sum()).sum())
    geometry = Spectrum(scale, singular, directions, singular[:, None] * directions * scale)

    def solve(downhill: Array) -> Array:
        return geometry.back(geometry.half(downhill, rank), rank)

    theta, condition, p = solve(right), geometry.condition(rank), len(m.x_mean)
    for _ in range(CORRECTIONS):
        squares, by_slope, by_bias = residuals(theta[None, :p], theta[p:] if intercept else None)
        downhill = np.concatenate([by_slope[0], by_bias]) if intercept else by_slope[0]
        delta = solve(downhill * (n / m.n) - penalty * (n / 2.0) * theta)
        theta = theta + delta
    size = float(np.abs(theta * scale).max(initial=0.0)) or 1.0
    left = EPS * 8.0 * condition + float(np.abs(delta * scale).max(initial=0.0)) / size
    sums = sums_at(m, float(squares[0]), weight, intercept=intercept)
    exact = put_together(theta, geometry, sums, rank=rank, intercept=intercept, penalty=penalty, rows=n)
    return exact, max(0.0, float(-np.log10(left)))


def _normal_equations(m: Moments, per_mass: float, *, intercept: bool) -> tuple[Array, Array]:
    """[X 1]'W[X 1] and [X 1]'Wy from the centered moments."""
    right = m.xy[:, 0] + m.n * m.x_mean * m.y_mean[0]
    gram = m.xx + m.n * np.multiply.outer(m.x_mean, m.x_mean)
    if intercept:
        ones = m.n * m.x_mean
        gram = np.block([[gram, ones[:, None]], [ones, m.n]])
        right = np.append(right, m.n * m.y_mean[0])
    return gram * per_mass, right * per_mass


def _triangle(m: Moments, n: int, penalty: Array, *, intercept: bool) -> Triangle | None:
    """From the centered moments (the plain ones without an intercept) and the penalty; None where no factor is."""
    from scipy.linalg.lapack import dpotrf, dtrtri

    both: Any = np.array(m.xx.T, order="F")  # symmetric, and as LAPACK has it, which then works in place
    if not intercept:
        both += m.n * np.multiply.outer(m.x_mean, m.x_mean)
    per_mass = n / m.n
    lengths = np.sqrt(np.diag(both) * per_mass + penalty)
    if not (lengths > 0).all():
        return None
    both *= per_mass / lengths
    both /= lengths[:, None]
    both[np.diag_indices(len(both))] = 1.0
    both, failed = dpotrf(both, clean=0, overwrite_a=1)
    if not failed:
        both, failed = dtrtri(both, overwrite_c=1)
    return None if failed else Triangle(both, lengths, m.x_mean if intercept else None, float(np.sqrt(n)))
