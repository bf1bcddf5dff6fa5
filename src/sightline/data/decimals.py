"""The decimals that doubles were typed as: what the nearest double leaves over, and how many digits there are.

At most one decimal of 15 digits has a given double as its nearest (IEEE 754), so it is found from the double alone.
Where more digits were typed the text itself is needed; without it the shortest decimal that reads back is taken.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Context, Decimal
from fractions import Fraction
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..double_double import Pair, two_product
from ..errors import SightlineError

__all__ = ["DIGITS", "LongCells", "Typed", "are_short", "are_whole", "decimal_fractions", "decimal_pair", "shortest"]

Array = NDArray[np.float64]
Typed = Callable[[], "NDArray[Any] | None"]  # the cells of a column that have more than DIGITS characters, if any
DIGITS, PROBE, WHOLE = 15, 1000, 2.0**53
POWERS = [np.array(10.0**k) for k in range(1, 23)]  # 10^22 is the largest power of ten that is a double
EXACT = Context(prec=800)  # enough for the difference of any double and a decimal near it


def shortest() -> None:
    """No cell is known: every double stands for the shortest decimal that reads back as it."""


def are_whole(values: Array) -> NDArray[np.bool_]:
    """Which doubles are whole numbers that a double can count to, shape `(n,)`."""
    return np.asarray((np.abs(values) < WHOLE) & (values == np.rint(values)))


def are_short(values: Array) -> bool:
    """Whether every double is the nearest of a decimal of at most 15 digits, or a whole number below 2^53.

    >>> are_short(np.array([0.1, -4.5e20, 2.0**52])), are_short(np.array([0.1, 1 / 3]))
    (True, False)
    """
    for part in (values[:PROBE], values[PROBE:]):
        lost = np.isnan(_low(part))
        if not all(len(Decimal(repr(v)).as_tuple().digits) <= DIGITS for v in part[lost].tolist()):
            return False
    return True


def decimal_pair(values: Array, cells: NDArray[Any] | None) -> Pair:
    """The decimals that finite doubles `(n,)` were typed as; `cells (n,)` are texts, None where not known."""
    low = np.zeros(len(values))
    known = {} if cells is None else _matching(values, cells)
    rest = np.ones(len(values), dtype=bool)
    rest[list(known)] = False
    rest &= np.isfinite(values) & ~are_whole(values)
    low[rest] = _low(values[rest])
    known |= {row: repr(float(values[row])) for row in np.flatnonzero(np.isnan(low)).tolist()}
    for row, text in known.items():
        low[row] = float(EXACT.subtract(Decimal(text), Decimal(float(values[row]))))
    return Pair(values, low)


def decimal_fractions(values: Array, cells: NDArray[Any] | None) -> NDArray[Any]:
    """The same as exact rational numbers, an array of `Fraction`.

    >>> decimal_fractions(np.array([0.1]), None).tolist()
    [Fraction(1, 10)]
    """
    known = {} if cells is None else _matching(values, cells)
    result = np.empty(len(values), dtype=object)
    result[:] = [Fraction(Decimal(known.get(row, repr(v)))) for row, v in enumerate(values.tolist())]
    return result


def _low(values: Array) -> Array:
    """What the decimals of at most 15 digits have beyond their doubles, NaN where there is none, shape `(n,)`."""
    whole, large = are_whole(values), np.abs(values) >= WHOLE
    low = np.where(whole, 0.0, np.nan)
    for recover, found in ((_fractional, ~whole & ~large), (_round, large)):
        rows = np.flatnonzero(found)
        for power in _ordered(values[rows[:PROBE]], recover):
            if not len(rows):
                break
            low[rows] = recover(values[rows], power)
            rows = rows[np.isnan(low[rows])]
    return low


def _ordered(probe: Array, recover: Callable[[Array, Array], Array]) -> list[Array]:
    """The powers of ten, that which suffices for the first values before all others."""
    enough = (power for power in POWERS if not np.isnan(recover(probe, power)).any())
    return [*islice(enough, 1), *POWERS]


def _fractional(values: Array, power: Array) -> Array:
    """m / power for whole m: the remainder of the division is a double, so that only the last step rounds."""
    with np.errstate(all="ignore"):
        m = np.rint(values * power)
        product, error = two_product(values, power)
        return np.where((np.abs(m) < 10.0**DIGITS) & (m / power == values), ((m - product) - error) / power, np.nan)


def _round(values: Array, power: Array) -> Array:
    """m · power for whole m."""
    with np.errstate(all="ignore"):
        m = np.rint(values / power)
        product, error = two_product(m, power)
        return np.where((np.abs(m) < 10.0**DIGITS) & (product == values), error, np.nan)


def _matching(values: Array, cells: NDArray[Any]) -> dict[int, str]:
    """The cells by row that are too long to be known from their doubles; only those that still spell them."""
    found = {}
    for row, text in enumerate(cells):
        if text is not None and len(text) > DIGITS and values[row] and math.isfinite(values[row]):
            with suppress(ValueError):
                if float(text) == values[row]:
                    found[row] = text
    return found


class LongCells:
    """Columns of a text file, read again when digits beyond a double are asked for, if it is still the same file.

    `kept` is what must live as long, such as a temporary copy.
    """

    def __init__(self, path: str, read: Callable[[], Mapping[str, NDArray[Any]]], kept: object = None) -> None:
        self.path, self.read, self.kept, self.state = path, read, kept, _state(path)

    @cached_property
    def cells(self) -> Mapping[str, NDArray[Any]]:
        """The columns that have long cells; none if the file is gone or changed."""
        with suppress(OSError, ValueError, SightlineError):
            if _state(self.path) == self.state:
                return self.read()
        return {}

    def of(self, name: str, rows: int) -> Typed:
        """What `Column.typed` holds for a column of so many rows."""

        def typed() -> NDArray[Any] | None:
            cells = self.cells.get(name)
            return cells if cells is not None and len(cells) == rows else None

        return typed


def _state(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns
