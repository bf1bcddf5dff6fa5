"""One step of a training loop with everything that can be known of it, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .linear.curvature import Curvature
from .linear.learning_rate import Rate
from .linear.line import StepLine
from .linear.progress import Progress, progress
from .linear.rounding import Rounding, rounding
from .linear.row_losses import RowLoss
from .linear.steps import StepTaken, take_step
from .records import Epoch

__all__ = ["Batch", "Step", "Worked"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """What the loop held before and after one optimizer step: θ `(q,)`, the gradient in `.grad`, torch's state by name.

    `left` is the gradient that the step before left in `.grad`, which zero_grad throws away; None before the first.
    """

    before: Array
    gradient: Array
    left: Array | None
    state: Mapping[str, Any]
    after: Array
    state_after: Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """The rows of one step, by their numbers, and the loss of these rows before and after it."""

    rows: Sequence[int]
    before: float
    after: float


@dataclass(frozen=True)
class Worked:
    """The first step of epoch `number`, in the coordinates and the dtype of the training.

    `loss` is that of the rows in this step, `rows` their numbers, `whole` the loss of all rows; `batches` the first
    steps of the epoch out of `steps`. `optimum (q,)` minimizes the objective, None where that is not known in closed
    form. `penalty (q,)` is the weight decay that is part of it. `record` and `record_before` are those of the run, and
    `apart` is how far the parameters of the epoch, worked out again, are from them.
    """

    run: str
    number: int
    epochs: int
    design: Design
    dtype: str
    optimizer: str
    options: Mapping[str, Any]
    step: Step
    loss: RowLoss
    rows: Sequence[int]
    whole: RowLoss
    penalty: Array
    batches: Sequence[Batch]
    steps: int
    curvature: Curvature
    optimum: Array | None
    rate: Rate | None
    record_before: Epoch
    record: Epoch
    apart: float
    frozen_at: int | None = None
    folder: Path | None = None

    @cached_property
    def taken(self) -> StepTaken | None:
        """The step in its lines, in float64; None for an optimizer that is not written out."""
        s = self.step
        return take_step(self.optimizer, self.options, s.before, s.gradient, s.state)

    @cached_property
    def meant(self) -> Array:
        """The step `(q,)` before it was rounded to the parameters' dtype; what was done, where that is not known."""
        return self.step.after - self.step.before if self.taken is None else self.taken.step

    @cached_property
    def line(self) -> StepLine:
        """The objective of the rows in this step, along it."""
        return StepLine(self.loss, self.step.before, self.meant, self.penalty)

    @cached_property
    def rounding(self) -> Rounding:
        """The step beside what the dtype can hold."""
        return rounding(self.step.before, self.step.after, self.meant, dtype=self.dtype)

    @cached_property
    def progress(self) -> list[Progress]:
        """The step along each direction of the curvature; none where the optimum is not known."""
        if self.optimum is None:
            return []
        return progress(self.curvature, self.optimum, self.step.before, self.step.after)

    @property
    def gradient(self) -> Array:
        """∂L/∂θ `(q,)` of the rows in this step, in float64."""
        return self.loss.gradient(self.step.before)

    @property
    def full_batch(self) -> bool:
        """Whether the epoch is this one step."""
        return self.steps == 1

    @property
    def swallowed(self) -> bool:
        """Whether rounding left every parameter where it was."""
        return bool((self.rounding.swallowed | (self.meant == 0.0)).all() and self.rounding.swallowed.any())
