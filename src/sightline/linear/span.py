"""The span of columns, judged by the singular values of columns of one length: what the data determine, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError

__all__ = ["Addition", "Span", "added", "centered", "qr", "root_weights"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
LOOSE = 1e-8  # the part along an open direction that rounding leaves in a combination of norm 1


@dataclass(frozen=True)
class Span:
    """R D⁻¹ = U S V' for a triangular factor R and the lengths D of its columns, cut to what the data determine.

    `left (·, r)` is U, an orthonormal basis of the span; `singular (r,)`; `directions (q, q)` are the rows of V', those
    that the data determine first, `rank` r in number; `scale (q,)` are the lengths D, 1 for a column of zeros.

    >>> span = Span.of(np.array([[1.0, 2.0], [0.0, 0.0]]), rows=2)
    >>> span.rank, span.estimable(np.array([[1.0, 0.0], [1.0, 2.0]])).tolist()
    (1, [False, True])
    """

    left: Array
    singular: Array
    directions: Array
    scale: Array
    rank: int

    @classmethod
    def of(cls, R: Array, *, rows: int, noise: Array | None = None, rank: int | None = None) -> Span:
        """Judge the factor `R (·, q)` of a matrix with that many rows.

        Singular values below max(n, q) eps of the largest count as zero, and those below 4 ‖v ∘ noise‖ for the
        direction v, where `noise (q,)` is the relative rounding of each column, as in `exact.least_squares`; with
        `rank` given, the largest ones count.
        """
        q = R.shape[1]
        largest = np.abs(R).max(axis=0, initial=0.0)
        largest[largest == 0] = 1.0
        scale = largest * np.sqrt(((R / largest) ** 2).sum(axis=0))
        scale[scale == 0] = 1.0
        U, singular, directions = np.linalg.svd(R / scale)
        singular = np.pad(singular, (0, q - len(singular)))
        if rank is not None:
            kept = np.arange(q) < rank
        else:
            cutoff = np.full(q, singular[:1].sum() * max(rows, q) * EPS)
            if noise is not None:
                cutoff = np.maximum(cutoff, 4.0 * np.linalg.norm(directions * noise, axis=1))
            kept = singular > cutoff
        order = np.argsort(~kept, kind="stable")
        count = int(kept.sum())
        first = order[:count]
        return cls(U[:, first], singular[first], directions[order], scale, count)

    @property
    def condition(self) -> float:
        """Condition number κ of the columns scaled to one length, of the directions that are determined; 0 of none."""
        return float(self.singular.max() / self.singular.min()) if self.rank else 0.0

    @property
    def basis(self) -> Array:
        """What leads from a row of the matrix, q numbers, to its row of the orthonormal basis, `(q, r)`."""
        return np.asarray(self.directions[: self.rank].T / self.scale[:, None] / self.singular)

    def coordinates(self, combinations: Array) -> Array:
        """S⁻¹ V' D⁻¹ C' `(r, m)` for the rows c of C `(m, q)`: c'θ = Σ (its column) · (U'Q'y), variance σ² ‖it‖²."""
        return np.asarray(self.directions[: self.rank] @ (combinations / self.scale).T / self.singular[:, None])

    def estimable(self, combinations: Array) -> NDArray[np.bool_]:
        """Whether the data determine c'θ for each row c of `combinations (m, q)`: no part in an open direction."""
        scaled = combinations / self.scale
        largest = np.abs(scaled).max(axis=1, keepdims=True, initial=0.0)
        scaled = scaled / np.where(largest > 0, largest, 1.0)
        free = self.directions[self.rank :] @ scaled.T
        return np.asarray(np.abs(free).max(axis=0, initial=0.0) < LOOSE)


@dataclass(frozen=True)
class Addition:
    """What a block of columns adds to others: an orthonormal basis `(·, df)` of its part orthogonal to them, and the
    singular values `(df,)` of that part, columns of the block scaled to length 1.
    """

    basis: Array
    singular: Array

    @property
    def df(self) -> int:
        """How many dimensions are added."""
        return len(self.singular)


def added(R: Array, block: Any, others: Any, *, rows: int, noise: Array | None = None) -> Addition:
    """What the columns `block` of `R (·, q)` add to the columns `others`, both index arrays or masks.

    Its dimension is rank(both) - rank(others), so the dimensions of a sequence of blocks add up to the whole rank.
    """

    def part(columns: Any) -> Span:
        return Span.of(R[:, columns], rows=rows, noise=None if noise is None else noise[columns])

    block, others = np.arange(R.shape[1])[block], np.arange(R.shape[1])[others]
    before, own = part(others), part(block)
    df = min(max(part(np.concatenate([others, block])).rank - before.rank, 0), own.rank)
    left = before.left
    beyond = R[:, block] / own.scale
    for _ in range(2):  # the second time takes out what rounding left (Kahan's twice is enough)
        beyond = beyond - left @ (left.T @ beyond)
    basis, singular, _ = np.linalg.svd(beyond, full_matrices=False)
    basis = basis[:, :df] - left @ (left.T @ basis[:, :df])
    return Addition(np.linalg.qr(basis)[0], singular[:df])


def qr(Z: Array) -> tuple[Array, Array]:
    """Householder Q `(n, min(n, q))` and R of `Z (n, q)`.

    Raises:
        DataError: a value in Z that is not a finite number.
    """
    if Z.ndim != 2 or not np.isfinite(Z).all():
        raise DataError("the design matrix must hold finite numbers in rows and columns: correct or remove the others")
    Q, R = np.linalg.qr(Z)
    return Q, R


def root_weights(weight: Any, rows: int) -> Array:
    """√w `(n,)`; all ones where `weight` is None.

    Raises:
        DataError: weights that are negative, not finite, all zero, or not one for each row.
    """
    if weight is None:
        return np.ones(rows)
    w = np.asarray(weight, dtype=np.float64)
    if w.shape != (rows,):
        raise UsageError(f"there are {w.size:,} weights for {rows:,} rows: give one for each row")
    bad = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if len(bad):
        raise DataError(f"the weight of row {bad[0] + 1} is {w[bad[0]]:g}: weights must be numbers of zero or more")
    if rows and not w.any():
        raise DataError("all weights are zero: give some rows a positive weight")
    return np.sqrt(w)


def centered(Z: Array, root: Array) -> tuple[Array, Array]:
    """The columns of `Z (n, q)` minus their weighted means `(q,)`, and the means; constant columns become zero.

    The mean is subtracted twice, as its own rounding would else stay in the columns.
    """
    share = root / np.linalg.norm(root)
    mean = share @ (share[:, None] * Z)
    moved = Z - mean
    rest = share @ (share[:, None] * moved)
    moved -= rest
    constant = np.abs(moved).max(axis=0, initial=0.0) <= 4.0 * EPS * np.abs(Z).max(axis=0, initial=0.0)
    moved[:, constant] = 0.0
    return moved, mean + rest
