"""A table of which some rows at a time come from the disk: its columns are plain numbers or codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .disk import read_into
from .table import CodedColumn, Column, Table, number_label
from .usable import Missing

__all__ = ["CODE", "NUMBER", "ColumnOnDisk", "StoredColumn", "StoredTable", "column_of", "stored_codes"]

CODE = np.dtype(np.int32)
NUMBER = np.dtype(np.float64)


class ColumnOnDisk(Protocol):
    """Some rows at a time: float64 numbers; or texts, as int32 places among `labels`."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...] | None: ...
    def values(self, first: int, last: int) -> NDArray[Any]:
        """Those of some rows."""


def column_of(column: ColumnOnDisk, first: int, last: int) -> Column:
    """Some rows as a column in memory."""
    values = column.values(first, last)
    if column.labels is None:
        return Column(column.name, values, "number")
    return CodedColumn(column.name, values, column.labels)


@dataclass(frozen=True)
class StoredColumn:
    """One that is in a file of its own."""

    name: str
    path: Path
    labels: tuple[str, ...] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is in the file."""
        return NUMBER if self.labels is None else CODE

    def values(self, first: int, last: int) -> NDArray[Any]:
        """Those of some rows, as they are in the file."""
        found = np.empty(last - first, self.dtype)
        read_into(self.path, found, first * self.dtype.itemsize)
        return found


@dataclass(frozen=True)
class StoredTable:
    """All columns of them, the name of their source, its fingerprint, and where in it each row stands.

    `rows` are those of use; `missing` and `zero_weight` say how many were left out; `numbers` are the different values
    of columns of numbers that may be labels. `heard` is told which rows are read, and how many there are.
    """

    source: str
    columns: Mapping[str, ColumnOnDisk]
    rows: int
    fingerprint: str
    missing: Missing
    zero_weight: int
    numbers: Mapping[str, tuple[float, ...]]
    place: Callable[[int], str] = field(compare=False)
    heard: Callable[[int, int, int], object] | None = field(default=None, compare=False, repr=False)

    def __getitem__(self, name: str) -> ColumnOnDisk:
        return self.columns[name]

    def present(self) -> Mapping[str, tuple[object, ...]]:
        """The labels of each column that has some, in the order of their codes: texts, or numbers."""
        texts = {name: column.labels for name, column in self.columns.items() if column.labels is not None}
        return {**{name: found for name, found in self.numbers.items() if name not in texts}, **texts}

    def numbers_of(self, names: Sequence[str], first: int, last: int) -> NDArray[np.float64]:
        """Some rows of columns of numbers, `(len(names), last - first)`, a column in one piece."""
        if self.heard is not None:
            self.heard(first, last, self.rows)
        found = np.empty((len(names), last - first))
        for name, values in zip(names, found, strict=True):
            column = self.columns[name]
            if isinstance(column, StoredColumn):
                read_into(column.path, values, first * NUMBER.itemsize)
            else:
                values[:] = column.values(first, last)
        return found

    def block(self, first: int, last: int, names: Iterable[str] | None = None) -> Table:
        """Some rows of the named columns, or of all, as a table in memory."""
        if self.heard is not None:
            self.heard(first, last, self.rows)
        wanted = self.columns if names is None else names
        columns = {name: column_of(self.columns[name], first, last) for name in wanted}
        return Table(self.source, columns, last - first, lambda row: self.place(first + row), self.fingerprint)


@dataclass(frozen=True)
class _CodesOf:
    """The codes of a column, some rows at a time: those in the file, or the places of numbers among `numbers`."""

    column: ColumnOnDisk
    numbers: NDArray[np.float64] | None
    rows: int

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        values = self.column.values(rows.start or 0, min(rows.stop, self.rows))
        if self.numbers is None:
            return values
        return np.minimum(np.searchsorted(self.numbers, values), len(self.numbers) - 1).astype(CODE)


def stored_codes(table: StoredTable, name: str) -> tuple[_CodesOf, tuple[str, ...]]:
    """The codes of a column, and the label that each stands for."""
    column = table[name]
    if column.labels is not None:
        return _CodesOf(column, None, table.rows), column.labels
    numbers = np.array(table.numbers[name])
    return _CodesOf(column, numbers, table.rows), tuple(number_label(number) for number in table.numbers[name])
