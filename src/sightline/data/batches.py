"""Which rows make up which batch of which epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["batches", "epoch_order"]


def epoch_order(rows: int, *, seed: int, epoch: int) -> Tensor:
    """The order of the rows in one epoch, a permutation that depends on (seed, epoch) only, so a resumed run sees the
    same.

    It is what `torch.utils.data.RandomSampler` draws from a generator seeded with `seed * 1_000_003 + epoch` modulo
    2³².
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**32)
    return torch.randperm(rows, generator=generator)


def batches(x: Tensor, y: Tensor, *, size: int, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch: `(size, ...)` rows of x and y, the last one shorter where the rows do not divide."""
    for rows in epoch_order(len(x), seed=seed, epoch=epoch).split(size):  # type: ignore[no-untyped-call]
        yield x[rows], y[rows]
