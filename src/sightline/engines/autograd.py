"""The reference: forward, loss, zero_grad, backward, step, for any module, any loss, any optimizer of torch."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from ..data.batches import batches
from .base import Measured
from .optimizers import load_optimizer
from .problem import Problem
from .stepping import Stepper, needs_closure

__all__ = ["Autograd"]

Batch = tuple[Tensor, Tensor]  # rows of x and y
Kept = tuple[nn.Parameter, Tensor, Tensor | None]  # a parameter, its value, its gradient there


class Autograd:
    """The loop of the tutorial. Every other engine must give the records that this one gives.

    On the full batch the forward and backward pass that measures the loss of a record is the one that the next step
    needs, so it is done once: `measure` keeps its gradients, and `run_epoch` steps with them if every parameter still
    is what it was. What a reader does to `.grad` meanwhile is overwritten, as `zero_grad` does in the plain loop.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.rows = len(problem.x)
        self.module, self.loss, self.optimizer = problem.module, problem.loss, problem.optimizer
        self.stepper = Stepper(self.module, self.optimizer, problem.stepping)
        self._needs_closure = needs_closure(problem.optimizer)
        self._is_mean = getattr(problem.loss, "reduction", "mean") == "mean"
        self._kept: tuple[float, list[Kept]] | None = None
        self._checked = False

    def run_epoch(self, number: int) -> float:
        """One pass over the rows; returns the loss, each batch's at the parameters before its own step."""
        self.module.train()
        total = 0.0
        for group in self._groups(number):
            total += self._step_on(group)
        self.stepper.end_epoch(total)
        return total

    def _step_on(self, group: list[Batch]) -> float:
        """One step of the optimizer on these batches; returns their part of the epoch's running loss."""
        if self._needs_closure:
            ((x, y),) = group
            return self._step_with_closure(x, y) * self._part(x)
        kept = self._recall()
        if kept is not None:
            total = kept
        else:
            sizes = [self._weight_in_mean(y) for _, y in group] if len(group) > 1 else [1.0]
            self._zero_grad()
            total = sum(
                self._forward_backward(x, y, share=size / sum(sizes) if self._is_mean else 1.0) * self._part(x)
                for (x, y), size in zip(group, sizes, strict=True)
            )
        self.stepper.step()
        return total

    def _zero_grad(self) -> None:
        """Of every parameter: those that the optimizer leaves alone, and those of the loss, too."""
        self.module.zero_grad()
        self.optimizer.zero_grad()

    def _part(self, x: Tensor) -> float:
        """What the loss of a batch counts in the running loss of the epoch."""
        return len(x) / self.rows if self._is_mean else 1.0

    def _weight_in_mean(self, y: Tensor) -> float:
        """What the mean loss of these rows divides by: their number, or the sum of the weights of their classes."""
        by_class = isinstance(self.loss, (nn.CrossEntropyLoss, nn.NLLLoss)) and not y.is_floating_point()
        weight = getattr(self.loss, "weight", None) if by_class else None
        return float(len(y)) if weight is None else float(weight[y.long()].sum())

    def _forward_backward(self, x: Tensor, y: Tensor, *, share: float = 1.0) -> float:
        """Forward, loss, backward of the share of a step that these rows have."""
        with torch.enable_grad():
            loss = self._checked_loss(x, y)
            (loss if share == 1.0 else loss * share).backward()  # type: ignore[no-untyped-call]
        return float(loss.item())

    def _checked_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss of these rows; prediction and loss are looked at the first time."""
        prediction = self.module(x)
        if not self._checked:
            self.problem.check_shapes(prediction)
        loss: Tensor = self.loss(prediction, y)
        if not self._checked:
            self.problem.check_loss_value(loss)
            self._checked = True
        return loss

    def _recall(self) -> float | None:
        """Put back the gradients that `measure` kept, and return their loss; None if a parameter has changed since."""
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        now = self._parameters
        if len(now) != len(kept[1]):
            return None
        if not all(p is q and torch.equal(p, value) for p, (q, value, _) in zip(now, kept[1], strict=True)):
            return None
        for p, _, gradient in kept[1]:
            p.grad = gradient
        return kept[0]

    def _step_with_closure(self, x: Tensor, y: Tensor) -> float:
        """One step of an optimizer that evaluates the loss itself, such as LBFGS; returns the loss before it."""
        first: list[float] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            loss = self._checked_loss(x, y)
            loss.backward()  # type: ignore[no-untyped-call]
            first.append(float(loss.item()))
            return loss

        self.stepper.step(closure)
        return first[0]

    def measure(self, *, loss: bool) -> Measured:
        """Loss and gradient of all rows at the parameters as they are."""
        lr = self.stepper.lr
        if not loss:
            return Measured(None, None, lr, self.problem.describe(self.module))
        if self.problem.full_batch and not self._needs_closure and self.module.training and self._same_at_rest:
            self._zero_grad()
            value = self._forward_backward(self.problem.x, self.problem.y)
            parameters = self._parameters
            norm = _norm([p.grad for p in parameters])
            self._kept = (
                value,
                [(p, p.detach().clone(), None if p.grad is None else p.grad.clone()) for p in parameters],
            )
        else:
            value, norm = self._measure_apart()
        return Measured(value, norm, lr, self.problem.describe(self.module))

    def _measure_apart(self) -> tuple[float, float]:
        """A forward and backward pass in evaluation mode that leaves `.grad` and the mode as they were."""
        training = self.module.training
        self.module.eval()
        try:
            with torch.enable_grad():
                prediction = self.module(self.problem.x)
                self.problem.check_shapes(prediction)
                loss = self.loss(prediction, self.problem.y)
            self.problem.check_loss_value(loss)
            gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        finally:
            self.module.train(training)
        return float(loss.item()), _norm(list(gradients))

    @cached_property
    def _same_at_rest(self) -> bool:
        """Whether a forward pass in training mode gives what one in evaluation mode gives: no dropout, no batch
        statistics. Modules of torch are known; one with other classes in it is tried once in both modes."""
        modules = list(self.module.modules())
        if any(isinstance(m, NOT_AT_REST) or getattr(m, "dropout", 0.0) for m in modules):
            return False
        if all(type(m).__module__.startswith("torch.nn.") for m in modules):
            return True
        buffers = [(b, b.clone()) for b in self.module.buffers()]
        with torch.random.fork_rng(), torch.no_grad():
            training = self.module(self.problem.x)
            for buffer, value in buffers:
                buffer.copy_(value)
            try:
                resting = self.module.eval()(self.problem.x)
            finally:
                self.module.train()
        both = isinstance(training, Tensor) and isinstance(resting, Tensor)
        return both and torch.equal(training, resting)

    def state_dict(self) -> dict[str, Any]:
        """Module, optimizer and what goes around its steps, as copies."""
        state = {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        return copy.deepcopy({**state, "stepping": self.stepper.state_dict()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._kept = None
        self.module.load_state_dict(state["module"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.stepper.load_state_dict(state["stepping"])

    def _groups(self, number: int) -> Iterator[list[Batch]]:
        """The batches of each step of the epoch."""
        p = self.problem
        if p.full_batch:
            yield [(p.x, p.y)]
            return
        rest = batches(p.x, p.y, size=p.batch_size or self.rows, seed=p.seed, epoch=number)
        while group := list(islice(rest, p.stepping.accumulate)):
            yield group

    @property
    def _parameters(self) -> list[nn.Parameter]:
        own = list(self.loss.parameters()) if isinstance(self.loss, nn.Module) else []
        return [p for p in [*self.module.parameters(), *own] if p.requires_grad]


NOT_AT_REST = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RReLU)


def _norm(gradients: list[Tensor | None]) -> float:
    """Euclidean norm of all gradients together, accumulated in float64."""
    return math.sqrt(sum(float(g.detach().abs().double().pow(2).sum()) for g in gradients if g is not None))
