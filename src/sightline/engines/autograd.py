"""The reference: forward, loss, zero_grad, backward, step, for any module, any loss, any optimizer of torch."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..data.batches import batches
from .base import Measured
from .problem import Problem

__all__ = ["Autograd"]


class Autograd:
    """The loop of the tutorial. Every other engine must give the records that this one gives.

    On the full batch the forward and backward pass that measures the loss of a record is the one that the next step
    needs, so it is done once: `measure` leaves the gradients in `.grad`, and `run_epoch` steps with them unless
    somebody has touched the parameters meanwhile.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.rows = len(problem.x)
        self.module, self.loss, self.optimizer = problem.module, problem.loss, problem.optimizer
        self._ready: tuple[float, list[Tensor]] | None = None  # loss whose gradients are in place, and where it was
        self._checked = False

    def run_epoch(self, number: int) -> float:
        """One pass over the rows; returns the mean loss of the batches, each at the parameters before its own step."""
        self.module.train()
        total = 0.0
        for x, y in self._batches(number):
            if self.needs_closure:
                loss = self._step_with_closure(x, y)
            else:
                loss = self._forward_backward(x, y)
                self.optimizer.step()
            total += loss * (len(x) / self.rows if self._is_mean else 1.0)
        return total

    def _forward_backward(self, x: Tensor, y: Tensor) -> float:
        """Forward, loss, zero_grad, backward; skipped where `measure` has just done it at these very parameters."""
        if (ready := self._ready) is not None:
            self._ready = None
            if all(torch.equal(p, before) for p, before in zip(self._parameters, ready[1], strict=True)):
                return ready[0]
        prediction = self.module(x)
        if not self._checked:
            self.problem.check_shapes(prediction)
            self._checked = True
        loss = self.loss(prediction, y)
        self.optimizer.zero_grad()
        loss.backward()
        return float(loss.item())

    def _step_with_closure(self, x: Tensor, y: Tensor) -> float:
        """One step of an optimizer that evaluates the loss itself, such as LBFGS; returns the loss before it."""
        first: list[float] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            loss: Tensor = self.loss(self.module(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            first.append(float(loss.item()))
            return loss

        self.problem.check_shapes(self.module(x))
        self.optimizer.step(closure)  # type: ignore[arg-type]
        return first[0]

    def measure(self, *, loss: bool) -> Measured:
        """Loss and gradient of all rows at the parameters as they are."""
        lr = float(self.optimizer.param_groups[0]["lr"])
        if not loss:
            return Measured(None, None, lr, self.problem.describe(self.module))
        shared = self.problem.full_batch and not self.needs_closure and self.module.training and not self._random
        if shared:
            value = self._forward_backward(self.problem.x, self.problem.y)
            norm = _norm([p.grad for p in self._parameters])
            self._ready = value, [p.detach().clone() for p in self._parameters]
        else:
            value, norm = self._measure_apart()
        return Measured(value, norm, lr, self.problem.describe(self.module))

    def _measure_apart(self) -> tuple[float, float]:
        """A forward and backward pass in evaluation mode that leaves `.grad` and the mode as they were."""
        training = self.module.training
        self.module.eval()
        try:
            prediction = self.module(self.problem.x)
            self.problem.check_shapes(prediction)
            loss = self.loss(prediction, self.problem.y)
            gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        finally:
            self.module.train(training)
        return float(loss.item()), _norm(list(gradients))

    def state_dict(self) -> dict[str, Any]:
        """Module and optimizer, as copies."""
        return copy.deepcopy({"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up module and optimizer."""
        self._ready = None
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))

    def _batches(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        p = self.problem
        if p.full_batch:
            return iter([(p.x, p.y)])
        return batches(p.x, p.y, size=p.batch_size or self.rows, seed=p.seed, epoch=number)

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [p for p in self.module.parameters() if p.requires_grad]

    @property
    def needs_closure(self) -> bool:
        """Whether the optimizer's step cannot do without a closure (LBFGS)."""
        parameter = inspect.signature(type(self.optimizer).step).parameters.get("closure")
        return parameter is not None and parameter.default is inspect.Parameter.empty

    @property
    def _is_mean(self) -> bool:
        return getattr(self.loss, "reduction", "mean") == "mean"

    @property
    def _random(self) -> bool:
        """Whether a forward pass in training mode differs from one at rest: dropout, batch normalization."""
        return any(isinstance(m, NOT_AT_REST) or getattr(m, "dropout", 0.0) for m in self.module.modules())


NOT_AT_REST = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm, nn.RReLU)


def _norm(gradients: list[Tensor | None]) -> float:
    """Euclidean norm of all gradients together, accumulated in float64."""
    return math.sqrt(sum(float(g.double().pow(2).sum()) for g in gradients if g is not None))
