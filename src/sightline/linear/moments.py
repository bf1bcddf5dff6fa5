"""Centred moments of rows: all that full-batch training on squared error needs, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "block_rows", "residual_pass"]

Array = NDArray[np.float64]
BLOCK = 8192  # rows at a time at most: it bounds the rounding of the sums


def block_rows(columns: int) -> int:
    """Rows at a time, so that a block stays in the processor's cache."""
    return min(BLOCK, max(512, 131072 // max(columns, 1)))


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
        """
        X, y = np.asarray(X), np.asarray(y)
        y = y[:, None] if y.ndim == 1 else y
        parts = (slice(i, i + size) for size in (block_rows(X.shape[1]),) for i in range(0, max(len(X), 1), size))
        return cls.merged(cls.leaf(X[part], y[part], None if weight is None else weight[part]) for part in parts)

    @classmethod
    def merged(cls, leaves: Iterable[Moments]) -> Moments:
        """All of them together, added pairwise, of which only a few are held at a time."""
        waiting: list[tuple[int, Moments]] = []  # sums of 1, 2, 4, 8 ... leaves, the largest first
        for leaf in leaves:
            count, total = 1, leaf
            while waiting and waiting[-1][0] == count:
                total, count = waiting.pop()[1] + total, 2 * count
            waiting.append((count, total))
        total = waiting.pop()[1]
        while waiting:
            total = waiting.pop()[1] + total
        return total

    @classmethod
    def leaf(cls, X: NDArray[Any], y: NDArray[Any], weight: Array | None = None) -> Moments:
        """One block of rows, `y (n, k)`."""
        X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
        n = float(len(X)) if weight is None else float(weight.sum())
        if not n:
            p, k = X.shape[1], y.shape[1]
            return cls(0.0, np.zeros(p), np.zeros(k), np.zeros((p, p)), np.zeros((p, k)), np.zeros(k))
        p, sample = X.shape[1], slice(None, None, max(1, len(X) // 256))
        shift_x, shift_y = X[sample].mean(axis=0), y[sample].mean(axis=0)  # about the means: what is left is taken out
        rows = np.empty((len(X), p + y.shape[1] + 1))
        np.subtract(X, shift_x, out=rows[:, :p])
        np.subtract(y, shift_y, out=rows[:, p:-1])
        rows[:, -1] = 1.0
        products = rows.T @ (rows if weight is None else rows * weight[:, None])
        left = products[-1, :-1] / n
        centered = products[:-1, :-1] - n * np.outer(left, left)
        xx, xy, yy = centered[:p, :p], centered[:p, p:], np.diag(centered)[p:]
        return cls(n, shift_x + left[:p], shift_y + left[p:], xx, xy, np.array(yy))

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
    squares, gradient, ones = np.zeros(len(slopes)), np.zeros_like(slopes), np.zeros(len(slopes))
    size = block_rows(X.shape[1])
    for i in range(0, len(X), size):
        rows = np.asarray(X[i : i + size], dtype=np.float64)
        r = np.asarray(y[i : i + size], dtype=np.float64) - rows @ slopes.T
        if bias is not None:
            r -= bias
        weighted = r if weight is None else r * weight[i : i + size, None]
        squares += np.einsum("ij,ij->j", weighted, r)
        gradient += weighted.T @ rows
        ones += weighted.sum(axis=0)
    return squares, gradient, ones
