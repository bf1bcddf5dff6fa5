"""The losses of linear models as a blackboard has them: from each row's prediction to the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, nearest, shown

__all__ = ["LOSSES", "CrossEntropy", "Logistic", "Pieces", "RowLoss", "SquaredLoss", "row_loss"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
QUIET = np.errstate(over="ignore", invalid="ignore")  # far out on a line the loss may overflow, and is then infinite


@dataclass(frozen=True)
class Pieces:
    """What a loss is made of, row by row: linear predictor `z (n, k)`, `output (n, k)` (a prediction or
    probabilities), `error (n, k)`, whose products with x are the gradient's terms, and `loss (n,)`.
    """

    z: Array
    output: Array
    error: Array
    loss: Array


@dataclass(frozen=True)
class RowLoss:
    """L(θ) = Σ vᵢ ℓ(zᵢ, yᵢ) / n with z = Wx + b; rows `X (n, p)`, targets `y (n,)`, row weights `v (n,)` or None.

    θ `(q,)` holds the weights W `(k, p)` row by row, then the biases `(k,)` where there is an intercept. The gradient
    is `factor` / n Σ vᵢ errorᵢ xᵢ.
    """

    name: ClassVar[str]
    factor: ClassVar[float] = 1.0

    X: Array
    y: Array
    intercept: bool = True
    weight: Array | None = None
    outputs: int = 1

    def of_rows(self, rows: Sequence[int]) -> Self:
        """The loss of these rows alone."""
        at = np.asarray(rows)
        weight = None if self.weight is None else self.weight[at]
        return replace(self, X=self.X[at], y=self.y[at], weight=weight)

    def split(self, theta: Array) -> tuple[Array, Array]:
        """W `(k, p)` and b `(k,)`, zero without an intercept."""
        k, p = self.outputs, self.X.shape[1]
        bias = theta[k * p :] if self.intercept else np.zeros(k)
        return theta[: k * p].reshape(k, p), bias

    def predictor(self, theta: Array) -> Array:
        """z = Wx + b for every row, `(n, k)`."""
        W, b = self.split(theta)
        return np.asarray(self.X @ W.T + b)

    def pieces(self, theta: Array) -> Pieces:
        """Every step from prediction to loss, row by row."""
        return self.at(self.predictor(theta))

    def at(self, z: Array) -> Pieces:
        """The same for a linear predictor `z (n, k)`."""
        raise NotImplementedError

    def value(self, theta: Array) -> float:
        """L(θ), without any penalty."""
        return self._mean(self.pieces(theta).loss)

    def gradient(self, theta: Array) -> Array:
        """∂L/∂θ `(q,)`."""
        return self._backward(self.pieces(theta).error)

    def terms(self, theta: Array) -> Array:
        """What each row adds to the sum in the gradient, `(n, q)`: vᵢ errorᵢ xᵢ, then vᵢ errorᵢ."""
        error = self._weighted(self.pieces(theta).error)
        by_weight = (error[:, :, None] * self.X[:, None, :]).reshape(len(self.X), -1)
        return np.hstack([by_weight, error]) if self.intercept else by_weight

    def gradient_rounding(self, theta: Array, eps: float = EPS) -> Array:
        """How far rounding may have moved each element of the gradient, `(q,)`, a bound to first order in `eps`."""
        W, b = self.split(theta)
        size = np.abs(self.X) @ np.abs(W).T + np.abs(b) + np.abs(self.y)[:, None]
        error = np.abs(self.pieces(theta).error)
        slack = eps * ((self.X.shape[1] + 3.0) * size + (3.0 + np.log2(len(self.X))) * error)
        return self._backward(slack, np.abs(self.X))

    @QUIET
    def along(self, theta: Array, step: Array, t: float) -> float:
        """L(θ + t · step)."""
        return self._mean(self.at(self.predictor(theta) + t * self.predictor(step)).loss)

    @QUIET
    def slope_along(self, theta: Array, step: Array, t: float) -> float:
        """dL(θ + t · step)/dt."""
        shift = self.predictor(step)
        error = self.at(self.predictor(theta) + t * shift).error
        return self.factor * self._mean((error * shift).sum(axis=1))

    def _mean(self, values: Array) -> float:
        return float(values.mean() if self.weight is None else self.weight @ values / len(values))

    def _weighted(self, error: Array) -> Array:
        return error if self.weight is None else error * self.weight[:, None]

    def _backward(self, error: Array, X: Array | None = None) -> Array:
        error = self._weighted(error)
        by_weight = (error.T @ (self.X if X is None else X)).ravel()
        both = np.concatenate([by_weight, error.sum(axis=0)]) if self.intercept else by_weight
        return np.asarray(self.factor / len(self.X) * both)


class SquaredLoss(RowLoss):
    """The mean squared error: ℓ = (ŷ - y)², ŷ = z; `torch.nn.MSELoss`.

    >>> loss = SquaredLoss(np.array([[150.0], [160.0]]), np.array([55.0, 70.0]))
    >>> theta = np.array([0.5, -25.0])
    >>> loss.value(theta), loss.gradient(theta).tolist()
    (125.0, [-3150.0, -20.0])
    """

    name = "mse"
    factor = 2.0

    def at(self, z: Array) -> Pieces:
        """ŷ, ŷ - y, (ŷ - y)²."""
        error = z - self.y[:, None]
        return Pieces(z, z, error, error[:, 0] ** 2)


class Logistic(RowLoss):
    """Binary cross-entropy of a probability p = 1 / (1 + e⁻ᶻ): ℓ = -log p for y = 1, -log(1 - p) for y = 0;
    `torch.nn.BCEWithLogitsLoss`.

    >>> loss = Logistic(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
    >>> round(loss.value(np.zeros(2)), 6), loss.gradient(np.zeros(2)).tolist()
    (0.693147, [-0.25, 0.0])
    """

    name = "bce"

    def at(self, z: Array) -> Pieces:
        """p, p - y, and log(1 + eᶻ) - y z."""
        from scipy.special import expit

        p = expit(z)
        return Pieces(z, p, p - self.y[:, None], (np.logaddexp(0.0, z) - self.y[:, None] * z)[:, 0])


class CrossEntropy(RowLoss):
    """Cross-entropy of the softmax: pⱼ = exp(zⱼ) / Σ exp(z), ℓ = -log p of the class y; `torch.nn.CrossEntropyLoss`.

    >>> loss = CrossEntropy(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]), outputs=3)
    >>> round(loss.value(np.zeros(6)), 6)
    1.098612
    """

    name = "cross-entropy"

    def at(self, z: Array) -> Pieces:
        """p, p - 1 for the class that it was and p for the others, log Σ exp(z) - z of that class."""
        from scipy.special import log_softmax

        logs = log_softmax(z, axis=1)
        rows, classes = np.arange(len(z)), self.y.astype(np.intp)
        p = np.exp(logs)
        error = p.copy()
        error[rows, classes] -= 1.0
        return Pieces(z, p, error, -logs[rows, classes])


LOSSES: dict[str, type[RowLoss]] = {c.name: c for c in (SquaredLoss, Logistic, CrossEntropy)}


def row_loss(name: str) -> type[RowLoss]:
    """The loss of that name, as `--loss` has it."""
    if name not in LOSSES:
        raise UsageError(f"the loss {shown(name)} cannot be worked out by hand: {nearest(name, LOSSES)}")
    return LOSSES[name]
