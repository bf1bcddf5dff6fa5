"""Mini-batch training of a linear model by its gradient in closed form: no graph, no dispatch, step after step."""

from __future__ import annotations

import math
from typing import Any, ClassVar

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
from .machine import at_rest, run
from .orders import Orders
from .rows import KernelRows
from .state import OPTIMIZERS, Places, State

__all__ = ["Kernel", "is_long", "once_more"]

Array = np.ndarray[Any, Any]
STEP, NUMBER = 1.2e-4, 5e-9  # seconds of the plain loop for a step, and for each number of its rows
LONG = 1.0  # seconds of the plain loop from which on it pays to load, or to make, machine code


def is_long(problem: Problem, epochs: int) -> bool:
    """Whether the plain loop would take longer than machine code takes to be loaded."""
    return epochs * ((problem.feed.batches or 1) * STEP + problem.x.numel() * NUMBER) >= LONG


def once_more(problem: Problem, watch: Watch, stepper: Stepper, number: int) -> float:
    """The epoch in the plain loop, which stops where a loss is not finite and says why it is not."""
    loop = Autograd(problem)
    loop.watch = watch
    loop.stepper.load_state_dict(stepper.state_dict())
    return loop.run_epoch(number)


class Kernel:
    """Batches in torch's own order; gradient and step as torch has them, in fewer operations.

    The gradient of a batch of m rows is Σ ℓ'(xᵢ'w + b, yᵢ) xᵢ / m, for each of several outputs. Steps of a long
    training run in machine code; those of a short one in torch, for machine code is half a second late.
    """

    name: ClassVar[str] = "kernel"

    def __init__(self, problem: Problem, *, epochs: int) -> None:
        assert isinstance(problem.module, nn.Linear)
        self.problem, self.module, self.optimizer = problem, problem.module, problem.optimizer
        self.rows: int = problem.feed.rows
        self.stepper = Stepper(problem.module, problem.optimizer, problem.stepping)
        self._rows = KernelRows.of(problem)
        self._places = Places([problem.module], in_lanes=problem.module.out_features > 1)
        self.compiled = available() and is_long(problem, epochs)
        self._orders = Orders(self.rows, problem.seed, last=epochs, compiled=self.compiled)
        self._watch, self._first = Watch(problem), True

    @property
    def _state(self) -> State:
        """Parameters and optimizer as they are."""
        return State.of(self._places, self.optimizer)

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
        order, before = self._orders.of(number), self._state
        if self._first:
            self._look_at(order[: self.problem.batch_size])
        mean = self._compiled(order, before.copy()) if self.compiled else self._in_torch(order)
        if not math.isfinite(mean):
            before.hand_back(self.optimizer)
            return once_more(self.problem, self._watch, self.stepper, number)
        self._watch.begun()
        self.stepper.end_epoch(mean)
        return mean

    def _compiled(self, order: Tensor, state: State) -> float:
        optimizer = OPTIMIZERS[type(self.optimizer)]
        losses = run(self._rows, state, optimizer, order.numpy(), self.problem.batch_size or self.rows)
        state.hand_back(self.optimizer)
        count_as_stepped(self.optimizer)
        return self._mean(losses)

    def _mean(self, losses: Array) -> float:
        """Of the outputs together; lanes behind them are nobody's."""
        return float(losses[: self.module.out_features].sum())

    def _in_torch(self, order: Tensor) -> float:
        """The same steps with operations of torch and the optimizer itself."""
        losses, by_weight, by_bias = 0.0, torch.empty_like(self.module.weight), None
        self.module.weight.grad = by_weight
        if self.module.bias is not None:
            self.module.bias.grad = by_bias = torch.empty_like(self.module.bias)
        with torch.no_grad():
            for rows in order.split(self.problem.batch_size or self.rows):  # type: ignore[no-untyped-call]
                each, slope = self._rows.each(self.module, rows)
                slope /= len(rows)
                losses += float(each.sum())
                torch.mm(slope.T, self._rows.x[rows], out=by_weight)
                if by_bias is not None:
                    torch.sum(slope, 0, out=by_bias)
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
        losses, gradient = at_rest(self._rows, self._state.values, self._places)
        (parts,) = self._places.views(gradient)
        return self._mean(losses), math.hypot(*(float(np.linalg.norm(view)) for _, view in parts))

    def _at_rest_in_torch(self) -> tuple[float, float]:
        with torch.no_grad():
            each, slope = self._rows.each(self.module, slice(None))
            by_weight = (slope.T @ self._rows.x).double() / self.rows
            norm = float(by_weight.norm())
            if self.module.bias is not None:
                norm = math.hypot(norm, float(slope.double().mean(0).norm()))
            return float(each.double().mean()), norm

    def state_dict(self) -> dict[str, Any]:
        """Module, optimizer and what goes around its steps, as copies."""
        return state_of(self.stepper)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        take_up(self.stepper, state)
