"""In which order the rows of an epoch come."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["epoch_order"]


def epoch_order(rows: int, *, seed: int, epoch: int) -> Tensor:
    """The order of the rows in one epoch, a permutation that depends on (seed, epoch) only, so a resumed run sees the
    same.

    It is what `torch.utils.data.RandomSampler` draws from a generator seeded with `seed * 1_000_003 + epoch` modulo
    2³².
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**32)
    return torch.randperm(rows, generator=generator)
