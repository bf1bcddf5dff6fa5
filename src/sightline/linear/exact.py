"""The exact answer: least squares by QR, with what it says about rank and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Exact", "least_squares"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Exact:
    """The optimum θ = (weight `(p,)`, bias) of mean squared error + (weight_decay / 2) ‖θ‖², and its geometry.

    `theta (q,)` holds the weights, then the bias where there is one. `R (·, q)` is the triangular factor of the
    design matrix with its column of ones, [X 1] (and the penalty's rows below it), so the Hessian of the objective
    is 2 R'R / n. `singular (q,)` and `directions (q, q)`, its rows, are those of R with its columns divided by
    their lengths `scale (q,)`; `rank` counts the directions that the data determine. `rss`, `tss`, `spread` and
    `squares` are Σ r², the sum that R² compares with (Σ (y - ȳ)²; Σ y² without an intercept), Σ (y - ȳ)², and Σ y².
    """

    theta: Array
    intercept: bool
    rows: int
    rss: float
    tss: float
    spread: float
    squares: float
    rank: int
    R: Array
    scale: Array
    singular: Array
    directions: Array
    weight_decay: float = 0.0

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
        return self.rss / self.rows

    def resolution(self, eps: float = EPS) -> float:
        """The smallest mean squared error that arithmetic with this machine epsilon can tell from zero."""
        return (16.0 * eps) ** 2 * self.squares / self.rows

    @property
    def baseline(self) -> float:
        """Mean squared error of always predicting the mean."""
        return self.spread / self.rows

    @np.errstate(over="ignore", invalid="ignore")
    def objective_excess(self, theta: Array) -> float:
        """Objective at θ minus objective at the optimum: (θ - θ*)' (R'R / n) (θ - θ*)."""
        bent = self.R @ (theta - self.theta)
        return float(bent @ bent) / self.rows

    def variance(self, combination: Array) -> float:
        """Variance of c'θ in units of σ² for `combination (q,)`; with weight decay, that of the penalized estimate."""
        v = self.directions[: self.rank] @ (combination / self.scale) / self.singular[: self.rank]
        if not self.weight_decay:
            return float(v @ v)
        # (A + λ)⁻¹ A (A + λ)⁻¹ with A + λ = R'R and λ = weight_decay n / 2 for every parameter
        w = self.directions[: self.rank].T @ (v / self.singular[: self.rank]) / self.scale
        return max(float(v @ v) - self.weight_decay * self.rows / 2.0 * float(w @ w), 0.0)


def least_squares(
    X: Array, y: Array, *, intercept: bool = True, weight_decay: float = 0.0, noise: Array | None = None
) -> Exact:
    """The minimizer of mean((y - Xw - b)²) + (weight_decay / 2)(‖w‖² + b²); of least norm where the rows leave it open.

    Householder QR of [X 1], singular values of the column-scaled R, one step of iterative refinement. Singular
    values below max(n, q) eps of the largest count as zero, and those that rounding of the columns explains: below
    4 ‖v ∘ noise‖ for the direction v, where `noise (q,)` is the relative rounding of each column. Shapes: `X (n,
    p)`, `y (n,)`. Golub and Van Loan, Matrix Computations, sections 5.3 and 5.5.

    >>> least_squares(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])).theta.round(12).tolist()
    [2.0, 1.0]
    """
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X
    n, q = Z.shape
    target = y
    if weight_decay:
        Z = np.vstack([Z, np.sqrt(weight_decay * n / 2.0) * np.eye(q)])
        target = np.concatenate([y, np.zeros(q)])
    Q, R = np.linalg.qr(Z)
    scale = np.sqrt((R**2).sum(axis=0))
    scale[scale == 0] = 1.0
    U, singular, directions = np.linalg.svd(R / scale)
    singular = np.pad(singular, (0, q - len(singular)))
    cutoff = np.full(q, singular[:1].sum() * max(Z.shape) * EPS)
    if noise is not None:
        cutoff = np.maximum(cutoff, 4.0 * np.linalg.norm(directions * noise, axis=1))
    kept = singular > cutoff
    order = np.argsort(~kept, kind="stable")  # what the data determine first
    U, singular, directions, rank = U[:, np.flatnonzero(kept)], singular[order], directions[order], int(kept.sum())

    def solve(right: Array) -> Array:
        inner = (U.T @ (Q.T @ right)) / singular[:rank]
        return np.asarray(directions[:rank].T @ inner / scale)

    theta = solve(target)
    theta = theta + solve(target - Z @ theta)
    residual = y - Z[:n] @ theta
    rss, spread, squares = (float(v @ v) for v in (residual, y - y.mean(), y))
    nothing = n * (4.0 * EPS) ** 2 * squares  # residuals that are rounding alone: a perfect fit, a constant target
    return Exact(
        theta,
        intercept,
        n,
        rss if rss > nothing else 0.0,
        squares if not intercept else spread if spread > nothing else 0.0,
        spread if spread > nothing else 0.0,
        squares,
        rank,
        R,
        scale,
        singular,
        directions,
        weight_decay,
    )
