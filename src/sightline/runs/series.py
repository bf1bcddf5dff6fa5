"""The records of a run as columns: read on while the file grows, and thinned to what a picture can show."""

from __future__ import annotations

import itertools
import json
import math
import os
from array import array
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["COLUMNS", "MOST_POINTS", "Series"]

COLUMNS = ("number", "train_loss", "running_loss", "valid_loss", "gradient_norm", "lr", "rows", "seconds")
MOST_POINTS = 1900  # records in a picture: more than it has columns of pixels
MOST_NUMBERS = 12_000  # parameters in a picture
BLOCK = 1 << 22  # bytes read at a time


class Series:
    """The columns of `epochs.jsonl`, of which `read` takes up what has been written since.

    A line that is still being written waits; a damaged one is passed over. Where the file was cut or replaced, as by a
    run that is gone on with, reading begins again and `generation` is one more.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "epochs.jsonl"
        self.generation = 0
        self._clear()

    def _clear(self) -> None:
        self.columns = {name: array("d") for name in COLUMNS}
        self._offsets, self._read, self._file = array("q"), 0, -1

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def last(self) -> int:
        """The number of the last record, -1 where there is none."""
        return int(self.columns["number"][-1]) if len(self) else -1

    def read(self, blocks: int | None = None) -> bool:
        """Take up what is new, at most `blocks` of 4 MB; whether there was anything."""
        try:
            with open(self.path, "rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._file or found.st_size < self._read:
                    self.generation += self._file != -1
                    self._clear()
                    self._file = found.st_ino
                file.seek(self._read)
                before = self._read
                while (blocks is None or blocks > 0) and (block := file.read(BLOCK)):
                    whole = block.rfind(b"\n") + 1
                    if not whole:
                        break
                    self._take(block[:whole])
                    file.seek(self._read)
                    blocks = None if blocks is None else blocks - 1
                return self._read > before
        except OSError:
            return False

    def _take(self, block: bytes) -> None:
        lines = block.splitlines(keepends=True)
        starts = itertools.accumulate(map(len, lines), initial=self._read)
        try:  # all of them at once, which is five times as fast
            rows = json.loads(b"[" + b",".join(lines) + b"]")
            self._add(rows, list(starts)[:-1])
        except (ValueError, TypeError, KeyError):
            for line, start in zip(lines, starts, strict=False):
                with suppress(ValueError, TypeError, KeyError):
                    self._add([json.loads(line)], [start])
        self._read += len(block)

    def _add(self, rows: list[dict[str, Any]], starts: list[int]) -> None:
        """Append records whose lines begin there; nothing of them where one lacks a number that all have."""
        if len(rows) != len(starts):
            raise ValueError("a line with more than one record")
        new = {name: array("d", [_number(row[name]) for row in rows]) for name in COLUMNS}
        for name, values in new.items():
            self.columns[name].extend(values)
        self._offsets.extend(starts)

    def places(self, most: int = MOST_POINTS, after: int = -1) -> list[int]:
        """The places of at most about `most` records after the one of number `after`: those that both a linear and a
        logarithmic axis show, and the smallest and the largest loss in each stretch between them.
        """
        numbers, n = self.columns["number"], len(self)
        first = 0
        if after >= 0:
            first = next((i for i in range(n - 1, -1, -1) if numbers[i] <= after), -1) + 1
        size = n - first
        if size <= most:
            return list(range(first, n))
        share = max(1, most // 7)
        edges = {first + round(i * (size - 1) / share) for i in range(share + 1)}
        edges |= {first + round(size ** (i / share)) - 1 for i in range(share + 1)}
        chosen, ordered = set(edges), sorted(edges)
        loss = self.columns["train_loss"]
        if any(math.isnan(loss[i]) for i in ordered):
            loss = self.columns["running_loss"]
        for low, high in itertools.pairwise(ordered):
            inside = [i for i in range(low, high) if not math.isnan(loss[i])]
            if len(inside) > 2:
                chosen |= {min(inside, key=loss.__getitem__), max(inside, key=loss.__getitem__)}
        return sorted(chosen)

    def table(self, places: Sequence[int], terms: Sequence[str] = ()) -> dict[str, Any]:
        """Those records as columns of plain values, None for what is not known; `parameters` are those of `terms`, of
        at most `MOST_NUMBERS` numbers.
        """
        shown: dict[str, Any] = {
            name: [_plain(column[i]) for i in places] for name, column in self.columns.items() if name != "number"
        }
        shown["number"] = [int(self.columns["number"][i]) for i in places]
        room = max(2, MOST_NUMBERS // max(1, len(terms)))
        kept = set(places if len(places) <= room else [places[round(i * (len(places) - 1) / (room - 1))]
                                                        for i in range(room)])  # fmt: skip
        shown["parameters"] = self._parameters(places, kept, terms) if terms else []
        return shown

    def _parameters(
        self, places: Sequence[int], kept: set[int], terms: Sequence[str]
    ) -> list[list[float | None] | None]:
        found: list[list[float | None] | None] = []
        try:
            with open(self.path, "rb") as file:
                for i in places:
                    values = None
                    if i in kept:
                        file.seek(self._offsets[i])
                        values = json.loads(file.readline()).get("parameters")
                    found.append([_plain(_number(values.get(term))) for term in terms] if values else None)
        except (OSError, ValueError):
            return [None] * len(places)
        return found

    def record(self, number: int) -> dict[str, Any] | None:
        """The record of that number, or the last one before it, as it stands in the file."""
        numbers = self.columns["number"]
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if numbers[middle] <= number else (low, middle)
        if low == 0:
            return None
        try:
            with open(self.path, "rb") as file:
                file.seek(self._offsets[low - 1])
                return dict(json.loads(file.readline()))
        except (OSError, ValueError):
            return None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _plain(value: float) -> float | None:
    return float(f"{value:.13g}") if math.isfinite(value) else None
