"""Blocks of rows of which categories are kept as codes, as operands of the products that a loss is made of."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_rows import Block, CodedRows, add_rows, take_rows
from .coded_squares import Forms, Squares, squares_of_clusters
from .data.ahead import ahead
from .linear.blocks import workers
from .linear.derived import Picked
from .linear.row_products import row_products

__all__ = ["ByCodes", "CodedBlock", "by_codes"]

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
    def T(self) -> _Turned:  # noqa: N802  as arrays have it
        """The same with rows as columns."""
        return _Turned(self)

    def lengths(self) -> Array:
        """√x'x of each row."""
        size = abs(self)
        square = replace(size.block, dense=size.block.dense**2)
        return np.sqrt(replace(size, block=square, zero=size.zero**2, one=size.one**2) @ np.ones(self.shape[1]))

    def extremes(self, sides: NDArray[np.bool_]) -> tuple[Array, Array]:
        """The lowest and the highest value of each column, and of a mark for each factor's rows without a column, among
        the rows of each side `(m, s)`: `(s, p + factors)` each.
        """
        p, dense = self.shape[1], self.block.dense
        low = np.full((sides.shape[1], p + len(self.rows.parts)), np.inf)
        high, flags = -low, sides.astype(np.float64)
        for k, some in enumerate(sides.T):
            low[k, self.rows.places] = dense.min(axis=0, where=some[:, None], initial=np.inf)
            high[k, self.rows.places] = dense.max(axis=0, where=some[:, None], initial=-np.inf)
        for i, (part, codes) in enumerate(zip(self.rows.parts, self.block.codes, strict=True)):
            count, marked = add_rows(codes, flags, len(part.columns)), part.columns >= 0
            columns = np.append(part.columns[marked], p + i)
            count = np.vstack([count[marked], count[~marked].sum(axis=0)]).T
            ends = np.append(self.zero[columns[:-1]], 0.0), np.append(self.one[columns[:-1]], 1.0)
            with_it, without = count > 0, count < flags.sum(axis=0)[:, None]
            low[:, columns] = np.where(without, ends[0], np.where(with_it, ends[1], np.inf))
            high[:, columns] = np.where(with_it, ends[1], np.where(without, ends[0], -np.inf))
        return low, high

    def scores(self, W: Array) -> Array:
        """x'W' `(m, k)` for `W (k, p)`, each number the same whatever rows are beside it."""
        dense = self.block.dense
        bare = replace(self, block=replace(self.block, dense=np.zeros(dense.shape)))
        return bare @ W.T + row_products(dense, W[:, self.rows.places])

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

    def score_squares(self, pull: Array, clusters: NDArray[np.intp] | None = None, *, intercept: bool) -> Array:
        """Σ ss' `(m q, m q)` of the scores s = u ⊗ [x 1] of the rows, u their `pull (n, m)`, or of the sums of the
        scores over each of the `clusters (n,)`.

        No column of a category is made: Σ u_a u_b xx' are counts with weights, and the sums of a cluster have no more
        numbers that are not zero than it has rows, times factors.

        >>> from .coded_rows import Indicators
        >>> rows = CodedRows(3, 1, (Indicators(np.array([0, 1, 1]), np.array([-1, 0])),), np.array([], int),
        ...                  lambda a, b: np.empty((b - a, 0)))
        >>> ByCodes(rows).score_squares(np.array([[0.0], [-1.0], [1.0]]), intercept=True).tolist()
        [[2.0, 2.0], [2.0, 2.0]]
        """
        m, p = pull.shape[1], self.shape[1]
        if clusters is None:
            pairs = [(a, b) for a in range(m) for b in range(a, m)]

            def weights(part: slice, _: CodedBlock) -> Array:
                return np.column_stack([pull[part, a] * pull[part, b] for a, b in pairs])

            squares = np.empty((m, m, p + 1, p + 1))
            for (a, b), found in zip(pairs, self.squares(weights, len(pairs)), strict=True):
                squares[a, b] = squares[b, a] = found
        else:
            squares = squares_of_clusters(self.rows, pull, clusters)
        q = p + int(intercept)
        return squares[:, :, :q, :q].swapaxes(1, 2).reshape(m * q, m * q)

    def left(self, V: Array, weight: Array | None) -> Array:
        """1 - w x'Vx of each row, `(n,)`; x ends with a one where V has a row for it."""
        forms, left = Forms(self.rows, V), np.empty(len(self))
        for ends in self.rows.blocks():
            part = slice(*ends)
            left[part] = forms.of(self[part].block)
        if weight is not None:
            left *= weight
        return np.asarray(1.0 - left)

    @property
    def numbers(self) -> NDArray[np.intp]:
        """The columns that are no indicators."""
        return self.rows.places

    @property
    def levels(self) -> Array:
        """What makes the columns, and the mark of each factor's rows without one, of indicators that are 0 and 1 and of
        ones in the last column: `(p, p + factors)`.
        """
        p = self.shape[1]
        others = np.zeros((p, len(self.rows.parts)))
        others[-1] = 1.0
        for i, part in enumerate(self.rows.parts):
            others[part.columns[part.columns >= 0], i] = -1.0
        return np.hstack([np.eye(p), others])

    def at(self, places: NDArray[np.intp]) -> ByCodes:
        """The rows at rising places."""
        rows = self.rows
        return ByCodes(CodedRows(
            len(places), rows.shape[1], tuple(replace(part, codes=Picked(part.codes, places)) for part in rows.parts),
            rows.places, _DenseAt(rows.dense, places), center=rows.center, scale=rows.scale, folder=rows.folder,
        ))  # fmt: skip

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
        sums, size = Squares(self.rows, count), self.rows.unit

        def weighted(first: int) -> tuple[Block, Array]:
            part = slice(first, min(first + size, len(self)))
            block = self[part]
            return block.block, weights(part, block)

        with ThreadPoolExecutor(workers()) as pool, closing(ahead(weighted, range(0, len(self), size), 2)) as parts:
            for block, weight in parts:
                sums.add(block, weight, pool)
        return sums.found()


@dataclass(frozen=True)
class _DenseAt:
    """The other columns of the rows at rising places."""

    dense: Callable[[int, int], Array]
    places: NDArray[np.intp]

    def __call__(self, first: int, last: int) -> Array:
        at = self.places[first:last]
        start, end = (int(at[0]), int(at[-1]) + 1) if len(at) else (0, 0)
        return self.dense(start, end)[at - start]


def by_codes(X: Any) -> Any:
    """Rows whose categories are codes, by these; others as they are."""
    return ByCodes(X) if isinstance(X, CodedRows) and X.parts else X
