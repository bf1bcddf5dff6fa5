"""Moments and residuals of rows of which categories are kept as codes: counts of pairs instead of products."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .coded_blocks import ByCodes
from .coded_rows import Block, CodedRows, Indicators, add_rows, counted
from .data.ahead import ahead
from .errors import DataError
from .limits import memory_limit
from .linear.blocks import block_rows, one_blas_thread, workers
from .linear.moments import Moments

__all__ = ["coded_moments", "coded_residual_pass"]

Array = NDArray[np.float64]
COPIES = 4  # of X'X: itself, its factor, and what is made of them
HEAD = 64  # rows from whose mean sums are counted


def coded_moments(X: CodedRows, y: Array, weight: Array | None = None) -> Moments:
    """As `Moments.of` of the same matrix, `y (n, k)`.

    Two indicator columns have Σ w x x' = the weight of the rows with both codes, an indicator and a number the sum of
    the number over the rows with the code: a few additions for each row, however many categories there are.

    >>> part = Indicators(np.array([0, 1, 1]), np.array([-1, 0]))
    >>> X = CodedRows(3, 1, (part,), np.array([], int), lambda a, b: np.empty((b - a, 0)))
    >>> coded_moments(X, np.array([[1.0], [2.0], [3.0]])).xx.round(12).tolist()
    [[0.666666666667]]
    """
    p = X.shape[1]
    if COPIES * 8 * p * p > memory_limit():
        raise DataError(
            f"the formula makes {p:,} columns, and the products of all pairs of them take {8e-9 * p * p:,.3g} GB, "
            "several times: leave out columns with many categories, or join their rare ones"
        )
    if not X.parts:
        return _dense_moments(X, y, weight)
    sums = _Sums(X, y, weight)
    with ThreadPoolExecutor(workers()) as pool:
        for first, last in X.blocks():
            sums.add(X.block(first, last), pool)
    return sums.moments()


def _dense_moments(X: CodedRows, y: Array, weight: Array | None) -> Moments:
    """From blocks with all columns, cut as `Moments.of` cuts rows in memory, to the same bits."""
    size = block_rows(X.shape[1])

    def branch(ends: tuple[int, int]) -> Moments:
        rows, part = X[slice(*ends)], slice(*ends)
        target, w = y[part], None if weight is None else weight[part]
        cuts = (slice(i, i + size) for i in range(0, len(rows), size))
        return Moments.merged(Moments.leaf(rows[cut], target[cut], None if w is None else w[cut]) for cut in cuts)

    with one_blas_thread(), closing(ahead(branch, X.blocks(size), workers())) as parts:
        return Moments.merged(parts)


class _Sums:
    """What is added up over blocks: counts of pairs, sums of the numbers by code, moments of the numbers.

    Sums that round are made of `X.unit` rows each, so that their bits do not depend on the blocks.
    """

    def __init__(self, X: CodedRows, y: Array, weight: Array | None) -> None:
        self.X, self.y, self.weight = X, y, weight
        self.sizes = [len(part.columns) for part in X.parts]
        self.pairs = list(combinations(range(len(self.sizes)), 2))
        self.work = len(X) * max(len(self.pairs), 1)
        kind = np.uint32 if weight is None and len(X) < 2**32 else np.float64
        self.tables = [np.zeros((self.sizes[i], self.sizes[j]), kind) for i, j in self.pairs]
        head = min(len(X), HEAD)
        self.shift = np.concatenate([X.dense(0, head).mean(axis=0), y[:head].mean(axis=0), [0.0]])
        self.by_code = [np.zeros((size, len(self.shift))) for size in self.sizes]
        self.own: list[Moments] = []

    def add(self, block: Block, pool: Executor) -> None:
        """A block, of which no two jobs touch the same sums."""
        y, weight = self.y[block.part], None if self.weight is None else self.weight[block.part]
        jobs = [pool.submit(self._pair, block, weight, k) for k in reversed(range(len(self.pairs)))]
        values = self._values(block, y, weight)  # meanwhile
        jobs += [pool.submit(self._rows, block.codes[i], values, i) for i in range(len(self.sizes))]
        for part in self._units(len(y)):
            w = None if weight is None else weight[part]
            self.own.append(Moments.leaf(block.dense[part], y[part], w))
        for job in jobs:
            job.result()

    def _units(self, rows: int) -> list[slice]:
        return [slice(first, first + self.X.unit) for first in range(0, rows, self.X.unit)]

    def _values(self, block: Block, y: Array, weight: Array | None) -> Array:
        """Columns, targets and 1 less their shift, times the weight."""
        found = np.empty((len(y), len(self.shift)))
        d = block.dense.shape[1]
        np.subtract(block.dense, self.shift[:d], out=found[:, :d])
        np.subtract(y, self.shift[d:-1], out=found[:, d:-1])
        found[:, -1] = 1.0
        if weight is not None:
            found *= weight[:, None]
        return found

    def _pair(self, block: Block, weight: Array | None, k: int) -> None:
        i, j = self.pairs[k]
        for part in self._units(len(block.codes[i])) if weight is not None else [slice(None)]:
            w = None if weight is None else weight[part]
            counted(block.codes[i][part], block.codes[j][part], self.tables[k], w, work=self.work)

    def _rows(self, codes: NDArray[np.int32], values: Array, i: int) -> None:
        for part in self._units(len(values)):
            self.by_code[i] += add_rows(codes[part], values[part], self.sizes[i])

    def moments(self) -> Moments:
        """All of it, in training coordinates."""
        own, X, d = Moments.merged(self.own), self.X, len(self.X.places)
        p, mass = X.shape[1], own.n
        mean, xx, xy = np.zeros(p), np.zeros((p, p)), np.zeros((p, len(own.y_mean)))
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
    rows = ByCodes(X)

    def leaf(ends: tuple[int, int]) -> tuple[Array, Array, Array]:
        part, block = slice(*ends), rows[slice(*ends)]
        r = y[part] - block @ slopes.T
        if bias is not None:
            r -= bias
        weighted = r if weight is None else r * weight[part, None]
        return np.einsum("ij,ij->j", weighted, r), weighted.T @ block, weighted.sum(axis=0)

    parts = ahead(leaf, X.blocks(), workers())
    with closing(parts):
        squares, gradient, ones = next(parts)
        for one in parts:
            squares, gradient, ones = squares + one[0], gradient + one[1], ones + one[2]
    return squares, gradient, ones
