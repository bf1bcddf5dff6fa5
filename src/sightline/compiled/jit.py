"""How functions are compiled: without the interpreter's lock, kept on the disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, from numba's cache; compiled anew in each process where no cache can be written.

    No `fastmath`: the order of every sum is the one that is written down.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache
        return njit(**options)(function)
