"""Mini-batch training of a linear model by its gradient in closed form: no graph, no dispatch, step after step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...compiled import available
from ..autograd import Autograd
from ..base import Measured
from ..feeds import predicted
from ..guarding.watch import Watch
from ..problem import Problem
from ..states import state_of, take_up
from ..stepping import Stepper, count_as_stepped
from .orders import Orders
from .rows import KernelRows
from .state import OPTIMIZERS, State

__all__ = ["Kernel", "is_long"]

Array = np.ndarray[Any, Any]
STEP, NUMBER = 1.2e-4, 5e-9  # seconds of the plain loop for a step, and for each number of its rows
LONG = 1.0  # seconds of the plain loop from which on it pays to load, or to make, machine code
CACHE = 2**25  # bytes of rows that a processor's cache may hold
BLOCKS = 256  # of rows at most, whose sums are added up in their order


def is_long(problem: Problem, epochs: int) -> bool:
    """Whether the plain loop would take longer than machine code takes to be loaded."""
    return epochs * ((problem.feed.batches or 1) * STEP + problem.x.numel() * NUMBER) >= LONG


class Kernel:
    """Batches in torch's own order; gradient and step as torch has them, in fewer operations.

    The gradient of a batch of m rows is Σ ℓ'(xᵢ'w + b, yᵢ) xᵢ / m. Steps of a long training run in machine code; those
    of a short one in torch, for machine code is half a second late.
    """

    def __init__(self, problem: Problem, *, epochs: int) -> None:
        assert isinstance(problem.module, nn.Linear)
        self.problem, self.module, self.optimizer = problem, problem.module, problem.optimizer
        self.rows: int = problem.feed.rows
        self.stepper = Stepper(problem.module, problem.optimizer, problem.stepping)
        self._rows = KernelRows.of(problem)
        self.compiled = available() and is_long(problem, epochs)
        self._orders = Orders(self.rows, problem.seed, last=epochs, compiled=self.compiled)
        self._watch, self._first = Watch(problem), True

    def _look_at(self, rows: Tensor) -> None:
        """The first batch and its loss, as the plain loop looks at them."""
        self._first = False
        x, y = self.problem.x[rows], self.problem.y[rows]
        self._watch.batch(x, y)
        with torch.no_grad():
            self._watch.loss_of(predicted(self.module, x), x, y)

    def run_epoch(self, number: int) -> float:
        """One pass over the rows; returns the loss, each batch's at the parameters before its own step."""
        self._watch.begin(number)
        self.stepper.note_rate()
        order, before = self._orders.of(number), State.of(self.module, self.optimizer)
        if self._first:
            self._look_at(order[: self.problem.batch_size])
        mean = self._compiled(order, before.copy()) if self.compiled else self._in_torch(order)
        if not math.isfinite(mean):
            before.hand_back(self.module, self.optimizer)
            return self._once_more(number)
        self._watch.begun()
        self.stepper.end_epoch(mean)
        return mean

    def _once_more(self, number: int) -> float:
        """The epoch in the plain loop, which stops at the batch whose loss is not finite and says why it is not."""
        loop = Autograd(self.problem)
        loop.watch = self._watch
        loop.stepper.load_state_dict(self.stepper.state_dict())
        return loop.run_epoch(number)

    def _compiled(self, order: Tensor, state: State) -> float:
        from ...compiled.single import steps

        with self._read_ahead(order) as done:
            losses = steps(
                *self._rows.arrays, order.numpy(), self.problem.batch_size, *self._rows.loss,
                OPTIMIZERS[type(self.optimizer)], state.options, state.count, state.values, done,
            )  # fmt: skip
        state.count += self.problem.feed.batches or 1
        state.hand_back(self.module, self.optimizer)
        count_as_stepped(self.optimizer)
        return float(losses) / self.rows

    @contextmanager
    def _read_ahead(self, order: Tensor) -> Iterator[Array]:
        """How many rows are done, for a second thread that reads ahead of them where they are not in the cache."""
        done = np.zeros(1, np.int64)
        if self._rows.x.nbytes < CACHE or torch.get_num_threads() < 2:
            yield done
            return
        from ...compiled.ahead import read

        with ThreadPoolExecutor(1) as pool:
            pool.submit(read, self._rows.arrays[0], order.numpy(), self.problem.x.shape[1], done)
            try:
                yield done
            finally:
                done[0] = self.rows

    def _in_torch(self, order: Tensor) -> float:
        """The same steps with operations of torch and the optimizer itself."""
        x, y, weight = self._rows.x, self._rows.y, self._rows.weight
        losses, by_weight, by_bias = 0.0, torch.empty_like(self.module.weight), None
        self.module.weight.grad = by_weight
        if self.module.bias is not None:
            self.module.bias.grad = by_bias = torch.empty_like(self.module.bias)
        with torch.no_grad():
            for rows in order.split(self.problem.batch_size or self.rows):  # type: ignore[no-untyped-call]
                batch = x[rows]
                each, slope = self._rows.each(self.module(batch)[:, 0], y[rows])
                if weight is not None:
                    each, slope = each * weight[rows], slope * weight[rows]
                slope /= len(rows)
                losses += float(each.sum())
                torch.mm(slope[None], batch, out=by_weight)
                if by_bias is not None:
                    by_bias.copy_(slope.sum())
                self.optimizer.step()
        return losses / self.rows

    def measure(self, *, loss: bool) -> Measured:
        """Loss and gradient norm of all rows at the parameters as they are: one more pass."""
        lr, fault = self.stepper.lr, self._watch.fault
        if not loss:
            return Measured(None, None, lr, self.problem.describe(self.module), fault)
        value, norm = self._at_rest()
        if not math.isfinite(value) and not fault:
            self._watch.not_finite(value, self.problem.x, self.problem.y, at_rest=True)
        return Measured(value, norm, lr, self.problem.describe(self.module), self._watch.fault)

    def _at_rest(self) -> tuple[float, float]:
        if not self.compiled:
            return self._at_rest_in_torch()
        from ...compiled.single import at_rest

        values = State.of(self.module, self.optimizer).values
        block = max(1024, -(-self.rows // BLOCKS))
        blocks, workers = -(-self.rows // block), torch.get_num_threads()
        sums = np.empty((blocks, 1 + values.shape[1]))
        ends = [blocks * i // workers for i in range(workers + 1)]

        def part(first: int, last: int) -> None:
            rows, loss = self._rows.arrays, self._rows.loss
            at_rest(*rows, loss[0], loss[1], values, block, first, last, sums)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(part, ends[:-1], ends[1:]))
        together = sums.sum(axis=0) * (self._rows.scale / self.rows)
        return float(together[0]), float(np.linalg.norm(together[1:]))

    def _at_rest_in_torch(self) -> tuple[float, float]:
        x, y, weight = self._rows.x, self._rows.y, self._rows.weight
        with torch.no_grad():
            each, slope = self._rows.each(self.module(x)[:, 0], y)
            if weight is not None:
                each, slope = each * weight, slope * weight
            by_weight = (slope @ x).double() / self.rows
            norm = float(by_weight.norm())
            if self.module.bias is not None:
                norm = math.hypot(norm, float(slope.double().mean()))
            return float(each.double().mean()), norm

    def state_dict(self) -> dict[str, Any]:
        """Module, optimizer and what goes around its steps, as copies."""
        return state_of(self.stepper)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        take_up(self.stepper, state)
