"""Schedules of the learning rate: those of `torch.optim.lr_scheduler` by name, and when the loop steps them."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from ..errors import UsageError, nearest, shown
from .options import refusals_of_torch, typed_options

__all__ = ["SCHEDULES", "Schedule", "make_schedule"]

SCHEDULES: dict[str, type[Any]] = {
    "step": lr_scheduler.StepLR,
    "multi-step": lr_scheduler.MultiStepLR,
    "exponential": lr_scheduler.ExponentialLR,
    "cosine": lr_scheduler.CosineAnnealingLR,
    "cosine-restarts": lr_scheduler.CosineAnnealingWarmRestarts,
    "one-cycle": lr_scheduler.OneCycleLR,
    "cyclic": lr_scheduler.CyclicLR,
    "linear": lr_scheduler.LinearLR,
    "constant": lr_scheduler.ConstantLR,
    "polynomial": lr_scheduler.PolynomialLR,
    "plateau": lr_scheduler.ReduceLROnPlateau,
}
EACH_STEP = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)
OWN_RISE = ("one-cycle", "cyclic")
HIDDEN = {
    "self", "optimizer", "last_epoch", "verbose", "scale_fn", "scale_mode",
    "total_steps", "epochs", "steps_per_epoch",
}  # fmt: skip


@dataclass
class Schedule:
    """A scheduler of torch and when it is stepped: after each step (one-cycle, cyclic), else after each epoch.

    `plateau` gets the running loss of the epoch. `rising` is the linear warm-up of the first `warmup` epochs where
    torch's SequentialLR cannot hold it. `name` and `options` are how the schedule is told of.
    """

    scheduler: Any
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    rising: Any = None
    warmup: int = 0
    epoch: int = 0

    @property
    def each_step(self) -> bool:
        """Whether it is stepped after each step of the optimizer, not after each epoch."""
        return isinstance(self.scheduler, EACH_STEP)

    def after_step(self) -> None:
        """To be called after each step of the optimizer."""
        if self.each_step:
            self._move(self.scheduler)

    def after_epoch(self, loss: float) -> None:
        """To be called after each epoch, with its running loss."""
        self.epoch += 1
        if self.rising is not None and self.epoch <= self.warmup:
            self.rising.step()
        elif isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(loss)
        elif not self.each_step:
            self._move(self.scheduler)

    @staticmethod
    def _move(scheduler: Any) -> None:
        try:
            scheduler.step()
        except ValueError as error:
            if "total steps" not in str(error):
                raise
            raise UsageError(
                f"the schedule has ended and the training goes on ({error}): build it with more total_steps"
            ) from None

    def check_length(self, steps: int, *, resumed: bool = False) -> None:
        """Refuse a one-cycle schedule that ends before `steps` more steps of the optimizer; of a resumed training,
        whose place in the schedule comes with its state, before `steps` in all.
        """
        total = getattr(self.scheduler, "total_steps", math.inf)
        done = 0 if resumed or not self.each_step else self.scheduler.last_epoch
        if self.each_step and done + steps > total:
            raise UsageError(
                f"the schedule is made for {total:,} steps and the training takes {steps:,}: "
                f"build it with total_steps={done + steps}"
            )

    def told(self) -> dict[str, Any]:
        """Name, options and warm-up, as they are used."""
        name = self.name or type(self.scheduler).__name__
        return {"name": name, **self.options, **({"warmup": self.warmup} if self.warmup else {})}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rates to come depend on, as copies."""
        parts = {"scheduler": self.scheduler, "rising": self.rising}
        states = {k: copy.deepcopy(s.state_dict()) for k, s in parts.items() if s is not None}
        for state in states.values():
            state.pop("mode_worse", None)  # infinite, and made again from the mode
        return {"epoch": self.epoch, **states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self.epoch = int(state["epoch"])
        for part, scheduler in (("scheduler", self.scheduler), ("rising", self.rising)):
            if scheduler is None:
                continue
            scheduler.load_state_dict(copy.deepcopy(dict(state[part])))
            for each in (scheduler, *getattr(scheduler, "_schedulers", ())):
                if isinstance(each, lr_scheduler.MultiStepLR):
                    each.milestones = Counter(each.milestones)
                if isinstance(each, lr_scheduler.ReduceLROnPlateau) and each.best is None:
                    each.best = each.mode_worse


def make_schedule(
    name: str | None,
    optimizer: Optimizer,
    options: Mapping[str, Any],
    *,
    epochs: int | None,
    steps_per_epoch: int = 1,
    warmup: int = 0,
) -> Schedule:
    """The schedule of that name, after `warmup` epochs in which the rate rises linearly; None warms up only.

    What `options` do not give is made from the number of epochs, so that the schedule ends with the training: T_max =
    epochs, total_steps = epochs × steps_per_epoch, step_size = epochs // 3; or else is torch's own default. The rates
    of the warm-up are lr k / (warmup + 1) in epoch k.

    >>> import torch
    >>> sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    >>> make_schedule("cosine", sgd, {"eta_min": "0.01"}, epochs=20).told()
    {'name': 'cosine', 'T_max': 20, 'eta_min': 0.01}

    Raises UsageError for a name or an option that torch does not know, or where the number of epochs is needed.
    """
    name = None if name is None else name.lower()
    if name is not None and name not in SCHEDULES:
        raise UsageError(f"no schedule {shown(name)}: {nearest(name, SCHEDULES)}")
    _check_warmup(name, warmup, epochs)
    if name is None:
        return Schedule(_rising(optimizer, warmup), "warm-up", {}, None, warmup)
    cls = SCHEDULES[name]
    hidden = HIDDEN | ({"mode"} if name == "plateau" else set())
    given = typed_options(f"schedule {name}", cls.__init__, options, hidden=hidden)
    left = None if epochs is None else max(1, epochs - warmup)
    used = {**_defaults(name, optimizer, given, left, steps_per_epoch), **given}
    rising = _rising(optimizer, warmup) if warmup else None
    with refusals_of_torch(f"schedule {name}", given, f"lr_scheduler.{cls.__name__}"):
        scheduler = cls(optimizer, **used)
    if rising is not None and name != "plateau":
        scheduler = lr_scheduler.SequentialLR(optimizer, [rising, scheduler], milestones=[warmup])
        rising = None
    return Schedule(scheduler, name, used, rising, warmup)


def _rising(optimizer: Optimizer, warmup: int) -> Any:
    return lr_scheduler.LinearLR(optimizer, start_factor=1.0 / (warmup + 1), total_iters=warmup)


def _check_warmup(name: str | None, warmup: int, epochs: int | None) -> None:
    if warmup and name in OWN_RISE:
        raise UsageError(f"schedule {name} begins low and rises by itself: leave the warm-up out")
    if warmup and epochs is not None and warmup >= epochs > 0:
        raise UsageError(
            f"a warm-up of {warmup:,} epochs leaves none of {epochs:,}: give fewer warm-up epochs, or more epochs"
        )


def _defaults(
    name: str, optimizer: Optimizer, given: Mapping[str, Any], epochs: int | None, steps: int
) -> dict[str, Any]:
    """What is not torch's own default: all that depends on the number of epochs, and on the rate."""
    lr = float(optimizer.param_groups[0]["lr"])

    def of(make: Callable[[int], Any], option: str) -> Any:
        if option in given:
            return given[option]
        if epochs is None:
            own = "" if name == "one-cycle" else f", or --schedule-opt {option}=..."
            raise UsageError(f"schedule {name} needs to know where the training ends: add --epochs N{own}")
        return make(epochs)

    if name == "step":
        return {"step_size": of(lambda n: max(1, n // 3), "step_size")}
    if name == "multi-step":
        return {"milestones": of(lambda n: (max(1, n // 2), max(1, 3 * n // 4)), "milestones")}
    if name == "exponential":
        return {"gamma": of(lambda n: math.exp(math.log(0.01) / n), "gamma")}
    if name == "cosine":
        return {"T_max": of(lambda n: n, "T_max")}
    if name == "cosine-restarts":
        return {"T_0": of(lambda n: max(1, n // 3), "T_0")}
    if name in ("linear", "polynomial"):
        down = name == "linear" and not {"start_factor", "end_factor"} & set(given)
        ends = {"start_factor": 1.0, "end_factor": 0.0} if down else {}
        return {**ends, "total_iters": of(lambda n: n, "total_iters")}
    if name in OWN_RISE:
        cycled = {"cycle_momentum": not {"momentum", "betas"}.isdisjoint(optimizer.defaults)}
        if name == "one-cycle":
            return {"max_lr": lr, "total_steps": of(lambda n: n * steps, "total_steps"), **cycled}
        up = of(lambda n: max(1, n * steps // 8), "step_size_up")
        return {"base_lr": lr / 10.0, "max_lr": lr, "step_size_up": up, **cycled}
    return {}
