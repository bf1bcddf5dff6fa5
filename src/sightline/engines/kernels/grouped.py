"""Rows that repeat, once each with how many they are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .rows import KernelRows

__all__ = ["grouped"]

Array = np.ndarray[Any, Any]
SAMPLE = 4096  # rows that are looked at first
REPEATED = 0.5  # of them at most may be different for a look at all
WORTH = 4  # rows for each different one, from which on grouping pays
PARTS = 8  # of the rows, which threads share; always as many, so that sums of weights do not depend on threads


def grouped(rows: KernelRows) -> KernelRows:
    """The different rows with their targets, each with the sum of the weights of those that it stands for; the rows
    themselves where most of them are different.

    Rows are the same where they are to the bit, so the loss and its gradient are those of all rows, added up in
    another order: Σ ℓ(xᵢ'w + b, yᵢ) = Σ n_g ℓ(x_g'w + b, y_g).
    """
    n = len(rows.x)
    step = max(1, n // SAMPLE)
    if n < 2 * SAMPLE or _different(rows, slice(0, n, step), most=int(REPEATED * len(range(0, n, step)))) is None:
        return rows
    found = _together(rows, most=n // WORTH)
    if found is None:
        return rows
    first, sums = found
    kept = torch.from_numpy(first)
    some = [t[kept].contiguous() if len(t) else t for t in (rows.x, rows.y, rows.classes)]
    stand = torch.from_numpy(sums)[:, None].to(rows.x.dtype)
    return replace(rows, x=some[0], y=some[1], classes=some[2], weight=stand, stands_for=n)


def _together(rows: KernelRows, *, most: int) -> tuple[Array, Array] | None:
    """Of all rows what `_different` finds of some: those of each part, and then the different ones among these."""
    n = len(rows.x)
    ends = [n * i // PARTS for i in range(PARTS + 1)]
    parts = [slice(a, b) for a, b in pairwise(ends)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        found = list(pool.map(lambda part: _different(rows, part, most=min(most, part.stop - part.start)), parts))
    if any(one is None for one in found):
        return None
    first = np.concatenate([one[0] + part.start for one, part in zip(found, parts, strict=True) if one])
    sums = np.concatenate([one[1] for one in found if one])
    few = replace(rows, x=rows.x[first], y=rows.y[first] if len(rows.y) else rows.y,
                  classes=rows.classes[first] if len(rows.classes) else rows.classes,
                  weight=torch.from_numpy(sums)[:, None])  # fmt: skip
    last = _different(few, slice(None), most=most)
    return None if last is None else (first[last[0]], last[1])


def _different(rows: KernelRows, part: slice, *, most: int) -> tuple[Array, Array] | None:
    """The place of the first of each different row among these, and the sum of the weights of those that are the same
    (how many they are, where there are none); None of more than `most`.
    """
    from ...compiled.grouping import distinct

    targets = rows.classes if len(rows.classes) else rows.y
    (x, d), (y, k) = _words(rows.x[part]), _words(targets[part])
    weight = np.ones(1) if rows.weight is None else rows.weight[part, 0].double().numpy()
    first, sums = np.empty(max(most, 1), np.int64), np.empty(max(most, 1))
    count = distinct(len(rows.x[part]), x, d, y, k, weight, most, first, sums)
    return None if count < 0 else (first[:count].copy(), sums[:count].copy())


def _words(values: Tensor) -> tuple[Array, int]:
    """The bits of each row as the longest words that it is made of, of which there are so many."""
    table = values.reshape(len(values), -1).contiguous().numpy()
    width = table.shape[1] * table.itemsize
    words: Array = table.reshape(-1).view(np.uint64 if width % 8 == 0 else np.uint32)
    return words, width // words.itemsize
