"""Scores of classes, for the areas under ROC curves: in memory, or of many rows on the disk, in sorted runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .data.scratch import no_room
from .errors import DataError
from .linear.classification import areas
from .linear.merged_areas import Block, merged, one_against_each

__all__ = ["Ranking", "ranking"]

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
HELD, MERGED = 2**20, 2**19  # numbers in memory while rows come, and rows while runs are merged
SCORE = [("score", np.float64), ("code", np.int32)]


class Ranking:
    """The probabilities of rows, with their codes and, if `weighted`, weights.

    With a `folder` no more than `HELD` of them stay in memory: a file there for each class has the rows sorted by its
    probability, in runs.
    """

    def __init__(self, name: str, classes: int, folder: Path | None, *, weighted: bool) -> None:
        self._name, self._classes, self._folder = name, classes, folder
        self._dtype = np.dtype([*SCORE, ("weight", np.float64)] if weighted else SCORE)
        self._size = np.zeros(classes)
        self._held: list[tuple[Codes, Array, Array | None]] = []
        self._rows, self._ends = 0, [0]

    def add(self, codes: Codes, probability: Array, weight: Array | None) -> None:
        """Some rows more: `codes (n,)`, `probability (n, K)`, `weight (n,)`."""
        self._size += np.bincount(codes, weights=weight, minlength=self._classes)
        self._held.append((codes, probability, weight))
        self._rows += len(codes)
        if self._folder is not None and self._rows * self._classes >= HELD:
            self._write(self._folder)

    def areas(self) -> Array:
        """`A (K, K)` of all rows, as `linear.classification.areas`."""
        if self._folder is None or len(self._ends) == 1:
            return areas(*self._joined())
        self._write(self._folder)
        with self._room():
            paths = [self._folder / f"{k}.bin" for k in range(self._classes)]
            return np.column_stack([one_against_each(self._merged(p), k, self._size) for k, p in enumerate(paths)])

    def _joined(self) -> tuple[Codes, Array, Array | None]:
        """All that is held."""
        weights = [w for _, _, w in self._held if w is not None]
        codes, probability = (np.concatenate([part[i] for part in self._held]) for i in (0, 1))
        return codes, probability, np.concatenate(weights) if weights else None

    def _write(self, folder: Path) -> None:
        """What is held becomes one run more in each of the files."""
        if not self._rows:
            return
        rows = np.empty(self._rows, dtype=self._dtype)
        rows["code"], probability, weight = self._joined()
        if weight is not None:
            rows["weight"] = weight
        for k, score in enumerate(probability.T):
            rows["score"] = score
            with self._room(), open(folder / f"{k}.bin", "ab") as file:
                file.write(rows[np.argsort(score)].data)
        self._ends.append(self._ends[-1] + self._rows)
        self._held, self._rows = [], 0

    def _merged(self, path: Path) -> Iterator[Block]:
        ends = zip(self._ends, self._ends[1:], strict=False)
        return merged([_Run(path, self._dtype, first, last) for first, last in ends], MERGED)

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise no_room(f"the scores of {self._name}", error) from None


@dataclass
class _Run:
    """Some rows of a file, read from the first to the last."""

    path: Path
    dtype: np.dtype[np.void]
    first: int
    last: int

    def __call__(self, count: int) -> Block:
        """The next of them."""
        size = min(count, self.last - self.first)
        rows = np.fromfile(self.path, self.dtype, count=size, offset=self.first * self.dtype.itemsize)
        self.first += size
        return rows


@contextmanager
def ranking(name: str, classes: int, rows: float | None, *, weighted: bool) -> Iterator[Ranking]:
    """One in memory, or for about so many `rows` one in a temporary folder, which goes at the end."""
    if rows is None:
        yield Ranking(name, classes, None, weighted=weighted)
        return
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        needed, free = rows * classes * (20 if weighted else 12), shutil.disk_usage(folder).free
        if needed > 0.9 * free:
            raise DataError(
                f"the scores of {name} take {needed / 1e9:,.1f} GB on the disk of {folder}, of which "
                f"{free / 1e9:,.1f} GB are free: make room there, or let TMPDIR name another folder"
            )
        yield Ranking(name, classes, Path(folder), weighted=weighted)
