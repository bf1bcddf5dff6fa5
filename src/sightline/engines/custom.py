"""A step that the user wrote: forward, loss, zero_grad, backward, step in a function of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import UsageError
from .at_rest import MeanLoss
from .autograd import Autograd
from .base import Measured
from .faults import in_parameters_or_rows
from .feeds import Batch, rows_in
from .problem import Problem
from .progress import Progress

__all__ = ["CustomStep", "Step"]

Step = Callable[[nn.Module, Any, Optimizer], Any]
LOOKED_AT = 3  # steps in which gradients are compared with those of the step before
DOES = "forward, loss, optimizer.zero_grad(), loss.backward(), optimizer.step(), return loss"


class CustomStep:
    """Calls `step(model, batch, optimizer)` for each batch; it returns the loss of the batch, as one number.

    What `measure` and the state are is `Autograd`'s. The first steps are watched for gradients that are never zeroed,
    a backward pass that reaches nothing, and an optimizer that is never stepped.
    """

    def __init__(self, problem: Problem, step: Step, *, measures: bool) -> None:
        self.problem, self._step, self._measures = problem, step, measures
        self._inner = Autograd(problem)
        self._steps = 0
        self._taken = 0  # steps of the optimizer
        self._after: dict[nn.Parameter, Tensor] = {}

    @property
    def rows(self) -> int:
        """Training rows that one epoch reads."""
        return self.problem.feed.rows

    @property
    def progress(self) -> Progress:
        """How far the epoch is."""
        return self._inner.progress

    def run_epoch(self, number: int) -> float:
        """One pass over the batches; returns the mean of the losses that the steps returned, each by its rows."""
        self.problem.module.train()
        for batch in self.progress.begin(MeanLoss(mean=True), self.problem.feed.epoch(number)):
            loss = self._one(batch)
            if not math.isfinite(loss):
                self._inner.watch.fault = self._not_finite(number, loss, batch)
                return loss
            self.progress.step(loss, float(rows_in(batch)) or 1.0)
        if self._steps and not self._taken:
            raise UsageError(f"the step function never called optimizer.step() in epoch {number}: it does {DOES}")
        mean = self.progress.end()
        self._inner.stepper.end_epoch(mean)
        return mean

    def _one(self, batch: Batch) -> float:
        """One call; the first ones are looked at."""
        inputs, target = batch
        given = inputs if target is None else batch
        self._steps += 1
        if self._steps > LOOKED_AT:
            return self._called(given)
        with self._looking():
            loss = self._called(given)
        if self._steps == 1:
            self._check_reached()
        return loss

    def _called(self, batch: Any) -> float:
        self._inner.stepper.note_rate()
        with torch.enable_grad():
            loss = self._step(self.problem.module, batch, self.problem.optimizer)
        self._inner.stepper.after_step()
        if isinstance(loss, Tensor) and loss.numel() == 1:
            return float(loss.item())
        if isinstance(loss, (int, float)) and not isinstance(loss, bool):
            return float(loss)
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else "nothing" if loss is None else (
            f"a {type(loss).__name__}"
        )  # fmt: skip
        raise UsageError(f"the step function returned {got}: return the loss of the batch as one number, return loss")

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Compare the gradients before the backward pass of this step with those that the last step ended with."""
        handles: list[Any] = [self.problem.optimizer.register_step_post_hook(self._stepped)]
        handles += [
            p.register_hook(self._comparer(name, p))  # type: ignore[no-untyped-call]
            for name, p in self.problem.module.named_parameters()
            if p.requires_grad
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _stepped(self, *_: Any) -> None:
        self._taken += 1
        self._after = {p: p.grad.detach().clone() for p in self.problem.module.parameters() if p.grad is not None}

    def _comparer(self, name: str, p: nn.Parameter) -> Callable[[Tensor], None]:
        def hook(_: Tensor) -> None:
            before = self._after.pop(p, None)
            if before is None or p.grad is None or not bool(before.any()) or not torch.equal(before, p.grad):
                return
            raise UsageError(
                f"the gradient of {name} still is that of the last step when backward adds the next one to it, so "
                "every step follows the sum of all gradients: call optimizer.zero_grad() before loss.backward()"
            )

        return hook

    def _check_reached(self) -> None:
        named = [(name, p) for name, p in self.problem.module.named_parameters() if p.requires_grad]
        if self._taken and named and not self._after and all(p.grad is None for _, p in named):
            raise UsageError(
                "the step function left no parameter with a gradient, so its step changed nothing: call "
                f"loss.backward() on a loss that is not detached; it does {DOES}"
            )

    def _not_finite(self, epoch: int, loss: float, batch: Batch) -> str:
        """As the last sentence of the run."""
        why = in_parameters_or_rows(self.problem.module, *batch)
        why = why or "every parameter and every row is finite, so it comes from the model or from the loss: look there"
        kind = "nan" if math.isnan(loss) else "infinite"
        return f"in epoch {epoch}, at step {self._steps}, the step function returned a loss that is {kind}: {why}"

    def measure(self, *, loss: bool) -> Measured:
        """At rest, where there is a loss to measure."""
        return self._inner.measure(loss=loss and self._measures)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self._inner.load_state_dict(state)
