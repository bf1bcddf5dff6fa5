"""Some rows of a table whose columns are on the disk, as a table of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .stored import ColumnOnDisk, StoredTable, stored_codes

__all__ = ["chosen_rows"]

BLOCK = 65_536  # rows


@dataclass(frozen=True)
class _Choice:
    """Which rows `(n,)` are chosen."""

    mask: NDArray[np.bool_] = field(repr=False)

    @cached_property
    def before(self) -> NDArray[np.intp]:
        """How many chosen rows come before each block."""
        starts = range(0, len(self.mask), BLOCK)
        return np.cumsum([0, *(int(self.mask[i : i + BLOCK].sum()) for i in starts)])

    def places(self, first: int, last: int) -> NDArray[np.intp]:
        """Where the chosen rows from `first` to `last` are among all."""
        if last <= first:
            return np.empty(0, dtype=np.intp)
        begin = int(np.searchsorted(self.before, first, side="right")) - 1
        end = int(np.searchsorted(self.before, last, side="left"))
        found = np.flatnonzero(self.mask[begin * BLOCK : end * BLOCK]) + begin * BLOCK
        return np.asarray(found[first - self.before[begin] : last - self.before[begin]])


@dataclass(frozen=True)
class _ChosenColumn:
    """A column of which only the chosen rows are there."""

    column: ColumnOnDisk
    choice: _Choice

    @property
    def name(self) -> str:
        """Its name."""
        return self.column.name

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Those of all rows."""
        return self.column.labels

    def values(self, first: int, last: int) -> NDArray[Any]:
        """Those of some rows."""
        places = self.choice.places(first, last)
        start, end = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
        return np.asarray(self.column.values(start, end)[places - start])


@dataclass(frozen=True)
class _ChosenTable(StoredTable):
    """Its labels are those of the chosen rows alone, which a pass over their codes finds."""

    def present(self) -> Mapping[str, tuple[object, ...]]:
        """The labels of each column that has some."""
        return {name: self._of(name, values) for name, values in super().present().items()}

    def _of(self, name: str, values: tuple[object, ...]) -> tuple[object, ...]:
        codes, labels = stored_codes(self, name)
        found = np.zeros(len(labels), dtype=bool)
        for first in range(0, self.rows, BLOCK):
            part = codes[first : first + BLOCK]
            found[part[part >= 0]] = True
        return tuple(value for value, there in zip(values, found, strict=True) if there)


def chosen_rows(table: StoredTable, mask: NDArray[np.bool_]) -> StoredTable:
    """Those rows `(n,)` of a table.

    Numbers that may be labels are those of all rows where there are few, else some of the chosen ones.
    """
    choice = _Choice(mask)
    columns = {name: _ChosenColumn(column, choice) for name, column in table.columns.items()}

    def place(row: int) -> str:
        return table.place(int(choice.places(row, row + 1)[0]))

    return _ChosenTable(
        table.source, columns, int(choice.before[-1]), table.fingerprint, table.missing, table.zero_weight,
        table.numbers, place,
    )  # fmt: skip
