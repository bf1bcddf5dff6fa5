"""One training of any module, ready to run: what `train` yields and `fit_module` keeps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from . import loop
from .engines.base import Engine
from .engines.choose import choose
from .engines.custom import CustomStep, Step
from .engines.feeds import BatchFeed, Feed
from .engines.held_out import Best, HeldOut
from .engines.notes import warn
from .engines.problem import Problem
from .engines.stepping import Stepping, as_stepping
from .errors import UsageError, shown
from .feeding import held_out_feed, training_feed
from .guards import check_loop, check_loss, check_model, check_patience, check_steps
from .records import Epoch, Warning
from .stopping import Rule, stop_when
from .stopping import patience as patience_of

__all__ = ["LoopOptions", "Training"]


class LoopOptions(TypedDict, total=False):
    """What `train` and `fit_module` take beside model and data."""

    loss: nn.Module | Callable[[Any, Any], Tensor] | None
    optimizer: torch.optim.Optimizer
    epochs: int
    batch_size: int | None
    engine: str
    measure: str | int | None
    seed: int
    start: int
    step: Step | None
    schedule: LRScheduler | None
    clip_norm: float | None
    clip_value: float | None
    accumulate: int
    l1: float
    valid: Any
    patience: int | None
    restore_best: bool
    device: str | torch.device | None
    autocast: torch.dtype | None


@dataclass(frozen=True)
class Training:
    """Everything known before the first epoch; `records` runs it."""

    problem: Problem
    engine: Engine
    reason: str
    epochs: int
    start: int
    measure_every: int | None
    validate: HeldOut | None
    best: Best | None
    rules: Sequence[Rule]

    @classmethod
    def of(
        cls,
        model: nn.Module,
        data: Any,
        *,
        loss: Any = None,
        optimizer: torch.optim.Optimizer,
        epochs: int,
        batch_size: int | None = None,
        engine: str = "auto",
        measure: str | int | None = "auto",
        seed: int = 0,
        start: int = 0,
        step: Step | None = None,
        schedule: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        l1: float = 0.0,
        valid: Any = None,
        patience: int | None = None,
        restore_best: bool = True,
        device: str | torch.device | None = None,
        autocast: torch.dtype | None = None,
        tell: Callable[[Warning], None] = warn,
    ) -> Training:
        """Check everything, choose the engine."""
        _check_loss(model, loss, step, needed=valid is not None or isinstance(measure, int))
        check_loop(epochs=epochs, start=start, batch_size=batch_size, measure=measure, seed=seed, optimizer=optimizer)
        check_steps(clip_norm=clip_norm, clip_value=clip_value, accumulate=accumulate, l1=l1)
        _move(model, device)
        _check_autocast(autocast, step)
        stepping = as_stepping(
            schedule, clip_norm=clip_norm, clip_value=clip_value, accumulate=int(accumulate), l1=float(l1)
        )
        _check_step(step, stepping)
        feed = training_feed(data, model, loss, batch_size=batch_size, seed=int(seed), whole=step is not None)
        feed, held = held_out_feed(valid, feed, model, loss, seed=int(seed))
        problem = Problem(
            model, loss, optimizer, feed, stepping=stepping, autocast=autocast, own_step=step is not None, tell=tell
        )
        _check_feed(feed, problem, int(epochs) - int(start), measure)
        every = _measure_every(measure, problem, step)
        check_patience(patience, validated=held is not None, measured=every is not None)
        chosen, reason = _engine(problem, step, engine, epochs=int(epochs), measures=every is not None)
        validate = None if held is None else HeldOut(model, loss, held, problem.casting)
        return cls(
            problem, chosen, reason, int(epochs), int(start), every, validate,
            Best(model) if validate is not None and restore_best else None,
            [] if patience is None else [patience_of(patience)],
        )  # fmt: skip

    def stream(self, *, start: int, seconds: float = 0.0) -> Iterator[Epoch]:
        """The records one after the other, and nothing else."""
        return loop.run(
            self.engine, epochs=self.epochs, start=start, seconds=seconds, measure_every=self.measure_every,
            validate=self.validate,
        )  # fmt: skip

    def records(self) -> Iterator[Epoch]:
        """The records until a rule ends them; after the last one the model is as it was at the best of them."""
        for record in stop_when(self.stream(start=self.start), *self.rules):
            if self.best is not None:
                self.best(record)
            yield record
        if self.best is not None:
            self.best.restore()


def _check_loss(model: nn.Module, loss: Any, step: Any, *, needed: bool) -> None:
    check_model(model)
    if loss is not None:
        check_loss(model, loss)
    elif step is None:
        raise UsageError(
            "there is no loss: give one, such as loss=torch.nn.MSELoss(), or a step function with step=..."
        )
    elif needed:
        raise UsageError(
            "the step function trains, but valid and measure need a loss of prediction and target: give it "
            "with loss=..."
        )


def _check_step(step: Any, stepping: Stepping) -> None:
    if step is None:
        return
    if not callable(step):
        raise UsageError(
            f"step is {shown(step)}: give a function of model, batch and optimizer that returns the loss of the batch"
        )
    _check_arguments(step)
    told = {name for name in stepping.told() if name != "schedule"}
    if told:
        name = sorted(told)[0]
        raise UsageError(f"{name} is done by the loop, and here the step function is the loop's step: do it in there")


def _check_arguments(step: Any) -> None:
    """It can be called with three."""
    try:
        signature = inspect.signature(step)
    except ValueError:  # what is not written in Python tells no signature
        return
    try:
        signature.bind(None, None, None)
    except TypeError:
        raise UsageError(
            f"the step function takes {signature} and is called with model, batch and optimizer: "
            "define it as step(model, batch, optimizer)"
        ) from None


def _move(model: nn.Module, device: Any) -> None:
    if device is None:
        return
    try:
        model.to(device)
    except (RuntimeError, AssertionError, TypeError) as error:
        words = (str(error).strip().splitlines() or ["torch gives no reason"])[0]
        raise UsageError(f"the model cannot be moved to device {shown(device)} ({words[:100]}): use 'cpu'") from None


def _check_autocast(autocast: Any, step: Any) -> None:
    if autocast is None:
        return
    if autocast not in (torch.bfloat16, torch.float16):
        raise UsageError(f"autocast is {shown(autocast)}: give torch.bfloat16 or torch.float16, or leave it out")
    if step is not None:
        raise UsageError("autocast is of the loop's own step: with step=... use torch.autocast in the step function")


def _check_feed(feed: Feed, problem: Problem, epochs: int, measure: Any) -> None:
    if isinstance(feed, BatchFeed) and feed.one_shot and (epochs > 1 or isinstance(measure, int)):
        what = f"epochs is {epochs}" if epochs > 1 else "measure reads them once more"
        raise UsageError(f"data is a generator, which can be read once, and {what}: give a list or a DataLoader")
    schedule = problem.stepping.schedule
    if schedule is not None and problem.steps is not None:
        schedule.check_length(epochs * problem.steps)


def _measure_every(measure: Any, problem: Problem, step: Any) -> int | None:
    if measure != "auto":
        return None if measure is None else int(measure)
    return 1 if problem.full_batch and step is None else None


def _engine(problem: Problem, step: Step | None, engine: str, *, epochs: int, measures: bool) -> tuple[Engine, str]:
    if step is None:
        return choose(problem, engine=engine, epochs=epochs)
    if engine not in ("auto", "autograd"):
        raise UsageError(f"engine {shown(engine)} makes the steps itself, and step=... makes its own: leave one out")
    return CustomStep(problem, step, measures=measures, last=epochs), "a step function of your own"
