"""Centred moments of rows: all that full-batch training on squared error needs, whatever the number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments"]

Array = NDArray[np.float64]
BLOCK = 8192  # rows per leaf: small enough to stay in cache, and it bounds the rounding of the sums


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, means and centred sums of products, in float64 whatever the dtype of the rows.

    `n`; `x_mean (p,)`; `y_mean (k,)`; `xx (p, p)` = Σ (x - x̄)(x - x̄)'; `xy (p, k)`; `yy (k,)`.
    Raw sums of squares would lose every digit for data far from zero; centred ones merge without that loss
    (Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance).

    >>> m = Moments.of([[1.0], [3.0]], [2.0, 6.0])
    >>> m.n, m.x_mean.tolist(), m.xx.tolist(), m.xy.tolist()
    (2, [2.0], [[2.0]], [[4.0]])
    """

    n: int
    x_mean: Array
    y_mean: Array
    xx: Array
    xy: Array
    yy: Array

    @classmethod
    def of(cls, X: Any, y: Any) -> Moments:
        """The moments of rows `X (n, p)`, `y (n,)` or `(n, k)`, merged pairwise from blocks of rows."""
        X = np.asarray(X)
        y = np.asarray(y)
        y = y[:, None] if y.ndim == 1 else y
        leaves = [cls._leaf(X[i : i + BLOCK], y[i : i + BLOCK]) for i in range(0, max(len(X), 1), BLOCK)]
        while len(leaves) > 1:
            pairs = [a + b for a, b in zip(leaves[::2], leaves[1::2], strict=False)]
            leaves = pairs + leaves[len(pairs) * 2 :]
        return leaves[0]

    @classmethod
    def _leaf(cls, X: NDArray[Any], y: NDArray[Any]) -> Moments:
        X, y = X.astype(np.float64), y.astype(np.float64)
        x_mean = X.mean(axis=0) if len(X) else np.zeros(X.shape[1])
        y_mean = y.mean(axis=0) if len(y) else np.zeros(y.shape[1])
        X, y = X - x_mean, y - y_mean
        # the mean itself was rounded: what is left of it is taken out once more
        if len(X):
            dx, dy = X.mean(axis=0), y.mean(axis=0)
            x_mean, y_mean, X, y = x_mean + dx, y_mean + dy, X - dx, y - dy
        return cls(len(X), x_mean, y_mean, X.T @ X, X.T @ y, np.einsum("ij,ij->j", y, y))

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
