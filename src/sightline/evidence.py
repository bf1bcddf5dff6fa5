"""What is known when a verdict is spoken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .linear.curvature import limit_formula
from .linear.exact import EPS
from .records import Epoch
from .settings import RunSettings
from .truth import Truth
from .tuning import Step

__all__ = ["Evidence"]

CLOSE_ENOUGH = 1e-10  # of the baseline loss: CONVERGED


@dataclass(frozen=True)
class Evidence:
    """What is known when the verdict is spoken.

    `start (q,)`: where training begins, in its coordinates. `best`: the epoch with the smallest loss. `kept`: the
    record whose parameters are the result, None for the last one. `excess`: objective above its optimum. `frozen_at`
    and `frozen_loss`: the last epoch that changes a parameter, forecast or seen. `source`: how the data are named on a
    command line.
    """

    truth: Truth
    start: NDArray[np.float64]
    settings: RunSettings
    step: Step
    source: str
    from_file: bool = True
    decoupled_decay: float = 0.0
    epochs: int = 0
    last: Epoch | None = None
    best: int = 0
    kept: Epoch | None = None
    excess: float = math.inf
    frozen_at: int | None = None
    frozen_loss: float | None = None

    @property
    def tolerance(self) -> float:
        """The excess below which a run has converged: that share of the baseline loss, or what float64 can tell
        from zero.
        """
        return max(CLOSE_ENOUGH * self.truth.scale, self.truth.resolution(EPS))

    @property
    def lr_limit(self) -> float:
        """The largest stable rate for the momentum in use."""
        return self.truth.curvature.lr_limit(self.step.momentum, **self._kind_of_momentum)

    @property
    def lr_formula(self) -> str:
        """The formula of that rate."""
        return limit_formula(self.step.momentum, **self._kind_of_momentum)

    @property
    def _kind_of_momentum(self) -> dict[str, Any]:
        options = self.step.options
        return {"nesterov": options.get("nesterov", False), "dampening": options.get("dampening", 0.0)}

    @property
    def is_gradient_descent(self) -> bool:
        """Whether the closed forms hold: SGD on the full batch at one rate, on a loss without kinks; for one that is
        not quadratic near its optimum.
        """
        s = self.settings
        full = s.batch_size is None or s.batch_size >= self.truth.rows
        plain = not (s.schedule is not None or s.warmup or s.clip_norm or s.clip_value or s.l1)
        return s.optimizer.lower() == "sgd" and full and plain and self.truth.smooth

    @property
    def penalized(self) -> bool:
        """Whether the objective is more than the loss."""
        return self.truth.objective.penalized

    def contraction(self) -> NDArray[np.float64]:
        """The factor by which one epoch of this gradient descent shrinks the error along each direction, `(rank,)`."""
        return self.truth.curvature.contraction(self.step.lr, self.step.momentum, **self._kind_of_momentum)
