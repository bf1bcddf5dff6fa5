"""Rows that are too many for memory: what their numbers on the disk tell in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .coded_rows import Block, CodedRows
from .data.ahead import ahead
from .data.compact import MOST_INDICATORS, compact_rows, is_compact, refuse_infinite, spread_of
from .data.design import Design, check_size
from .data.disk import Numbers
from .data.finite import check_finite
from .data.spread import Spread
from .data.stored import StoredTable
from .data.table import CodedColumn, Column, Table
from .rows import Rows

__all__ = ["rows_of", "sample_of"]

Array = NDArray[np.float64]
SEEN = 4096  # rows that stand for all where an encoding is learned, besides every category


def sample_of(table: StoredTable) -> Table:
    """A small table with all that an encoding learns from: some rows, and then the first of them again with every label
    of each column in turn.
    """
    seen = min(table.rows, SEEN)
    head = table.block(0, seen)
    more = max((len(labels) for labels in _labels(table).values()), default=0)
    columns = {name: _with_labels(head[name], table, more) for name in table.columns}
    return Table(table.source, columns, seen + more, head.place, table.fingerprint)


def _labels(table: StoredTable) -> dict[str, tuple[object, ...]]:
    texts = {name: column.labels for name, column in table.columns.items() if column.labels is not None}
    return {**table.numbers, **texts}


def _with_labels(head: Column, table: StoredTable, more: int) -> Column:
    """So many rows more, with the labels of the column in turn, or with its first value."""
    if isinstance(head, CodedColumn):
        return CodedColumn(head.name, np.append(head.codes, np.arange(more) % len(head.labels)), head.labels)
    numbers = table.numbers.get(head.name) or (head.values[0],)
    return Column(head.name, np.append(head.values, np.resize(numbers, more)), head.kind)


def rows_of(table: StoredTable, design: Design, folder: Path) -> tuple[Design, Rows]:
    """The design with centers and scales of all rows, and the rows in these: one pass, which also writes targets and
    weights.
    """
    X = compact_rows(design.encoding, table, codes=is_compact(design.encoding, table.rows, MOST_INDICATORS))
    X.folder = folder
    look = _Look(X, table, design, [Numbers(folder / f"{name}.bin") for name in ("target", "weight")])
    with closing(ahead(look.read, X.blocks())) as parts:
        spread = Spread.merged(look.kept(parts))
    design = design.spread_over(spread_of(X, spread, look.counts), _exact(X), table.source)
    X = X.placed(design.center, design.scale)
    y, weight = (numbers.array() for numbers in look.numbers)
    return design, Rows(X, y, weight if design.weights else None, place=table.place)  # type: ignore[arg-type]


def _exact(X: CodedRows) -> NDArray[np.bool_]:
    """Numbers on the disk are doubles: no column of them is known beyond that."""
    exact = np.ones(X.shape[1], dtype=bool)
    exact[X.places] = False
    return exact


@dataclass(frozen=True)
class _Part:
    """A block of rows with its targets and weights."""

    block: Block
    y: Array
    weight: Array | None


class _Look:
    """One pass over the rows."""

    def __init__(self, X: CodedRows, table: StoredTable, design: Design, numbers: Sequence[Numbers]) -> None:
        self.X, self.table, self.design, self.numbers = X, table, design, numbers
        self.names = (*design.target_columns, *((design.weights,) if design.weights else ()))
        self.counts = [np.zeros(len(part.columns)) for part in X.parts]

    def read(self, ends: tuple[int, int]) -> _Part:
        """A block from the disk."""
        block, named = self.X.block(*ends), self.table.block(*ends, self.names)
        refuse_infinite(self.X, block.first, block.dense)
        y = self.design.encoding.response(named)
        check_finite(y[:, None], (self.design.target,), named)
        check_size(np.array([np.abs(y).max(initial=0.0)]), (self.design.target,), self.table.source, squares=True)
        return _Part(block, y, None if self.design.weights is None else named[self.design.weights].values)

    def kept(self, parts: Iterator[_Part]) -> Iterator[tuple[Array, Array | None]]:
        """Write targets and weights, count codes; the numbers are for their spread."""
        for part in parts:
            for numbers, values in zip(self.numbers, (part.y, part.weight), strict=True):
                if values is not None:
                    numbers.add(values)
            for count, codes in zip(self.counts, part.block.codes, strict=True):
                count += np.bincount(codes, weights=part.weight, minlength=len(count))
            yield part.block.dense, part.weight
