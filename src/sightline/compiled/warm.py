"""All machine code made ahead, so that no run has to wait for it."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from . import ahead, permutation, single

__all__ = ["warm"]


def warm() -> str:
    """Call everything once for float32 and float64; says how long it took and where it is kept.

    >>> "machine code" in warm()
    True
    """
    began = perf_counter()
    for dtype in (np.float32, np.float64):
        _call(np.zeros(2, dtype))
    permutation.permutation(np.uint32(0), np.arange(2))
    seconds, where = perf_counter() - began, single.steps.stats.cache_path
    kept = f"it is kept in {where}" if where else "no folder for it can be written, so each process makes its own"
    return f"the machine code of mini-batch training is ready after {seconds:.1f} s; {kept}"


def _call(rows: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    state = np.zeros((4, 2 * 64 // rows.itemsize), rows.dtype)
    order, options, sums = np.arange(2), np.zeros((2, 8)), np.zeros((1, 1 + state.shape[1]))
    single.steps(rows, rows, rows[:0], order, 1, 0, 1.0, 1.0, 0, options, 0, state, order)
    ahead.read(rows, order, 1, np.array([2]))
    single.at_rest(rows, rows, rows[:0], 0, 1.0, state, 2, 0, 1, sums)
