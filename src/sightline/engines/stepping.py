"""What happens around `optimizer.step`, the same in every engine: clipping, the proximal step of L1, the schedule."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer, lr_scheduler

from ..errors import UsageError, shown
from .schedules import Schedule

__all__ = ["Stepper", "Stepping", "as_stepping", "count_as_stepped", "needs_closure", "settings_used"]

NOT_SETTINGS = {"params", "foreach", "fused", "differentiable", "capturable", "maximize"}  # how torch computes
CYCLED = ("lr", "momentum", "betas")  # what schedules move


@dataclass(frozen=True)
class Stepping:
    """What is done between backward and the next batch, beside the optimizer's own step.

    `clip_norm` and `clip_value` are `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_` on the gradients of the
    model. `accumulate` batches make one step, each batch's mean loss weighted by its share of their rows. `l1` is the
    factor of Σ|w| over all parameters but biases, as a proximal step: w ← sign(w) max(|w| - lr l1, 0).
    """

    schedule: Schedule | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    l1: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether an epoch is nothing but steps of the optimizer at one rate."""
        return self == Stepping()

    def told(self) -> dict[str, Any]:
        """What is in use, as plain values."""
        used = {"clip_norm": self.clip_norm, "clip_value": self.clip_value, "l1": self.l1}
        return {
            **({"schedule": self.schedule.told()} if self.schedule else {}),
            **{name: value for name, value in used.items() if value},
            **({"accumulate": self.accumulate} if self.accumulate > 1 else {}),
        }

    def check(self, optimizer: Optimizer, *, batches: int | None) -> None:
        """Refuse what has no effect, or no meaning, with this optimizer and that many batches in an epoch."""
        name = type(optimizer).__name__
        if self.clip_norm is not None and self.clip_value is not None:
            raise UsageError("clip_norm and clip_value are two ways to clip a gradient: leave one of them out")
        if self.accumulate > 1 and batches == 1:
            raise UsageError(
                f"accumulate {self.accumulate} has no effect, for one batch holds all rows: "
                "give a batch size, or leave it out"
            )
        if needs_closure(optimizer):
            self._check_closure(name)
        if self.l1:
            self._check_sgd(optimizer, name)
        if self.schedule is not None and self.schedule.scheduler.optimizer is not optimizer:
            raise UsageError("the schedule belongs to another optimizer: build it from the one that trains the model")

    def _check_closure(self, optimizer: str) -> None:
        given = {"clip_norm": self.clip_norm, "clip_value": self.clip_value, "accumulate": self.accumulate > 1}
        for name in (name for name, value in given.items() if value):
            raise UsageError(
                f"{name} has no meaning for {optimizer}, which measures the loss several times within one step: "
                f"leave it out{', or give bigger batches' if name == 'accumulate' else ''}"
            )

    def _check_sgd(self, optimizer: Optimizer, name: str) -> None:
        """The proximal step is known for gradient steps with or without the heavy ball."""
        if type(optimizer) is not SGD:
            raise UsageError(
                f"l1 is a soft threshold after a step of SGD, and for {name} that is not the lasso: use SGD"
            )
        for option in ("nesterov", "dampening"):
            if any(group[option] for group in optimizer.param_groups):
                raise UsageError(
                    f"l1 with {option} has no fixed point at the lasso that is known: use SGD with momentum alone"
                )


class Stepper:
    """One step of the optimizer with what goes around it; both engines step by this and by nothing else.

    `lr` is the rate of the last step that was taken, None before the first.
    """

    def __init__(
        self, module: nn.Module, optimizer: Optimizer, stepping: Stepping, *, autocast: torch.dtype | None = None
    ) -> None:
        self.module, self.optimizer, self.stepping = module, optimizer, stepping
        self._lr: float | None = None
        self._is_plain = stepping.is_plain and autocast is not torch.float16
        self._scaler = _scaler(module) if autocast is torch.float16 else None

    @property
    def lr(self) -> float:
        """The rate of the last step, or of the first one to come."""
        return _rate(self.optimizer) if self._lr is None else self._lr

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss as backward starts from it: in float16 so large that small gradients are not lost."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def step(self, closure: Callable[[], Tensor] | None = None) -> None:
        """Clip, step, threshold, and move the rate on where the schedule goes by steps."""
        try:
            self._step(closure)
        except RuntimeError as error:
            known = _refused(error, self.optimizer)
            if known is None:
                raise
            raise known from error

    def _step(self, closure: Callable[[], Tensor] | None) -> None:
        how = self.stepping
        if self._is_plain and closure is None:
            self.note_rate()
            self.optimizer.step()
            return
        if self._scaler is not None:
            self._scaler.unscale_(self.optimizer)
        if how.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), how.clip_norm)
        if how.clip_value is not None:
            nn.utils.clip_grad_value_(self.module.parameters(), how.clip_value)
        self.note_rate()
        before = self._penalized() if how.l1 else []
        if self._scaler is not None:
            self._scaler.step(self.optimizer)
            self._scaler.update()
            count_as_stepped(self.optimizer)
        elif closure is None:
            self.optimizer.step()
        else:
            self.optimizer.step(closure)  # type: ignore[arg-type]
        for parameter, value, group in before:
            _threshold(parameter, value, how.l1, self.optimizer.state[parameter], float(group["lr"]))
        self.after_step()

    def note_rate(self) -> None:
        """The rate of the step that follows; torch's SGD would take one that is negative or not a number."""
        self._lr = _rate(self.optimizer)
        for number, group in enumerate(self.optimizer.param_groups):
            if not 0.0 <= group["lr"] < math.inf:
                raise UsageError(_bad_rate(float(group["lr"]), number, self.optimizer))

    def after_step(self) -> None:
        """Move the rate on where the schedule goes by steps."""
        if self.stepping.schedule is not None:
            self.stepping.schedule.after_step()

    def end_epoch(self, loss: float) -> None:
        """Move the rate on where the schedule goes by epochs; `loss` is the epoch's running loss."""
        if self.stepping.schedule is not None:
            self.stepping.schedule.after_epoch(loss)

    def _penalized(self) -> list[tuple[nn.Parameter, Tensor, Mapping[str, Any]]]:
        """The weights that the next step moves, their values before it, and their group."""
        biases = {id(p) for name, p in self.module.named_parameters() if "bias" in name.rpartition(".")[2]}
        return [
            (p, p.detach().clone(), group)
            for group in self.optimizer.param_groups
            for p in group["params"]
            if id(p) not in biases and p.grad is not None
        ]

    def state_dict(self) -> dict[str, Any]:
        """The rate of the last step, and the schedule's state."""
        schedule = self.stepping.schedule
        scaler = {"scaler": self._scaler.state_dict()} if self._scaler else {}
        return {"lr": self._lr, **({"schedule": schedule.state_dict()} if schedule else {}), **scaler}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self._lr = state["lr"]
        if self._lr is not None:
            count_as_stepped(self.optimizer)
        if self.stepping.schedule is not None:
            self.stepping.schedule.load_state_dict(state["schedule"])
        if self._scaler is not None:
            self._scaler.load_state_dict(dict(state["scaler"]))


@torch.no_grad()
def _threshold(parameter: nn.Parameter, before: Tensor, l1: float, state: dict[str, Any], lr: float) -> None:
    """w ← sign(w) max(|w| - lr l1, 0), and momentum that follows the step that was really taken.

    With the buffer (w_before - w_after) / lr the iteration is w ← prox(w - lr ∇L(w) + β (w - w_before)), iPiano, whose
    fixed points are the stationary points of L + l1 Σ|w| (Ochs, Chen, Brox, Pock 2014, SIAM J. Imaging Sci. 7).
    """
    parameter.copy_(parameter.sign() * (parameter.abs() - lr * l1).clamp_(min=0.0))
    if state.get("momentum_buffer") is not None and lr:
        state["momentum_buffer"].copy_((before - parameter) / lr)


def _scaler(module: nn.Module) -> torch.amp.GradScaler:
    device = next((p.device.type for p in module.parameters()), "cpu")
    return torch.amp.GradScaler(device)


def count_as_stepped(optimizer: Optimizer) -> None:
    """Keep torch from warning of a schedule that moves before the first step: that was taken in another process or in
    machine code, or its gradients overflowed in float16.
    """
    optimizer._opt_called = True  # type: ignore[attr-defined]


def _refused(error: Exception, optimizer: Optimizer) -> UsageError | None:
    """What torch says of a step, as a sentence where it is known."""
    said, name = str(error), type(optimizer).__name__
    if "SparseCPU" in said or "SparseCUDA" in said:
        return UsageError(
            "a gradient is sparse, and torch clips only those that are not: make the Embedding with sparse=False, or "
            "leave the clipping out"
        )
    if "does not support sparse gradients" in said:
        return UsageError(f"a gradient is sparse, and {name} takes none: use SGD, SparseAdam, or sparse=False")
    if "does not support dense gradients" in said:
        return UsageError(f"{name} takes sparse gradients only, those of Embedding(sparse=True): use Adam")
    if "without overflow" in said:
        return UsageError(
            "the learning rate or a bound of the step is too large for the dtype of the parameters: "
            "correct the schedule, or the bound"
        )
    return None


def _rate(optimizer: Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _bad_rate(lr: float, group: int, optimizer: Optimizer) -> str:
    of = f" of parameter group {group}" if len(optimizer.param_groups) > 1 else ""
    return (
        f"the learning rate{of} has become {lr:g}, and a step needs a finite one of at least 0: correct the schedule, "
        "or what sets it"
    )


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether each step of it evaluates the loss itself, as LBFGS does."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def settings_used(optimizer: Optimizer, stepping: Stepping) -> dict[str, Any]:
    """The options of the optimizer's first group as it was made, how many groups there are if there are several, and
    what goes around its steps: plain values for run.json.
    """
    group, made = optimizer.param_groups[0], optimizer.defaults
    held = {name: group[name] for name in made if name not in NOT_SETTINGS}
    if stepping.schedule is not None:
        held |= {name: made[name] for name in CYCLED if name in made}
    groups = {"groups": len(optimizer.param_groups)} if len(optimizer.param_groups) > 1 else {}
    return {**{name: _as_plain(value) for name, value in held.items()}, **groups, **stepping.told()}


def _as_plain(value: Any) -> Any:
    """A number that is a tensor or one of numpy, as one of Python; of what JSON does not know, its kind."""
    if isinstance(value, (Tensor, np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [_as_plain(part) for part in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else type(value).__name__


def as_stepping(schedule: Any, **others: Any) -> Stepping:
    """A stepping with a scheduler object of torch, as `train` is given it."""
    if schedule is None:
        return Stepping(**others)
    if not isinstance(schedule, (lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau)):
        raise UsageError(
            f"schedule is {shown(schedule, quote=isinstance(schedule, str))}: give a scheduler of torch, such as "
            "torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)"
        )
    return Stepping(schedule=Schedule(schedule), **others)
