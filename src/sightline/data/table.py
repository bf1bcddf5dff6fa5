"""A table in memory: named columns of numbers or text, and where in the source each row stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, nearest, shown

__all__ = ["Column", "Table"]

Kind = Literal["number", "text", "mixed"]


def _row_number(row: int) -> str:
    return f"row {row}"


@dataclass(frozen=True, slots=True)
class Column:
    """One named column.

    `number`: `values` is float64, NaN where missing. `text`: `values` is an object array of `str`, None where missing.
    `mixed`: as text, but some cells read as numbers and some do not, so it is neither until the formula says `C(...)`.
    """

    name: str
    values: NDArray[Any]
    kind: Kind

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which rows have no value, shape `(n,)`."""
        if self.kind == "number":
            return np.asarray(np.isnan(self.values))
        return np.array([value is None for value in self.values], dtype=bool)


@dataclass(frozen=True)
class Table:
    """Columns of equal length, the name of their source, and `place(row)`: where a row (from 0) stands in it."""

    source: str
    columns: Mapping[str, Column]
    rows: int
    place: Callable[[int], str] = field(default=_row_number, compare=False)
    fingerprint: str = ""

    def __getitem__(self, name: str) -> Column:
        if name not in self.columns:
            raise DataError(f"no column {shown(name)} in {self.source}: {nearest(name, self.columns)}")
        return self.columns[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The column as float64, shape `(n,)`, NaN where missing; a column with text is refused by its first text."""
        column = self[name]
        if column.kind == "number":
            return column.values
        name = shown(name, quote=False)
        if all(value is None or _reads_as_number(value) for value in column.values):
            raise DataError(
                f"column {name} of {self.source} holds numbers as text: convert it with astype(float), or "
                f"write C({name}) in the formula to treat it as categories"
            )
        row, value = first_text(column)
        raise DataError(
            f"{self.source} {self.place(row)}, column {name}: {shown(value)} is not a number; correct the cell, "
            f"or write C({name}) in the formula to treat the column as categories"
        )

    def labels(self, name: str) -> NDArray[Any]:
        """The column as text, shape `(n,)`, None where missing; numbers are written as short as they can be."""
        column = self[name]
        if column.kind != "number":
            return column.values
        return np.array([None if np.isnan(v) else number_label(v) for v in column.values], dtype=object)

    def take(self, keep: NDArray[np.bool_]) -> Table:
        """Only the rows marked True, still knowing where each of them stands in the source."""
        if keep.all():
            return self
        kept = np.flatnonzero(keep)
        place = self.place
        columns = {name: Column(name, c.values[keep], c.kind) for name, c in self.columns.items()}
        return Table(self.source, columns, len(kept), lambda row: place(int(kept[row])), self.fingerprint)


def number_label(value: float) -> str:
    """A number as the name of a category: `4`, not `4.0`.

    >>> number_label(4.0), number_label(0.25)
    ('4', '0.25')
    """
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(float(value))


def first_text(column: Column) -> tuple[int, str]:
    """The first cell that does not read as a number: its row (from 0) and its text."""
    for row, value in enumerate(column.values):
        if value is not None and not _reads_as_number(value):
            return row, value
    raise AssertionError(f"column {column.name!r} is {column.kind} but every cell is a number")


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def names_of(columns: Iterable[str]) -> str:
    """Column names as a sentence lists them."""
    return ", ".join(shown(name, quote=False) for name in columns)
