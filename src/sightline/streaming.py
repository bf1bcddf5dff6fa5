"""Rows that are too many for memory: what their numbers on the disk tell in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_rows import Block, CodedRows
from .data.ahead import ahead
from .data.categories import labels_of
from .data.compact import MOST_INDICATORS, compact_rows, is_compact, refuse_infinite, refuse_unseen, spread_of
from .data.design import Design, check_size
from .data.disk import Numbers
from .data.finite import check_finite
from .data.kept import keep_sums, kept_sums
from .data.spread import Spread
from .data.stored import StoredTable
from .data.table import CodedColumn, Column, Table
from .data.usable import one_cluster
from .rows import Rows

__all__ = ["clusters_of", "labels_by", "rows_by", "rows_of", "sample_of"]

Array = NDArray[np.float64]
BLOCK = 65_536  # rows
SEEN = 4096  # rows that stand for all where an encoding is learned, besides every category


def sample_of(table: StoredTable) -> Table:
    """A small table with all that an encoding learns from: some rows, and then the first of them again with every label
    of each column in turn.
    """
    seen, present = min(table.rows, SEEN), table.present()
    head = table.block(0, seen)
    more = max(map(len, present.values()), default=0)
    columns = {name: _with_labels(head[name], present.get(name, ()), more) for name in table.columns}
    return Table(table.source, columns, seen + more, head.place, table.fingerprint)


def _with_labels(head: Column, labels: tuple[object, ...], more: int) -> Column:
    """So many rows more, with the labels in turn, or with the first value."""
    if isinstance(head, CodedColumn):
        at = {label: code for code, label in enumerate(head.labels)}
        codes = np.array([at[str(label)] for label in labels], dtype=head.codes.dtype)
        return CodedColumn(head.name, np.append(head.codes, np.resize(codes, more)), head.labels)
    others = np.resize(np.array(labels, dtype=np.float64), more) if labels else np.full(more, head.values[0])
    return Column(head.name, np.append(head.values, others), head.kind)


def rows_of(table: StoredTable, design: Design, folder: Path, kept: Path | None = None) -> tuple[Design, Rows]:
    """The design with centers and scales of all rows, and the rows in these, in one pass; in none where the sums of the
    same columns are `kept` in a folder.
    """
    look = _Look(table, design, folder, kept)
    spread = look.spread()
    design = design.spread_over(spread, _exact(look.X), table.source)
    return design, look.rows(design)


def rows_by(table: StoredTable, design: Design, folder: Path) -> Rows:
    """The rows by a design that was learned from others, in one pass."""
    look = _Look(table, design, folder)
    look.spread()
    return look.rows(design)


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
    """One pass over the rows, which writes targets and weights into `folder`."""

    def __init__(self, table: StoredTable, design: Design, folder: Path, kept: Path | None = None) -> None:
        self.table, self.design, self.kept = table, design, kept
        self.X = compact_rows(design.encoding, table, codes=is_compact(design.encoding, table.rows, MOST_INDICATORS))
        self.X.folder = folder
        self.names = (*design.target_columns, *((design.weights,) if design.weights else ()))
        self.numbers = [Numbers((kept or folder) / f"{name}.bin") for name in ("target", "weight")]
        self.counts = [np.zeros(len(part.columns)) for part in self.X.parts]

    def spread(self) -> Spread:
        """Mean, spread and range of all columns."""
        if self.kept is None:
            return self._found()
        known = kept_sums(self.kept / "spread.npz", [f.name for f in fields(Spread)])
        there = self.numbers if self.design.weights else self.numbers[:1]
        if known is not None and all(numbers.take_up(self.table.rows) for numbers in there):
            return Spread(**known | {"mass": float(known["mass"])})
        return self._kept_for_the_next(self.kept)

    def _kept_for_the_next(self, kept: Path) -> Spread:
        """What is found, put into its place when it is whole: another process may do the same meanwhile."""
        places = [numbers.path for numbers in self.numbers]
        for numbers in self.numbers:
            numbers.path = numbers.path.with_suffix(f".{os.getpid()}")
            numbers.path.unlink(missing_ok=True)
            numbers.count = 0
        found = self._found()
        if not any(numbers.in_memory for numbers in self.numbers):
            for numbers, place in zip(self.numbers, places, strict=True):
                if numbers.count:
                    numbers.path = numbers.path.replace(place)
            keep_sums(kept / "spread.npz", {f.name: getattr(found, f.name) for f in fields(found)})
        return found

    def _found(self) -> Spread:
        with closing(ahead(self._read, self.X.blocks())) as parts:
            others = Spread.merged(self._kept(parts))
        return spread_of(self.X, others, self.counts)

    def rows(self, design: Design) -> Rows:
        """The rows in its coordinates."""
        X: Any = self.X.placed(design.center, design.scale)
        X.kept = self.kept
        y, weight = (numbers.array() for numbers in self.numbers)
        return Rows(X, y, weight if design.weights else None, place=self.table.place)

    def _read(self, ends: tuple[int, int]) -> _Part:
        """A block from the disk."""
        block, named = self.X.block(*ends), self.table.block(*ends, self.names)
        refuse_infinite(self.X, block.first, block.dense)
        refuse_unseen(self.X, block)
        y = self.design.encoding.response(named)
        check_finite(y[:, None], (self.design.target,), named)
        check_size(np.array([np.abs(y).max(initial=0.0)]), (self.design.target,), self.table.source, squares=True)
        return _Part(block, y, None if self.design.weights is None else named[self.design.weights].values)

    def _kept(self, parts: Iterator[_Part]) -> Iterator[tuple[Array, Array | None]]:
        """Write targets and weights, count codes; the numbers are for their spread."""
        for part in parts:
            for numbers, values in zip(self.numbers, (part.y, part.weight), strict=True):
                if values is not None:
                    numbers.add(values)
            for count, codes in zip(self.counts, part.block.codes, strict=True):
                count += np.bincount(codes, weights=part.weight, minlength=len(count))
            yield part.block.dense, part.weight


def labels_by(table: StoredTable, name: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The place of each row's label among those of a column, `(n,)`, in one pass over it; and the labels as
    `labels_of` sorts them.
    """
    numbers: dict[str, int] = {}
    found, numeric = [], table[name].labels is None
    for first in range(0, table.rows, BLOCK):
        labels, codes = labels_of(table.block(first, min(first + BLOCK, table.rows), [name]), name)
        found.append(np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int32)[codes])
    order = sorted(numbers, key=float) if numeric else sorted(numbers)
    place = np.empty(len(order), dtype=np.int32)
    place[[numbers[label] for label in order]] = np.arange(len(order))
    return place[np.concatenate(found)], tuple(order)


def clusters_of(table: StoredTable, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The same of clusters, of which there are at least two."""
    codes, labels = labels_by(table, name)
    if len(labels) < 2:
        raise one_cluster(table.source, name, labels[0])
    return codes, labels
