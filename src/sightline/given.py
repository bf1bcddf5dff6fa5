"""Numbers that people give: which of them are refused, and how sizes are written."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any

from .errors import UsageError, shown

__all__ = ["LARGEST", "check_memory", "check_number", "check_whole", "plain_number", "read_size", "written_size"]

LARGEST = 1.797e308  # below infinity, and whole numbers beyond it are no doubles
UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def read_size(value: Any) -> Any:
    """A size in bytes, as a number or with a unit; what is none as it is, for `check_whole` to refuse.

    >>> read_size("500MB"), read_size("1.5 GB"), read_size(4096), read_size("much")
    (500000000, 1500000000, 4096, 'much')
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", value, re.I) if isinstance(value, str) else None
    return value if found is None else int(float(found[1]) * 1000 ** UNITS[found[2].lower()])


def check_memory(size: Any) -> None:
    """Refuse what is no size in bytes; None is none that was asked for."""
    if size is not None and not (type(size) is int and size > 0):
        raise UsageError(f"--memory cannot be {shown(size)}: give a size such as 500MB")


def written_size(size: float) -> str:
    """A size in bytes as people read it.

    >>> written_size(40_000_000_000), written_size(2_560_000), written_size(96)
    ('40 GB', '2.56 MB', '96 bytes')
    """
    for unit, letter in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= letter:
            return f"{size / letter:.3g} {unit}"
    return f"{size:.0f} bytes"


def plain_number(value: Any) -> Any:
    """A number of numpy as one of Python; anything else as it is."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, (int, bool)) else value


def check_number(
    name: str, value: Any, *, above: float = -math.inf, at_least: float = -math.inf, below: float = math.inf
) -> None:
    """Refuse what is no number of this range; None is none that was asked for."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"--{name} cannot be {shown(value)}: give a number")
    if not (above < value < below and at_least <= value and abs(value) <= LARGEST):
        low = (
            f"above {above:g}" if above > -math.inf else f"at least {at_least:g}" if at_least > -math.inf else "finite"
        )
        high = f" and below {below:g}" if below < math.inf else ""
        raise UsageError(f"--{name} cannot be {shown(_short(value), quote=False)}: give a number {low}{high}")


def _short(value: float) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def check_whole(name: str, value: Any, *, at_least: int, below: float = math.inf) -> None:
    """Refuse what is no whole number of this range."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"--{name} cannot be {shown(value)}: give a whole number")
    if value < at_least:
        raise UsageError(f"--{name} cannot be {value}: give a whole number of at least {at_least}")
    if value >= below:
        raise UsageError(f"--{name} cannot be {shown(value, quote=False)}: give a whole number below 2**64")
