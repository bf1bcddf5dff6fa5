"""In which order the rows of an epoch come."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["epoch_order", "epoch_seed"]


def epoch_order(rows: int, *, seed: int, epoch: int) -> Tensor:
    """The order of the rows in one epoch, a permutation that depends on (seed, epoch) only, so a resumed run sees the
    same.

    It is what `torch.utils.data.RandomSampler` draws from a generator seeded with `epoch_seed`.
    """
    generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
    return torch.randperm(rows, generator=generator)


def epoch_seed(seed: int, epoch: int) -> int:
    """`seed` · 1 000 003 + `epoch` modulo 2³²."""
    return (seed * 1_000_003 + epoch) % 2**32
