"""Rows whose columns have been read into files: what is learned from them, or from some of them, to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .data.basis import Basis
from .data.chosen import chosen_rows
from .data.design import Design
from .data.formula import Formula
from .data.sources import Source
from .data.split import held_out
from .data.stored import StoredTable
from .data.table import Table
from .data.target import class_labels
from .data.transforms import Numeric
from .data.usable import refuse_decimal_commas, refuse_empty, refuse_few, refuse_no_weight
from .errors import UsageError, shown
from .limits import larger_memory
from .numbers_folder import KeptFolder, TemporaryFolder
from .prepared import Prepared
from .rows import Rows
from .settings import RunSettings
from .streaming import clusters_of, labels_by, rows_by, rows_of, sample_of
from .weighting import weighted, with_class_weight

__all__ = ["Filed", "Passes"]

BLOCK = 65_536  # rows
LEAST_SQUARES = 4  # passes: the file; means and deviations; moments; residuals


@runtime_checkable
class Passes(Protocol):
    """Hears of passes over the rows: how many are `expected`, 0 where that is not known, and which rows are read."""

    expected: int

    def passed(self, first: int, last: int, rows: int) -> None: ...


@dataclass(frozen=True)
class Filed:
    """The rows of a source that are of use, with the columns of a formula; `holder` is what keeps their files,
    `reading` how they came there, and `whole` whether all of them are meant.
    """

    source: Source
    parsed: Formula
    table: StoredTable
    weights: str | None
    holder: object
    reading: str = ""
    whole: bool = True
    heard: Passes | None = None

    @property
    def cached(self) -> bool:
        """Whether their files are kept for the next time."""
        return isinstance(self.holder, KeptFolder)

    def of(self, chosen: NDArray[np.bool_]) -> Filed:
        """Those of them that are chosen, `(n,)`."""
        return replace(self, table=chosen_rows(self.table, chosen), whole=False)

    def tables(self) -> Iterator[Table]:
        """The rows as tables, some at a time."""
        rows = self.table.rows
        return (self.table.block(first, min(first + BLOCK, rows)) for first in range(0, rows, BLOCK))

    def labels(self, column: str) -> tuple[NDArray[Any], tuple[str, ...]]:
        """The place of each row's label among those of a column, `(n,)`; and the labels, in sorted order."""
        return labels_by(self.table, column)

    def prepared(self, settings: RunSettings) -> Prepared:
        """Ready to be trained on, with a design that is learned from them."""
        self._refuse_useless()
        if not isinstance(settings.validation, float):
            return self._prepared(settings, None)
        held = held_out(self.table.rows, settings.validation, seed=settings.seed)
        return self.of(~held)._prepared(settings, self.of(held))

    def _prepared(self, settings: RunSettings, held: Filed | None) -> Prepared:
        table, source = self.table, self.source
        sample, own = sample_of(table), TemporaryFolder()
        for name in self.parsed.columns:
            refuse_decimal_commas(sample, name)
        assert self.parsed.response is not None
        classes, loss = class_labels(self.parsed.response, sample, settings.loss)
        if self.heard is not None and loss == "mse" and not (settings.l1 or settings.robust or settings.cluster):
            self.heard.expected = LEAST_SQUARES
        design = Design.learn(self.parsed, sample, standardize=settings.standardize, classes=classes)
        _refuse_factors(source, design, cached=self.cached)
        kept = self._sums(design, settings)
        design, rows = rows_of(table, replace(design, weights=settings.weights), own.path, kept)
        if settings.cluster:
            codes, labels = clusters_of(table, settings.cluster)
            design, rows = replace(design, cluster=settings.cluster), replace(rows, cluster=codes, clusters=labels)
        if settings.class_weight is not None:
            design, rows = with_class_weight(design, rows, settings.class_weight)
        return Prepared(
            design, kept_with(rows, (self.holder, own)), table.missing, source.name, source.label or source.name,
            len(self.parsed.columns), source.path, table.fingerprint, sample, table.zero_weight, loss,
            None if held is None else held.by(design), pieces=True, stored=self, reading=self.reading,
        )  # fmt: skip

    def _sums(self, design: Design, settings: RunSettings) -> Path | None:
        """Where the sums of all rows are kept for the next time; None of some of them, and where nothing is kept."""
        if not isinstance(self.holder, KeptFolder) or not self.whole:
            return None
        try:
            return self.holder.sums(design.encoding.to_dict(), design.intercept, design.standardize, settings.weights)
        except OSError:
            return None

    def by(self, design: Design) -> Rows:
        """The rows by a design that was learned from others, or before."""
        self._refuse_useless()
        own = TemporaryFolder()
        rows = weighted(design, rows_by(self.table, design, own.path))
        if design.cluster is not None and design.cluster in self.table.columns:
            codes, labels = clusters_of(self.table, design.cluster)
            rows = replace(rows, cluster=codes, clusters=labels)
        return kept_with(rows, (self.holder, own))

    def _refuse_useless(self) -> None:
        """Rows of which none, or one, is of use."""
        table = self.table
        refuse_empty(table.source, table.rows + table.missing.rows + table.zero_weight, table.missing)
        if self.weights and not table.rows:
            raise refuse_no_weight(table.source, self.weights)
        refuse_few(table.source, table.rows, table.missing.rows, table.zero_weight)


def kept_with(rows: Rows, holder: object) -> Rows:
    """The rows, whose folders go when they go."""
    return replace(rows, place=_Kept(rows.place, holder))


@dataclass(frozen=True)
class _Kept:
    """Says where a row stands, and keeps the folders of the rows while they are there."""

    place: Callable[[int], str]
    holder: object

    def __call__(self, row: int) -> str:
        return self.place(row)


def _refuse_factors(source: Source, design: Design, *, cached: bool) -> None:
    """Functions that learn from all values of a column."""
    for factor in design.encoding.factors:
        if isinstance(factor, Basis) or (isinstance(factor, Numeric) and factor.learned):
            raise UsageError(
                f"{shown(factor.text, quote=False)} learns from all rows at once, and {source.name} is read piece by "
                f"piece: {larger_memory(cached=cached)}, or a column that needs no learning"
            )
