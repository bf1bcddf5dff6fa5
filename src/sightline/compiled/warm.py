"""All machine code made ahead, so that no run has to wait for it."""

from __future__ import annotations

from itertools import product
from time import perf_counter
from typing import Any

import numpy as np

from . import ahead, grouping, lanes, permutation, single

__all__ = ["warm"]

Rows = np.ndarray[Any, Any]


def warm() -> str:
    """Call everything once for float32 and float64; says how long it took and where it is kept.

    >>> "machine code" in warm()
    True
    """
    began = perf_counter()
    for dtype in (np.float32, np.float64):
        _call(np.zeros(2, dtype))
    permutation.permutation(np.uint32(0), np.arange(2))
    for rows, targets in product((np.uint32, np.uint64), repeat=2):
        first, sums = np.zeros(2, np.int64), np.zeros(2)
        grouping.distinct(2, np.zeros(2, rows), 1, np.zeros(2, targets), 1, np.ones(1), 2, first, sums)
    seconds, where = perf_counter() - began, single.steps.stats.cache_path
    kept = f"it is kept in {where}" if where else "no folder for it can be written, so each process makes its own"
    return f"the machine code of training is ready after {seconds:.1f} s; {kept}"


def _call(rows: Rows) -> None:
    state = np.zeros((4, 2 * 64 // rows.itemsize), rows.dtype)
    order, options, sums = np.arange(2), np.zeros((2, 8)), np.zeros((1, 1 + state.shape[1]))
    single.steps(rows, rows, rows[:0], order, 1, 0, 1.0, 1.0, 0, options, 0, state, order)
    ahead.read(rows, order, 1, np.array([2]))
    single.at_rest(rows, rows, rows[:0], 0, 1.0, state, 2, 0, 1, sums)
    _call_lanes(rows, order, options)


def _call_lanes(rows: Rows, order: Rows, options: Rows) -> None:
    """Two outputs of one column, with a bias."""
    outputs = 64 // rows.itemsize
    state, rates = np.zeros((4, outputs * outputs), rows.dtype), np.zeros((2, outputs))
    data, loss, shape = (rows, rows[:0], np.zeros(2, np.int32), rows[:0]), (4, 0.0), (1, 1, 2)
    lanes.steps(data, order, 1, loss, 1.0, 0, options, rates, 0, shape, state, np.zeros(outputs))
    lanes.at_rest(data, loss, shape, outputs, state, 2, 0, 1, np.zeros((1, outputs + state.shape[1])))
