"""Many learning rates at once on mini-batches: a linear model of one output in each lane of the vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..problem import Problem
from ..stacked import Stacked
from .machine import at_rest, run
from .orders import Orders
from .rows import KernelRows
from .state import OPTIMIZERS, Places, State

__all__ = ["SideBySide"]


class SideBySide(Stacked):
    """Batches, gradients and steps of `Stacked`, in machine code: every row is read once for all models.

    What one model does never reaches another lane, be it infinite or not a number.
    """

    name = "kernel"

    def __init__(self, problem: Problem, rates: Sequence[float], *, epochs: int) -> None:
        super().__init__(problem, rates)
        self._rows = KernelRows.of(problem)
        self._orders = Orders(self.rows, problem.seed, last=epochs, compiled=True)
        self._known: State | None = None

    @property
    def _state(self) -> State:
        """Kept from epoch to epoch: nobody else moves these models."""
        if self._known is None:
            self._known = State.of(Places(list(self.models.values()), in_lanes=True), self.optimizer)
        return self._known

    def _run_batches(self, number: int) -> dict[int, float]:
        order, state = self._orders.of(number).numpy(), self._state
        optimizer = OPTIMIZERS[type(self.optimizer)]
        losses = run(self._rows, state, optimizer, order, self.problem.batch_size or self.rows)
        state.hand_back_parameters()
        return dict(zip(self.models, losses.tolist(), strict=False))

    def _evaluate(self) -> dict[int, float]:
        losses, gradient = at_rest(self._rows, self._state.values, self._state.places)
        with np.errstate(over="ignore", invalid="ignore"):  # of a rate that diverges
            parts = self._state.places.views(gradient)
            self._norms = [float(np.sqrt(sum(np.sum(view * view) for _, view in part))) for part in parts]
        return dict(zip(self.models, losses.tolist(), strict=False))

    def drop(self, gone: Iterable[int]) -> None:
        """Train these models no more; the others move together."""
        gone = list(gone)
        if gone:
            self._state.hand_back(self.optimizer)
            self._known = None
        super().drop(gone)
