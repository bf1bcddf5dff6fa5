"""From the pieces of a file to a table on the disk: the rows that are of use, and what is known of the others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .categories import MOST_CODED
from .column_writer import ColumnWriter
from .rereading import Places, RereadColumn, Rereader, told
from .slices import START, Piece, Pieces
from .stored import ColumnOnDisk, StoredColumn, StoredTable
from .table import Table
from .usable import Missing, complete, weights_of

__all__ = ["Store", "Wanted"]


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
    on behind the last of them, and what was finished is read no more: with the same file, and the same columns. Where
    the disk is full, `full` says so, nothing is kept, and the file is read again for every pass.
    """

    def __init__(
        self, source: str, pieces: Pieces, wanted: Wanted, folder: Path, unchanged: Callable[[], object]
    ) -> None:
        self.source, self.pieces, self.wanted, self.folder = source, pieces, wanted, folder
        self.full, self._journal, self._unchanged = "", folder / "pieces.jsonl", unchanged
        self._begin()
        try:
            self._take_up()
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # what is there is not what was written
            for path in (self._journal, *(writer.path for writer in self.writers)):
                path.unlink(missing_ok=True)
            self._begin()

    def _begin(self) -> None:
        """Nothing is known yet."""
        wanted = self.wanted
        self.places = Places(self.pieces)
        self.by_column, self.missing, self.zero_weight = dict.fromkeys(wanted.used, 0), 0, 0
        self.read, self.fingerprint = 0, ""
        self.numbers: dict[str, set[float]] = {name: set() for name in wanted.coded}
        self.writers = [ColumnWriter(name, self.folder / f"c{i}.bin") for i, name in enumerate(wanted.names)]

    def fill(self, heard: Callable[[int, int], object]) -> StoredTable:
        """All of them; `heard` is told how many rows and bytes are behind."""
        if not self.fingerprint:
            pieces, fingerprint = self.pieces(self.wanted.names, self.places.marks[-1] if self.places.marks else START)
            with closing(pieces):  # where garbage is collected its threads might wait for themselves
                for piece in pieces:
                    self._add(piece)
                    heard(self.read, piece.end)
            if not self.read:
                raise DataError(f"{self.source} has no rows; give it one for every observation")
            self._finish(fingerprint())
        return self._table()

    def _finish(self, fingerprint: str) -> None:
        if not self.full:
            try:
                for writer in self.writers:
                    writer.write(writer.rest())
            except OSError as error:
                self._give_up(error)
        self.fingerprint = fingerprint
        self._tell({"done": fingerprint, "columns": [writer.told() for writer in self.writers]})

    def _add(self, piece: Piece) -> None:
        table = piece.table
        keep, missing, zero = kept(table, self.wanted.used, self.wanted.weights)
        values = [writer.look(table, keep) for writer in self.writers]
        numbers = {
            name: _new_labels(table[name].values[keep], known)
            for name, known in self.numbers.items()
            if table[name].kind == "number"
        }
        line = {
            "mark": piece.mark, "read": table.rows, "kept": told(keep), "zero_weight": zero, "numbers": numbers,
            "missing": [missing.rows, dict(missing.by_column)], "columns": [writer.told() for writer in self.writers],
        }  # fmt: skip
        if not self.full:
            try:
                for writer, some in zip(self.writers, values, strict=True):
                    writer.write(some)
            except OSError as error:
                self._give_up(error)
        self._tell(line)
        self._count(line)

    def _tell(self, line: dict[str, Any]) -> None:
        """Write a line into the journal."""
        if self.full:
            return
        try:
            with open(self._journal, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Make room, and keep nothing from here on."""
        self.full = error.strerror or str(error)
        for path in (self._journal, *(writer.path for writer in self.writers)):
            path.unlink(missing_ok=True)

    def _count(self, line: dict[str, Any]) -> None:
        """Take what a line of the journal says into the sums."""
        rows, by_column = line["missing"]
        self.missing += rows
        for name, count in by_column.items():
            self.by_column[name] += count
        self.zero_weight += line["zero_weight"]
        for name, numbers in line["numbers"].items():
            self.numbers[name].update(numbers)
        mark: Any = tuple(line["mark"])
        self.places.add(mark, line["read"], line["kept"])
        self.read += line["read"]

    def _take_up(self) -> None:
        """Go on from the journal of what was interrupted, if there is one; a line that is not whole was not written.
        ValueError and others where the files are not what the journal says.
        """
        whole = 0
        for text in self._journal.read_bytes().split(b"\n")[:-1] if self._journal.exists() else ():
            line = json.loads(text)
            whole += len(text) + 1
            self.fingerprint = line.get("done", "")
            if not self.fingerprint:
                self._count(line)
            for writer, said in zip(self.writers, line["columns"], strict=True):
                writer.take_up(said)
        for writer in self.writers:
            writer.cut(self.places.rows)
        if whole:
            os.truncate(self._journal, whole)

    def _table(self) -> StoredTable:
        missing = Missing(self.missing, {name: n for name, n in self.by_column.items() if n})
        numbers = {name: tuple(sorted(values)) for name, values in self.numbers.items()}
        return StoredTable(
            self.source, self._columns(), self.places.rows, self.fingerprint, missing, self.zero_weight, numbers,
            self.places,
        )  # fmt: skip

    def _columns(self) -> dict[str, ColumnOnDisk]:
        if not self.full:
            return {w.name: StoredColumn(w.name, w.path, w.texts()) for w in self.writers}
        codes = {w.name: w.codes for w in self.writers}
        reader = Rereader(self.places, self.wanted.names, codes, self._unchanged)
        return {w.name: RereadColumn(w.name, reader, w.texts()) for w in self.writers}


def _new_labels(values: NDArray[Any], known: set[float]) -> list[float]:
    """The numbers that are not known yet, until they are more than a column of labels may have."""
    for part in (values[: 2 * MOST_CODED], values):
        room = MOST_CODED + 1 - len(known)
        fresh = sorted(set(np.unique(part).tolist()) - known) if room > 0 else []
        if len(fresh) >= room:
            return fresh[: max(room, 0)]
    return fresh


def kept(table: Table, used: Sequence[str], weights: str | None) -> tuple[NDArray[np.bool_], Missing, int]:
    """The rows of a table that are of use, what they miss, and how many of the complete ones weigh nothing."""
    keep, by_column = complete(table, used)
    missing = Missing(int((~keep).sum()), by_column)
    if weights is None:
        return keep, missing, 0
    weight = np.zeros(table.rows)
    weight[keep] = weights_of(table.take(keep), weights)
    return keep & (weight > 0), missing, int((keep & (weight == 0)).sum())
