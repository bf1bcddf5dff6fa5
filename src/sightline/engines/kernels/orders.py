"""The order of the rows of the epochs to come, made while one is trained."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

from ...data.batches import epoch_order

__all__ = ["Orders"]


class Orders:
    """The order of the rows of each epoch; the next one is made meanwhile."""

    def __init__(self, rows: int, seed: int, *, last: int) -> None:
        self._rows, self._seed, self._last = rows, seed, last
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="order of the rows")
        self._next: tuple[int, Future[Tensor]] | None = None

    def of(self, epoch: int) -> Tensor:
        """That of this epoch."""
        known = self._next[1].result() if self._next is not None and self._next[0] == epoch else self._made(epoch)
        if epoch < self._last:
            self._next = epoch + 1, self._pool.submit(self._made, epoch + 1)
        return known

    def _made(self, epoch: int) -> Tensor:
        return epoch_order(self._rows, seed=self._seed, epoch=epoch)
