"""Full-batch training of a linear model on any loss of a row: one pass over the rows gives the gradient."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...compiled import available
from ..base import Measured
from ..feeds import predicted
from ..guarding.watch import Watch
from ..problem import Problem
from ..states import state_of, take_up
from ..stepping import Stepper
from .engine import is_long, once_more
from .grouped import grouped
from .machine import at_rest
from .rows import KernelRows
from .state import Places, values_of

__all__ = ["FullBatch"]

Array = np.ndarray[Any, Any]
LOOKED_AT = 1024  # rows


class FullBatch:
    """Steps the caller's own optimizer with Σ ℓ'(xᵢ'w + b, yᵢ) xᵢ / n, sums of blocks of rows added up in float64 and
    rounded once to the parameters' dtype. Prediction, loss and gradient of a row are made while it is in the cache, so
    an epoch reads the rows once; of rows that repeat it reads each different one.
    """

    name: ClassVar[str] = "kernel"

    def __init__(self, problem: Problem, *, epochs: int) -> None:
        assert isinstance(problem.module, nn.Linear)
        self.problem, self.module, self.optimizer = problem, problem.module, problem.optimizer
        self.rows: int = problem.feed.rows
        self.stepper = Stepper(problem.module, problem.optimizer, problem.stepping)
        self.compiled = available() and is_long(problem, epochs)
        self._rows = KernelRows.of(problem)
        if self.compiled:
            self._rows = grouped(self._rows)
        self._places = Places([problem.module], in_lanes=problem.module.out_features > 1)
        self._watch, self._first = Watch(problem), True
        self._seen: tuple[bytes, float, Array] | None = None

    @property
    def different(self) -> int:
        """Rows that a pass reads: of those that repeat, one each."""
        return len(self._rows.x)

    def run_epoch(self, number: int) -> float:
        """One step of the optimizer; returns the loss before it, as the plain loop does."""
        self._watch.begin(number)
        if self._first:
            self._look()
        loss, gradient = self._pass()
        if not math.isfinite(loss):
            return once_more(self.problem, self._watch, self.stepper, number)
        (parts,) = self._places.views(gradient)
        for parameter, values in parts:
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            with np.errstate(over="ignore"):
                np.copyto(parameter.grad.numpy().reshape(values.shape), values, casting="same_kind")
        self.stepper.step()
        self._watch.begun()
        self.stepper.end_epoch(loss)
        return loss

    def _look(self) -> None:
        """At some rows and their loss, as the plain loop looks at its first batch."""
        self._first = False
        x, y = self.problem.x[:LOOKED_AT], self.problem.y[:LOOKED_AT]
        self._watch.batch(*self.problem.feed.whole())  # type: ignore[attr-defined]
        with torch.no_grad():
            self._watch.loss_of(predicted(self.module, x), x, y)

    def measure(self, *, loss: bool) -> Measured:
        """Loss and gradient norm at the parameters as they are: a pass that the next step does not make again."""
        lr, fault = self.stepper.lr, self._watch.fault
        if not loss:
            return Measured(None, None, lr, self.problem.describe(self.module), fault)
        value, gradient = self._pass()
        if not math.isfinite(value) and not fault:
            self._watch.not_finite(value, self.problem.x, self.problem.y, at_rest=True)
        (parts,) = self._places.views(gradient)
        norm = math.hypot(*(float(np.linalg.norm(view)) for _, view in parts))
        return Measured(value, norm, lr, self.problem.describe(self.module), self._watch.fault)

    def _pass(self) -> tuple[float, Array]:
        """Mean loss and gradient, as a row of the state, at the parameters as they are."""
        values = values_of(self._places)
        at = values.tobytes()
        if self._seen is None or self._seen[0] != at:
            self._seen = at, *(self._in_machine_code(values) if self.compiled else self._in_torch())
        return self._seen[1:]

    def _in_machine_code(self, values: Array) -> tuple[float, Array]:
        losses, gradient = at_rest(self._rows, values, self._places)
        return float(losses[: self.module.out_features].sum()), gradient

    def _in_torch(self) -> tuple[float, Array]:
        gradient = np.zeros(self._places.size)
        (parts,) = self._places.views(gradient)
        with torch.no_grad():
            each, slope = self._rows.each(self.module, slice(None))
            sums = [slope.T @ self._rows.x, slope.sum(0)]
        for (_, view), part in zip(parts, sums, strict=False):
            view[...] = part.double().numpy() / self.rows
        return float(each.double().mean()), gradient

    def state_dict(self) -> dict[str, Any]:
        """Module, optimizer and what goes around its steps, as copies."""
        return state_of(self.stepper)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        take_up(self.stepper, state)
