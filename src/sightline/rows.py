"""The numbers that training reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Derived", "Picked", "Rows", "columns_of", "row_number"]


def row_number(row: int) -> str:
    """Where a row from 0 stands in data without lines."""
    return f"row {row}"


@dataclass(frozen=True)
class _Places:
    texts: tuple[str, ...]

    def __call__(self, row: int) -> str:
        return self.texts[row]


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
    make: Callable[[NDArray[Any]], NDArray[np.float64]]
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


def columns_of(X: Any, columns: NDArray[np.intp]) -> Any:
    """Some columns of rows on the disk; the rows themselves where these are all of them."""
    if len(columns) == X.shape[1]:
        return X
    return Derived(X, lambda rows: np.asarray(rows[:, columns]), len(columns))


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
        """Whether they are read from a file, part by part."""
        return not isinstance(self.X, np.ndarray) or isinstance(self.X, np.memmap)
