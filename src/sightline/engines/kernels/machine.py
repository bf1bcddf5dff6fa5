"""Steps, and losses at rest, in machine code: of one output, or of several in the lanes of vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch

from .rows import KernelRows
from .state import Places, State

__all__ = ["at_rest", "run"]

Array = np.ndarray[Any, Any]
CACHE = 2**25  # bytes of rows that a processor's cache may hold
BLOCKS = 256  # of rows at most, whose sums are added up in their order


def run(rows: KernelRows, state: State, optimizer: int, order: Array, batch: int) -> Array:
    """Take the steps of an epoch; the mean loss of each lane, of classes in the first."""
    n, places = len(order), state.places
    if not places.in_lanes:
        from ...compiled.single import steps

        loss, scale = (rows.kind, rows.option), rows.scale
        how = optimizer, state.options, state.count, state.values
        with _read_ahead(rows, order) as done:
            sums = np.array([steps(*_one(rows), order, batch, *loss, scale, *how, done)])
    else:
        from ...compiled import lanes

        sums = np.zeros(places.lanes)
        lanes.steps(
            _all(rows), order, batch, (rows.kind, rows.option), _scale(rows), optimizer, state.options, state.rates,
            state.count, _shape(places), state.values, sums,
        )  # fmt: skip
        sums *= _scale(rows)
    state.count += -(-n // batch)
    means: Array = sums / n
    return means


@contextmanager
def _read_ahead(rows: KernelRows, order: Array) -> Iterator[Array]:
    """How many rows are done, for a second thread that reads ahead of them where they are not in the cache."""
    done = np.zeros(1, np.int64)
    if rows.x.nbytes < CACHE or torch.get_num_threads() < 2:
        yield done
        return
    from ...compiled.ahead import read

    with ThreadPoolExecutor(1) as pool:
        pool.submit(read, rows.x.reshape(-1).numpy(), order, rows.x.shape[1], done)
        try:
            yield done
        finally:
            done[0] = len(order)


def at_rest(rows: KernelRows, values: Array, places: Places) -> tuple[Array, Array]:
    """The mean loss of each lane, and the gradient as a row of the state, both in float64; `values (1, m)` or more are
    such rows, of which the first are the parameters.
    """
    n, lanes = len(rows.x), places.lanes
    block = max(1024, -(-n // BLOCKS))
    blocks, workers = -(-n // block), torch.get_num_threads()
    sums = np.empty((blocks, lanes + places.size))
    ends = [blocks * i // workers for i in range(workers + 1)]

    def part(first: int, last: int) -> None:
        _sums(rows, values, places, block, (first, last), sums)

    if blocks < 2 * workers:  # sooner done than threads are begun
        part(0, blocks)
    else:
        list(_pool(workers, os.getpid()).map(part, ends[:-1], ends[1:]))
    together = sums.sum(axis=0) * (_scale(rows) / rows.stands_for)
    return together[:lanes], together[lanes:]


@cache
def _pool(workers: int, _process: int) -> ThreadPoolExecutor:
    """Threads that stay, as there may be a pass every hundred microseconds; a forked process has its own."""
    return ThreadPoolExecutor(workers)


def _sums(rows: KernelRows, values: Array, places: Places, block: int, part: tuple[int, int], sums: Array) -> None:
    loss = rows.kind, rows.option
    if not places.in_lanes:
        from ...compiled.single import at_rest

        at_rest(*_one(rows), *loss, values, block, *part, sums)
    else:
        from ...compiled import lanes

        lanes.at_rest(_all(rows), loss, _shape(places), places.lanes, values, block, *part, sums)


def _one(rows: KernelRows) -> tuple[Array, Array, Array]:
    x, y, _, weight = _all(rows)
    return x, y, weight


def _all(rows: KernelRows) -> tuple[Array, Array, Array, Array]:
    """Rows, targets, classes and weights, flat; of what there is none, nothing."""
    weight = rows.x[:0] if rows.weight is None else rows.weight
    x, y, w = (t.reshape(-1).numpy() for t in (rows.x, rows.y, weight))
    return x, y, rows.classes.reshape(-1).numpy(), w


def _shape(places: Places) -> tuple[int, int, int]:
    """Columns, whether there is a bias, and outputs."""
    return places.columns, places.ones, places.outputs * len(places.models)


def _scale(rows: KernelRows) -> float:
    """What the sum of the losses of a row is multiplied with."""
    return rows.scale / max(rows.y.shape[1], 1) if len(rows.y) else rows.scale
