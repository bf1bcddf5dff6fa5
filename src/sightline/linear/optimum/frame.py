"""Coordinates in which the rows are orthonormal and directions that change nothing are left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..exact import scaled_svd
from ..objective import Objective
from ..row_losses import CrossEntropy, RowLoss

__all__ = ["Frame", "placed"]

Array = NDArray[np.float64]
NOTHING = 1e-12


@dataclass(frozen=True)
class Frame:
    """θ = Jφ with `J (q, r)`: in φ the predictor is that of `rows`, the loss on orthonormal rows, at Sφ, `S (q, r)`.

    `open (q, m)` spans the directions of θ, orthonormal, that change neither the loss nor a penalty; `J` has no part in
    them, so θ = Jφ is of least norm. `rank` counts the directions that the rows determine for each output, of `width`.
    """

    J: Array
    S: Array
    rows: RowLoss
    open: Array
    rank: int
    width: int

    @classmethod
    def of(cls, objective: Objective, noise: Array | None = None) -> Frame:
        """From the singular values of the rows with columns of one length, as for least squares."""
        loss = objective.loss
        Z = np.column_stack([loss.X, np.ones(len(loss.X))]) if loss.intercept else loss.X
        n, width = Z.shape
        root = Z if loss.weight is None else Z * np.sqrt(loss.weight)[:, None]
        svd = scaled_svd(np.asarray(np.linalg.qr(root, mode="r")), width, noise)
        M = svd.directions.T / svd.scale[:, None]
        M[:, : svd.rank] *= np.sqrt(n) / svd.singular[: svd.rank]
        kernel = M[:, svd.rank :]
        M[:, svd.rank :] = kernel / np.maximum(np.linalg.norm(kernel, axis=0), 1e-300)
        B = Z @ M
        B[:, svd.rank :] = 0.0
        T = placed(_kron(np.eye(loss.outputs), M), loss)
        open_ = _open(objective, M[:, svd.rank :])
        S = np.eye(len(T))
        if open_.shape[1]:
            inner = np.linalg.lstsq(T, open_, rcond=None)[0]
            S = np.linalg.qr(inner, mode="complete")[0][:, open_.shape[1] :]
        J = T @ S
        return cls(J - open_ @ (open_.T @ J), S, replace(loss, X=B, intercept=False), open_, svd.rank, width)

    def hessian(self, z: Array, ridge: Array) -> Array:
        """The second derivative of loss and ridge in φ, `(r, r)`."""
        return np.asarray(self.S.T @ self.rows.hessian_at(z) @ self.S + self.J.T @ (ridge[:, None] * self.J))

    @property
    def design(self) -> Array:
        """The rows of one output in φ, `(n, r)`."""
        return np.asarray(self.rows.X @ self.S)


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
