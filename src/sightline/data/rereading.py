"""Where the rows of a file that are of use stand, and how they are read again where the disk has no room for them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..rows import row_number
from .slices import Mark, Pieces
from .table import CodedColumn, Column, Table

__all__ = ["Places", "RereadColumn", "Rereader", "codes_in", "told"]

HELD = 3  # pieces that are kept, as blocks end within them


def told(keep: NDArray[np.bool_]) -> str | None:
    """Which rows of a piece are kept, as text: None for all of them."""
    return None if keep.all() else np.packbits(keep).tobytes().hex()


class Places:
    """Where each row that is kept stands: in which piece, and which of its rows it is."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.marks: list[Mark] = []
        self.starts: list[int] = []
        self.masks: list[bytes | None] = []
        self.counts: list[int] = []
        self.rows = 0
        self._told: dict[int, Callable[[int], str]] = {}

    def add(self, mark: Mark, read: int, kept: str | None) -> None:
        """A piece of `read` rows more, of which those that `told` tells are kept."""
        mask = None if kept is None else bytes.fromhex(kept)
        self.marks.append(mark)
        self.starts.append(self.rows)
        self.masks.append(mask)
        self.counts.append(read)
        self.rows += read if mask is None else int(_unpacked(mask, read).sum())

    def __call__(self, row: int) -> str:
        at = self.piece_of(row)
        inside, keep = row - self.starts[at], self.kept(at)
        if keep is not None:
            inside = int(np.flatnonzero(keep)[inside])
        try:
            return self._places_in(at)(inside)
        except OSError:  # the file is gone since
            return row_number(sum(self.counts[:at]) + inside)

    def _places_in(self, piece: int) -> Callable[[int], str]:
        """What tells where the rows of a piece stand; kept of a few, as one may have to be read for it."""
        if piece not in self._told:
            after = self.marks[piece + 1] if piece + 1 < len(self.marks) else None
            while len(self._told) >= HELD:
                self._told.pop(next(iter(self._told)))
            self._told[piece] = self.pieces.places(self.marks[piece], self.counts[piece], after)
        return self._told[piece]

    def piece_of(self, row: int) -> int:
        """The number of the piece that a row is in."""
        return int(np.searchsorted(np.array(self.starts), row, side="right")) - 1

    def kept(self, piece: int) -> NDArray[np.bool_] | None:
        """Which of its rows are kept; None for all of them."""
        mask = self.masks[piece]
        return None if mask is None else _unpacked(mask, self.counts[piece])


def _unpacked(mask: bytes, read: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(mask, np.uint8), count=read).astype(bool)


class Rereader:
    """Reads the pieces of a file again for every pass; `codes` has the place of each label of a column of texts, and
    `unchanged` refuses a file that is not the one that was read before.
    """

    def __init__(
        self, places: Places, names: tuple[str, ...], codes: Mapping[str, Mapping[str, int]],
        unchanged: Callable[[], object],
    ) -> None:  # fmt: skip
        self.places, self.names, self.codes, self.unchanged = places, names, codes, unchanged
        self._held: OrderedDict[int, Table] = OrderedDict()
        self._lock = threading.Lock()

    def values(self, name: str, first: int, last: int) -> NDArray[Any]:
        """Those of some rows of a column: numbers, or codes."""
        parts = [self._of(table[name])[rows] for table, rows in self._parts(first, last)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _parts(self, first: int, last: int) -> Iterator[tuple[Table, slice]]:
        piece, starts = self.places.piece_of(first), self.places.starts
        while first < last:
            table = self._piece(piece)
            begin = first - starts[piece]
            end = min(last - starts[piece], table.rows)
            yield table, slice(begin, end)
            first, piece = starts[piece] + end, piece + 1

    def _piece(self, number: int) -> Table:
        with self._lock:
            if number not in self._held:
                table = self._read(number)
                keep = self.places.kept(number)
                self._held[number] = table if keep is None else table.take(keep)
            self._held.move_to_end(number)
            table = self._held[number]
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return table

    def _read(self, number: int) -> Table:
        try:
            table = self.places.pieces.read(self.places.marks[number], self.names)
        except (DataError, OSError):
            self.unchanged()
            raise
        self.unchanged()
        return table

    def _of(self, column: Column) -> NDArray[Any]:
        return column.values if column.kind == "number" else codes_in(column, self.codes[column.name])


@dataclass(frozen=True)
class RereadColumn:
    """A column of which no number is kept."""

    name: str
    reader: Rereader
    labels: tuple[str, ...] | None = None

    def values(self, first: int, last: int) -> NDArray[Any]:
        """Those of some rows, from the file."""
        return self.reader.values(self.name, first, last)


def codes_in(column: Column, codes: Mapping[str, int]) -> NDArray[np.int32]:
    """The places of its texts, -1 where missing."""
    if isinstance(column, CodedColumn):
        moved = np.full(len(column.labels) + 1, -1, dtype=np.int32)  # the last one is of what is missing
        moved[column.present] = [codes[column.labels[place]] for place in column.present]
        return np.asarray(moved[column.codes])
    return np.array([codes.get(cell, -1) for cell in column.values.tolist()], dtype=np.int32)
