"""A step that the user wrote: forward, loss, zero_grad, backward, step in a function of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import UsageError
from .at_rest import MeanLoss
from .autograd import Autograd
from .base import Measured
from .feeds import Batch, rows_in
from .guarding.faults import in_parameters_or_rows, in_rows
from .guarding.first_steps import FirstSteps
from .problem import Problem
from .progress import Progress

__all__ = ["CustomStep", "Step"]

Step = Callable[[nn.Module, Any, Optimizer], Any]


class CustomStep:
    """Calls `step(model, batch, optimizer)` for each batch; it returns the loss of the batch, as one number.

    What `measure` and the state are is `Autograd`'s. The first steps are watched (`FirstSteps`), and units that die.
    """

    name: ClassVar[str] = "step"

    def __init__(self, problem: Problem, step: Step, *, measures: bool, last: int | None = None) -> None:
        self.problem, self._step, self._measures = problem, step, measures
        self._inner = Autograd(problem, last=last)
        self._first = FirstSteps(problem)
        self._steps = 0

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
        watch = self._inner.watch
        self.problem.module.train()
        watch.begin(number)
        for batch in self.progress.begin(MeanLoss(mean=True), self.problem.feed.epoch(number)):
            watch.called(*batch)
            loss = self._one(batch)
            if not math.isfinite(loss):
                watch.fault = self._not_finite(loss, batch)
                return loss
            watch.stepped()
            self.progress.step(loss, float(rows_in(batch)) or 1.0)
        if self._steps:  # none where a resumed epoch had been done but for its end
            self._first.end_epoch(number)
        mean = self.progress.end()
        watch.end(mean)
        self._inner.stepper.end_epoch(mean)
        return mean

    def _one(self, batch: Batch) -> float:
        """One call; the first ones are looked at."""
        inputs, target = batch
        given = inputs if target is None else batch
        self._steps += 1
        try:
            if not self._first.looking:
                return self._called(given)
            with self._first.around():
                return self._called(given)
        except (RuntimeError, ValueError) as error:
            raise self._inner.watch.refused(error, inputs, target) from error

    def _called(self, batch: Any) -> float:
        self._inner.stepper.note_rate()
        with torch.enable_grad():
            loss = self._step(self.problem.module, batch, self.problem.optimizer)
        self._inner.stepper.after_step()
        if isinstance(loss, Tensor) and loss.numel() == 1:
            return float(loss.item())
        if isinstance(loss, Real) and not isinstance(loss, bool):
            return float(loss)
        if isinstance(loss, np.ndarray) and loss.size == 1:
            return float(loss.item())
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else "nothing" if loss is None else (
            f"a value of type {type(loss).__name__}"
        )  # fmt: skip
        raise UsageError(f"the step function returned {got}: return the loss of the batch as one number, return loss")

    def _not_finite(self, loss: float, batch: Batch) -> str:
        """As the last sentence of the run. The step function has stepped already, so the parameters tell little."""
        why = in_rows(*batch) or self._inner.watch.rows_before()
        if not why and self._steps > 1:
            why = in_parameters_or_rows(self.problem.module, *batch)
            why = why.replace("since the step before", "since this step or the one before")
        why = why or (
            "every row is finite, so the model or the loss makes it, as log(0) or a division by 0 does: keep what they "
            "compute where it is defined, or lower the learning rate"
        )
        kind = "nan" if math.isnan(loss) else "infinite"
        place = self._inner.watch.place
        return f"in {place} the step function returned a loss that is {kind}: {why}"

    def measure(self, *, loss: bool) -> Measured:
        """At rest, where there is a loss to measure."""
        return self._inner.measure(loss=loss and self._measures)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self._inner.load_state_dict(state)
