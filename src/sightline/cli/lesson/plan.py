"""What a lesson is about: the exercise, the settings, and what is known of the first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ... import loop
from ...job import Job
from ...settings import RunSettings
from ...trainable import theta_of
from .exercise import Exercise

__all__ = ["STEPS_OF_LR", "Plan"]

Array = NDArray[np.float64]
STEPS_OF_LR = ("Adam", "AdamW", "Adamax", "NAdam", "RMSprop")  # once they are under way


@dataclass(frozen=True)
class Plan:
    """An exercise that is ready to run; `rate_given` is whether the reader chose the rate."""

    exercise: Exercise
    loss: str
    job: Job
    rate_given: bool

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.job.step.lr

    @property
    def epochs(self) -> int:
        """How many epochs."""
        return self.job.epochs

    @property
    def optimizer(self) -> str:
        """The class of `torch.optim`."""
        return type(self.job.problem.optimizer).__name__

    @property
    def is_sgd(self) -> bool:
        """Whether a step is the rate times the gradient, and nothing else."""
        return self.optimizer == "SGD"

    @cached_property
    def start_loss(self) -> float:
        """The loss before any update."""
        return self.job.truth.objective.value(self.job.start)

    @cached_property
    def gradient(self) -> Array:
        """Of the loss at the start: weights, then biases."""
        return self.job.truth.objective.smooth_gradient(self.job.start)

    @cached_property
    def first_move(self) -> Array:
        """How far the first step moves each parameter, tried in float64."""
        return self.tried(replace(self.job.settings, epochs=1, dtype="float64")) - self.job.start

    def tried(self, settings: RunSettings) -> Array:
        """Where training by other settings ends: weights, then biases."""
        job = Job.of(self.job.prepared, settings)
        for _ in loop.run(job.engine, epochs=job.epochs, measure_every=None):
            pass
        return theta_of(job.problem.module)

    @property
    def way(self) -> Array | None:
        """How far the exact answer is from the start; None where there is none."""
        optimum = self.job.truth.optimum
        return None if optimum is None else optimum - self.job.start
