"""Rows that repeat, once each with how many they are."""

from __future__ import annotations

from dataclasses import replace
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


def grouped(rows: KernelRows) -> KernelRows:
    """The different rows with their targets, each with the sum of the weights of those that it stands for; the rows
    themselves where most of them are different.

    Rows are the same where they are to the bit, so the loss and its gradient are those of all rows, added up in
    another order: Σ ℓ(xᵢ'w + b, yᵢ) = Σ n_g ℓ(x_g'w + b, y_g).
    """
    n = len(rows.x)
    step = max(1, n // SAMPLE)
    if n < 2 * SAMPLE or _number(rows, slice(0, n, step), most=int(REPEATED * len(range(0, n, step)))) is None:
        return rows
    found = _number(rows, slice(None), most=n // WORTH)
    if found is None:
        return rows
    group, first = found
    weight = None if rows.weight is None else rows.weight[:, 0].double().numpy()
    counts = np.bincount(group, weights=weight, minlength=len(first))
    kept = torch.from_numpy(first)
    some = [t[kept].contiguous() if len(t) else t for t in (rows.x, rows.y, rows.classes)]
    return replace(
        rows,
        x=some[0],
        y=some[1],
        classes=some[2],
        stands_for=n,
        weight=torch.from_numpy(counts)[:, None].to(rows.x.dtype),
    )


def _number(rows: KernelRows, part: slice, *, most: int) -> tuple[Array, Array] | None:
    """The number of each of these rows, and the place of the first of each number; None of more than `most`."""
    from ...compiled.grouping import distinct

    targets = rows.classes if len(rows.classes) else rows.y
    (x, d), (y, k) = _words(rows.x[part]), _words(targets[part])
    group, first = np.empty(len(rows.x[part]), np.int64), np.empty(max(most, 1), np.int64)
    count = distinct(x, d, y, k, most, group, first)
    return None if count < 0 else (group, first[:count])


def _words(values: Tensor) -> tuple[Array, int]:
    """The bits of each row as the longest words that it is made of, of which there are so many."""
    table = values.reshape(len(values), -1).contiguous().numpy()
    width = table.shape[1] * table.itemsize
    words: Array = table.reshape(-1).view(np.uint64 if width % 8 == 0 else np.uint32)
    return words, width // words.itemsize
