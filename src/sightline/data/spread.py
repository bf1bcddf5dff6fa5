"""Mean, spread and range of columns, from blocks of rows that are added to each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spread"]

Array = NDArray[np.float64]
BLOCK = 24_576  # rows
FAR = 8.0  # times the range of the first block


@dataclass(frozen=True, slots=True)
class Spread:
    """Of rows of `mass` Σ w: the `first (p,)` of them; how far the mean lies from `shift (p,)`, `off (p,)`;
    `squares (p,)` = Σ w (x - x̄)²; `low` and `high (p,)`; and which columns are the `same (p,)` in all rows.

    A column far from zero is counted from its first value, and loses nothing by that distance; others from zero. Merged
    as in Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance.

    >>> spread = Spread.of(np.array([[1.0], [3.0], [8.0]]))
    >>> spread.mean.tolist(), spread.squares.tolist(), spread.high.tolist()
    ([4.0], [26.0], [8.0])
    """

    mass: float
    first: Array
    shift: Array
    off: Array
    squares: Array
    low: Array
    high: Array
    same: NDArray[np.bool_]

    @classmethod
    def of(cls, X: Array, weight: Array | None = None) -> Spread:
        """Those of rows `(n, p)` of weight `(n,)`, at least one."""
        starts = range(0, len(X), BLOCK)
        parts = ((X[i : i + BLOCK], None if weight is None else weight[i : i + BLOCK]) for i in starts)
        return cls.merged(parts)

    @classmethod
    def merged(cls, parts: Iterable[tuple[Array, Array | None]]) -> Spread:
        """Those of rows that come in parts, which may have any size: the bits are the same."""
        blocks = _blocks(parts)
        X, weight = next(blocks)
        first = X[0].copy()
        shift = np.where(np.abs(first) > FAR * np.ptp(X, axis=0), first, 0.0)
        return reduce(add, (cls._block(*one, first, shift) for one in blocks), cls._block(X, weight, first, shift))

    @classmethod
    def _block(cls, X: Array, weight: Array | None, first: Array, shift: Array) -> Spread:
        mass = float(len(X)) if weight is None else float(weight.sum())
        found = np.empty((4, X.shape[1]))
        for j, column in enumerate(np.ascontiguousarray(X.T)):  # one column at a time stays in the cache
            moved = column - shift[j]
            off = moved.mean() if weight is None else np.einsum("i,i->", moved, weight) / mass
            moved -= off
            squares = np.einsum("i,i->", moved, moved if weight is None else moved * weight)
            found[:, j] = off, squares, column.min(), column.max()
        off, squares, low, high = found
        return cls(mass, first, shift, off, squares, low, high, (low == first) & (high == first))

    def __add__(self, other: Spread) -> Spread:
        mass = self.mass + other.mass
        apart, share = other.off - self.off, other.mass / mass
        squares = self.squares + other.squares + self.mass * share * apart**2
        return Spread(
            mass, self.first, self.shift, self.off + share * apart, squares,
            np.minimum(self.low, other.low), np.maximum(self.high, other.high), self.same & other.same,
        )  # fmt: skip

    @property
    def mean(self) -> Array:
        """Σ w x / Σ w `(p,)`."""
        return self.shift + self.off

    @property
    def deviation(self) -> Array:
        """√(Σ w (x - x̄)² / Σ w) `(p,)`."""
        return np.sqrt(self.squares / self.mass)

    @property
    def size(self) -> Array:
        """√(Σ w x² / Σ w) `(p,)`."""
        return np.hypot(self.deviation, self.mean)


def _blocks(parts: Iterable[tuple[Array, Array | None]]) -> Iterator[tuple[Array, Array | None]]:
    """The same rows in blocks of `BLOCK`, the last of which may have fewer."""
    held: list[tuple[Array, Array | None]] = []
    rows = 0
    for X, weight in parts:
        start = 0
        while rows + len(X) - start >= BLOCK:
            end = start + BLOCK - rows
            held.append((X[start:end], None if weight is None else weight[start:end]))
            yield _joined(held)
            held, rows, start = [], 0, end
        if start < len(X):
            held.append((X[start:], None if weight is None else weight[start:]))
            rows += len(X) - start
    if held:
        yield _joined(held)


def _joined(parts: list[tuple[Array, Array | None]]) -> tuple[Array, Array | None]:
    if len(parts) == 1:
        return parts[0]
    weights = [w for _, w in parts if w is not None]
    return np.concatenate([X for X, _ in parts]), np.concatenate(weights) if weights else None
