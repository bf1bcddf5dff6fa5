"""A table on the disk: each column as plain numbers in a file of its own, read back some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .slices import Piece
from .table import Column, Table, first_text

__all__ = ["BLOCK", "StoredColumn", "StoredTable", "store"]

BLOCK = 65_536  # rows at a time


@dataclass(frozen=True)
class StoredColumn:
    """One of them: float64 numbers, NaN where missing; or texts, as int32 places among `labels`, -1 where missing."""

    name: str
    path: Path
    labels: tuple[str, ...] | None = None

    def values(self, first: int, last: int) -> NDArray[Any]:
        """Those of some rows, as they are in the file."""
        dtype = np.dtype(np.float64 if self.labels is None else np.int32)
        return np.fromfile(self.path, dtype, count=last - first, offset=first * dtype.itemsize)

    def column(self, first: int, last: int) -> Column:
        """Those of some rows as a column in memory."""
        values = self.values(first, last)
        if self.labels is None:
            return Column(self.name, values, "number")
        return Column(self.name, np.array([*self.labels, None], dtype=object)[values], "text")


@dataclass(frozen=True)
class StoredTable:
    """All columns of them, the name of their source, its fingerprint, and where in it each row stands."""

    source: str
    columns: Mapping[str, StoredColumn]
    rows: int
    fingerprint: str
    place: Callable[[int], str] = field(compare=False)

    def block(self, first: int, last: int, names: Iterable[str] | None = None) -> Table:
        """Some rows of the named columns, or of all, as a table in memory."""
        wanted = self.columns if names is None else names
        columns = {name: self.columns[name].column(first, last) for name in wanted}
        return Table(self.source, columns, last - first, lambda row: self.place(first + row), self.fingerprint)

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[int, int]]:
        """First and last row of each block."""
        for first in range(0, self.rows, size):
            yield first, min(first + size, self.rows)


def store(
    source: str, names: Sequence[str], pieces: Generator[Piece], folder: Path, *, fingerprint: Callable[[], str],
    heard: Callable[[int, int], object],
) -> StoredTable:  # fmt: skip
    """Write the pieces of a file into files of `folder`; `heard` is told how many rows and bytes are behind.

    A column is of numbers or of texts throughout: one of both is refused at its first text, as it is in memory where
    it is used as numbers.
    """
    writers: list[_Writer] = []
    starts: list[int] = []
    places: list[Callable[[int], str]] = []
    rows = 0
    with ExitStack() as stack:
        stack.callback(pieces.close)  # where garbage is collected its threads might wait for themselves
        for i, name in enumerate(names):
            writers.append(_Writer(name, folder / f"c{i}.bin"))
            stack.callback(writers[-1].close)
        for piece in pieces:
            starts.append(rows)
            places.append(piece.table.place)
            for writer in writers:
                writer.add(piece.table)
            rows += piece.table.rows
            heard(rows, piece.end)
    if not rows:
        raise DataError(f"{source} has no rows; give it one for every observation")
    found = {w.name: StoredColumn(w.name, w.path, w.texts()) for w in writers}
    ends = np.array(starts)

    def place(row: int) -> str:
        at = int(np.searchsorted(ends, row, side="right")) - 1
        return places[at](row - starts[at])

    return StoredTable(source, found, rows, fingerprint(), place)


class _Writer:
    """One column as it is written: what it is of is known from its first value on."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115  closed by `store`
        self._kind: Literal["number", "text", ""] = ""
        self._pending = 0
        self._codes: dict[str, int] = {}
        self._first_text = ""

    def add(self, table: Table) -> None:
        """The rows of one piece more."""
        column = table[self.name]
        missing = column.missing
        if missing.all():
            if not self._kind:
                self._pending += len(missing)
            else:
                self._write(self._empty(len(missing)))
            return
        if column.kind == "mixed" or self._kind not in ("", column.kind):
            raise self._of_both(column, table)
        if not self._kind:
            self._kind = "number" if column.kind == "number" else "text"
            self._write(self._empty(self._pending))
            if self._kind == "text":
                self._first_text = self._says(*first_text(column), table)
        self._write(column.values if self._kind == "number" else self._places(column.values))

    def _places(self, values: NDArray[Any]) -> NDArray[np.int32]:
        codes = self._codes
        for label in dict.fromkeys(values.tolist()):
            if label is not None and label not in codes:
                codes[label] = len(codes)
        return np.array([-1 if value is None else codes[value] for value in values.tolist()], dtype=np.int32)

    def _empty(self, count: int) -> NDArray[Any]:
        return np.full(count, np.nan) if self._kind == "number" else np.full(count, -1, np.int32)

    def _write(self, values: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(values).data)

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

    def close(self) -> None:
        """Nothing comes any more."""
        try:
            if not self._kind:
                self._kind = "number"
                self._write(self._empty(self._pending))
        finally:
            self._file.close()
