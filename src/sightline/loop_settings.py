"""What `train` and `fit_module` take beside model and data: names, defaults, and what each may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .engines.custom import Step
from .engines.stepping import Stepping, as_stepping
from .errors import UsageError, nearest, shown
from .guards import check_arguments, check_loop, check_loss, check_steps

__all__ = ["LoopOptions", "LoopSettings"]


class LoopOptions(TypedDict, total=False):
    """The keywords of `train`."""

    loss: nn.Module | Callable[[Any, Any], Tensor] | None
    optimizer: Optimizer
    epochs: int
    batch_size: int | None
    engine: str
    measure: str | int | None
    seed: int
    start: int
    step: Step | None
    schedule: Any
    clip_norm: float | None
    clip_value: float | None
    accumulate: int
    l1: float
    valid: Any
    patience: int | None
    restore_best: bool
    device: str | torch.device | None
    autocast: torch.dtype | None


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """The same with their defaults, checked."""

    optimizer: Optimizer
    epochs: int
    loss: Any = None
    batch_size: int | None = None
    engine: str = "auto"
    measure: str | int | None = "auto"
    seed: int = 0
    start: int = 0
    step: Step | None = None
    schedule: Any = None
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    l1: float = 0.0
    valid: Any = None
    patience: int | None = None
    restore_best: bool = True
    device: str | torch.device | None = None
    autocast: torch.dtype | None = None

    @classmethod
    def of(cls, options: LoopOptions) -> LoopSettings:
        """Those of the keywords; a name that is none of them, or one that is missing, is told."""
        names = [f.name for f in fields(cls)]
        for name in options:
            if name not in names:
                raise UsageError(f"there is no setting {shown(name)}: {nearest(name, names)}")
        for name, example in (("optimizer", "torch.optim.SGD(model.parameters(), lr=0.1)"), ("epochs", "100")):
            if name not in options:
                raise UsageError(f"{name} is missing: give it, such as {name}={example}")
        return cls(**options)

    def check(self, model: nn.Module) -> None:
        """Refuse what cannot be meant, before anything is touched."""
        self._check_loss(model)
        check_loop(
            epochs=self.epochs, start=self.start, batch_size=self.batch_size, measure=self.measure, seed=self.seed,
            optimizer=self.optimizer,
        )  # fmt: skip
        check_steps(clip_norm=self.clip_norm, clip_value=self.clip_value, accumulate=self.accumulate, l1=self.l1)
        if not any(self.autocast is known for known in (None, torch.bfloat16, torch.float16)):
            raise UsageError(
                f"autocast is {shown(self.autocast)}: give torch.bfloat16 or torch.float16, or leave it out"
            )
        if not isinstance(self.restore_best, bool):
            raise UsageError(f"restore_best is {shown(self.restore_best)}: give True or False")
        if self.step is not None:
            self._check_step()

    def _check_loss(self, model: nn.Module) -> None:
        if self.loss is not None:
            check_loss(model, self.loss)
        elif self.step is None:
            raise UsageError(
                "there is no loss: give one, such as loss=torch.nn.MSELoss(), or a step function with step=..."
            )
        elif self.valid is not None or isinstance(self.measure, int):
            raise UsageError(
                "the step function trains, but valid and measure need a loss of prediction and target: give it with "
                "loss=..."
            )

    def _check_step(self) -> None:
        if not callable(self.step):
            raise UsageError(
                f"step is {shown(self.step)}: give a function of model, batch and optimizer that returns the loss "
                "of the batch"
            )
        check_arguments("the step function", self.step, "(model, batch, optimizer)", "model, batch and optimizer")
        if self.autocast is not None:
            raise UsageError(
                "autocast is of the loop's own step: with step=... use torch.autocast in the step function"
            )
        if self.engine not in ("auto", "autograd"):
            raise UsageError(
                f"engine {shown(self.engine)} makes the steps itself, and step=... makes its own: leave one out"
            )
        told = sorted(name for name in self.stepping.told() if name != "schedule")
        if told:
            raise UsageError(
                f"{told[0]} is done by the loop, and here the step function is the loop's step: do it in there"
            )

    @property
    def stepping(self) -> Stepping:
        """What goes around the optimizer's step."""
        return as_stepping(
            self.schedule, clip_norm=self.clip_norm, clip_value=self.clip_value, accumulate=int(self.accumulate),
            l1=float(self.l1),
        )  # fmt: skip
