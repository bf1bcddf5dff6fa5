"""Full-batch training of a linear model on squared error from its moments: the rows are read twice, then never
again.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ..linear.squared_error import SquaredError
from .base import Measured
from .devices import arrays
from .guarding.watch import Watch
from .problem import Problem
from .states import state_of, take_up
from .stepping import Stepper

__all__ = ["Quadratic"]

Array = np.ndarray[Any, Any]


class Quadratic:
    """Steps the caller's own optimizer with the gradient 2(Aθ - b), computed in float64 and rounded once to the
    parameters' dtype. One epoch costs O(p²), whatever the number of rows.
    """

    name: ClassVar[str] = "quadratic"

    def __init__(self, problem: Problem, form: SquaredError) -> None:
        assert isinstance(problem.module, nn.Linear)
        self.problem, self.form = problem, form
        self.rows: int = problem.feed.rows
        self.module, self.optimizer = problem.module, problem.optimizer
        self.stepper = Stepper(problem.module, problem.optimizer, problem.stepping)
        self._parameters = [p for p in (problem.module.weight, problem.module.bias) if p is not None]
        self._seen: tuple[tuple[bytes, bytes], tuple[float, Array, Array]] | None = None
        self._watch = Watch(problem)
        self._watch.batch(problem.x, problem.y)  # where they are, for no epoch reads them

    def run_epoch(self, number: int) -> float:
        """One step of the optimizer; returns the loss before it, as the plain loop does."""
        self._watch.begin(number)
        excess, by_weight, by_bias = self._evaluate()
        _set_gradient(self.module.weight, by_weight)
        if self.module.bias is not None:
            _set_gradient(self.module.bias, by_bias)
        self.stepper.step()
        self._watch.begun()
        self.stepper.end_epoch(self.form.minimum + excess)
        return self.form.minimum + excess

    def measure(self, *, loss: bool) -> Measured:
        """Loss and gradient norm from the moments."""
        lr = self.stepper.lr
        if not loss:
            return Measured(None, None, lr, self.problem.describe(self.module))
        excess, by_weight, by_bias = self._evaluate()
        squares = np.vdot(by_weight, by_weight) + (0.0 if self.module.bias is None else np.vdot(by_bias, by_bias))
        norm, value = math.sqrt(squares), self.form.minimum + excess
        if not math.isfinite(value):
            self._watch.not_finite(value, *self.problem.feed.whole())  # type: ignore[attr-defined]
        return Measured(value, norm, lr, self.problem.describe(self.module), self._watch.fault)

    def _evaluate(self) -> tuple[float, Array, Array]:
        """Excess and gradient at the parameters as they are; kept, for the step after a measurement needs them
        again.
        """
        weight, *others = arrays(self._parameters)
        bias = others[0] if others else None
        at = weight.tobytes(), b"" if bias is None else bias.tobytes()  # compared faster than arrays are
        if self._seen is None or self._seen[0] != at:
            exact = None if bias is None else bias.astype(np.float64, copy=False)
            self._seen = at, self.form.evaluate(weight.astype(np.float64, copy=False), exact)
        return self._seen[1]

    def state_dict(self) -> dict[str, Any]:
        """Module, optimizer and what goes around its steps, as copies."""
        return state_of(self.stepper)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        take_up(self.stepper, state)


def _set_gradient(parameter: torch.Tensor, gradient: Array) -> None:
    """Rounded once to its dtype, in memory of its own, for clipping changes it in place."""
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter)
    if not parameter.is_cpu:
        parameter.grad.copy_(torch.from_numpy(gradient))
        return
    with np.errstate(over="ignore"):  # infinite in float32 it is for torch too
        np.copyto(parameter.grad.numpy(), gradient, casting="same_kind")
