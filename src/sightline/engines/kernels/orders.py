"""The order of the rows of the epochs to come, made while one is trained."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ...data.batches import epoch_order, epoch_seed

__all__ = ["Orders"]

MOST = 2**32 // 20  # rows; of more torch draws an order in another way


class Orders:
    """The order of the rows of each epoch; the next one is made meanwhile, `compiled` in machine code."""

    def __init__(self, rows: int, seed: int, *, last: int, compiled: bool) -> None:
        self._rows, self._seed, self._last = rows, seed, last
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="order of the rows")
        self._next: tuple[int, Future[Tensor]] | None = None
        self._drawn: Callable[..., Tensor] = drawn if compiled and rows < MOST and draws_as_torch() else epoch_order

    def of(self, epoch: int) -> Tensor:
        """That of this epoch."""
        known = self._next[1].result() if self._next is not None and self._next[0] == epoch else self._made(epoch)
        if epoch < self._last:
            self._next = epoch + 1, self._pool.submit(self._made, epoch + 1)
        return known

    def _made(self, epoch: int) -> Tensor:
        return self._drawn(self._rows, seed=self._seed, epoch=epoch)


def drawn(rows: int, *, seed: int, epoch: int) -> Tensor:
    """`epoch_order` in machine code."""
    from ...compiled.permutation import permutation

    order = np.empty(rows, np.int64)
    permutation(np.uint32(epoch_seed(seed, epoch)), order)
    return torch.from_numpy(order)


@cache
def draws_as_torch() -> bool:
    """Whether torch still draws an order in the way that the machine code does."""
    return torch.equal(drawn(1000, seed=0, epoch=1), epoch_order(1000, seed=0, epoch=1))
