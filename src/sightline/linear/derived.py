"""Rows that are made of others on the disk, whenever a slice of neighboring rows is read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Derived", "LastRead", "Picked", "columns_of"]


@dataclass(frozen=True)
class Picked:
    """The rows at rising `places` of rows on the disk: as those, of which slices of neighboring rows are read."""

    X: Any
    places: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, ...]:
        """Fewer rows, the same columns."""
        return len(self.places), *self.X.shape[1:]

    @property
    def dtype(self) -> Any:
        """That of the rows."""
        return self.X.dtype

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        at = self.places[rows]
        first, last = (int(at[0]), int(at[-1]) + 1) if len(at) else (0, 0)
        return np.asarray(self.X[first:last])[at - first]


@dataclass(frozen=True)
class Derived:
    """What `make` makes of rows `(m, p)`, arrays `(m, width)`: made anew of each slice of neighboring rows that is
    read.
    """

    X: Any
    make: Callable[[Any], NDArray[np.float64]]
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """As many rows, `width` columns."""
        return len(self.X), self.width

    @property
    def dtype(self) -> Any:
        """That of doubles."""
        return np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: slice) -> NDArray[np.float64]:
        return self.make(self.X[rows])


@dataclass(frozen=True)
class LastRead:
    """Rows on the disk, of which each thread keeps the slice that it read last: what is derived from a block in several
    ways reads it once.
    """

    X: Any
    held: threading.local = field(default_factory=threading.local, compare=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the rows."""
        return tuple(self.X.shape)

    @property
    def dtype(self) -> Any:
        """That of the rows."""
        return self.X.dtype

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        key = rows.indices(len(self.X))
        if getattr(self.held, "key", None) != key:
            self.held.rows = np.asarray(self.X[rows])
            self.held.rows.flags.writeable = False
            self.held.key = key
        return self.held.rows  # type: ignore[no-any-return]


def columns_of(X: Any, columns: NDArray[np.intp]) -> Any:
    """Some columns of rows on the disk; the rows themselves where these are all of them."""
    if len(columns) == X.shape[1]:
        return X
    return Derived(X, lambda rows: np.asarray(rows[:, columns]), len(columns))
