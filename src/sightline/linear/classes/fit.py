"""What a fit of logistic or softmax regression knows: coefficients, their combinations and covariances, separation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...double_double import Pair
from .basis import Basis
from .elementary import solved
from .likelihood import Chances

__all__ = ["ClassFit", "Combinations", "Separation", "null_log_likelihood"]

Array = NDArray[np.float64]
NEGLIGIBLE = 1e-9
ROUNDING = 1e-12  # of the largest term of a combination, below which a part in an open direction is none


@dataclass(frozen=True)
class Separation:
    """A hyperplane that tells classes apart, so that the likelihood rises for ever along `direction (q, K-1)`.

    `kind` is "complete" where every row is strictly on the side of its own class, "quasi" where `overlap` rows lie on
    the hyperplane. `direction` is in the units of X, slopes and then the intercept, against class 0, its largest slope
    1; `columns` are those with a part in it. `pairs` are the pairs of classes a < b of which it separates some rows,
    `whole_pairs` those of which it separates all. `log_likelihood` is the supremum, approached only at infinity.
    """

    kind: str
    direction: Array
    columns: tuple[int, ...]
    overlap: int
    pairs: tuple[tuple[int, int], ...]
    whole_pairs: tuple[tuple[int, int], ...]
    log_likelihood: float

    def mapped(self, units: Array) -> Separation:
        """With the direction in other coordinates, to which the map `(q, q)` leads; the intercept is the last."""
        direction, parts = units @ self.direction, np.abs(units) @ np.abs(self.direction)
        direction = np.where(np.abs(direction) > NEGLIGIBLE * parts, direction, 0.0)
        slopes = [np.abs(direction[j]).max() for j in self.columns]
        return replace(self, direction=direction / max(slopes, default=1.0))


@dataclass(frozen=True)
class Combinations:
    """Estimates and covariances of linear combinations: Cov = H⁻¹, or (H + λ)⁻¹H(H + λ)⁻¹ of a penalized fit.

    `theta (q, m)` is the answer in the coordinates of `basis`, `root` the Cholesky factor of H (+ λ) over its `free`
    entries, `plain` is H where there is a penalty. `open (q m, r)` spans the directions, in the centered and scaled
    columns, in which the likelihood has no maximum.
    """

    basis: Basis
    theta: Pair
    root: Pair
    plain: Pair | None
    free: NDArray[np.intp]
    open: Array

    def estimate(self, c: Pair) -> Pair:
        """Σ cθ `(r,)` for `c (r, q, m)`."""
        theta = Pair(self.theta.hi.T.reshape(-1, 1), self.theta.lo.T.reshape(-1, 1))
        return self._known(c, (self._in_basis(c) * theta).sum())

    def covariance(self, c: Pair) -> Array:
        """Cov(Σ cθ) `(r, r)`."""
        left, right = self._sides(c)
        lost = np.where(self._undefined(c), np.nan, 0.0)
        return left.transposed_times(right).hi + lost + lost[:, None]

    def std_errors(self, c: Pair) -> Pair:
        """The square roots `(r,)` of its diagonal."""
        left, right = self._sides(c)
        size = np.exp2(np.round(np.log2(np.maximum(np.abs(left.hi).max(axis=0, initial=0.0), 1e-300))))
        left, right = Pair(left.hi / size, left.lo / size), Pair(right.hi / size, right.lo / size)
        root = _not_negative((left * right).sum()).sqrt()  # of numbers near 1: no square vanishes or overflows
        return self._known(c, Pair(root.hi * size, root.lo * size))

    def influence(self, c: Pair) -> Array:
        """H⁻¹c over all entries `(q m, r)`, in the coordinates of the basis, in float64."""
        x = np.zeros((self.theta.hi.size, len(c)))
        x[self.free] = self._solve(self._half(c)).hi
        return np.where(self._undefined(c), np.nan, x)

    def _sides(self, c: Pair) -> tuple[Pair, Pair]:
        """A and B with A'B the covariance."""
        half = self._half(c)
        if self.plain is None:
            return half, half
        x = self._solve(half)
        return x, self.plain.times(x)

    def _in_basis(self, c: Pair) -> Pair:
        parts = [self.basis.combination(c[:, :, k]) for k in range(c.shape[2])]
        return Pair(np.concatenate([v.hi for v in parts]), np.concatenate([v.lo for v in parts]))

    def _half(self, c: Pair) -> Pair:
        return solved(self.root, self._in_basis(c)[self.free], lower=True)

    def _solve(self, half: Pair) -> Pair:
        return solved(Pair(self.root.hi.T, self.root.lo.T), half, lower=False)

    def _known(self, c: Pair, values: Pair) -> Pair:
        lost = self._undefined(c)
        return Pair(np.where(lost, np.nan, values.hi), np.where(lost, 0.0, values.lo))

    def _undefined(self, c: Pair) -> NDArray[np.bool_]:
        """Which combinations have a part in the open directions."""
        _, q, m = c.shape
        if not self.open.shape[1]:
            return np.zeros(len(c), dtype=bool)
        z = np.einsum("rqm,qz->rzm", c.hi, self.basis.to_units)
        opened = self.open.reshape(m, q, -1)
        size = np.einsum("rqm,qz->rzm", np.abs(c.hi), np.abs(self.basis.to_units))
        part, of = np.abs(np.einsum("rzm,mzo->ro", z, opened)), np.einsum("rzm,mzo->ro", size, np.abs(opened))
        return np.asarray((part > NEGLIGIBLE * of + ROUNDING * size.max(axis=(1, 2))[:, None]).any(axis=1))


def _not_negative(x: Pair) -> Pair:
    """Zero where rounding left a variance of nothing below it, as that of a constant column with a penalty."""
    return Pair(np.maximum(x.hi, 0.0), np.where(x.hi > 0.0, x.lo, 0.0))


@dataclass(frozen=True)
class ClassFit:
    """The maximum of the likelihood (with its penalty), or its limit where the classes are separated.

    `coefficients (q, K-1)`: slopes, then the intercept where there is one, of classes 1..K-1 against class 0, in the
    units of X; `std_errors` theirs, from the observed information; `error` how far each may be off, from the last
    Newton step. Where the classes are separated and nothing is penalized, a coefficient is ±inf along the separating
    direction and NaN where any value has the same limit, and its standard error and error are NaN. The others,
    `probabilities (n, K)`, which of rows on the disk are made as they are read, and `log_likelihood` are those of the
    limit.

    `gradient_norm` is that of the mean objective at the answer, in the units of X; `condition` that of the information
    with a diagonal of ones; `rows` n and `total` the sum of their weights.
    """

    coefficients: Pair
    std_errors: Pair
    error: Array
    log_likelihood: float
    null_log_likelihood: float
    gradient_norm: float
    steps: int
    condition: float
    separation: Separation | None
    probabilities: Array | Chances
    combinations: Combinations
    intercept: bool
    l2: float
    rows: int
    total: float

    @property
    def digits(self) -> float:
        """Significant digits to be trusted in every finite coefficient, 31 at most."""
        size = np.abs(self.coefficients.hi)
        known = np.isfinite(size) & (size > self.error)
        if not known.any():
            return 31.0
        return float(min(31.0, -np.log10(max(float(np.max(self.error[known] / size[known])), 1e-31))))

    def estimate(self, combinations: ArrayLike | Pair) -> Pair:
        """Σ cθ `(r,)` for `combinations (r, q, K-1)`, or `(r, q)` with two classes; NaN where it has no maximum.

        Formed in centered columns, so a combination of large terms keeps its digits. Where classes are separated a
        difference of two infinite coefficients can be finite.
        """
        return self.combinations.estimate(self._shaped(combinations))

    def covariance(self, combinations: ArrayLike | Pair) -> Array:
        """The covariances `(r, r)` of `estimate`."""
        return self.combinations.covariance(self._shaped(combinations))

    def _shaped(self, combinations: ArrayLike | Pair) -> Pair:
        c = Pair.of(combinations)
        return c.reshape(c.shape[0], *self.coefficients.shape)


def null_log_likelihood(count: NDArray[Any], *, intercept: bool) -> float:
    """Of the intercepts alone, Σ W_k ln(W_k / W) for the weights `count (K,)` of the classes; without them all
    probabilities are 1 / K.
    """
    total = math.fsum(count)
    return math.fsum(count * np.log(count / total)) if intercept else -total * math.log(len(count))
