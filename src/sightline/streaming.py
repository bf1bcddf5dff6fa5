"""Rows that are too many for memory: what their numbers on the disk tell in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .coded_rows import Block, CodedRows
from .data.ahead import ahead
from .data.compact import MOST_INDICATORS, compact_rows, is_compact, refuse_infinite, spread_of
from .data.design import Design, check_size
from .data.disk import disk_array
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
    paths = {"target": folder / "target.bin", "weight": folder / "weight.bin"}
    with ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for path in paths.values()]
        look = _Look(X, table, design, files)
        parts = stack.enter_context(closing(ahead(look.read, X.blocks())))
        spread = Spread.merged(look.kept(parts))
    design = design.spread_over(spread_of(X, spread, look.counts), _exact(X), table.source)
    X = X.placed(design.center, design.scale)
    n = table.rows
    return design, Rows(
        X,  # type: ignore[arg-type]
        disk_array(paths["target"], np.float64, (n,)),
        disk_array(paths["weight"], np.float64, (n,)) if design.weights else None,
        place=table.place,
    )


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

    def __init__(self, X: CodedRows, table: StoredTable, design: Design, files: Sequence[BinaryIO]) -> None:
        self.X, self.table, self.design, self.files = X, table, design, files
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
            for file, values in zip(self.files, (part.y, part.weight), strict=True):
                if values is not None:
                    file.write(np.ascontiguousarray(values).data)
            for count, codes in zip(self.counts, part.block.codes, strict=True):
                count += np.bincount(codes, weights=part.weight, minlength=len(count))
            yield part.block.dense, part.weight
