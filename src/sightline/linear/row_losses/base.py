"""What every loss of a linear model can tell: value, gradient, Hessian, and how it changes, to its last digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pieces", "RowLoss"]

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

    def bend(self, z: Array) -> Array:
        """∂²ℓ/∂z² of every row, `(n, k, k)`; zero where ℓ is piecewise linear, also at its kinks."""
        raise NotImplementedError

    @property
    def steepest(self) -> float | None:
        """The largest eigenvalue that `bend` has anywhere, so λmax of the Hessian is at most `steepest` times that of
        Σ v xx' / n; None where there is no bound.
        """
        raise NotImplementedError

    def difference(self, z: Array, d: Array) -> Array:
        """ℓ(z + d) - ℓ(z) of every row, `(n,)`, with its digits also where d is tiny."""
        raise NotImplementedError

    def error_range(self, z: Array, slack: Array) -> tuple[Array, Array]:
        """The least and largest error of each row, `(n, k)` each: they differ where z is within `slack (n, k)` of a
        kink, and every number between is then a slope of ℓ there.
        """
        del slack
        error = self.at(z).error
        return error, error

    def sharpness(self, z: Array) -> Array | float:
        """By how much `error` changes at most for each unit that rounding moves z, `(n, k)`."""
        del z
        return 1.0

    def value(self, theta: Array) -> float:
        """L(θ), without any penalty."""
        return self._mean(self.pieces(theta).loss)

    def gradient(self, theta: Array) -> Array:
        """∂L/∂θ `(q,)`."""
        return self._backward(self.pieces(theta).error)

    def gradient_of(self, error: Array) -> Array:
        """What the gradient is for these errors `(n, k)`: `factor` / n Σ vᵢ errorᵢ xᵢ, `(q,)`."""
        return self._backward(error)

    def hessian(self, theta: Array) -> Array:
        """∂²L/∂θ² `(q, q)`, in the order of θ."""
        return self.hessian_at(self.predictor(theta))

    def hessian_at(self, z: Array) -> Array:
        """The same for a linear predictor `z (n, k)`."""
        k, p = self.outputs, self.X.shape[1]
        bend, ones = self.bend(z), int(self.intercept)
        H = np.empty((k * (p + ones), k * (p + ones)))
        for a in range(k):
            for b in range(a, k):
                block = self._block(bend[:, a, b])
                for s, t, B in ((a, b, block), (b, a, block.T)):
                    H[s * p : s * p + p, t * p : t * p + p] = B[:p, :p]
                    if ones:
                        H[s * p : s * p + p, k * p + t], H[k * p + s, t * p : t * p + p] = B[:p, p], B[p, :p]
                        H[k * p + s, k * p + t] = B[p, p]
        return H

    def hessian_times(self, theta: Array, v: Array) -> Array:
        """∂²L/∂θ² v `(q,)`, without the matrix."""
        bent = np.einsum("iab,ib->ia", self.bend(self.predictor(theta)), self.predictor(v))
        return self._backward(bent / self.factor)

    def change(self, theta: Array, step: Array) -> float:
        """L(θ + step) - L(θ), added up from the differences of rows, so that it keeps its digits for a small step."""
        return self._mean(self.difference(self.predictor(theta), self.predictor(step)))

    def terms(self, theta: Array) -> Array:
        """What each row adds to the sum in the gradient, `(n, q)`: vᵢ errorᵢ xᵢ, then vᵢ errorᵢ."""
        error = self._weighted(self.pieces(theta).error)
        by_weight = (error[:, :, None] * self.X[:, None, :]).reshape(len(self.X), -1)
        return np.hstack([by_weight, error]) if self.intercept else by_weight

    def gradient_rounding(self, theta: Array, eps: float = EPS) -> Array:
        """How far rounding may have moved each element of the gradient, `(q,)`, a bound to first order in `eps`."""
        pieces = self.pieces(theta)
        wrong = self.predictor_rounding(theta, eps) * self.sharpness(pieces.z)
        slack = wrong + eps * (3.0 + np.log2(len(self.X))) * np.abs(pieces.error)
        return self._backward(slack, np.abs(self.X))

    def predictor_rounding(self, theta: Array, eps: float = EPS) -> Array:
        """How far rounding may have moved z - y, `(n, k)`."""
        W, b = self.split(theta)
        size = np.abs(self.X) @ np.abs(W).T + np.abs(b) + np.abs(self.y)[:, None]
        return np.asarray(eps * (self.X.shape[1] + 3.0) * size)

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

    def _block(self, bend: Array) -> Array:
        """Σ v bend xx' / n of the rows with their one, `(p + 1, p + 1)`."""
        Z = np.column_stack([self.X, np.ones(len(self.X))]) if self.intercept else self.X
        scaled = bend / len(Z) if self.weight is None else bend * self.weight / len(Z)
        return np.asarray(Z.T @ (scaled[:, None] * Z))

    def _mean(self, values: Array) -> float:
        return float(values.mean() if self.weight is None else self.weight @ values / len(values))

    def _weighted(self, error: Array) -> Array:
        return error if self.weight is None else error * self.weight[:, None]

    def _backward(self, error: Array, X: Array | None = None) -> Array:
        error = self._weighted(error)
        by_weight = (error.T @ (self.X if X is None else X)).ravel()
        both = np.concatenate([by_weight, error.sum(axis=0)]) if self.intercept else by_weight
        return np.asarray(self.factor / len(self.X) * both)
