"""Coordinates in which the rows are orthonormal and directions that change nothing are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..blocks import adds_up
from ..exact import scaled_svd
from ..gram import gram_factor
from ..objective import Objective
from ..piecewise import least
from ..row_losses import CrossEntropy, RowLoss
from ..triangle import merged_factors

__all__ = ["Frame", "placed", "scores_of", "with_ones"]

Array = NDArray[np.float64]
NOTHING = 1e-12


@dataclass(frozen=True)
class Frame:
    """θ = Jφ with `J (q, r)`: in φ the predictor is that of orthonormal rows [x 1]M at Sφ, `M (width, width)`, `S (q,
    r)`.

    `open (q, m)` spans the directions of θ, orthonormal, that change neither the loss nor a penalty; `J` has no part in
    them, so θ = Jφ is of least norm. `rank` counts the directions that the rows determine for each output, of `width`.
    The products that rows have `counted` themselves tell all directions apart.
    """

    J: Array
    S: Array
    M: Array
    loss: RowLoss
    open: Array
    rank: int
    width: int
    counted: bool = False

    @classmethod
    def of(cls, objective: Objective, noise: Array | None = None) -> Frame:
        """From the singular values of the rows with columns of one length, as for least squares."""
        loss = objective.loss
        n, width = len(loss.X), loss.X.shape[1] + int(loss.intercept)
        known = gram_factor(loss.X, loss.weight, intercept=loss.intercept) if adds_up(loss.X) and n else None
        R = loss.over(_factor, add=merged_factors, work=4 * width) if known is None else known
        svd = scaled_svd(R, width, noise)
        M = svd.directions.T / svd.scale[:, None]
        M[:, : svd.rank] *= np.sqrt(n) / svd.singular[: svd.rank]
        kernel = M[:, svd.rank :]
        M[:, svd.rank :] = kernel / np.maximum(np.linalg.norm(kernel, axis=0), 1e-300)
        T = placed(_kron(np.eye(loss.outputs), M), loss)
        open_ = _open(objective, M[:, svd.rank :])
        S = np.eye(len(T))
        if open_.shape[1]:
            inner = np.linalg.lstsq(T, open_, rcond=None)[0]
            S = np.linalg.qr(inner, mode="complete")[0][:, open_.shape[1] :]
        J = T @ S
        M = np.where(np.arange(width) < svd.rank, M, 0.0)
        return cls(J - open_ @ (open_.T @ J), S, M, loss, open_, svd.rank, width, known is not None)

    def orthonormal(self, part: RowLoss) -> Array:
        """The rows of a block in these coordinates, `(n, width)`; zeros where they determine nothing."""
        return np.asarray(with_ones(part) @ self.M)

    def model(self, theta: Array, ridge: Array) -> tuple[Array, Array]:
        """The gradient of the loss in θ, `(q,)`, and the second derivative of loss and ridge in φ, `(r, r)`: a pass."""
        if self.counted and adds_up(self.loss.X):
            T = placed(_kron(np.eye(self.loss.outputs), self.M), self.loss) @ self.S
            H = T.T @ self.loss.hessian(theta) @ T
            return self.loss.gradient(theta), H + self.J.T @ (ridge[:, None] * self.J)

        def leaf(part: RowLoss) -> Array:
            z = part.predictor(theta)
            H = replace(part, X=self.orthonormal(part), intercept=False).bends(z)
            return np.concatenate([part.pull(part.at(z).error), H.ravel()])

        loss, q = self.loss, len(theta)
        sums = loss.over(leaf, work=loss.outputs**2 * (self.width + 64)) / max(1, len(loss.X))
        k = loss.outputs * self.width
        H = sums[q:].reshape(k, k)
        return loss.factor * sums[:q], self.S.T @ H @ self.S + self.J.T @ (ridge[:, None] * self.J)

    @property
    def design(self) -> Array:
        """The rows of one output in φ, `(n, r)`."""
        return np.asarray(self.orthonormal(self.loss) @ self.S)

    def fitted(self, target: Callable[[RowLoss], Array], weight: Callable[[RowLoss], Array]) -> Array:
        """Weighted least squares `(width,)` of one output, of targets and weights `(n,)` of each block; of the least
        norm in orthonormal coordinates.
        """
        if self.counted and adds_up(self.loss.X):
            return self._fitted_by_squares(target, weight)

        def leaf(part: RowLoss) -> Array:
            B, w = self.orthonormal(part), weight(part)
            bent = B * w[:, None]
            return np.column_stack([bent.T @ B, bent.T @ target(part)])

        sums = self.loss.over(leaf, work=self.width + 64)
        return np.asarray(self.M @ least(sums[:, :-1], sums[:, -1]))

    def _fitted_by_squares(self, target: Callable[[RowLoss], Array], weight: Callable[[RowLoss], Array]) -> Array:
        """The same of rows that add up their own products."""
        loss = self.loss

        def each(part: RowLoss) -> Array:
            pull = weight(part) * target(part)
            return np.append(pull @ part.X, pull.sum())[: self.width]

        squares = loss.X.squares(lambda rows, X: weight(loss.of_block(rows, X))[:, None], 1)  # type: ignore[attr-defined]
        G = squares[0, : self.width, : self.width]
        return np.asarray(self.M @ least(self.M.T @ G @ self.M, self.M.T @ loss.over(each)))


def with_ones(part: RowLoss) -> Array:
    """[X 1], or X without an intercept."""
    return np.column_stack([part.X, np.ones(len(part.X))]) if part.intercept else np.asarray(part.X)


def scores_of(part: RowLoss, coefficients: Array) -> Array:
    """[X 1] times the coefficients `(width,)` of one output."""
    p = part.X.shape[1]
    return np.asarray(part.X @ coefficients[:p] + coefficients[p:].sum())


def _factor(part: RowLoss) -> Array:
    """R of the weighted rows of a block."""
    Z = with_ones(part)
    return np.asarray(np.linalg.qr(Z if part.weight is None else Z * np.sqrt(part.weight)[:, None], mode="r"))


def placed(by_output: Array, loss: RowLoss) -> Array:
    """Rows in the order output by output (weights and bias of each) put into the order of θ."""
    k, p = loss.outputs, loss.X.shape[1]
    if not loss.intercept:
        return by_output
    at = np.arange(k * (p + 1)).reshape(k, p + 1)
    return np.asarray(by_output[np.concatenate([at[:, :p].ravel(), at[:, p]])])


def _kron(A: Array, B: Array) -> Array:
    return np.asarray(np.kron(A, B), dtype=np.float64)


def _open(objective: Objective, kernel: Array) -> Array:
    """An orthonormal basis `(q, m)` of what changes neither the loss nor a penalty."""
    loss = objective.loss
    k, width = loss.outputs, len(kernel)
    found = _kron(np.eye(k), kernel)
    if isinstance(loss, CrossEntropy):
        found = np.hstack([found, _kron(np.ones((k, 1)), np.eye(width))])
    found = placed(found, loss)
    if not found.shape[1]:
        return found
    U, singular, _ = np.linalg.svd(found / np.maximum(np.linalg.norm(found, axis=0), 1e-300), full_matrices=False)
    found = np.asarray(U[:, singular > NOTHING * singular[0]], dtype=np.float64)
    held = found[(objective.ridge > 0) | (objective.lasso > 0)]
    if not len(held):
        return found
    _, singular, turned = np.linalg.svd(held)
    return np.asarray(found @ turned[int((singular > NOTHING).sum()) :].T)
