"""A table in memory: named columns of numbers or text, and where in the source each row stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..double_double import Pair
from ..errors import DataError, nearest, shown
from ..rows import row_number
from .decimals import Typed, are_short, are_whole, decimal_fractions, decimal_pair

__all__ = ["CodedColumn", "Column", "Table"]

Kind = Literal["number", "text", "mixed"]
CODES = 2**18  # codes that are counted at a time


@dataclass(frozen=True, slots=True)
class Column:
    """One named column.

    `number`: `values` is float64, NaN where missing. `text`: `values` is an object array of `str`, None where missing.
    `mixed`: as text, but some cells read as numbers and some do not, so it is neither until the formula says `C(...)`.
    `typed`: None where numbers are the doubles that `values` holds; else they stand for decimals, and it gives the
    cells with more digits than a double tells, if there are any. `spelled` reads the cells of numbers again as they are
    written, where that is in a text file.
    """

    name: str
    values: NDArray[Any]
    kind: Kind
    typed: Typed | None = field(default=None, compare=False, repr=False)
    spelled: Callable[[], NDArray[Any]] | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which rows have no value, shape `(n,)`."""
        if self.kind == "number":
            return np.asarray(np.isnan(self.values))
        return np.array([value is None for value in self.values], dtype=bool)

    @property
    def exact(self) -> bool:
        """Whether no number has more digits than a double holds: decimals of 15, or whole numbers below 2^53."""
        return bool(are_whole(self.values).all()) if self.typed is None else are_short(self.values)

    def pair(self) -> Pair:
        """The numbers that were meant, to 2^-106, shape `(n,)`: the decimals as typed, or the doubles themselves.

        >>> Column("x", np.array([0.1]), "number", lambda: None).pair().lo.tolist()
        [-5.551115123125783e-18]
        """
        return Pair.of(self.values) if self.typed is None else decimal_pair(self.values, self.typed())

    def fractions(self) -> NDArray[Any]:
        """The very numbers that were meant, an array `(n,)` of `Fraction`."""
        return Pair.of(self.values).fractions() if self.typed is None else decimal_fractions(self.values, self.typed())

    def take(self, keep: NDArray[np.bool_] | slice) -> Column:
        """Only the rows marked True, or a slice of them."""
        return Column(self.name, self.values[keep], self.kind, _taken(self.typed, keep))


class CodedColumn(Column):
    """A column of text as places among its labels: `codes (n,)` whole numbers, negative where missing.

    Labels are different from each other, and some may be those of no row. As texts they are made when asked for. They
    are `numeric` where they stand for numbers, which have an order by size.

    >>> column = CodedColumn("g", np.array([1, -1, 0], np.int8), ("a", "b"))
    >>> column.kind, column.values.tolist(), column.missing.tolist()
    ('text', ['b', None, 'a'], [False, True, False])
    """

    __slots__ = ("_present", "codes", "labels", "numeric")
    codes: NDArray[Any]
    labels: tuple[str, ...]
    numeric: bool
    _present: Any

    def __init__(self, name: str, codes: NDArray[Any], labels: tuple[str, ...], *, numeric: bool = False) -> None:
        for field_name, value in (
            ("name", name),
            ("kind", "text"),
            ("typed", None),
            ("spelled", None),
            ("codes", codes),
        ):
            object.__setattr__(self, field_name, value)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "numeric", numeric)
        object.__setattr__(self, "_present", None)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(CodedColumn, numeric=self.numeric), (self.name, self.codes, self.labels)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def values(self) -> NDArray[Any]:
        """The text of each row, None where missing."""
        return np.array([*self.labels, None], dtype=object)[np.where(self.codes < 0, -1, self.codes)]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which rows have no value, shape `(n,)`."""
        return np.asarray(self.codes < 0)

    @property
    def present(self) -> NDArray[np.intp]:
        """The places of the labels that some row has."""
        if self._present is None:
            object.__setattr__(self, "_present", self._found())
        present: NDArray[np.intp] = self._present
        return present

    def _found(self) -> NDArray[np.intp]:
        found = np.zeros(len(self.labels), dtype=bool)
        for first in range(0, len(self.codes), CODES):
            part = self.codes[first : first + CODES]
            found |= np.bincount(part[part >= 0], minlength=len(found)) > 0
        return np.flatnonzero(found)

    def take(self, keep: NDArray[np.bool_] | slice) -> CodedColumn:
        """Only the rows marked True, or a slice of them."""
        return CodedColumn(self.name, self.codes[keep], self.labels, numeric=self.numeric)

    def in_order(self) -> list[int]:
        """The places of the labels that some row has, in the order of these: numbers by size, texts by character."""
        size = float if self.numeric else str
        return sorted(self.present.tolist(), key=lambda place: size(self.labels[place]))


@dataclass(frozen=True)
class Table:
    """Columns of equal length, the name of their source, and `place(row)`: where a row (from 0) stands in it."""

    source: str
    columns: Mapping[str, Column]
    rows: int
    place: Callable[[int], str] = field(default=row_number, compare=False)
    fingerprint: str = ""
    texts: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __getitem__(self, name: str) -> Column:
        if name not in self.columns:
            raise DataError(f"no column {shown(name)} in {self.source}: {nearest(name, self.columns)}")
        return self.columns[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The column as float64, shape `(n,)`, NaN where missing; a column with text is refused by its first text."""
        column = self[name]
        if column.kind == "number":
            return column.values
        said, name = self._first_texts.get(name) or self._first_text(name), shown(name, quote=False)
        if not said:
            raise DataError(
                f"column {name} of {self.source} holds numbers as text: convert it with astype(float), or "
                f"write C({name}) in the formula to treat it as categories"
            )
        raise DataError(
            f"{said} is not a number; correct the cell, or write C({name}) in the formula to treat the column as "
            "categories"
        )

    @cached_property
    def _first_texts(self) -> dict[str, str]:
        """Of each column of texts and numbers the first text, in these rows or in those that they were taken from."""
        mixed = (name for name, column in self.columns.items() if column.kind == "mixed" and name not in self.texts)
        return {**self.texts, **{name: said for name in mixed if (said := self._first_text(name))}}

    def _first_text(self, name: str) -> str:
        """Where the first cell of a column stands that does not read as a number, and what it is; empty of none."""
        column = self.columns[name]
        if all(value is None or _reads_as_number(value) for value in column.values):
            return ""
        row, value = first_text(column)
        return f"{self.source} {self.place(row)}, column {shown(name, quote=False)}: {shown(value)}"

    def labels(self, name: str) -> NDArray[Any]:
        """The column as text, shape `(n,)`, None where missing; numbers are written as short as they can be."""
        column = self[name]
        if column.kind != "number":
            return column.values
        return np.array([None if np.isnan(v) else number_label(v) for v in column.values], dtype=object)

    def block(self, first: int, last: int, names: Iterable[str]) -> Table:
        """Neighboring rows of the named columns, of which no number is copied."""
        columns, place = {name: self.columns[name].take(slice(first, last)) for name in names}, self._place_after
        return Table(
            self.source, columns, last - first, partial(place, first), self.fingerprint, self._first_texts
        )  # fmt: skip

    def take(self, keep: NDArray[np.bool_]) -> Table:
        """Only the rows marked True, still knowing where each of them stands in the source."""
        if keep.all():
            return self
        kept = np.flatnonzero(keep)
        place = self.place
        columns = {name: c.take(keep) for name, c in self.columns.items()}
        return Table(
            self.source, columns, len(kept), lambda row: place(int(kept[row])), self.fingerprint, self._first_texts
        )  # fmt: skip

    def parts(self, size: int) -> Iterator[Table]:
        """The same rows in tables of `size` and fewer."""
        if self.rows <= size:
            yield self
            return
        for first in range(0, self.rows, size):
            yield self.block(first, min(first + size, self.rows), self.columns)

    def _place_after(self, first: int, row: int) -> str:
        return self.place(first + row)


def _taken(typed: Typed | None, keep: NDArray[np.bool_] | slice) -> Typed | None:
    """The cells of the rows that are kept, still to be read."""

    def some() -> NDArray[Any] | None:
        assert typed is not None
        cells = typed()
        return None if cells is None else cells[keep]

    return None if typed is None else some


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
