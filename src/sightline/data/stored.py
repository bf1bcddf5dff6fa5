"""A table on the disk: the rows that are of use, each column as plain numbers or codes in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .categories import MOST_CODED
from .slices import START, Mark, Piece, Pieces
from .table import CodedColumn, Column, Table, first_text, number_label
from .usable import Missing, complete, weights_of

__all__ = ["BLOCK", "Store", "StoredColumn", "StoredTable", "Wanted", "stored_codes"]

BLOCK = 65_536  # rows at a time
CODE = np.dtype(np.int32)
NUMBER = np.dtype(np.float64)


@dataclass(frozen=True)
class StoredColumn:
    """One of them: float64 numbers; or texts, as int32 places among `labels`."""

    name: str
    path: Path
    labels: tuple[str, ...] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is in the file."""
        return NUMBER if self.labels is None else CODE

    def values(self, first: int, last: int) -> NDArray[Any]:
        """Those of some rows, as they are in the file."""
        return np.fromfile(self.path, self.dtype, count=last - first, offset=first * self.dtype.itemsize)

    def column(self, first: int, last: int) -> Column:
        """Those of some rows as a column in memory."""
        values = self.values(first, last)
        return (
            Column(self.name, values, "number") if self.labels is None else CodedColumn(self.name, values, self.labels)
        )


@dataclass(frozen=True)
class StoredTable:
    """All columns of them, the name of their source, its fingerprint, and where in it each row stands.

    `rows` are those of use; `missing` and `zero_weight` say how many were left out; `numbers` are the different values
    of columns of numbers that may be labels.
    """

    source: str
    columns: Mapping[str, StoredColumn]
    rows: int
    fingerprint: str
    missing: Missing
    zero_weight: int
    numbers: Mapping[str, tuple[float, ...]]
    place: Callable[[int], str] = field(compare=False)

    def __getitem__(self, name: str) -> StoredColumn:
        return self.columns[name]

    def block(self, first: int, last: int, names: Iterable[str] | None = None) -> Table:
        """Some rows of the named columns, or of all, as a table in memory."""
        wanted = self.columns if names is None else names
        columns = {name: self.columns[name].column(first, last) for name in wanted}
        return Table(self.source, columns, last - first, lambda row: self.place(first + row), self.fingerprint)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """First and last row of each block."""
        for first in range(0, self.rows, BLOCK):
            yield first, min(first + BLOCK, self.rows)


@dataclass(frozen=True)
class _CodesOf:
    """The codes of a column, some rows at a time: those in the file, or the places of numbers among `numbers`."""

    column: StoredColumn
    numbers: NDArray[np.float64] | None

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        values = self.column.values(rows.start or 0, rows.stop)
        return values if self.numbers is None else np.searchsorted(self.numbers, values).astype(CODE)


def stored_codes(table: StoredTable, name: str) -> tuple[_CodesOf, tuple[str, ...]]:
    """The codes of a column, and the label that each stands for."""
    column = table[name]
    if column.labels is not None:
        return _CodesOf(column, None), column.labels
    numbers = np.array(table.numbers[name])
    return _CodesOf(column, numbers), tuple(number_label(number) for number in table.numbers[name])


@dataclass(frozen=True)
class Wanted:
    """Which columns are kept; which a row must have; which one weighs it; whose numbers may be labels."""

    names: tuple[str, ...]
    used: tuple[str, ...]
    weights: str | None
    coded: frozenset[str]


class Store:
    """Writes the pieces of a file into files of `folder`.

    A column is of numbers or of texts throughout: one of both is refused at its first text, as it is in memory where
    it is used as numbers. What is written is told in `pieces.jsonl` piece by piece, so that what was interrupted goes
    on behind the last of them: with the same file, and the same columns.
    """

    def __init__(self, source: str, pieces: Pieces, wanted: Wanted, folder: Path) -> None:
        self.source, self.pieces, self.wanted, self.folder = source, pieces, wanted, folder
        self.places = _Places(pieces)
        self.by_column, self.missing, self.zero_weight = dict.fromkeys(wanted.used, 0), 0, 0
        self.read = self.rows = self.end = 0
        self.numbers: dict[str, set[float]] = {name: set() for name in wanted.coded}
        self.writers = [_Writer(name, folder / f"c{i}.bin") for i, name in enumerate(wanted.names)]
        self._take_up()

    @property
    def after(self) -> Mark:
        """The last piece that is written."""
        return self.places.marks[-1] if self.places.marks else START

    def fill(self, heard: Callable[[int, int], object]) -> StoredTable:
        """All of them; `heard` is told how many rows and bytes are behind."""
        pieces, fingerprint = self.pieces(self.wanted.names, self.after)
        with ExitStack() as stack:
            stack.callback(pieces.close)  # where garbage is collected its threads might wait for themselves
            journal = stack.enter_context(open(self.folder / "pieces.jsonl", "a", encoding="utf-8"))
            for writer in self.writers:
                stack.enter_context(writer)
            for piece in pieces:
                self._add(piece, journal)
                heard(self.read, piece.end)
        if not self.read:
            raise DataError(f"{self.source} has no rows; give it one for every observation")
        return self._table(fingerprint())

    def _add(self, piece: Piece, journal: Any) -> None:
        table = piece.table
        keep, missing, zero = kept(table, self.wanted.used, self.wanted.weights)
        numbers = {}
        for writer in self.writers:
            writer.add(table, keep)
            if writer.name in self.numbers and table[writer.name].kind == "number":
                known = self.numbers[writer.name]
                if len(known) <= MOST_CODED:
                    fresh = set(np.unique(table[writer.name].values[keep]).tolist()) - known
                    numbers[writer.name] = sorted(fresh)
        line = {
            "mark": piece.mark, "end": piece.end, "read": table.rows,
            "missing": [missing.rows, dict(missing.by_column)], "zero_weight": zero, "numbers": numbers,
            "kept": self.places.told(keep),
            "columns": [writer.told() for writer in self.writers],
        }  # fmt: skip
        for writer in self.writers:
            writer.flush()
        journal.write(json.dumps(line) + "\n")
        journal.flush()
        self._count(line)

    def _count(self, line: dict[str, Any]) -> None:
        """Take what a line of the journal says into the sums."""
        rows, by_column = line["missing"]
        self.missing += rows
        for name, count in by_column.items():
            self.by_column[name] += count
        self.zero_weight += line["zero_weight"]
        for name, numbers in line["numbers"].items():
            self.numbers[name].update(numbers)
        self.places.add(tuple(line["mark"]), line["read"], line["kept"])
        self.read, self.rows, self.end = self.read + line["read"], self.places.rows, line["end"]

    def _take_up(self) -> None:
        """Go on from the journal of what was interrupted, if there is one."""
        path = self.folder / "pieces.jsonl"
        whole = 0
        if path.exists():
            for text in path.read_bytes().split(b"\n")[:-1]:
                line = json.loads(text)
                self._count(line)
                for writer, told in zip(self.writers, line["columns"], strict=True):
                    writer.take_up(told)
                whole += len(text) + 1
            with open(path, "r+b") as file:
                file.truncate(whole)
        for writer in self.writers:
            writer.cut(self.rows)

    def _table(self, fingerprint: str) -> StoredTable:
        missing = Missing(self.missing, {name: n for name, n in self.by_column.items() if n})
        columns = {w.name: StoredColumn(w.name, w.path, w.texts()) for w in self.writers}
        numbers = {name: tuple(sorted(values)) for name, values in self.numbers.items()}
        return StoredTable(
            self.source, columns, self.rows, fingerprint, missing, self.zero_weight, numbers, self.places
        )  # fmt: skip


class _Places:
    """Where each row that is kept stands: in which piece, and which of its rows it is."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.marks: list[Mark] = []
        self.starts: list[int] = []
        self.masks: list[bytes | None] = []
        self.counts: list[int] = []
        self.rows = 0

    def told(self, keep: NDArray[np.bool_]) -> str | None:
        """Which rows of a piece are kept, for the journal: None for all of them."""
        return None if keep.all() else np.packbits(keep).tobytes().hex()

    def add(self, mark: Mark, read: int, told: str | None) -> None:
        """A piece of `read` rows more."""
        mask = None if told is None else bytes.fromhex(told)
        self.marks.append(mark)
        self.starts.append(self.rows)
        self.masks.append(mask)
        self.counts.append(read)
        self.rows += read if mask is None else int(self._kept(mask, read).sum())

    @staticmethod
    def _kept(mask: bytes, read: int) -> NDArray[np.bool_]:
        return np.unpackbits(np.frombuffer(mask, np.uint8), count=read).astype(bool)

    def __call__(self, row: int) -> str:
        at = int(np.searchsorted(np.array(self.starts), row, side="right")) - 1
        inside, mask = row - self.starts[at], self.masks[at]
        if mask is not None:
            inside = int(np.flatnonzero(self._kept(mask, self.counts[at]))[inside])
        return self.pieces.place(self.marks[at], inside)


def kept(table: Table, used: Sequence[str], weights: str | None) -> tuple[NDArray[np.bool_], Missing, int]:
    """The rows of a table that are of use, what they miss, and how many of the complete ones weigh nothing."""
    keep, by_column = complete(table, used)
    missing = Missing(int((~keep).sum()), by_column)
    if weights is None:
        return keep, missing, 0
    weight = np.zeros(table.rows)
    weight[keep] = weights_of(table.take(keep), weights)
    return keep & (weight > 0), missing, int((keep & (weight == 0)).sum())


class _Writer:
    """One column as it is written: what it is of is known from its first value on."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._kind: Literal["number", "text", ""] = ""
        self._codes: dict[str, int] = {}
        self._first_text = ""
        self._file: BinaryIO | None = None
        self._fresh: list[str] = []

    def __enter__(self) -> _Writer:
        self._file = open(self.path, "ab")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    def add(self, table: Table, keep: NDArray[np.bool_]) -> None:
        """The rows of one piece that are kept."""
        column = table[self.name]
        if column.missing.all():
            return
        if column.kind == "mixed" or self._kind not in ("", column.kind):
            raise self._of_both(column, table)
        if not self._kind:
            self._kind = "number" if column.kind == "number" else "text"
            if self._kind == "text":
                self._first_text = self._says(*first_text(column), table)
        some = column if keep.all() else column.take(keep)
        self._write(some.values if self._kind == "number" else self._places(some))

    def _places(self, column: Column) -> NDArray[np.int32]:
        if isinstance(column, CodedColumn):
            labels = [column.labels[place] for place in column.present]
            moved = np.full(len(column.labels), -1, dtype=CODE)
            moved[column.present] = self._known(labels)
            return np.asarray(moved[column.codes])
        cells = column.values.tolist()
        self._known(dict.fromkeys(cells))
        codes = self._codes
        return np.array([codes[cell] for cell in cells], dtype=CODE)

    def _known(self, labels: Iterable[str]) -> list[int]:
        """The place of each of these labels, new ones behind the others."""
        for label in labels:
            if label not in self._codes:
                self._codes[label] = len(self._codes)
                self._fresh.append(label)
        return [self._codes[label] for label in labels]

    def _write(self, values: NDArray[Any]) -> None:
        assert self._file is not None
        self._file.write(np.ascontiguousarray(values).data)

    def flush(self) -> None:
        """What was written is in the file."""
        assert self._file is not None
        self._file.flush()

    def told(self) -> list[Any]:
        """What the journal says of it: its kind, labels that are new, and the first text."""
        fresh, self._fresh = self._fresh, []
        return [self._kind, fresh, self._first_text]

    def take_up(self, told: Sequence[Any]) -> None:
        """Take what `told` said."""
        self._kind, labels, self._first_text = told
        self._known(labels)
        self._fresh = []

    def cut(self, rows: int) -> None:
        """Leave so many rows in the file, and nothing that was half written behind them."""
        width = CODE.itemsize if self._kind == "text" else NUMBER.itemsize
        with open(self.path, "ab") as file:
            file.truncate(rows * width)

    def _of_both(self, column: Column, table: Table) -> DataError:
        says = self._first_text
        if column.kind != "number":
            says = self._says(*first_text(column), table)
        return DataError(
            f"{says} is not a number; correct the cell, or read the file at once with a larger --memory, where "
            f"C({shown(self.name, quote=False)}) in the formula treats the column as categories"
        )

    def _says(self, row: int, value: str, table: Table) -> str:
        return f"{table.source} {table.place(row)}, column {shown(self.name, quote=False)}: {shown(value)}"

    def texts(self) -> tuple[str, ...] | None:
        """The labels in the order of their places, None of numbers."""
        return tuple(self._codes) if self._kind == "text" else None
