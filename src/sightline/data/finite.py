"""Numbers that are not finite, and where they stand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .table import Table

__all__ = ["check_finite"]

Array = NDArray[np.float64]


def is_finite(X: Array) -> bool:
    """Whether all of the numbers are; their sum is so only where they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()) or np.isfinite(X).all())


def check_finite(X: Array, terms: Iterable[str], table: Table) -> None:
    """Refuse a number that is not finite, with its place."""
    if is_finite(X):
        return
    row, column = np.argwhere(~np.isfinite(X))[0]
    name = list(terms)[column]
    raise DataError(
        f"{table.source} {table.place(int(row))}, column {shown(name, quote=False)}: the value is "
        f"{X[row, column]:g}, not a finite number; correct it or remove the row"
    )
