"""The numbers that training reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_rows import CodedRows

__all__ = ["Rows", "row_number"]

MOST_PICTURED = 50_000  # rows
AT_ONCE = 2**20  # numbers of a block


def row_number(row: int) -> str:
    """Where a row from 0 stands in data without lines."""
    return f"row {row}"


@dataclass(frozen=True)
class _Places:
    texts: tuple[str, ...]

    def __call__(self, row: int) -> str:
        return self.texts[row]


@dataclass(frozen=True, slots=True)
class Rows:
    """Design matrix `X (n, p)` without the intercept column, and targets `y (n,)`, both float64.

    `weight (n,)`: above 0, as given. `cluster (n,)`: the place of each row's label in `clusters`. None where there
    are none. `place(i)` says where row i, from 0, stands in the data.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None
    cluster: NDArray[np.intp] | None = None
    clusters: tuple[str, ...] = ()
    place: Callable[[int], str] = field(default=row_number, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled with its places as texts, since the file that tells them may be elsewhere by then."""
        places = _Places(tuple(map(self.place, range(len(self)))))
        return Rows, (self.X, self.y, self.weight, self.cluster, self.clusters, places)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def on_disk(self) -> bool:
        """Whether blocks of neighboring rows are all that can be had of them at a time."""
        return not isinstance(self.X, np.ndarray) or isinstance(self.X, np.memmap)

    @property
    def blocks(self) -> CodedRows:
        """The design matrix of rows that come in blocks."""
        assert isinstance(self.X, CodedRows)
        return self.X

    @property
    def coded(self) -> bool:
        """Whether they come in blocks, with categories as codes: then `X` is `CodedRows`."""
        return isinstance(self.X, CodedRows)

    def pictured(self, always: NDArray[np.intp] | None = None) -> Rows:
        """Themselves; of more on the disk than a picture tells apart every so many and `always`, in memory."""
        if not self.on_disk:
            return self
        step = -(-len(self) // MOST_PICTURED)
        size = max(1, AT_ONCE // max(1, self.X.shape[1]))
        chosen = np.zeros(len(self), dtype=bool)
        chosen[::step] = True
        chosen[[] if always is None else always] = True
        parts = (slice(i, min(i + size, len(self))) for i in range(0, len(self), size))
        X = np.concatenate([np.array(self.X[part][chosen[part]]) for part in parts])
        weight = None if self.weight is None else np.asarray(self.weight)[chosen]
        cluster = None if self.cluster is None else self.cluster[chosen]
        places = _Some(self.place, np.flatnonzero(chosen))
        return Rows(X, np.asarray(self.y)[chosen], weight, cluster, self.clusters, places)


@dataclass(frozen=True)
class _Some:
    """Where some of the rows stand."""

    place: Callable[[int], str]
    rows: NDArray[np.intp]

    def __call__(self, row: int) -> str:
        return self.place(int(self.rows[row]))
