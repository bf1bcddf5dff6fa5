"""Rows that are ready to be trained on, with the design that made them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .data.table import Table
from .data.usable import Missing
from .double_double import Pair
from .errors import UsageError
from .limits import larger_memory
from .rows import Rows
from .settings import RunSettings

__all__ = ["Prepared", "Stored"]


class Stored(Protocol):
    """Rows whose columns are in files, of which `Prepared` are made."""

    @property
    def cached(self) -> bool:
        """Whether the files are kept for the next time."""

    def of(self, chosen: NDArray[np.bool_]) -> Stored:
        """Those of them that are chosen, `(n,)`."""

    def prepared(self, settings: RunSettings) -> Prepared:
        """Ready to be trained on, with a design that is learned from them."""

    def tables(self) -> Iterator[Table]:
        """The rows as tables, some at a time."""

    def labels(self, column: str) -> tuple[NDArray[Any], tuple[str, ...]]:
        """The place of each row's label among those of a column, `(n,)`; and the labels, in sorted order."""


@dataclass(frozen=True)
class Prepared:
    """The rows and the design that made them; `name` is how messages name the data, `label` how a command line does.

    `table` holds the rows as they were read, for what needs more digits than `rows` have. `missing` and `zero_weight`
    say how many were left out, `valid` are rows that take no part in the training. `loss` is the one that is meant
    where none was given. `pieces` says that the rows are on the disk, and `table` holds some of them only; `stored` are
    then the columns that they were made of, and `reading` says how they came there.
    """

    design: Design
    rows: Rows
    missing: Missing
    name: str
    label: str
    columns_used: int
    path: str | None
    fingerprint: str
    table: Table = field(repr=False)
    zero_weight: int = 0
    loss: str = "mse"
    valid: Rows | None = None
    pieces: bool = False
    stored: Stored | None = field(default=None, repr=False)
    reading: str = ""

    def tables(self) -> Iterator[Table]:
        """The rows as they were read, all at once or some at a time."""
        return iter([self.table]) if self.stored is None else self.stored.tables()

    def at_once(self, what: str) -> None:
        """Refuse what needs more of the rows than blocks, where they are on the disk, or than codes of categories."""
        if self.rows.on_disk:
            how = "was read piece by piece" if self.pieces else "has its categories as codes"
            remedy = larger_memory(cached=self.stored is not None and self.stored.cached)
            raise UsageError(f"{what} needs all rows at once, and {self.name} {how}: {remedy}")

    def pairs(self) -> tuple[Pair, Pair]:
        """The columns `(n, p)` and the target `(n,)` in the units of the data, beyond float64."""
        return self.design.encoding.pairs(self.table), self.design.encoding.response_pairs(self.table)

    def fractions(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The same as exact rational numbers."""
        return self.design.encoding.fractions(self.table), self.design.encoding.response_fractions(self.table)

    def manifest(self) -> dict[str, Any]:
        """Where the rows came from, as run.json tells it."""
        return {
            "name": self.label,
            "path": self.path,
            "fingerprint": self.fingerprint,
            "rows": len(self.rows),
            "missing": {"rows": self.missing.rows, "by_column": dict(self.missing.by_column)},
            "zero_weight": self.zero_weight,
            **({} if self.valid is None else {"validation_rows": len(self.valid)}),
        }
