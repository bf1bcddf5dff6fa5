"""What every loss of a linear model can tell: value, gradient, Hessian, and how it changes, to its last digits."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..blocks import adds_up, leaf_rows, rows_at, summed

__all__ = ["Pieces", "RowLoss"]

Array = NDArray[np.float64]
T = TypeVar("T")
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
    is `factor` / n Σ vᵢ errorᵢ xᵢ. Sums are taken over blocks of rows, of which X may be on the disk. A block of X may
    be anything that is multiplied as a matrix and becomes one by `np.asarray`.
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
        at = np.asarray(rows, dtype=np.intp)
        weight = None if self.weight is None else self.weight[at]
        return replace(self, X=rows_at(self.X, at), y=self.y[at], weight=weight)

    def part(self, rows: slice) -> Self:
        """The same of neighboring rows, in memory."""
        return self.of_block(rows, self.X[rows])

    def of_block(self, rows: slice, X: Any) -> Self:
        """The same of neighboring rows whose `X` is known."""
        weight = None if self.weight is None else self.weight[rows]
        return replace(self, X=X, y=self.y[rows], weight=weight)

    def over(self, leaf: Callable[[Self], T], *, add: Callable[[T, T], T] = operator.add, work: int = 64) -> T:
        """Σ leaf over blocks of the rows, in one pass; `work` is about what it does with each number of X."""
        n, p = self.X.shape
        size = leaf_rows(self.X)
        if n <= size:
            return leaf(self.part(slice(0, n)))
        return summed(
            lambda rows, _: leaf(self.part(rows)), lambda _: None, rows=n, columns=p, work=work * n * (p + 1), add=add,
            leaf_rows=size,
        )  # fmt: skip

    def split(self, theta: Array) -> tuple[Array, Array]:
        """W `(k, p)` and b `(k,)`, zero without an intercept."""
        k, p = self.outputs, self.X.shape[1]
        bias = theta[k * p :] if self.intercept else np.zeros(k)
        return theta[: k * p].reshape(k, p), bias

    def predictor(self, theta: Array) -> Array:
        """z = Wx + b for every row, `(n, k)`."""
        W, b = self.split(theta)
        return np.asarray(self.X @ W.T + b)

    def predictor_size(self, theta: Array) -> float:
        """‖z‖ of all rows."""
        return float(np.sqrt(self.over(lambda part: np.sum(part.predictor(theta) ** 2))))

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
        return self._mean(lambda part: part.pieces(theta).loss)

    def gradient(self, theta: Array) -> Array:
        """∂L/∂θ `(q,)`."""
        return self.factor / len(self.X) * self.over(lambda part: part.pull(part.pieces(theta).error))

    def hessian(self, theta: Array) -> Array:
        """∂²L/∂θ² `(q, q)`, in the order of θ."""
        if adds_up(self.X):
            return self._added_up(theta) / len(self.X)
        work = self.outputs**2 * (self.X.shape[1] + 64)
        return self.over(lambda part: part.bends(part.predictor(theta)), work=work) / len(self.X)

    def bends(self, z: Array) -> Array:
        """Σ v ∂²ℓ/∂z² ⊗ xx' `(q, q)` in the order of θ, for a linear predictor `z (n, k)`."""
        bend = self.bend(z)
        return self._placed(self._block(bend[:, a, b]) for a, b in self._pairs())

    def _pairs(self) -> list[tuple[int, int]]:
        """Outputs a <= b."""
        return [(a, b) for a in range(self.outputs) for b in range(a, self.outputs)]

    def _added_up(self, theta: Array) -> Array:
        """Σ v ∂²ℓ/∂z² ⊗ xx' `(q, q)` in the order of θ, of rows that add up their own products."""
        pairs = self._pairs()

        def weights(rows: slice, X: Any) -> Array:
            part = self.of_block(rows, X)
            each = part.bend(part.predictor(theta))
            return part._weighted(np.column_stack([each[:, a, b] for a, b in pairs]))

        return self._placed(self.X.squares(weights, len(pairs)))  # type: ignore[attr-defined]

    def _placed(self, blocks: Iterable[Array]) -> Array:
        """One block `(p + 1, p + 1)` for each pair of outputs, put into the order of θ."""
        k, p, ones = self.outputs, self.X.shape[1], int(self.intercept)
        H = np.empty((k * (p + ones), k * (p + ones)))
        for (a, b), block in zip(self._pairs(), blocks, strict=True):
            for s, t, B in ((a, b, block), (b, a, block.T)):
                H[s * p : s * p + p, t * p : t * p + p] = B[:p, :p]
                if ones:
                    H[s * p : s * p + p, k * p + t], H[k * p + s, t * p : t * p + p] = B[:p, p], B[p, :p]
                    H[k * p + s, k * p + t] = B[p, p]
        return H

    def hessian_times(self, theta: Array, v: Array) -> Array:
        """∂²L/∂θ² v `(q,)`, without the matrix."""

        def leaf(part: Self) -> Array:
            return part.pull(np.einsum("iab,ib->ia", part.bend(part.predictor(theta)), part.predictor(v)))

        return self.over(leaf) / len(self.X)

    def change(self, theta: Array, step: Array) -> float:
        """L(θ + step) - L(θ), added up from the differences of rows, so that it keeps its digits for a small step."""
        return self._mean(lambda part: part.difference(part.predictor(theta), part.predictor(step)))

    def terms(self, theta: Array) -> Array:
        """What each row adds to the sum in the gradient, `(n, q)`: vᵢ errorᵢ xᵢ, then vᵢ errorᵢ."""
        error = self._weighted(self.pieces(theta).error)
        by_weight = (error[:, :, None] * np.asarray(self.X)[:, None, :]).reshape(len(self.X), -1)
        return np.hstack([by_weight, error]) if self.intercept else by_weight

    def term_squares(self, theta: Array, groups: NDArray[np.intp] | None = None) -> Array:
        """Σ tt' `(q, q)` of the terms of rows that add up their own products, or of their sums over each of the `groups
        (n,)`.
        """
        pull = np.concatenate(self.over(lambda part: [part._weighted(part.pieces(theta).error)]))
        found = self.X.score_squares(pull, groups, intercept=self.intercept)  # type: ignore[attr-defined]
        k, p = self.outputs, self.X.shape[1]
        if not self.intercept:
            return np.asarray(found)
        at = np.arange(k * (p + 1)).reshape(k, p + 1)
        order = np.append(at[:, :p], at[:, p])
        return np.asarray(found[np.ix_(order, order)])

    def gradient_rounding(self, theta: Array, eps: float = EPS) -> Array:
        """How far rounding may have moved each element of the gradient, `(q,)`, a bound to first order in `eps`."""
        depth = 3.0 + np.log2(len(self.X))

        def leaf(part: Self) -> Array:
            pieces = part.pieces(theta)
            slack = part.predictor_rounding(theta, eps) * part.sharpness(pieces.z) + eps * depth * np.abs(pieces.error)
            return part.pull(slack, abs(part.X))

        return self.factor / len(self.X) * self.over(leaf)

    def predictor_rounding(self, theta: Array, eps: float = EPS) -> Array:
        """How far rounding may have moved z - y, `(n, k)`."""
        W, b = self.split(theta)
        size = abs(self.X) @ np.abs(W).T + np.abs(b) + np.abs(self.y)[:, None]
        return np.asarray(eps * (self.X.shape[1] + 3.0) * size)

    def largest_rounding(self, theta: Array, eps: float = EPS) -> float:
        """The largest of them."""
        return float(self.over(lambda part: part.predictor_rounding(theta, eps).max(initial=0.0), add=max))

    @QUIET
    def along(self, theta: Array, step: Array, t: float) -> float:
        """L(θ + t · step)."""
        return self._mean(lambda part: part.at(part.predictor(theta) + t * part.predictor(step)).loss)

    @QUIET
    def slope_along(self, theta: Array, step: Array, t: float) -> float:
        """dL(θ + t · step)/dt."""

        def leaf(part: Self) -> Array:
            shift = part.predictor(step)
            error = part.at(part.predictor(theta) + t * shift).error
            return np.asarray((error * shift).sum(axis=1))

        return self.factor * self._mean(leaf)

    def total(self, values: Array) -> float:
        """Σ v values."""
        return float(values.sum() if self.weight is None else self.weight @ values)

    def pull(self, error: Array, X: Array | None = None) -> Array:
        """Σ v errorᵢ xᵢ and Σ v errorᵢ for errors `(n, k)`, in the order of θ."""
        error = self._weighted(error)
        by_weight = (error.T @ (self.X if X is None else X)).ravel()
        return np.concatenate([by_weight, error.sum(axis=0)]) if self.intercept else by_weight

    def _block(self, bend: Array) -> Array:
        """Σ v bend xx' of the rows with their one, `(p + 1, p + 1)`."""
        Z = np.column_stack([self.X, np.ones(len(self.X))]) if self.intercept else self.X
        scaled = bend if self.weight is None else bend * self.weight
        return np.asarray(Z.T @ (scaled[:, None] * Z))

    def _mean(self, values: Callable[[Self], Array]) -> float:
        """Σ v values / n of the values of each block."""
        return self.over(lambda part: part.total(values(part))) / len(self.X)

    def _weighted(self, error: Array) -> Array:
        return error if self.weight is None else error * self.weight[:, None]
