"""What is minimized: the loss of a linear model with its ridge and lasso penalties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import adds_up
from .curvature import MOST_PARAMETERS, Curvature
from .piecewise import Piecewise
from .row_losses import RowLoss

__all__ = ["Objective", "size_change"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """F(θ) = L(θ) + Σ ridgeⱼ θⱼ² / 2 + Σ lassoⱼ |θⱼ| with `ridge (q,)` and `lasso (q,)` at or above zero.

    `tilt (q,)` adds Σ tiltⱼ θⱼ: what rows add, but for a constant, whose loss is a line near θ, where only others are
    among the rows.

    >>> from .row_losses import Huber
    >>> loss = Huber(np.array([[0.0], [2.0]]), np.array([0.5, 4.0]))
    >>> objective = Objective(loss, np.array([0.1, 0.0]), np.array([0.5, 0.0]))
    >>> objective.value(np.array([1.0, 0.5])), objective.subgradient(np.array([1.0, 0.5])).round(12).tolist()
    (1.05, [-0.4, -0.5])
    """

    loss: RowLoss
    ridge: Array
    lasso: Array
    tilt: Array | float = 0.0

    @classmethod
    def plain(cls, loss: RowLoss) -> Objective:
        """The loss alone."""
        q = loss.outputs * (loss.X.shape[1] + int(loss.intercept))
        return cls(loss, np.zeros(q), np.zeros(q))

    @property
    def penalized(self) -> bool:
        """Whether there is any penalty."""
        return bool(self.ridge.any() or self.lasso.any())

    def value(self, theta: Array) -> float:
        """F(θ)."""
        return self.loss.value(theta) + self.penalty(theta)

    @np.errstate(over="ignore", invalid="ignore")
    def penalty(self, theta: Array) -> float:
        """F(θ) - L(θ)."""
        return float(0.5 * self.ridge @ theta**2 + self.lasso @ np.abs(theta) + np.sum(self.tilt * theta))

    @np.errstate(over="ignore", invalid="ignore")
    def excess(self, theta: Array, reference: Array) -> float:
        """F(θ) - F(reference), added up from the differences of rows, so that it keeps its digits near the reference.

        >>> from .row_losses import SquaredLoss
        >>> objective = Objective.plain(SquaredLoss(np.array([[1.0], [1.0]]), np.array([0.0, 2.0]), False))
        >>> objective.value(np.array([1.0 + 2.0**-30])) - objective.value(np.array([1.0]))
        0.0
        >>> objective.excess(np.array([1.0 + 2.0**-30]), np.array([1.0])) == 2.0**-60
        True
        """
        step = theta - reference
        return self.loss.change(reference, step) + self.penalty_change(reference, step)

    def penalty_change(self, theta: Array, step: Array) -> float:
        """What the penalties at θ + step are above those at θ."""
        quadratic = 0.5 * float(self.ridge @ (step * (2.0 * theta + step))) + float(np.sum(self.tilt * step))
        return quadratic + float(self.lasso @ size_change(theta, step))

    def smooth_gradient(self, theta: Array) -> Array:
        """The gradient of all but the lasso, `(q,)`."""
        return self.loss.gradient(theta) + self.ridge * theta + self.tilt

    def hessian(self, theta: Array) -> Array:
        """The second derivative of all but the lasso and kinks, `(q, q)`."""
        return self.loss.hessian(theta) + np.diag(self.ridge)

    def curvature(self, theta: Array) -> Curvature:
        """Eigenvalues and directions of the Hessian at θ."""
        q = len(theta)
        if q <= MOST_PARAMETERS:
            return Curvature.of_hessian(self.hessian(theta))
        if adds_up(self.loss.X):
            return Curvature.of_large(self.hessian(theta))
        return Curvature.of_products(lambda v: self.hessian_times(theta, v), q)

    def hessian_times(self, theta: Array, v: Array) -> Array:
        """The same times v `(q,)`, without the matrix."""
        return self.loss.hessian_times(theta, v) + self.ridge * v

    def subgradient(self, theta: Array) -> Array:
        """The shortest subgradient at θ, `(q,)`: zero where θ is a minimum of a convex objective.

        A row counts as at its kink within the rounding of its prediction, a weight only at exactly zero. Each kink may
        take any slope between those of its sides; they are chosen so that the sum is shortest.
        """
        loss = self.loss

        def leaf(part: RowLoss) -> tuple[Array, list[Array]]:
            low, high = part.error_range(part.predictor(theta), part.predictor_rounding(theta))
            kinks = np.flatnonzero((high > low).any(axis=1))
            half = 0.5 * (high - low)[kinks, 0]
            return part.pull(0.5 * (low + high)), [_bent(part, kinks, half)]

        pull, kinks = loss.over(leaf, add=lambda a, b: (a[0] + b[0], a[1] + b[1]))
        share = loss.factor / len(loss.X)
        g = share * pull + self.ridge * theta + self.tilt + self.lasso * np.sign(theta)
        open_, rows = np.where(theta == 0.0, self.lasso, 0.0), share * np.concatenate(kinks)
        if not len(rows):
            return np.asarray(np.sign(g) * np.maximum(np.abs(g) - open_, 0.0))
        return _shortest(g, np.vstack([rows, np.diag(open_)[open_ > 0]]))

    def subgradient_norm(self, theta: Array) -> float:
        """The Euclidean length of the shortest subgradient."""
        return float(np.linalg.norm(self.subgradient(theta)))


def _bent(loss: RowLoss, rows: NDArray[np.intp], slopes: Array) -> Array:
    """These rows with their one, times slopes and weights: of losses with kinks, which have one output."""
    if not len(rows):
        return np.zeros((0, loss.X.shape[1] + int(loss.intercept)))
    Z = np.asarray(loss.X)[rows]
    Z = np.column_stack([Z, np.ones(len(Z))]) if loss.intercept else Z
    return np.asarray((slopes if loss.weight is None else slopes * loss.weight[rows])[:, None] * Z)


def size_change(theta: Array, step: Array) -> Array:
    """|θ + step| - |θ|, with its digits where the sign stays."""
    after = theta + step
    return np.where(theta * after > 0, np.sign(theta) * step, np.abs(after) - np.abs(theta))


def _shortest(g: Array, rows: Array) -> Array:
    """The shortest g + rows'u with every |u| <= 1: the dual of min x'x / 2 + g'x + Σ |rows x|."""
    scale, q = float(np.abs(g).max(initial=0.0)) or 1.0, len(g)
    rows = rows[rows.any(axis=1)]
    if not len(rows):
        return g
    one, zero = np.ones(len(rows)), np.zeros(len(rows))
    found = Piecewise(rows / scale, zero, -one, one, zero, np.eye(q), g / scale).corner()
    return np.asarray(g + rows.T @ np.clip(found.u, -1.0, 1.0))
