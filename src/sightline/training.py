"""One training of any module, ready to run: what `train` yields and `fit_module` keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from . import loop
from .engines.base import Engine
from .engines.choose import choose
from .engines.custom import CustomStep
from .engines.devices import device_named, explained, is_of_device
from .engines.feeds import BatchFeed, TensorFeed, device_of
from .engines.guarding.notes import warn
from .engines.held_out import Best, HeldOut
from .engines.kernels.engine import Kernel
from .engines.problem import Problem
from .errors import UsageError, shown
from .feeding import held_out_feed, training_feed
from .guards import check_model, check_patience, check_values
from .loop_settings import LoopOptions, LoopSettings
from .records import Epoch, Warning
from .stopping import Rule, stop_when
from .stopping import patience as patience_of

__all__ = ["CPU", "LESS", "Training"]

CPU, LESS = "device='cpu'", "a smaller batch_size"  # the ways out of a device without room, as a call spells them


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
        cls, model: nn.Module, data: Any, options: LoopOptions, *, tell: Callable[[Warning], None] = warn,
        resumed: bool = False,
    ) -> Training:  # fmt: skip
        """Check everything, choose the engine; `resumed` says that the state of another training will be taken up."""
        s = LoopSettings.of(options)
        check_model(model)
        s.check(model)
        place = _place(s.device, model)
        with explained(place, (data, s.valid), cpu=CPU, less=LESS):
            if s.device is not None:
                _move(model, s.loss, place)
            return cls._made(model, data, s, tell=tell, resumed=resumed)

    @classmethod
    def _made(
        cls, model: nn.Module, data: Any, s: LoopSettings, *, tell: Callable[[Warning], None], resumed: bool
    ) -> Training:
        size, seed = None if s.batch_size is None else int(s.batch_size), int(s.seed)
        feed = training_feed(data, model, s.loss, batch_size=size, seed=seed, whole=s.step is not None)
        feed, held = held_out_feed(s.valid, feed, model, s.loss, seed=seed)
        problem = Problem(
            model, s.loss, s.optimizer, feed, stepping=s.stepping, autocast=s.autocast, own_step=s.step is not None,
            tell=tell,
        )  # fmt: skip
        check_values(model)  # after the optimizer, which may be of the model as it was
        _check_feed(problem, s)
        _check_schedule(problem, int(s.epochs) - int(s.start), resumed=resumed)
        if s.step is None:
            engine, reason = choose(problem, engine=s.engine, epochs=int(s.epochs))
            every = _measure_every(s, cheap=problem.full_batch or isinstance(engine, Kernel))
        else:
            every = _measure_every(s, cheap=False)
            engine = CustomStep(problem, s.step, measures=every is not None, last=int(s.epochs))
            reason = "a step function of your own"
        check_patience(s.patience, validated=held is not None, measured=every is not None)
        validate = None if held is None else HeldOut(model, s.loss, held, problem.casting)
        return cls(
            problem, engine, reason, int(s.epochs), int(s.start), every, validate,
            Best(model) if validate is not None and s.restore_best else None,
            [] if s.patience is None else [patience_of(s.patience)],
        )  # fmt: skip

    def stream(self, *, after: Epoch | None = None) -> Iterator[Epoch]:
        """The records one after the other, and nothing else; `after` is the last one of those before."""
        feed, device = self.problem.feed, device_of(self.problem.module)
        rows = (feed.inputs, feed.target) if isinstance(feed, TensorFeed) else ()
        with explained(device, rows, cpu=CPU, less=LESS):
            yield from loop.run(
                self.engine, epochs=self.epochs, start=self.start, after=after, measure_every=self.measure_every,
                validate=self.validate,
            )  # fmt: skip

    def records(self) -> Iterator[Epoch]:
        """The records until a rule ends them; after the last one the model is as it was at the best of them."""
        for record in stop_when(self.stream(), *self.rules):
            if self.best is not None:
                self.best(record)
            yield record
        if self.best is not None:
            self.best.restore()


def _place(device: Any, model: nn.Module) -> torch.device:
    """The device that was asked for; without one, that of the model."""
    if device is None:
        return device_of(model)
    if isinstance(device, bool) or not isinstance(device, (str, int, torch.device)):
        raise UsageError(f"device is {shown(device)}: give a device of torch, such as 'cpu'")
    try:
        return device_named(device, cpu=CPU)
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        raise _immovable(device, error) from None


def _move(model: nn.Module, loss: Any, place: torch.device) -> None:
    """Model and loss to the device; the optimizer holds the very parameters that move."""
    try:
        for module in (model, loss):
            if isinstance(module, nn.Module):
                module.to(place)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        if is_of_device(error):
            raise
        raise _immovable(place, error) from None


def _immovable(device: Any, error: Exception) -> UsageError:
    words = (str(error).strip().splitlines() or ["torch gives no reason"])[0]
    return UsageError(f"the model cannot be moved to device {shown(device)} ({words[:100]}): use 'cpu'")


def _check_feed(problem: Problem, s: LoopSettings) -> None:
    feed, epochs = problem.feed, int(s.epochs) - int(s.start)
    if isinstance(feed, BatchFeed) and feed.one_shot and (epochs > 1 or isinstance(s.measure, int)):
        what = f"epochs is {epochs}" if epochs > 1 else "measure reads them once more"
        raise UsageError(f"data is a generator, which can be read once, and {what}: give a list or a DataLoader")


def _check_schedule(problem: Problem, epochs: int, *, resumed: bool) -> None:
    schedule = problem.stepping.schedule
    if schedule is not None and problem.steps is not None:
        schedule.check_length(epochs * problem.steps, resumed=resumed)


def _measure_every(s: LoopSettings, *, cheap: bool) -> int | None:
    if s.measure != "auto":
        return None if s.measure is None else int(s.measure)
    return 1 if cheap else None
