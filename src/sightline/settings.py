"""The settings of a run: the one place of defaults, and of what each setting may be."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .errors import UsageError, nearest, shown
from .given import LARGEST, check_memory, check_number, check_whole, plain_number, read_size

__all__ = ["LOSS_OPTIONS", "RunSettings", "check_loss_options"]

CHOICES: dict[str, tuple[str, ...]] = {
    "dtype": ("float32", "float64"),
    "figures": ("none", "final", "every"),
    "engine": ("auto", "autograd", "quadratic", "kernel"),
}

LOSSES = (
    "mse", "l1", "huber", "smooth-l1", "poisson-nll", "gaussian-nll", "bce", "bce-probability", "cross-entropy",
    "hinge",
)  # fmt: skip
LOSS_OPTIONS: dict[str, dict[str, tuple[float, float]]] = {  # above, below
    "huber": {"delta": (0.0, math.inf)},
    "smooth-l1": {"beta": (0.0, math.inf)},
    "cross-entropy": {"label_smoothing": (0.0, 1.0)},
    "gaussian-nll": {"eps": (0.0, math.inf)},
}
OWN_FLAGS = ("lr", "momentum", "weight_decay")  # options of optimizers that have a flag of their own
DECOUPLED = ("adamw", "adafactor", "muon")  # their weight decay is in no loss
FLOAT32 = 3.4e38  # the largest rate that it holds
ROBUST = ("hc0", "hc1", "hc2", "hc3")


@dataclass(frozen=True)
class RunSettings:
    """What a fit was asked to do. `None` means "choose, and say why"; see `sightline fit --help` for each of them."""

    loss: str | None = None
    loss_opt: Mapping[str, float] = field(default_factory=dict)  # of the loss itself, such as delta of huber
    class_weight: str | Mapping[str, float] | None = None  # "balanced", or a weight for each label
    optimizer: str = "sgd"
    lr: float | None = None
    momentum: float | None = None
    auto_momentum: bool = False  # "--momentum auto" with a learning rate of one's own
    nesterov: bool = False
    weight_decay: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    standardize: bool = True
    start: Mapping[str, float] = field(default_factory=dict)
    dtype: str = "float64"
    device: str = "auto"
    engine: str = "auto"
    figures: str = "final"
    level: float = 0.95
    weights: str | None = None
    l2: float | None = None
    robust: str | None = None
    cluster: str | None = None
    opt: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    schedule_opt: Mapping[str, Any] = field(default_factory=dict)
    warmup: int | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int | None = None
    l1: float | None = None
    validation: float | str | None = None  # a fraction of the rows, or a file
    patience: int | None = None
    min_improvement: float | None = None
    restore_best: bool = True
    time_limit: float | None = None
    target_loss: float | None = None
    memory: int | None = None  # bytes that the rows may take; a larger file is read piece by piece
    cache: str | None = None  # folder that keeps the numbers of a file

    def __post_init__(self) -> None:
        for name in ("nesterov", "standardize", "auto_momentum", "restore_best"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"--{name} cannot be {shown(getattr(self, name))}: give True or False")
        if not isinstance(self.optimizer, str):
            raise UsageError(f"--optimizer cannot be {shown(self.optimizer)}: give a name such as 'sgd'")
        if not isinstance(self.start, Mapping):
            raise UsageError(
                f"--start cannot be {shown(self.start)}: give a dict such as {{'Intercept': -35.0, 'height': 0.45}}"
            )
        if self.loss is not None and self.loss not in LOSSES:
            raise UsageError(f"--loss cannot be {shown(self.loss)}: {nearest(str(self.loss), LOSSES)}")
        check_loss_options(self.loss, self.loss_opt)
        _check_class_weight(self.class_weight)
        for name, allowed in CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise UsageError(f"--{name} cannot be {shown(value)}: {nearest(str(value), allowed)}")
        _check_device(self.device)
        check_number("lr", self.lr, above=0.0)
        for name, value in (("lr", self.lr), ("weight-decay", self.weight_decay), ("l1", self.l1), ("l2", self.l2)):
            if self.dtype == "float32" and isinstance(value, float) and FLOAT32 < value <= LARGEST:
                raise UsageError(
                    f"--{name} cannot be {value:g}: the largest float32 is {FLOAT32:g}; give less, or --dtype float64"
                )
        check_number("momentum", self.momentum, at_least=0.0, below=1.0)
        check_number("weight-decay", self.weight_decay, at_least=0.0)
        check_number("l2", self.l2, at_least=0.0)
        for name, what in (("weights", "column"), ("cluster", "column"), ("cache", "folder")):
            if not isinstance(getattr(self, name), str | None):
                raise UsageError(f"--{name} cannot be {shown(getattr(self, name))}: give the name of a {what}")
        if self.robust is not None and str(self.robust).lower() not in ROBUST:
            raise UsageError(f"--robust cannot be {shown(self.robust)}: {nearest(str(self.robust), ROBUST)}")
        if self.robust is not None and self.cluster is not None:
            raise UsageError("--robust and --cluster are two kinds of standard errors: leave one of them out")
        check_number("level", self.level, above=0.0, below=1.0)
        self._check_stopping()
        check_whole("epochs", self.epochs, at_least=0)
        check_memory(self.memory)
        check_whole("batch-size", self.batch_size, at_least=1)
        check_whole("seed", self.seed, at_least=0, below=2**64)
        for term, value in self.start.items():
            check_number(f"start {term}", value)
        momentum = self.momentum or self.auto_momentum or (self.momentum is None and self.lr is None)
        if self.nesterov and not momentum:
            raise UsageError("--nesterov needs a momentum above 0: add --momentum 0.9")
        self._check_steps()

    def _check_steps(self) -> None:
        """What goes around the optimizer's steps; which names and options there are is for torch to say."""
        check_number("clip-norm", self.clip_norm, above=0.0)
        check_number("clip-value", self.clip_value, above=0.0)
        check_number("l1", self.l1, at_least=0.0)
        check_whole("warmup", self.warmup, at_least=0)
        check_whole("accumulate", self.accumulate, at_least=1)
        for name, example in (("opt", "{'betas': (0.9, 0.95)}"), ("schedule_opt", "{'eta_min': 1e-6}")):
            if not isinstance(given := getattr(self, name), Mapping):
                raise UsageError(f"--{name.replace('_', '-')} cannot be {shown(given)}: give a dict such as {example}")
        if self.schedule is not None and not isinstance(self.schedule, str):
            raise UsageError(f"--schedule cannot be {shown(self.schedule)}: give a name such as 'cosine'")
        if self.schedule_opt and self.schedule is None:
            raise UsageError("--schedule-opt has no effect without a schedule: add --schedule cosine, or leave it out")
        if own := [name for name in OWN_FLAGS if name in self.opt]:
            flag = own[0].replace("_", "-")
            raise UsageError(f"--opt {own[0]} is --{flag}: give it once, as --{flag}")
        if self.cycles_momentum and (self.momentum is not None or self.auto_momentum):
            raise UsageError(
                f"--momentum has no effect, for the schedule {self.schedule} moves it: "
                "add --schedule-opt cycle_momentum=false, or leave --momentum out"
            )

    @property
    def decoupled(self) -> bool:
        """Whether the optimizer applies its weight decay beside the gradient, not as part of the objective."""
        asked = str(self.opt.get("decoupled_weight_decay", False)).lower() == "true"
        return asked or self.optimizer.lower() in DECOUPLED

    @property
    def decay(self) -> float:
        """The weight decay on all parameters that is part of what is minimized."""
        return 0.0 if self.decoupled else self.weight_decay or 0.0

    @property
    def penalizes(self) -> bool:
        """Whether a penalty is part of what is minimized."""
        return bool(self.l1 or self.l2 or self.decay)

    @property
    def cycles_momentum(self) -> bool:
        """Whether the schedule moves the momentum too, as torch's one-cycle and cyclic do unless told not to."""
        stays = str(self.schedule_opt.get("cycle_momentum", True)).lower() == "false"
        return str(self.schedule).lower() in ("one-cycle", "cyclic") and not stays

    def _check_stopping(self) -> None:
        if isinstance(self.validation, (int, float)):
            check_number("validation", self.validation, above=0.0, below=1.0)
        elif not isinstance(self.validation, str | None):
            raise UsageError(f"--validation cannot be {shown(self.validation)}: give a fraction such as 0.2, or a file")
        check_whole("patience", self.patience, at_least=1)
        check_number("min-improvement", self.min_improvement, at_least=0.0)
        check_number("time-limit", self.time_limit, above=0.0)
        check_number("target-loss", self.target_loss)
        if self.min_improvement is not None and self.patience is None:
            raise UsageError("--min-improvement has no effect without patience: add --patience 20")
        if not self.restore_best and self.validation is None:
            raise UsageError("--no-restore-best has no effect without validation rows: add --validation 0.2")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> RunSettings:
        """Settings from keyword arguments or command-line options; "auto" and "full" are spelled-out defaults.

        >>> RunSettings.of({"lr": "auto", "momentum": 0.9}).momentum
        0.9
        """
        known = {f.name for f in fields(cls)} - {"auto_momentum"}
        if unknown := [name for name in options if name not in known]:
            raise UsageError(f"fit takes no setting {shown(unknown[0])}: {nearest(unknown[0], sorted(known))}")
        given = _flags_of_own({name: value for name, value in options.items() if value is not None})
        auto = {name for name in ("lr", "momentum") if given.get(name) == "auto"}
        given = {name: plain_number(value) for name, value in given.items() if name not in auto}
        if given.get("batch_size") == "full":
            del given["batch_size"]
        if "memory" in given:
            given["memory"] = read_size(given["memory"])
        if isinstance(given.get("cache"), os.PathLike):
            given["cache"] = os.fspath(given["cache"])
        if "momentum" not in given and auto == {"lr"} and str(given.get("optimizer", "sgd")).lower() == "sgd":
            given["momentum"] = 0.0
        if "class_weight" in given and not {"robust", "cluster"} & set(given):
            given["robust"] = "hc0"  # weights of classes are no counts, and only a sandwich allows for that
        return cls(**given, auto_momentum="momentum" in auto)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they go into run.json."""
        return asdict(self)


def check_loss_options(loss: str | None, options: Any) -> None:
    """Refuse options that the loss does not have, or values that mean nothing; without a loss those that none has.

    >>> check_loss_options("huber", {"delta": 1.5})
    """
    if not isinstance(options, Mapping):
        raise UsageError(f"--loss-opt cannot be {shown(options)}: give a dict such as {{'delta': 1.5}}")
    known = {name: span for key, of in LOSS_OPTIONS.items() if loss in (None, key) for name, span in of.items()}
    for name, value in options.items():
        if name not in known:
            lead = f"--loss-opt knows no {shown(name)}" if loss is None else f"--loss {loss} takes no {shown(name)}"
            raise UsageError(f"{lead}: {nearest(str(name), sorted(known)) if known else 'leave --loss-opt out'}")
        above, below = known[name]
        check_number(f"loss-opt {name}", value, above=above, below=below)


def _check_device(name: Any) -> None:
    """Refuse what is no name of a device; whether this machine has it is for torch to say."""
    if not (isinstance(name, str) and re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", name)):
        known = ("auto", "cpu", "cuda", "cuda:1")
        raise UsageError(f"--device cannot be {shown(name)}: {nearest(str(name), known)}")


def _check_class_weight(weight: Any) -> None:
    if weight is None or weight == "balanced":
        return
    if not isinstance(weight, Mapping) or not weight:
        raise UsageError(
            f"--class-weight cannot be {shown(weight)}: give balanced, or a weight for each label, such as yes=2,no=1"
        )
    for label, value in weight.items():
        check_number(f"class-weight {label}", value, above=0.0)


def _flags_of_own(given: dict[str, Any]) -> dict[str, Any]:
    """The same settings, with options of the optimizer that have a flag of their own under it; twice is refused."""
    opt = given.get("opt")
    if not isinstance(opt, Mapping):
        return given
    true = {"nesterov"} if str(opt.get("nesterov")).lower() == "true" else set()
    moved = {name: _number_of(opt[name]) for name in opt if name in OWN_FLAGS}
    moved |= dict.fromkeys(true, True)
    if twice := [name for name in moved if name in given]:
        flag = twice[0].replace("_", "-")
        raise UsageError(f"{twice[0]} is given twice, as --{flag} and as --opt {twice[0]}: leave one of them out")
    return {**given, "opt": {k: _plain(v) for k, v in opt.items() if k not in moved}, **moved}


def _number_of(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _plain(value: Any) -> Any:
    return tuple(plain_number(v) for v in value) if isinstance(value, (list, tuple)) else plain_number(value)
