"""Rows that are too many for memory: the file is read once, piece by piece, into numbers on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .data.categories import MOST_CODED, labels_of
from .data.design import Design, check_finite, check_size
from .data.disk import disk_array
from .data.formula import Formula
from .data.spread import Spread
from .data.stored import BLOCK, StoredTable
from .data.table import Column, Table
from .data.usable import Missing, complete, one_cluster, refuse_empty, refuse_few, refuse_no_weight, weights_of
from .errors import DataError
from .rows import Rows

__all__ = ["Learned", "clusters_of", "labels_by", "learn", "rows_by", "rows_of"]

Array = NDArray[np.float64]
SEEN = 4096  # rows that stand for all where an encoding is learned, besides every category


@dataclass(frozen=True)
class Learned:
    """What a first look at all rows tells: which of them are of use, and a small table with all that an encoding
    learns from: some of these rows, and every category of a column.

    `before` tells how many rows come before each block. Where only some of the rows of use are meant, those are
    `chosen`, and `usable` tells how many of use come before each block.
    """

    table: StoredTable
    names: tuple[str, ...]
    weights: str | None
    kept: int
    missing: Missing
    zero_weight: int
    used_names: tuple[str, ...]
    before: tuple[int, ...]
    sample: Table
    chosen: NDArray[np.bool_] | None = None
    usable: tuple[int, ...] = ()

    def used(self, first: int, last: int, *more: str) -> Table:
        """Those of these rows that are of use, with more columns."""
        block = self.table.block(first, last, dict.fromkeys([*self.names, *more]))
        keep = kept(block, self.used_names, self.weights)[0]
        if self.chosen is not None:
            at = first // BLOCK
            keep[keep] = self.chosen[self.usable[at] : self.usable[at + 1]]
        return block.take(keep)


def learn(
    table: StoredTable, formula: Formula, weights: str | None, chosen: NDArray[np.bool_] | None = None
) -> Learned:
    """One pass over the columns; only the `chosen` rows `(n,)` of those of use are meant, where they are given."""
    names = tuple(dict.fromkeys([*formula.columns, *([weights] if weights else [])]))
    coded = _coded(formula)
    sums = _Look(table, names, coded, formula.columns, weights, chosen)
    for first, last in table.blocks():
        sums.add(table.block(first, last, names))
    return sums.learned()


def _coded(formula: Formula) -> set[str]:
    """The columns whose numbers may be labels."""
    assert formula.response is not None
    factors = [factor for term in formula.terms for factor in term]
    return {*formula.response.columns, *(name for f in factors if f.function == "C" for name in f.columns)}


class _Look:
    """What the blocks of a table tell, one after the other."""

    def __init__(
        self, table: StoredTable, names: tuple[str, ...], coded: set[str], used: Sequence[str], weights: str | None,
        chosen: NDArray[np.bool_] | None,
    ) -> None:  # fmt: skip
        self.table, self.names, self.used, self.weights = table, names, used, weights
        self.chosen, self._usable = chosen, [0]
        self._labels: dict[str, set[float] | set[str]] = {
            n: set() for n in names if n in coded or table.columns[n].labels is not None
        }
        self._before, self._by_column, self._missing, self._zero = [0], dict.fromkeys(used, 0), 0, 0
        self._rows: list[Table] = []
        self._seen = 0

    def add(self, block: Table) -> None:
        """The next block."""
        keep, missing, zero = kept(block, self.used, self.weights)
        for name, count in missing.by_column.items():
            self._by_column[name] += count
        self._missing, self._zero = self._missing + missing.rows, self._zero + zero
        self._usable.append(self._usable[-1] + int(keep.sum()))
        if self.chosen is not None:
            keep[keep] = self.chosen[self._usable[-2] : self._usable[-1]]
        self._before.append(self._before[-1] + int(keep.sum()))
        some = block.take(keep)
        if self._seen < SEEN and some.rows:
            head = np.arange(some.rows) < SEEN - self._seen
            self._rows.append(some.take(head))
            self._seen += int(head.sum())
        for name, labels in self._labels.items():
            if len(labels) <= MOST_CODED:
                labels |= set(some[name].values.tolist() if some[name].kind == "text" else np.unique(some[name].values))

    def learned(self) -> Learned:
        """All of it."""
        source, rows = self.table.source, self.table.rows
        missing = Missing(self._missing, {name: n for name, n in self._by_column.items() if n})
        refuse_empty(source, rows, missing)
        kept_in_all = self._before[-1]
        if self.weights and not kept_in_all:
            raise refuse_no_weight(source, self.weights)
        refuse_few(source, kept_in_all, missing.rows, self._zero)
        return Learned(
            self.table, self.names, self.weights, kept_in_all, missing, self._zero, tuple(self.used),
            tuple(self._before), self._sample(), self.chosen, tuple(self._usable),
        )  # fmt: skip

    def _sample(self) -> Table:
        """Some rows, and then the first of them again with every label of each column in turn."""
        more = max((len(labels) for labels in self._labels.values()), default=0)
        columns = {}
        for name in self.names:
            kind = self._rows[0][name].kind
            own = np.concatenate([part[name].values for part in self._rows])
            labels = sorted(self._labels.get(name, ()))
            added = [labels[i % len(labels)] if labels else own[0] for i in range(more)]
            values = np.concatenate([own, np.array(added, dtype=own.dtype)]) if more else own
            columns[name] = Column(name, values, kind)
        return Table(self.table.source, columns, self._seen + more, self._place, self.table.fingerprint)

    def _place(self, row: int) -> str:
        """Where a row of the sample stands; those that only bring labels stand nowhere."""
        for part in self._rows:
            if row < part.rows:
                return part.place(row)
            row -= part.rows
        return "among its rows"


def kept(block: Table, used: Sequence[str], weights: str | None) -> tuple[NDArray[np.bool_], Missing, int]:
    """The rows of a block that are of use, what they miss, and how many of the complete ones weigh nothing."""
    keep, by_column = complete(block, used)
    missing = Missing(int((~keep).sum()), by_column)
    if weights is None:
        return keep, missing, 0
    weight = np.zeros(block.rows)
    weight[keep] = weights_of(block.take(keep), weights)
    return keep & (weight > 0), missing, int((keep & (weight == 0)).sum())


def rows_of(learned: Learned, design: Design, folder: Path) -> tuple[Design, Rows]:
    """The rows in training coordinates, written into files of `folder`; and the design with means, deviations and
    ranges of all rows in place of those of some.
    """
    n, p = learned.kept, len(design.encoding.terms)
    needed, free = 8 * n * (p + 1 + bool(learned.weights)), shutil.disk_usage(folder).free
    if needed > 0.9 * free:
        raise DataError(
            f"the rows of {learned.table.source} take {needed / 1e9:,.1f} GB on the disk of {folder}, of which "
            f"{free / 1e9:,.1f} GB are free: make room there, or let TMPDIR name another folder"
        )
    paths = {name: folder / f"{name}.bin" for name in ("rows", "target", "weight")}
    with ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for path in paths.values()]
        spread, exact = _encode(learned, design, files)
    design = _by_all_rows(design, spread, exact, learned.table.source)
    with open(paths["rows"], "r+b") as rows:
        for first in range(0, n, BLOCK):
            size = min(BLOCK, n - first)
            block = np.fromfile(paths["rows"], count=size * p, offset=8 * first * p).reshape(size, p)
            rows.write(((block - design.center) / design.scale).data)
    return design, Rows(
        disk_array(paths["rows"], np.float64, (n, p)), disk_array(paths["target"], np.float64, (n,)),
        disk_array(paths["weight"], np.float64, (n,)) if learned.weights else None, place=_Place(learned),
    )  # fmt: skip


def _encode(learned: Learned, design: Design, files: Sequence[BinaryIO]) -> tuple[Spread, NDArray[np.bool_]]:
    """Write columns, targets and weights of all rows that are of use; their spread, and which columns are exact."""
    encoding, table = design.encoding, learned.table
    exact = np.ones(len(encoding.terms), dtype=bool)

    def parts() -> Iterator[tuple[Array, Array | None]]:
        for first, last in table.blocks():
            block = learned.used(first, last)
            if not block.rows:
                continue
            X, y = encoding.matrix(block), encoding.response(block)
            check_finite(X, encoding.terms, block)
            check_finite(y[:, None], (design.target,), block)
            check_size(np.array([np.abs(y).max(initial=0.0)]), (design.target,), table.source, squares=True)
            exact[:] &= encoding.exact(block)
            weight = None if learned.weights is None else block[learned.weights].values
            for file, values in zip(files, (X, y, weight), strict=True):
                if values is not None:
                    file.write(np.ascontiguousarray(values).data)
            yield X, weight

    return Spread.merged(parts()), exact


def _by_all_rows(design: Design, spread: Spread, exact: NDArray[np.bool_], source: str) -> Design:
    """Centers, scales and ranges as `Design.learn` has them of rows in memory."""
    check_size(np.maximum(abs(spread.low), abs(spread.high)), design.encoding.terms, source, squares=True)
    p = len(spread.mean)
    constant = spread.same if design.intercept else spread.same & (spread.first == 0)
    center, scale = np.zeros(p), np.ones(p)
    if design.standardize:
        center, scale = (spread.mean, spread.deviation) if design.intercept else (center, spread.size)
    names = tuple(np.array(design.encoding.terms, dtype=object)[constant])
    center = np.where(constant & design.intercept, spread.first, center)
    scale = np.where(constant, 1.0, scale)
    return replace(design, center=center, scale=scale, constant=names, low=spread.low, high=spread.high, exact=exact)


@dataclass(frozen=True)
class _Place:
    """Where the rows that are of use stand in the file."""

    learned: Learned

    def __call__(self, row: int) -> str:
        before = self.learned.before
        block = int(np.searchsorted(before, row, side="right")) - 1
        first, last = block * BLOCK, min((block + 1) * BLOCK, self.learned.table.rows)
        return self.learned.used(first, last).place(row - before[block])


def rows_by(learned: Learned, design: Design, folder: Path) -> Rows:
    """The rows by a design that was learned from others, in training coordinates, written into a file of `folder`."""
    design, path = replace(design, cluster=None), folder / "held.bin"
    targets, weights = [], []
    with open(path, "wb") as file:
        for first, last in learned.table.blocks():
            block = learned.used(first, last, *design.training_columns)
            if block.rows:
                rows = design.rows(block)
                file.write(np.ascontiguousarray(rows.X).data)
                targets.append(rows.y)
                weights.append(rows.weight)
    y = np.concatenate(targets)
    weight = None if weights[0] is None else np.concatenate([w for w in weights if w is not None])
    X = disk_array(path, np.float64, (len(y), len(design.encoding.terms)))
    return Rows(X, y, weight, place=_Place(learned))


def labels_by(learned: Learned, name: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The place of each row's label among those of a column, `(n,)`, in one pass over it; and the labels as
    `labels_of` sorts them.
    """
    numbers: dict[str, int] = {}
    found, numeric = [], learned.table.columns[name].labels is None
    for first, last in learned.table.blocks():
        block = learned.used(first, last, name)
        labels, codes = labels_of(block, name) if block.rows else ([], np.zeros(0, dtype=np.intp))
        found.append(np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int32)[codes])
    order = sorted(numbers, key=float) if numeric else sorted(numbers)
    place = np.empty(len(order), dtype=np.int32)
    place[[numbers[label] for label in order]] = np.arange(len(order))
    return place[np.concatenate(found)], tuple(order)


def clusters_of(learned: Learned, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The same of clusters, of which there are at least two."""
    codes, labels = labels_by(learned, name)
    if len(labels) < 2:
        raise one_cluster(learned.table.source, name, labels[0])
    return codes, labels
