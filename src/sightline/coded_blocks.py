"""Blocks of rows of which categories are kept as codes, as operands of the products that a loss is made of."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_rows import Block, CodedRows, add_rows, counted, take_rows
from .linear.blocks import workers

__all__ = ["ByCodes", "CodedBlock", "by_codes", "placed_squares"]

Array = NDArray[np.float64]
Weights = Callable[[slice, "CodedBlock"], Array]
SMALLEST = 3072  # rows of a leaf
NUMBERS = 2**23  # of a leaf as a matrix, 64 MB


@dataclass(frozen=True)
class CodedBlock:
    """The rows `(m, p)` of a `block` of which the other columns are in training coordinates; an indicator column is
    `one (p,)` where a row has its code and `zero (p,)` elsewhere.

    `block @ W`, `E @ block` and `abs(block)` are what they are of a matrix, without any column of a category;
    `np.asarray(block)` is that matrix.
    """

    rows: CodedRows
    block: Block
    zero: Array
    one: Array

    __array_ufunc__ = None  # so that a product with an array on the left is asked of the block

    @property
    def shape(self) -> tuple[int, int]:
        """m and p."""
        return len(self), self.rows.shape[1]

    def __len__(self) -> int:
        return self.block.last - self.block.first

    def __abs__(self) -> CodedBlock:
        block = replace(self.block, dense=np.abs(self.block.dense))
        return replace(self, block=block, zero=np.abs(self.zero), one=np.abs(self.one))

    @property
    def T(self) -> _Turned:
        """The same with rows as columns."""
        return _Turned(self)

    def lengths(self) -> Array:
        """√x'x of each row."""
        size = abs(self)
        square = replace(size.block, dense=size.block.dense**2)
        return np.sqrt(replace(size, block=square, zero=size.zero**2, one=size.one**2) @ np.ones(self.shape[1]))

    def __matmul__(self, W: Array) -> Array:
        if W.ndim == 1:
            return np.asarray((self @ W[:, None])[:, 0])
        rows, marked = self.rows, self.rows.marked
        found = self.block.dense @ W[rows.places]
        found += self.zero[marked] @ W[marked]
        more = (self.one - self.zero)[:, None] * W
        for part, codes in zip(rows.parts, self.block.codes, strict=True):
            table = np.where(part.columns[:, None] >= 0, more[part.columns], 0.0)
            take_rows(codes, np.ascontiguousarray(table), found)
        return np.asarray(found)

    def __rmatmul__(self, E: Array) -> Array:
        if E.ndim == 1:
            return np.asarray((E[None, :] @ self)[0])
        rows, found = self.rows, np.empty((len(E), self.shape[1]))
        found[:, rows.marked] = np.multiply.outer(E.sum(axis=1), self.zero[rows.marked])
        found[:, rows.places] = E @ self.block.dense
        each = np.ascontiguousarray(E.T)
        for part, codes in zip(rows.parts, self.block.codes, strict=True):
            kept = part.columns >= 0
            columns = part.columns[kept]
            of_codes = add_rows(codes, each, len(part.columns))[kept].T
            found[:, columns] += of_codes * (self.one - self.zero)[columns]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        del copy
        found = np.empty(self.shape)
        found[:] = self.zero
        found[:, self.rows.places] = self.block.dense
        for part, codes in zip(self.rows.parts, self.block.codes, strict=True):
            columns = part.columns[codes]
            at = np.flatnonzero(columns >= 0)
            found[at, columns[at]] = self.one[columns[at]]
        return found if dtype is None else found.astype(dtype)


@dataclass(frozen=True)
class _Turned:
    """The columns of a block as rows."""

    block: CodedBlock

    def __matmul__(self, E: Array) -> Array:
        return np.asarray((E.T @ self.block).T)


@dataclass(frozen=True)
class ByCodes:
    """Rows `(n, p)` of which slices are blocks with codes."""

    rows: CodedRows

    @property
    def shape(self) -> tuple[int, int]:
        """n and p."""
        return self.rows.shape

    @property
    def dtype(self) -> Any:
        """That of doubles."""
        return self.rows.dtype

    @property
    def size(self) -> int:
        """n p."""
        return self.rows.size

    @property
    def leaf(self) -> int:
        """How many rows are added up at a time: so many that a matrix of them is of no weight."""
        return min(self.rows.unit, max(SMALLEST, NUMBERS // max(1, self.shape[1])))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> CodedBlock:
        first, last, _ = rows.indices(len(self))
        block = self.rows.placed_block(first, max(first, last))
        return CodedBlock(self.rows, block, self.rows.zero, self.rows.one)

    def longest(self) -> float:
        """The largest x'x of a row."""
        return self.rows.longest()

    def squares(self, weights: Weights, count: int) -> Array:
        """Σ w [x 1][x 1]' `(count, p + 1, p + 1)` for weights `(m, count)` of each block, in one pass.

        >>> from .coded_rows import Indicators
        >>> rows = CodedRows(3, 1, (Indicators(np.array([0, 1, 1]), np.array([-1, 0])),), np.array([], int),
        ...                  lambda a, b: np.empty((b - a, 0)))
        >>> ByCodes(rows).squares(lambda _, block: np.full((len(block), 1), 2.0), 1).tolist()
        [[[4.0, 4.0], [4.0, 6.0]]]
        """
        sums = _Squares(self.rows, count)
        with ThreadPoolExecutor(workers()) as pool:
            for first in range(0, len(self), self.rows.unit):
                part = slice(first, min(first + self.rows.unit, len(self)))
                block = self[part]
                sums.add(block.block, weights(part, block), pool)
        return sums.found()


def by_codes(X: Any) -> Any:
    """Rows whose categories are codes, by these; others as they are."""
    return ByCodes(X) if isinstance(X, CodedRows) and X.parts else X


class _Squares:
    """What is added up over blocks for each weight: by pairs of codes, by codes, and of the other columns; sums that
    round are made of one block each, all of one size.
    """

    def __init__(self, rows: CodedRows, count: int) -> None:
        self.rows, self.count = rows, count
        self.sizes = [len(part.columns) for part in rows.parts]
        self.pairs = list(combinations(range(len(self.sizes)), 2))
        self.work = len(rows) * max(len(self.pairs), 1)
        d = len(rows.places) + 1
        self.tables = [np.zeros((count, self.sizes[i], self.sizes[j])) for i, j in self.pairs]
        self.by_code = [np.zeros((size, count * d)) for size in self.sizes]
        self.own = np.zeros((count, d, d))

    def add(self, block: Block, weights: Array, pool: ThreadPoolExecutor) -> None:
        """A block, of which no two jobs touch the same sums."""
        each = [np.ascontiguousarray(w) for w in weights.T]
        jobs = [pool.submit(self._pair, block, each, k) for k in range(len(self.pairs))]
        dense = np.column_stack([block.dense, np.ones(len(block.dense))])
        values = [dense * w[:, None] for w in each]
        for own, value in zip(self.own, values, strict=True):
            own += dense.T @ value
        together = np.hstack(values)
        jobs += [pool.submit(self._rows, block, together, i) for i in range(len(self.sizes))]
        for job in jobs:
            job.result()

    def _pair(self, block: Block, weights: list[Array], k: int) -> None:
        i, j = self.pairs[k]
        for table, weight in zip(self.tables[k], weights, strict=True):
            counted(block.codes[i], block.codes[j], table, weight, work=self.work)

    def _rows(self, block: Block, values: Array, i: int) -> None:
        self.by_code[i] += add_rows(block.codes[i], values, self.sizes[i])

    def found(self) -> Array:
        """In training coordinates."""
        rows, p = self.rows, self.rows.shape[1]
        places, d = np.append(rows.places, p), len(rows.places) + 1
        found = np.zeros((self.count, p + 1, p + 1))
        found[:, places[:, None], places] = self.own
        kept = [part.columns >= 0 for part in rows.parts]
        columns = [part.columns[k] for part, k in zip(rows.parts, kept, strict=True)]
        for at, k, sums in zip(columns, kept, self.by_code, strict=True):
            beside = np.moveaxis(sums[k].reshape(len(at), self.count, d), 1, 0)
            found[:, at[:, None], places], found[:, places[:, None], at] = beside, np.swapaxes(beside, 1, 2)
            found[:, at, at] = beside[:, :, -1]
        for (i, j), table in zip(self.pairs, self.tables, strict=True):
            cells = table[:, kept[i]][:, :, kept[j]]
            found[:, columns[i][:, None], columns[j]] = cells
            found[:, columns[j][:, None], columns[i]] = np.swapaxes(cells, 1, 2)
        return placed_squares(rows, found)


def placed_squares(rows: CodedRows, raw: Array) -> Array:
    """Σ w [x 1][x 1]' `(·, p + 1, p + 1)` from the same of indicators that are 0 and 1, in the place of these."""
    p, marked = rows.shape[1], rows.marked
    off, by = np.zeros(p + 1), np.ones(p + 1)
    off[marked], by[marked] = rows.zero[marked], (rows.one - rows.zero)[marked]
    raw *= by
    raw *= by[:, None]
    if off.any():
        row, column, corner = raw[:, p].copy(), raw[:, :, p].copy(), raw[:, p, p].copy()
        raw += off[:, None] * row[:, None, :] + column[:, :, None] * off
        raw += off[:, None] * off * corner[:, None, None]
    return raw
