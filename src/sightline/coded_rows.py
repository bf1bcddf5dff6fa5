"""Rows of which categories are kept as codes: what a design matrix says, without its columns of zeros and ones."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import available

__all__ = ["BLOCK", "Block", "CodedRows", "Indicators", "add_rows", "counted", "take_rows"]

Array = NDArray[np.float64]
Codes = NDArray[np.int32]
BLOCK = 2**17  # rows at a time at most: what is made of a block stays small beside the codes
UNIT = 3072 * 32  # rows of a unit at most, as many as whole branches of the sums of moments have
SMALLEST = 3072
NUMBERS = 2**20  # of a unit, 8 MB
WORTH = 10**8  # rows times pairs of factors, from which loading machine code pays


@dataclass(frozen=True)
class Indicators:
    """The indicator columns of one factor: `codes (n,)`, and for each code its column among p, -1 of one that has none
    (the reference, or a label of no row). `unseen(first, codes)` refuses a code of a label that is none of the factor.
    """

    codes: Any
    columns: NDArray[np.intp]
    unseen: Callable[[int, Codes], None] | None = None


@dataclass(frozen=True)
class Block:
    """Some rows: the other columns `dense (m, d)` in the units of the data, and the codes of each factor, int32."""

    first: int
    last: int
    dense: Array
    codes: tuple[Codes, ...]

    @property
    def part(self) -> slice:
        """Which rows they are."""
        return slice(self.first, self.last)


class CodedRows:
    """A design matrix `(n, p)` in training coordinates, (x - `center`) / `scale`, of which blocks of rows are made when
    they are asked for.

    Rows that come from the disk have a `folder` there; in one that is `kept` their sums are, for the next time.

    `places (d,)` are the columns that are no indicators; `dense(first, last)` makes these of some rows, in the units of
    the data, an array of its own each time.

    >>> codes = Indicators(np.array([0, 1, 2, 1]), np.array([-1, 0, 1]))
    >>> X = CodedRows(4, 3, (codes,), np.array([2]), lambda a, b: np.arange(a, b, dtype=float)[:, None])
    >>> X[1:3].tolist(), X.shape
    ([[1.0, 0.0, 1.0], [0.0, 1.0, 2.0]], (4, 3))
    """

    dtype = np.dtype(np.float64)
    ndim = 2
    kept: Path | None

    def __init__(
        self, rows: int, columns: int, parts: tuple[Indicators, ...], places: NDArray[np.intp],
        dense: Callable[[int, int], Array], *, center: Array | None = None, scale: Array | None = None,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.kept, self._held = folder, None, threading.local()
        self.shape, self.parts, self.places, self.dense = (rows, columns), parts, places, dense
        self.center = np.zeros(columns) if center is None else center
        self.scale = np.ones(columns) if scale is None else scale

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """n p."""
        return self.shape[0] * self.shape[1]

    def __array__(self, *_: Any, **__: Any) -> NDArray[Any]:
        raise TypeError("rows that come in blocks are never all there at once")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_held"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _held=threading.local())

    def __getitem__(self, rows: slice) -> Array:
        """Rows that come one after the other, with all columns, `(m, p)`. Of a short slice each thread keeps the unit
        that it is in, as the next one is likely there too.
        """
        first, last, _ = rows.indices(len(self))
        size = NUMBERS // max(1, self.shape[1]) // SMALLEST * SMALLEST
        if last - first > SMALLEST or not size:
            return self._made(first, max(first, last))
        start = first // size * size
        if last > start + size:
            return self._made(first, last)
        if getattr(self._held, "start", None) != start:
            self._held.rows, self._held.start = self._made(start, min(start + size, len(self))), start
        found: Array = self._held.rows[first - start : last - start]
        return found.copy()

    def _made(self, first: int, last: int) -> Array:
        block = self.block(first, last)
        if not self.parts:
            dense = self._placed(block).dense
            ordered = (np.diff(self.places) > 0).all()
            return _row_by_row(dense if ordered else dense[:, np.argsort(self.places)])
        found = np.zeros((block.last - block.first, self.shape[1]))
        for start in range(0, len(found), SMALLEST):  # what is in the cache is not fetched again
            part = slice(start, start + SMALLEST)
            some = found[part]
            some[:, self.places] = block.dense[part]
            for indicators, codes in zip(self.parts, block.codes, strict=True):
                columns = indicators.columns[codes[part]]
                marked = np.flatnonzero(columns >= 0)
                some[marked, columns[marked]] = 1.0
            some -= self.center
            some /= self.scale
        return found

    def block(self, first: int, last: int) -> Block:
        """Some rows as they are kept."""
        codes = tuple(np.asarray(part.codes[first:last], dtype=np.int32) for part in self.parts)
        return Block(first, last, self.dense(first, last), codes)

    def placed_block(self, first: int, last: int) -> Block:
        """The same with the other columns in training coordinates."""
        return self._placed(self.block(first, last))

    def _placed(self, block: Block) -> Block:
        dense = block.dense
        dense -= self.center[self.places]
        dense /= self.scale[self.places]
        return block

    def blocks(self, leaf: int = 1) -> Iterator[tuple[int, int]]:
        """First and last row of each block: a unit, or a power of two of them in memory; or whole leaves of so many
        rows, a power of two of them too where `block_rows` says how many.
        """
        size = self.unit
        while not self.folder and 2 * size <= BLOCK:
            size *= 2
        size = -(-size // leaf) * leaf
        for first in range(0, len(self), size):
            yield first, min(first + size, len(self))

    @property
    def unit(self) -> int:
        """Rows whose numbers are added up by themselves; it depends on the number of columns alone."""
        size = UNIT
        while size > SMALLEST and size * (len(self.places) + len(self.parts) + 2) > NUMBERS:
            size //= 2
        return size

    def placed(self, center: Array, scale: Array) -> CodedRows:
        """The same rows in other coordinates."""
        return CodedRows(
            *self.shape, self.parts, self.places, self.dense, center=center, scale=scale, folder=self.folder
        )  # fmt: skip

    def picked(self, columns: NDArray[np.intp]) -> CodedRows:
        """Some of the columns, rising."""
        if len(columns) == self.shape[1]:
            return self
        place = np.full(self.shape[1] + 1, -1)
        place[columns] = np.arange(len(columns))
        parts = tuple(replace(part, columns=place[part.columns]) for part in self.parts)
        chosen = np.flatnonzero(place[self.places] >= 0)
        return CodedRows(
            len(self), len(columns), parts, place[self.places][chosen], _Some(self.dense, chosen),
            center=self.center[columns], scale=self.scale[columns], folder=self.folder,
        )  # fmt: skip

    def longest(self) -> float:
        """The largest x'x of a row."""
        of_zero, of_one = self.zero**2, self.one**2
        largest = 0.0
        for first, last in self.blocks():
            block = self.placed_block(first, last)
            square = (block.dense**2).sum(axis=1, keepdims=True)
            square += of_zero[self.marked].sum()
            for part, codes in zip(self.parts, block.codes, strict=True):
                more = np.where(part.columns >= 0, (of_one - of_zero)[part.columns], 0.0)
                take_rows(codes, more[:, None], square)
            largest = max(largest, float(square.max(initial=0.0)))
        return largest

    @cached_property
    def zero(self) -> Array:
        """What an indicator column is where a row does not have its code, `(p,)`."""
        return -self.center / self.scale

    @cached_property
    def one(self) -> Array:
        """What it is where a row has it, `(p,)`."""
        return (1.0 - self.center) / self.scale

    @cached_property
    def marked(self) -> NDArray[np.intp]:
        """The columns that are indicators."""
        return np.setdiff1d(np.arange(self.shape[1]), self.places)


@dataclass(frozen=True)
class _Some:
    """Some of the columns that are no indicators."""

    dense: Callable[[int, int], Array]
    chosen: NDArray[np.intp]

    def __call__(self, first: int, last: int) -> Array:
        return self.dense(first, last)[:, self.chosen]


def _row_by_row(columns: Array) -> Array:
    """The same numbers with each row in one piece."""
    found = np.empty(columns.shape)
    for start in range(0, len(found), SMALLEST):  # what is in the cache is not fetched again
        part = slice(start, start + SMALLEST)
        found[part] = columns[part]
    return found


def _by_machine(work: int) -> bool:
    """Whether these sums are worth machine code."""
    return available() and (work >= WORTH or "sightline.compiled.codes" in sys.modules)


def counted(first: Codes, second: Codes, table: NDArray[Any], weight: Array | None, *, work: int) -> None:
    """Add to `table (a, b)` how many rows, or what weight, have each pair of codes."""
    if _by_machine(work):
        from .compiled.codes import add_counts, add_shares

        add_counts(first, second, table) if weight is None else add_shares(first, second, weight, table)
        return
    cells = first.astype(np.intp) * table.shape[1] + second
    found = np.bincount(cells, weights=weight, minlength=table.size).reshape(table.shape)
    table += found.astype(table.dtype)


def add_rows(codes: Codes, values: Array, labels: int) -> Array:
    """Σ of the `values (n, k)` of the rows that have each code, `(labels, k)`."""
    if "sightline.compiled.codes" in sys.modules:
        from .compiled.codes import add_rows as add

        sums = np.zeros((labels, values.shape[1]))
        add(codes, np.ascontiguousarray(values), sums)
        return sums
    sums = np.zeros((labels, values.shape[1]))
    for total, column in zip(sums.T, values.T, strict=True):
        total[:] = np.bincount(codes, weights=column, minlength=labels)
    return sums


def take_rows(codes: Codes, table: Array, found: Array) -> None:
    """Add to `found (n, k)` the row of `table (labels, k)` that each code names."""
    if "sightline.compiled.codes" in sys.modules:
        from .compiled.codes import take_rows as take

        take(codes, table, found)
    else:
        found += table[codes]
