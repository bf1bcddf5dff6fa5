"""The maximum of the likelihood of two classes where the rows are many: few passes, and none that copies them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ..moments import Moments
from .basis import Basis
from .elementary import plain_root
from .fit import ClassFit, Combinations, null_log_likelihood
from .passes import Passes, Sums, Whitened

__all__ = ["fit_of_many"]

Array = NDArray[np.float64]
SAMPLES = (61, 11)  # every so many rows; primes, for files have periods
MOST_STEPS = 60
NEAR = 1.0  # a step that raises the log-likelihood by less lies within what the rows leave open
POOR = 0.1  # a step that leaves more than this of the one before it is followed by a new Hessian
SMALL = 1e-8  # a step that moves predictions no further, each by its curvature, may be the last one
ROUNDING = 2.0**-50  # and one no further than this is
STEEP = 1e6  # condition of the Hessian beyond which columns are made orthonormal
SPREAD = 256  # rows that tell where the columns lie


def fit_of_many(
    X: Array, codes: NDArray[np.int64], *, intercept: bool, weight: Array | None, l2: float
) -> ClassFit | None:
    """The maximum for rows `X (n, p)` of classes 0 and 1, with the penalty (l2 / 2) ‖w‖² of the mean.

    Newton's method on every 61st row, then on every 11th, gives the start; then one Hessian of all rows, and passes
    for the gradient alone while each leaves a tenth of the step before it at most, else for a new Hessian. None where
    that finds no maximum, or no proof that there is one: where rows may be separated, or columns depend on each other;
    and where columns that nearly do have a penalty.
    """
    rows = _passes(X, codes, weight, intercept=intercept)
    basis = Basis(rows.center, rows.scale, Pair.of(np.eye(X.shape[1] + int(intercept))), intercept)
    count = np.bincount(codes, weight, minlength=2)
    problem = _Problem(rows, np.append(l2 / rows.scale**2, [0.0] * int(intercept)), float(count.sum()))
    with np.errstate(over="ignore", invalid="ignore"):
        start = problem.start(count)
        if problem.sample(SAMPLES[-1]).condition(start) > STEEP:
            R = None if l2 else _factor(rows)
            if R is None:
                return None
            basis, start = replace(basis, R=Pair.of(R)), R @ start
            problem = replace(problem, rows=Whitened.of(rows, R))
        end = problem.descended(start)
        found = None if end is None else problem.found(end)
    null = null_log_likelihood(count, intercept=intercept)
    return None if found is None else _fit(problem, found, basis, l2=l2, null=null)


def _passes(X: Array, codes: NDArray[np.int64], weight: Array | None, *, intercept: bool) -> Passes:
    """The center is zero where it lies within the spread of every column, so that no block has to be copied."""
    sample = X[:: max(1, len(X) // SPREAD)]
    center, spread = sample.mean(axis=0), sample.std(axis=0)
    if not intercept or (np.abs(center) <= spread).all():
        center = np.zeros(X.shape[1])
    size = np.sqrt(((sample - center) ** 2).mean(axis=0))
    scale = np.exp2(np.round(np.log2(np.where(size > 0, size, 1.0))))
    return Passes(X, np.where(codes == 1, 1.0, -1.0), weight, center, scale, intercept)


def _factor(rows: Passes) -> Array | None:
    """R with R'R near Σ w zz', from the moments; None where they have lost it."""
    m = Moments.of(rows.X, np.zeros((len(rows.X), 0)), rows.weight)
    off = (m.x_mean - rows.center) / rows.scale
    p, squares = len(off), m.xx / rows.scale / rows.scale[:, None]
    if not rows.intercept:
        squares = squares + m.n * np.outer(off, off)
    lower = plain_root(squares)
    if lower is None:
        return None
    R = np.zeros((p + int(rows.intercept), p + int(rows.intercept)))
    R[:p, :p] = lower.T
    if rows.intercept:
        R[p, :p], R[p, p] = np.sqrt(m.n) * off, np.sqrt(m.n)
    return R


@dataclass(frozen=True)
class _Found:
    """The point, how far its θ may be off, the root of the Hessian there, and the probabilities of class 1."""

    point: _Point
    error: Array
    root: Array
    probability: Array
    steps: int


@dataclass(frozen=True)
class _Point:
    """The objective and its gradient at θ, and the sums of the rows."""

    theta: Array
    value: float
    gradient: Array
    sums: Sums

    def above(self, last: _Step) -> bool:
        """Whether the objective is higher than where the step began, by more than its rounding."""
        return self.value > last.point.value + 1e-14 * abs(last.point.value)


@dataclass(frozen=True)
class _Step:
    """From a point, -delta; `far` is its length in the norm of the mean Hessian, `number` that of the steps so far."""

    point: _Point
    delta: Array
    far: float
    number: int

    @property
    def end(self) -> Array:
        """Where it leads."""
        return self.point.theta - self.delta

    def halved(self) -> _Step:
        """Half of it."""
        return replace(self, delta=0.5 * self.delta, far=0.5 * self.far)


@dataclass(frozen=True)
class _Descent:
    """The inverse of LL', corrected by pairs of a step and the change of the gradient with it.

    Nocedal and Wright 2006, Numerical Optimization, algorithm 7.4 (L-BFGS), with the Hessian of an earlier point in
    place of a multiple of the identity.
    """

    root: Array
    pairs: tuple[tuple[Array, Array], ...] = ()

    def knowing(self, step: Array, change: Array) -> _Descent:
        """With one more pair, where it bends upwards."""
        return _Descent(self.root, (*self.pairs, (step, change))) if step @ change > 0.0 else self

    def step(self, gradient: Array) -> Array:
        """The inverse times a gradient."""
        from scipy.linalg import cho_solve

        shares = []
        for step, change in reversed(self.pairs):
            shares.append(float(step @ gradient) / float(step @ change))
            gradient = gradient - shares[-1] * change
        delta = np.asarray(cho_solve((self.root, True), gradient, check_finite=False))
        for (step, change), share in zip(self.pairs, reversed(shares), strict=True):
            delta = delta + (share - float(change @ delta) / float(step @ change)) * step
        return delta


@dataclass(frozen=True)
class _Problem:
    """Σ w loss + total Σ ridge θ² / 2."""

    rows: Passes
    ridge: Array
    total: float

    def start(self, count: NDArray[Any]) -> Array:
        """From samples of the rows, each where Newton's method ends on it; at first the log odds of the classes, of
        weights `count`.
        """
        theta = np.zeros(len(self.ridge))
        if self.rows.intercept:
            theta[-1] = np.log(count[1] / count[0])
        for step in SAMPLES:
            theta = self.sample(step).newton(theta)
        return theta

    def sample(self, step: int) -> _Problem:
        """That of every so many rows."""
        part = self.rows.every(step)
        return _Problem(part, self.ridge, float(len(part.sign) if part.weight is None else part.weight.sum()))

    def condition(self, theta: Array) -> float:
        """Of the Hessian, its diagonal scaled to one."""
        H = self.hessian(self.rows.sums(theta, hessian=True))
        size = np.sqrt(np.diag(H))
        return float(np.linalg.cond(H / size / size[:, None])) if (size > 0).all() else np.inf

    def newton(self, theta: Array) -> Array:
        """Where Newton's method is near its end; where it began if the rows do not determine a maximum."""
        last = None
        for _ in range(MOST_STEPS):
            at = theta if last is None else last.end
            point = self.point(at, hessian=True)
            if last is not None and point.above(last):
                last = last.halved()
                continue
            root = self.root(point.sums)
            if root is None or point.sums.margin > 0.0:
                return theta
            delta = _Descent(root).step(point.gradient)
            if float(point.gradient @ delta) <= NEAR:
                return at - delta
            last = _Step(point, delta, np.inf, 0)
        return theta

    def descended(self, theta: Array) -> _Step | None:
        """Steps of all rows until they no longer shrink: with the Hessian as it was and what the gradients tell of it
        since, and with a new one after a step that was too large for that. The last of them.
        """
        last, descent, fresh = None, None, True
        for number in range(1, MOST_STEPS + 1):
            point = self.point(theta if last is None else last.end, hessian=fresh)
            if point.sums.margin > 0.0:
                return None
            if last is not None and last.far > SMALL and point.above(last):
                last, fresh = last.halved(), True
                continue
            if descent is None or fresh:
                root = self.root(point.sums)
                if root is None:
                    return None
                descent = _Descent(root)
            elif last is not None:
                descent = descent.knowing(point.theta - last.point.theta, point.gradient - last.point.gradient)
            delta, before = descent.step(point.gradient), np.inf if last is None else last.far
            far = float(np.linalg.norm(descent.root.T @ delta)) / np.sqrt(self.total)
            if far <= ROUNDING or (far > 0.5 * before and far <= SMALL):
                return _Step(point, delta, far, number)
            fresh = far > POOR * before or (fresh and far > POOR)
            last = _Step(point, delta, far, number)
        return None

    def point(self, theta: Array, *, hessian: bool, probability: Array | None = None) -> _Point:
        """The objective there; `probability (n,)` takes that of class 1."""
        sums = self.rows.sums(theta, hessian=hessian, probability=probability)
        value = sums.value + 0.5 * self.total * float(self.ridge @ theta**2)
        return _Point(theta, value, sums.gradient + self.total * self.ridge * theta, sums)

    def found(self, last: _Step) -> _Found | None:
        """The answer with a Hessian of its own, where it is proven to be the maximum."""
        probability, theta = np.empty(len(self.rows.sign)), last.end
        point = self.point(theta, hessian=True, probability=probability)
        root = self.root(point.sums)
        if root is None or point.sums.margin > 0.0:
            return None
        pulled, longest, lengths = self.rows.rounding(theta)
        inverse = np.linalg.inv(root)
        across = np.abs(inverse.T @ inverse)
        error = 2.0 * np.abs(last.delta) + 2.0**-52 * (across @ pulled + np.abs(theta))
        if not self.ridge.any():
            moved = _Descent(root).step(point.gradient)
            noise = 2.0**-46 * lengths * float(np.linalg.norm(inverse, 2)) ** 2
            if longest * (float(np.linalg.norm(moved)) + noise) >= 0.5:
                return None
        return _Found(point, error, root, probability, last.number + 1)

    def hessian(self, sums: Sums) -> Array:
        """With the penalty."""
        return np.asarray(sums.hessian + np.diag(self.total * self.ridge))

    def root(self, sums: Sums) -> Array | None:
        """A lower L with LL' the Hessian; None where that is singular as far as can be seen."""
        return plain_root(self.hessian(sums))


def _fit(problem: _Problem, found: _Found, basis: Basis, *, l2: float, null: float) -> ClassFit:
    """The answer in the units of X."""
    point, total, q = found.point, problem.total, len(found.error)
    theta, plain = Pair.of(point.theta[:, None]), Pair.of(point.sums.hessian) if l2 else None
    combinations = Combinations(basis, theta, Pair.of(found.root), plain, np.arange(q), np.zeros((q, 0)))
    std_errors = combinations.std_errors(Pair.of(np.eye(q)[:, :, None])).reshape(q, 1)
    F = found.root.T @ basis.R.hi
    singular = np.linalg.svd(F / np.linalg.norm(F, axis=0), compute_uv=False)
    return ClassFit(
        basis.in_units(theta), std_errors, basis.in_units_error(found.error[:, None], theta.hi),
        0.0 - point.sums.value, null, float(np.linalg.norm(basis.gradient(point.gradient[:, None]))) / total,
        found.steps, float((singular[0] / singular[-1]) ** 2), None,
        np.column_stack([1.0 - found.probability, found.probability]), combinations, basis.intercept, l2,
        len(found.probability), total,
    )  # fmt: skip
