"""One column of numbers or texts as it is written, or only looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .rereading import codes_in
from .stored import CODE, NUMBER
from .table import CodedColumn, Column, Table, first_text

__all__ = ["ColumnWriter"]


class ColumnWriter:
    """One column as it is written: what it is of is known from its first value on."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._kind: Literal["number", "text", ""] = ""
        self.codes: dict[str, int] = {}
        self._first_text = ""
        self._pending = 0
        self._fresh: list[str] = []

    def look(self, table: Table, keep: NDArray[np.bool_]) -> NDArray[Any]:
        """What the rows of one piece that are kept are in the file; a column of numbers and texts is refused."""
        column = table[self.name]
        if column.missing.all():
            return self._empty(int(keep.sum()))
        if column.kind == "mixed" or self._kind not in ("", column.kind):
            raise self._of_both(column, table)
        if not self._kind:
            self._kind = "number" if column.kind == "number" else "text"
            if self._kind == "text":
                self._first_text = self._says(*first_text(column), table)
            some = self._some(column, keep)
            before, self._pending = self._empty(self._pending), 0
            return np.concatenate([before, some])
        return self._some(column, keep)

    def _empty(self, rows: int) -> NDArray[Any]:
        """So many rows that miss their value; of a column of which nothing is known yet they are written later."""
        if not self._kind:
            self._pending += rows
            return np.empty(0)
        return np.full(rows, -1, CODE) if self._kind == "text" else np.full(rows, np.nan)

    def rest(self) -> NDArray[Any]:
        """At the end: the rows of a column that has no value at all, as numbers."""
        if self._kind:
            return np.empty(0)
        self._kind = "number"
        pending, self._pending = self._pending, 0
        return self._empty(pending)

    def _some(self, column: Column, keep: NDArray[np.bool_]) -> NDArray[Any]:
        some = column if keep.all() else column.take(keep)
        return some.values if self._kind == "number" else self._places(some)

    def _places(self, column: Column) -> NDArray[np.int32]:
        if isinstance(column, CodedColumn):
            self._know(column.labels[place] for place in column.present)
        else:
            self._know(label for label in dict.fromkeys(column.values.tolist()) if label is not None)
        return codes_in(column, self.codes)

    def _know(self, labels: Iterable[str]) -> None:
        """Give each new label a place behind the others."""
        for label in labels:
            if label not in self.codes:
                self.codes[label] = len(self.codes)
                self._fresh.append(label)

    def write(self, values: NDArray[Any]) -> None:
        """Behind what is there."""
        with open(self.path, "ab") as file:
            file.write(np.ascontiguousarray(values).data)

    def told(self) -> list[Any]:
        """What the journal says of it: its kind, labels that are new, and the first text."""
        fresh, self._fresh = self._fresh, []
        return [self._kind, fresh, self._first_text, self._pending]

    def take_up(self, told: Sequence[Any]) -> None:
        """Take what `told` said."""
        self._kind, labels, self._first_text, self._pending = told
        self._know(labels)
        self._fresh = []

    def cut(self, rows: int) -> None:
        """Leave so many rows in the file, and nothing that was half written behind them; ValueError of fewer."""
        size = (rows - self._pending) * (CODE.itemsize if self._kind == "text" else NUMBER.itemsize)
        with open(self.path, "ab") as file:
            if file.tell() < size:
                raise ValueError(f"{self.path} is shorter than what was written to it")
            file.truncate(size)

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
        return tuple(self.codes) if self._kind == "text" else None
