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

__all__ = ["different_rows", "grouped"]

Array = np.ndarray[Any, Any]
WORD = 4  # bytes of the shortest numbers that are compared as they are
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
    targets = rows.classes if len(rows.classes) else rows.y
    found = different_rows(rows.x, targets, None if rows.weight is None else rows.weight[:, 0].double().numpy())
    if found is None:
        return rows
    first, sums = found
    kept = torch.from_numpy(first)
    some = [t[kept].contiguous() if len(t) else t for t in (rows.x, rows.y, rows.classes)]
    stand = torch.from_numpy(sums)[:, None].to(rows.x.dtype)
    return replace(rows, x=some[0], y=some[1], classes=some[2], weight=stand, stands_for=len(rows.x))


def different_rows(x: Tensor, targets: Tensor, weight: Array | None) -> tuple[Array, Array] | None:
    """The places of the first of each different row of `x (n, p)` with its `targets (n, ...)`, and how many rows are
    the same, or the sum of their `weight (n,)`; None where most are different.
    """
    n = len(x)
    step = max(1, n // SAMPLE)
    sample = slice(0, n, step)
    if n < 2 * SAMPLE or _different(x[sample], targets[sample], None, most=int(REPEATED * -(-n // step))) is None:
        return None
    return _together(x, targets, weight, most=n // WORTH)


def _together(x: Tensor, targets: Tensor, weight: Array | None, *, most: int) -> tuple[Array, Array] | None:
    """Of all rows what `_different` finds of some: those of each part, and then the different ones among these."""
    ends = [len(x) * i // PARTS for i in range(PARTS + 1)]
    parts = [slice(a, b) for a, b in pairwise(ends)]

    def of(part: slice) -> tuple[Array, Array] | None:
        some = None if weight is None else weight[part]
        return _different(x[part], targets[part], some, most=min(most, part.stop - part.start))

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        found = list(pool.map(of, parts))
    if any(one is None for one in found):
        return None
    first = np.concatenate([one[0] + part.start for one, part in zip(found, parts, strict=True) if one])
    sums = np.concatenate([one[1] for one in found if one])
    last = _different(x[first], targets[first], sums, most=most)
    return None if last is None else (first[last[0]], last[1])


def _different(x: Tensor, targets: Tensor, weight: Array | None, *, most: int) -> tuple[Array, Array] | None:
    """The place of the first of each different row among these, and the sum of the weights of those that are the same
    (how many they are, where there are none); None of more than `most`.
    """
    from ...compiled.grouping import distinct

    (words, d), (others, k) = _words(x), _words(targets)
    first, sums = np.empty(max(most, 1), np.int64), np.empty(max(most, 1))
    count = distinct(len(x), words, d, others, k, np.ones(1) if weight is None else weight, most, first, sums)
    return None if count < 0 else (first[:count].copy(), sums[:count].copy())


def _words(values: Tensor) -> tuple[Array, int]:
    """The bits of each row as the longest words that it is made of, of which there are so many."""
    wide = values if values.element_size() >= WORD else values.double()
    table = wide.reshape(len(values), -1).contiguous().numpy()
    width = table.shape[1] * table.itemsize
    words: Array = table.reshape(-1).view(np.uint64 if width % 8 == 0 else np.uint32)
    return words, width // words.itemsize
