"""Moments and residuals of rows of which categories are kept as codes: counts of pairs instead of products."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .coded_rows import Block, CodedRows, Indicators, add_rows, counted
from .linear.blocks import workers
from .linear.moments import Moments

__all__ = ["coded_moments", "coded_residual_pass"]

Array = NDArray[np.float64]
LEAF = 2**16  # rows whose numbers are multiplied at a time


def coded_moments(X: CodedRows, y: Array, weight: Array | None = None) -> Moments:
    """As `Moments.of` of the same matrix, `y (n, k)`.

    Two indicator columns have Σ w x x' = the weight of the rows with both codes, an indicator and a number the sum of
    the number over the rows with the code: a few additions for each row, however many categories there are.

    >>> part = Indicators(np.array([0, 1, 1]), np.array([-1, 0]))
    >>> X = CodedRows(3, 1, (part,), np.array([], int), lambda a, b: np.empty((b - a, 0)))
    >>> coded_moments(X, np.array([[1.0], [2.0], [3.0]])).xx.round(12).tolist()
    [[0.666666666667]]
    """
    sums = _Sums(X, y, weight)
    with ThreadPoolExecutor(workers()) as pool:
        for first, last in X.blocks():
            block = X.block(first, last)
            jobs = [pool.submit(sums.pair, block, k) for k in reversed(range(len(sums.pairs)))]
            values = sums.values(block)  # meanwhile
            jobs += [pool.submit(sums.rows, block, i, values) for i in range(len(sums.sizes))]
            sums.numbers(block)
            for job in jobs:
                job.result()
    return sums.moments()


class _Sums:
    """What is added up over blocks: counts of pairs, sums of the numbers by code, moments of the numbers."""

    def __init__(self, X: CodedRows, y: Array, weight: Array | None) -> None:
        self.X, self.y, self.weight = X, y, weight
        self.sizes = [len(part.columns) for part in X.parts]
        self.pairs = list(combinations(range(len(self.sizes)), 2))
        self.work = len(X) * max(len(self.pairs), 1)
        kind = np.uint32 if weight is None and len(X) < 2**32 else np.float64
        self.tables = [np.zeros((self.sizes[i], self.sizes[j]), kind) for i, j in self.pairs]
        head = X.dense(0, min(len(X), 64))
        self.shift = np.concatenate([head.mean(axis=0), y[:64].mean(axis=0), [0.0]])
        self.by_code = [np.zeros((size, len(self.shift))) for size in self.sizes]
        self.own: list[Moments] = []

    def values(self, block: Block) -> Array:
        """The numbers of a block beside its codes: columns, targets and 1, less the shift, times the weight."""
        found = np.empty((len(block.dense), len(self.shift)))
        d = block.dense.shape[1]
        np.subtract(block.dense, self.shift[:d], out=found[:, :d])
        np.subtract(self.y[block.part], self.shift[d:-1], out=found[:, d:-1])
        found[:, -1] = 1.0
        if self.weight is not None:
            found *= self.weight[block.part, None]
        return found

    def pair(self, block: Block, k: int) -> None:
        """Count the rows of two factors; no two jobs touch the same table."""
        i, j = self.pairs[k]
        weight = None if self.weight is None else self.weight[block.part]
        counted(block.codes[i], block.codes[j], self.tables[k], weight, work=self.work)

    def rows(self, block: Block, i: int, values: Array) -> None:
        """Add the numbers of the rows of each code."""
        self.by_code[i] += add_rows(block.codes[i], values, self.sizes[i])

    def numbers(self, block: Block) -> None:
        """The moments of the numbers themselves."""
        y = self.y[block.part]
        for first in range(0, len(y), LEAF):
            part = slice(first, first + LEAF)
            weight = None if self.weight is None else self.weight[block.part][part]
            self.own.append(Moments.leaf(block.dense[part], y[part], weight))

    def moments(self) -> Moments:
        """All of it, in training coordinates."""
        own, X, d = Moments.merged(self.own), self.X, len(self.X.places)
        p, mass = X.shape[1], own.n
        mean, xx, xy = np.zeros(p), np.zeros((p, p)), np.zeros((p, self.y.shape[1]))
        means = np.concatenate([own.x_mean, own.y_mean]) - self.shift[:-1]
        mean[X.places] = own.x_mean
        xx[np.ix_(X.places, X.places)], xy[X.places] = own.xx / np.multiply.outer(*[X.scale[X.places]] * 2), own.xy
        parts = [_Part(part, sums, X.scale, mass) for part, sums in zip(X.parts, self.by_code, strict=True)]
        for part in parts:
            mean[part.columns] = part.count / mass
            off = part.sums[:, :-1] - np.multiply.outer(part.count, means)
            scaled = off[:, :d] / np.multiply.outer(X.scale[part.columns], X.scale[X.places])
            xx[np.ix_(part.columns, X.places)], xx[np.ix_(X.places, part.columns)] = scaled, scaled.T
            xy[part.columns] = off[:, d:]
            own_cells = np.diag(part.count * part.per_scale) - np.multiply.outer(part.count * part.per_scale, part.mean)
            xx[np.ix_(part.columns, part.columns)] = own_cells * part.per_scale
        for (i, j), table in zip(self.pairs, self.tables, strict=True):
            cells = parts[i].beside(parts[j], table)
            xx[np.ix_(parts[i].columns, parts[j].columns)] = cells
            xx[np.ix_(parts[j].columns, parts[i].columns)] = cells.T
        return Moments(mass, (mean - X.center) / X.scale, own.y_mean, xx, xy / X.scale[:, None], own.yy)


class _Part:
    """The columns of one factor: how many rows each has of a `mass`, their mean, and sums of numbers."""

    def __init__(self, part: Indicators, sums: Array, scale: Array, mass: float) -> None:
        self.kept = part.columns >= 0
        self.columns, self.sums = part.columns[self.kept], sums[self.kept]
        self.count, self.per_scale = self.sums[:, -1], 1.0 / scale[self.columns]
        self.mean = self.count / mass

    def beside(self, other: _Part, table: NDArray[np.uint32] | Array) -> Array:
        """Σ (x - x̄)(z - z̄) with the columns of another factor, from the counts of their pairs."""
        cells = np.asarray(table[np.ix_(self.kept, other.kept)], dtype=np.float64)
        cells -= np.multiply.outer(self.count, other.mean)
        cells *= self.per_scale[:, None]
        cells *= other.per_scale
        return cells


def coded_residual_pass(
    X: CodedRows, y: Array, slopes: Array, bias: Array | None, weight: Array | None = None
) -> tuple[Array, Array, Array]:
    """As `residual_pass` of the same matrix."""

    def leaf(ends: tuple[int, int]) -> tuple[Array, Array, Array]:
        block = X.block(*ends)
        r = y[block.part] - X.scores(block, slopes, bias)
        weighted = r if weight is None else r * weight[block.part, None]
        return np.einsum("ij,ij->j", weighted, r), X.backward(block, weighted), weighted.sum(axis=0)

    with ThreadPoolExecutor(workers()) as pool:
        found = list(pool.map(leaf, X.blocks()))
    squares, gradient, ones = (sum(part[i] for part in found[1:]) + found[0][i] for i in range(3))
    return squares, gradient, ones
