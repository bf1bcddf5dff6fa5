"""The rows that a model is asked about, as tables that fit into memory: of a file at once, or piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from .by_pieces import Heard, is_too_large
from .data.categories import Categorical
from .data.design import Design
from .data.grammar import columns_of
from .data.scratch import no_room
from .data.sources import Source, open_source
from .data.table import Column, Table
from .data.transforms import where
from .data.unchanged import unchanged
from .errors import DataError, nearest, shown

__all__ = ["Tables"]

T = TypeVar("T")
NUMBERS, ROWS = 2**22, 2**16  # of a design at a time


@dataclass(frozen=True)
class Tables:
    """The named columns of a source, for a design: of more than `memory` bytes piece by piece, and `heard` is told how
    far they are read.
    """

    design: Design
    source: Source
    names: tuple[str, ...]
    memory: int | None = None
    heard: Heard | None = None

    @classmethod
    def of(
        cls, design: Design, data: object, also: Sequence[str] = (), *, memory: int | None = None,
        heard: Heard | None = None,
    ) -> Tables:  # fmt: skip
        """The columns that a prediction needs and some others; raises DataError for one that is missing."""
        source = open_source(data)
        names = tuple(dict.fromkeys([*design.columns, *also]))
        for name in names:
            if name not in source.columns:
                raise DataError(
                    f"the model needs column {shown(name)}, and {source.name} has none: {nearest(name, source.columns)}"
                )
        return cls(design, source, names, memory, heard)

    @property
    def by_pieces(self) -> bool:
        """Whether the file is too large to be read at once."""
        return is_too_large(self.source, max(1, len(self.names)), self.memory)

    def each(self, work: Callable[[Table], T]) -> Generator[T]:
        """What `work` makes of the rows, some of them after the other; a complaint of its own is one of the file.

        It has to be closed, since threads read ahead: where garbage is collected they might wait for themselves.
        """
        if not self.by_pieces:
            yield from map(work, self._parts(self.source.read(self.names)))
            return
        assert self.source.path is not None
        try:
            with unchanged(self.source.path, self.source.name), closing(self._pieces()) as pieces:
                for table in pieces:
                    yield from map(work, self._parts(table))
        except OSError as error:
            raise no_room(f"the pieces of {self.source.name}", error) from None

    def _pieces(self) -> Generator[Table]:
        assert self.source.pieces is not None
        rows, kinds = 0, _Kinds(self.source, self._labels)
        with closing(self.source.pieces(self.names or self.source.columns[:1])[0]) as pieces:
            for piece in pieces:
                yield kinds.settled(piece.table, self.names)
                rows += piece.table.rows
                if self.heard is not None:
                    self.heard(rows, piece.end, self.source.size)
        if not rows:
            raise DataError(f"{self.source.name} has no rows; give it one for every observation")

    def _parts(self, table: Table) -> Iterable[Table]:
        """As many rows as make a design of some size; all of them where a cell is no number, so that it is named."""
        if any(table[name].kind != "number" for name in self._numbers):
            return [table]
        return table.parts(max(1, min(ROWS, NUMBERS // max(1, len(self.design.terms), len(self.design.classes)))))

    @cached_property
    def _labels(self) -> frozenset[str]:
        """The columns that are used as categories."""
        encoding = self.design.encoding
        return frozenset(f.column for f in (encoding.target, *encoding.factors) if isinstance(f, Categorical))

    @cached_property
    def _numbers(self) -> frozenset[str]:
        """The columns that are used as numbers."""
        encoding = self.design.encoding
        factors = [f for f in (encoding.target, *encoding.factors, *encoding.offsets) if not isinstance(f, Categorical)]
        used = {*(name for f in factors for name in columns_of(f.expression)), self.design.weights}
        return frozenset(name for name in self.names if name in used)


class _Kinds:
    """Whether each column has been of numbers or of texts so far: of a file at once, that is told from all cells."""

    def __init__(self, source: Source, labels: frozenset[str]) -> None:
        self._source, self._labels, self._text = source, labels, dict[str, bool]()

    def settled(self, table: Table, names: Sequence[str]) -> Table:
        """A piece with the columns as they would be there."""
        return replace(table, columns={name: self._settled(table[name]) for name in names})

    def _settled(self, column: Column) -> Column:
        text = column.kind != "number"
        if column.missing.all():
            return column
        if self._text.setdefault(column.name, text) == text:
            return column
        if column.name in self._labels:
            self._check_spelling(column.name)
            self._labels -= {column.name}
        return Column(column.name, column.values, "mixed") if text else column

    def _check_spelling(self, name: str) -> None:
        """Refuse labels of a column of both that are written in another way than numbers are, such as 07 for 7."""
        assert self._source.pieces is not None
        with closing(self._source.pieces([name])[0]) as pieces:
            for table in (piece.table for piece in pieces):
                column = table[name]
                if column.kind == "number" and column.spelled is not None:
                    written, read = column.spelled(), table.labels(name)
                    if (other := written != read).any():
                        row = int(other.argmax())
                        raise _ambiguous(where(table, row, name), shown(written[row]), shown(read[row]))


def _ambiguous(place: str, written: str, read: str) -> DataError:
    return DataError(
        f"{place}: {written} is {read} among numbers and stays {written} among texts, and the column has both: write "
        f"{read}, or read the file at once with a larger --memory"
    )
