"""Centred moments of rows: all that full-batch training on squared error needs, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import one_blas_thread, pairwise, real, rows_of, summed

__all__ = ["Moments", "residual_pass"]

Array = NDArray[np.float64]
SAMPLE = 16  # rows of a block whose mean is subtracted first, where it is not small beside their spread


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, means and centred sums of products, in float64 whatever the dtype of the rows.

    `n` (or the sum of the weights); `x_mean (p,)`; `y_mean (k,)`; `xx (p, p)` = Σ w (x - x̄)(x - x̄)'; `xy (p, k)`;
    `yy (k,)`.
    Raw sums of squares would lose every digit for data far from zero; centred ones merge without that loss
    (Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance).

    >>> m = Moments.of([[1.0], [3.0]], [2.0, 6.0])
    >>> m.n, m.x_mean.tolist(), m.xx.tolist(), m.xy.tolist()
    (2.0, [2.0], [[2.0]], [[4.0]])
    """

    n: float
    x_mean: Array
    y_mean: Array
    xx: Array
    xy: Array
    yy: Array

    @classmethod
    def of(cls, X: Any, y: Any, weight: Array | None = None) -> Moments:
        """The moments of rows `X (n, p)`, `y (n,)` or `(n, k)`, merged pairwise from blocks of rows; `n` is
        then the sum of the weights `(n,)`, where there are any.

        Rows of any real dtype and any strides, of which one block at a time is converted. The bits do not depend on
        the number of threads.
        """
        X, y = rows_of(X), np.asanyarray(y)
        y = y[:, None] if y.ndim == 1 else y
        p, width = X.shape[1], X.shape[1] + y.shape[1] + 1

        def leaf(part: slice, space: Array) -> Moments:
            return cls.leaf(X[part], y[part], None if weight is None else weight[part], space=space)

        def space(size: int) -> Array:
            return np.empty(size * (width if weight is None else width + p))

        return summed(leaf, space, rows=len(X), columns=p, work=len(X) * width * (width + 64))

    @classmethod
    def merged(cls, leaves: Iterable[Moments]) -> Moments:
        """All of them together, added pairwise, of which only a few are held at a time."""
        return pairwise(leaves)

    @classmethod
    def leaf(
        cls, X: NDArray[Any], y: NDArray[Any], weight: Array | None = None, *, space: Array | None = None
    ) -> Moments:
        """One block of rows, `y (n, k)`; `space` is room for n (p + k + 1) numbers, and n p more with weights."""
        X, y = real(X), real(y)
        n = float(len(X)) if weight is None else float(weight.sum())
        p, k = X.shape[1], y.shape[1]
        if not n:
            return cls(0.0, np.zeros(p), np.zeros(k), np.zeros((p, p)), np.zeros((p, k)), np.zeros(k))
        shift_x, shift_y = _shift(X), y.mean(axis=0, dtype=np.float64)  # what is left of the means is taken out below
        size, all_numbers = X.size, len(X) * (p + k + 1)
        space = np.empty(all_numbers if weight is None else all_numbers + size) if space is None else space
        rows, others = X, space[size:all_numbers].reshape(len(X), k + 1)
        if X.dtype != np.float64:  # faster than subtracting with a conversion
            rows = _converted(X, space)
        if shift_x.any():
            rows = np.subtract(rows, shift_x, out=_laid(space[:size], X))
        np.subtract(y, shift_y, out=others[:, :-1])
        others[:, -1] = 1.0
        right, others_right = rows, others
        if weight is not None:
            right = np.multiply(rows, weight[:, None], out=_laid(space[all_numbers : all_numbers + size], X))
            others_right = others * weight[:, None]
        with one_blas_thread():
            xx, cross, own = rows.T @ right, rows.T @ others_right, others.T @ others_right
        left_x, left_y = cross[:, -1] / n, own[-1, :-1] / n
        xx -= n * np.outer(left_x, left_x)
        xy = cross[:, :-1] - n * np.outer(left_x, left_y)
        yy = np.diag(own)[:-1] - n * left_y * left_y
        return cls(n, shift_x + left_x, shift_y + left_y, xx, xy, yy)

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        dx, dy = other.x_mean - self.x_mean, other.y_mean - self.y_mean
        share, weight = other.n / n, self.n * other.n / n
        return Moments(
            n,
            self.x_mean + share * dx,
            self.y_mean + share * dy,
            self.xx + other.xx + weight * np.outer(dx, dx),
            self.xy + other.xy + weight * np.outer(dx, dy),
            self.yy + other.yy + weight * dy * dy,
        )


def residual_pass(
    X: NDArray[Any], y: NDArray[Any], slopes: Array, bias: Array | None, weight: Array | None = None
) -> tuple[Array, Array, Array]:
    """Σ w r² `(k,)`, Σ w r x' `(k, p)` and Σ w r `(k,)` of the residuals r = y - Xw' - b, block by block in float64."""
    k, p = slopes.shape
    plain = X.dtype == np.float64

    def leaf(part: slice, space: Array) -> Array:
        rows = X[part] if plain else _converted(X[part], space)
        r = y[part] - rows @ slopes.T if bias is None else y[part] - rows @ slopes.T - bias
        weighted = r if weight is None else r * weight[part, None]
        sums = np.empty((k, p + 2))
        sums[:, 0], sums[:, 1] = np.einsum("ij,ij->j", weighted, r), weighted.sum(axis=0)
        sums[:, 2:] = weighted.T @ rows
        return sums

    def space(size: int) -> Array:
        return np.empty(0 if plain else size * p)

    sums = summed(leaf, space, rows=len(X), columns=p, work=64 * len(X) * p)
    return sums[:, 0], sums[:, 2:], sums[:, 1]


def _shift(X: NDArray[Any]) -> Array:
    """The mean of a sample of the rows; zeros where it lies within their spread, for then a bit is lost at most without
    it, and no copy is made.
    """
    sample = X[:: -(-len(X) // SAMPLE)].astype(np.float64, copy=False)
    mean, squares = sample.sum(axis=0) / len(sample), np.einsum("ij,ij->j", sample, sample) / len(sample)
    near = squares >= 2.0 * mean * mean  # variance at least mean²
    return np.zeros_like(mean) if near.all() else mean


def _laid(space: Array, like: NDArray[Any]) -> Array:
    """That room in the shape of the block, with the columns in one piece where they are so in it."""
    n, width = like.shape
    columnar = abs(like.strides[0]) < abs(like.strides[1])
    return space.reshape(width, n).T if columnar else space.reshape(n, width)


def _converted(block: NDArray[Any], space: Array) -> Array:
    """The block in float64, in that room."""
    rows = _laid(space[: block.size], block)
    rows[...] = block
    return rows
