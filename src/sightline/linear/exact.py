"""The exact answer in float64: least squares by QR or from moments, with what it says about rank and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["EPS", "Exact", "least_squares"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Exact:
    """The optimum θ = (weight `(p,)`, bias) of the mean squared error + Σ penalty θ² / 2, and its geometry.

    `theta (q,)` holds the slopes, then the bias where there is one. `factor (·, q)` is R of the design matrix with its
    column of ones, [X 1], rows scaled by the root of their weights (of mean 1), and of the penalty: the Hessian of the
    objective is 2 R'R / n. `singular (q,)` and `directions (q, q)`, its rows, are those of R with its columns
    divided by their lengths `scale (q,)`; `rank` counts the directions that the data determine. `rss`, `tss`, `spread`
    and `squares` are Σ w r², the sum that R² compares with (Σ w (y - ȳ)²; Σ w y² without an intercept), Σ w (y - ȳ)²,
    and Σ w y²; `mass` is Σ w and `log_weights` Σ log w (n and 0 without weights). `penalty (q,)` is zero for plain
    least squares.
    """

    theta: Array
    intercept: bool
    rows: int
    rss: float
    tss: float
    spread: float
    squares: float
    rank: int
    geometry: Geometry
    penalty: Array
    mass: float
    log_weights: float = 0.0

    @property
    def factor(self) -> Array:
        """R."""
        return self.geometry.factor

    @property
    def scale(self) -> Array:
        """The lengths of the columns of R, `(q,)`."""
        return self.geometry.scale

    @property
    def singular(self) -> Array:
        """Singular values of R with its columns divided by their lengths, those of determined directions first."""
        return self.geometry.singular

    @property
    def directions(self) -> Array:
        """Their directions, in rows."""
        return self.geometry.directions

    @property
    def penalized(self) -> bool:
        """Whether the optimum is not that of the loss alone."""
        return bool(self.penalty.any())

    @property
    def weight(self) -> Array:
        """The slopes, shape `(p,)`."""
        return self.theta[:-1] if self.intercept else self.theta

    @property
    def bias(self) -> float | None:
        """The intercept, or None."""
        return float(self.theta[-1]) if self.intercept else None

    @property
    def loss(self) -> float:
        """Mean squared error at the optimum."""
        return float(self.rss) / self.mass

    def resolution(self, eps: float = EPS) -> float:
        """The smallest mean squared error that arithmetic with this machine epsilon can tell from zero."""
        return (16.0 * eps) ** 2 * self.squares / self.mass

    @property
    def baseline(self) -> float:
        """Mean squared error of always predicting the mean."""
        return self.spread / self.mass

    @property
    def condition(self) -> float:
        """Condition number κ of [X 1] with its columns scaled to one length, of the directions that are determined."""
        return self.geometry.condition(self.rank)

    @np.errstate(over="ignore", invalid="ignore")
    def objective_excess(self, theta: Array) -> float:
        """Objective at θ minus objective at the optimum: (θ - θ*)' (R'R / n) (θ - θ*)."""
        bent = self.geometry.stretched(theta - self.theta)
        return float(bent @ bent) / self.rows

    def variance(self, combination: Array) -> float:
        """Variance of c'θ in units of σ² for `combination (q,)`; of a penalized estimate, its own, without its bias."""
        v = self.geometry.half(combination, self.rank)
        per_weight = self.rows / self.mass
        if not self.penalized:
            return float(v @ v) * per_weight
        # (R'R)⁻¹ Z'Z (R'R)⁻¹ with Z'Z = R'R - n penalty / 2
        w = self.geometry.back(v, self.rank)
        return max(float(v @ v) - self.rows / 2.0 * float(self.penalty @ (w * w)), 0.0) * per_weight


class Geometry(Protocol):
    """R, and what it says about directions: see `Exact`."""

    @property
    def factor(self) -> Array: ...
    @property
    def scale(self) -> Array: ...
    @property
    def singular(self) -> Array: ...
    @property
    def directions(self) -> Array: ...
    def condition(self, rank: int) -> float:
        """The condition number of R with columns of one length, of the directions that are determined."""

    def stretched(self, v: Array) -> Array:
        """R v."""

    def half(self, combination: Array, rank: int) -> Array:
        """v with v'v = c'(R'R)⁻¹c."""

    def back(self, v: Array, rank: int) -> Array:
        """(R'R)⁻¹c of that v."""


@dataclass(frozen=True)
class Spectrum:
    """From a singular value decomposition of R with its columns divided by their lengths."""

    scale: Array
    singular: Array
    directions: Array
    factor: Array

    def stretched(self, v: Array) -> Array:
        """R v."""
        return np.asarray(self.factor @ v)

    def condition(self, rank: int) -> float:
        """σ₁ / σ of the last direction that is determined."""
        return float(self.singular[0] / self.singular[rank - 1]) if rank else 1.0

    def half(self, combination: Array, rank: int) -> Array:
        """Of the directions that are determined."""
        return np.asarray(self.directions[:rank] @ (combination / self.scale) / self.singular[:rank])

    def back(self, v: Array, rank: int) -> Array:
        """Of these too."""
        return np.asarray(self.directions[:rank].T @ (v / self.singular[:rank]) / self.scale)


def least_squares(
    X: Array,
    y: Array,
    *,
    intercept: bool = True,
    weight: Array | None = None,
    weight_decay: float | Array = 0.0,
    noise: Array | None = None,
) -> Exact:
    """The minimizer of Σ w (y - Xb - a)² / Σ w + Σ weight_decay θ² / 2; of least norm where the rows leave it open.

    Householder QR of [X 1], singular values of the column-scaled R, one step of iterative refinement. Singular
    values below 4 q eps of the largest count as zero, and those that rounding of the columns explains: below
    4 ‖v ∘ noise‖ for the direction v, where `noise (q,)` is the relative rounding of each column. Shapes: `X (n,
    p)`, `y (n,)`, `weight (n,)` above zero, `weight_decay` a number for all parameters or one for each, `(q,)`.
    Golub and Van Loan, Matrix Computations, sections 5.3 and 5.5.

    >>> least_squares(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])).theta.round(12).tolist()
    [2.0, 1.0]
    """
    return least_squares_each(
        X, y[:, None], intercept=intercept, weight=weight, weight_decay=weight_decay, noise=noise
    )[0]


def least_squares_each(
    X: Array,
    Y: Array,
    *,
    intercept: bool = True,
    weight: Array | None = None,
    weight_decay: float | Array = 0.0,
    noise: Array | None = None,
) -> list[Exact]:
    """As `least_squares` for each column of `Y (n, k)`, with one factorization for all."""
    n, q = len(X), X.shape[1] + int(intercept)
    mass = float(n) if weight is None else float(weight.sum())
    root = None if weight is None else np.sqrt(weight * (n / mass))
    Z = np.column_stack([X, np.ones(n)]) if intercept else X
    rows = Z if root is None else Z * root[:, None]
    penalty = np.broadcast_to(np.asarray(weight_decay, dtype=np.float64), q)
    if penalty.any():
        rows = np.vstack([rows, np.diag(np.sqrt(penalty * (n / 2.0)))])
    Q, R = np.linalg.qr(rows)
    factor = scaled_svd(R, q, noise)
    found = []
    for y in Y.T:
        target = y if root is None else y * root
        target = np.concatenate([target, np.zeros(len(rows) - n)])
        theta = factor.solve(Q.T @ target)
        theta = theta + factor.solve(Q.T @ (target - rows @ theta))
        residual = (y - Z @ theta) if root is None else (y - Z @ theta) * root
        sums = sums_of(residual, y, weight, mass)
        found.append(exact_of(theta, R, factor, sums, intercept=intercept, penalty=penalty, rows=n))
    return found


@dataclass(frozen=True)
class ScaledFactor:
    """Singular value decomposition of R with its columns divided by their lengths; determined directions first."""

    U: Array
    scale: Array
    singular: Array
    directions: Array
    rank: int

    def solve(self, right: Array) -> Array:
        """The least-norm θ (in scaled columns) with R θ = `right`."""
        inner = (self.U.T @ right) / self.singular[: self.rank]
        return np.asarray(self.directions[: self.rank].T @ inner / self.scale)


def scaled_svd(R: Array, q: int, noise: Array | None) -> ScaledFactor:
    """Scale, decompose, and count the directions that the data determine."""
    scale = np.sqrt((R**2).sum(axis=0))
    scale[scale == 0] = 1.0
    U, singular, directions = np.linalg.svd(R / scale)
    singular = np.pad(singular, (0, q - len(singular)))
    cutoff = np.full(q, singular[:1].sum() * 4.0 * q * EPS)
    if noise is not None:
        cutoff = np.maximum(cutoff, 4.0 * np.linalg.norm(directions * noise, axis=1))
    kept = singular > cutoff
    order = np.argsort(~kept, kind="stable")
    return ScaledFactor(U[:, np.flatnonzero(kept)], scale, singular[order], directions[order], int(kept.sum()))


@dataclass(frozen=True, slots=True)
class Sums:
    """Σ w r², Σ w (y - ȳ)², Σ w y², Σ w and Σ log w."""

    rss: float
    spread: float
    squares: float
    mass: float
    log_weights: float


def sums_of(residual: Array, y: Array, weight: Array | None, mass: float) -> Sums:
    """From residuals that are already scaled by the root of weights of mean 1."""
    w: Any = 1.0 if weight is None else weight
    centered = y - np.average(y, weights=weight)
    logs = 0.0 if weight is None else float(np.log(weight).sum())
    rss = float(residual @ residual) * (mass / len(y))
    return Sums(rss, float((w * centered) @ centered), float((w * y) @ y), mass, logs)


def exact_of(
    theta: Array, R: Array, factor: ScaledFactor, sums: Sums, *, intercept: bool, penalty: Array, rows: int
) -> Exact:
    """As `put_together`, from a singular value decomposition."""
    geometry = Spectrum(factor.scale, factor.singular, factor.directions, R)
    return put_together(theta, geometry, sums, rank=factor.rank, intercept=intercept, penalty=penalty, rows=rows)


def put_together(
    theta: Array, geometry: Geometry, sums: Sums, *, rank: int, intercept: bool, penalty: Array, rows: int
) -> Exact:
    """Put together; residuals that are rounding alone are none: a perfect fit, a constant target."""
    nothing = rows * (4.0 * EPS) ** 2 * sums.squares
    rss, spread = (v if v > nothing else 0.0 for v in (sums.rss, sums.spread))
    return Exact(
        theta,
        intercept,
        rows,
        rss,
        spread if intercept else sums.squares,
        spread,
        sums.squares,
        rank,
        geometry,
        np.array(penalty),
        sums.mass,
        sums.log_weights,
    )
