"""Full-batch training of a linear model on squared error from its moments: the rows are read twice, then never again."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from ..linear.squared_error import SquaredError
from .base import Measured
from .problem import Problem

__all__ = ["Quadratic"]


class Quadratic:
    """Steps the caller's own optimizer with the gradient 2(Aθ - b), computed in float64 and rounded once to the parameters'
    dtype. One epoch costs O(p²), whatever the number of rows."""

    def __init__(self, problem: Problem, form: SquaredError) -> None:
        assert isinstance(problem.module, nn.Linear)
        self.problem, self.form = problem, form
        self.rows = len(problem.x)
        self.module, self.optimizer = problem.module, problem.optimizer
        self._weight = self.module.weight.detach().numpy()   # shares memory with the parameters
        self._bias = None if self.module.bias is None else self.module.bias.detach().numpy()
        self._loss: float | None = None

    def run_epoch(self, number: int) -> float:   # noqa: ARG002 - the order of the rows does not matter here
        """One step of the optimizer; returns the loss before it, as the plain loop does."""
        weight, bias = self._parameters()
        loss = self.form.value(weight, bias) if self._loss is None else self._loss
        by_weight, by_bias = self.form.gradient(weight, bias)
        _set_gradient(self.module.weight, by_weight)
        if bias is not None:
            _set_gradient(self.module.bias, by_bias)
        self.optimizer.step()
        self._loss = None
        return loss

    def measure(self, *, loss: bool) -> Measured:   # noqa: ARG002 - it costs next to nothing here
        """Loss and gradient norm from the moments."""
        weight, bias = self._parameters()
        by_weight, by_bias = self.form.gradient(weight, bias)
        squares = np.vdot(by_weight, by_weight) + (0.0 if bias is None else np.vdot(by_bias, by_bias))
        value = self.form.value(weight, bias)
        lr = float(self.optimizer.param_groups[0]["lr"])
        return Measured(value, float(squares) ** 0.5, lr, self.problem.describe(self.module))

    def state_dict(self) -> dict[str, Any]:
        """Module and optimizer, as copies."""
        return copy.deepcopy({"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up module and optimizer."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))

    def _parameters(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
        weight = self._weight.astype(np.float64)
        return weight, None if self._bias is None else self._bias.astype(np.float64)


def _set_gradient(parameter: torch.Tensor, gradient: np.ndarray[Any, Any]) -> None:
    rounded = torch.from_numpy(gradient).to(parameter.dtype)
    if parameter.grad is None:
        parameter.grad = rounded
    else:
        parameter.grad.copy_(rounded)
