"""A design and its rows as something to train: layer, optimizer, tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import Optimizer

from .data.design import Design
from .engines.modules import WeightedMSELoss, linear_layer
from .engines.optimizers import make_optimizer
from .engines.problem import Problem
from .engines.schedules import make_schedule
from .engines.stepping import Stepping
from .errors import UsageError
from .rows import Rows
from .settings import RunSettings
from .tuning import Step

__all__ = ["is_decoupled", "make_problem", "theta_of"]

Array = NDArray[np.float64]
DECOUPLED = ("adamw", "adafactor", "muon")
NO_DECAY = ("lbfgs", "rprop")


def make_problem(design: Design, settings: RunSettings, step: Step, rows: Rows, start: Array) -> Problem:
    """The linear layer at its start, the optimizer with its step, and the rows in the run's dtype."""
    p = rows.X.shape[1]
    module = linear_layer(start[None, :p], start[p:] if design.intercept else None, dtype=settings.dtype)
    optimizer = make_optimizer(settings.optimizer, _groups(module, settings), step.options)
    size = settings.batch_size or len(rows.y)
    terms = design.terms

    def describe(_: torch.nn.Module) -> dict[str, float]:
        return dict(zip(terms, design.in_units(theta_of(module)).tolist(), strict=True))

    dtype = getattr(torch, settings.dtype)
    targets = [rows.y] if rows.weight is None else [rows.y, rows.weight / rows.weight.mean()]
    x, target = torch.from_numpy(rows.X).to(dtype), torch.from_numpy(np.column_stack(targets)).to(dtype)
    few = len(terms) <= 1000
    return Problem(
        module,
        torch.nn.MSELoss() if rows.weight is None else WeightedMSELoss(),
        optimizer,
        x,
        target,
        settings.batch_size,
        settings.seed,
        describe if few else lambda _: {},
        _stepping(settings, optimizer, batches=-(-len(rows.y) // size)),
    )


def _stepping(settings: RunSettings, optimizer: Optimizer, *, batches: int) -> Stepping:
    """What goes around the optimizer's steps."""
    s, accumulate = settings, settings.accumulate or 1
    schedule = None
    if s.schedule is not None or s.warmup:
        steps, warmup = -(-batches // accumulate), s.warmup or 0
        schedule = make_schedule(
            s.schedule, optimizer, s.schedule_opt, epochs=s.epochs, steps_per_epoch=steps, warmup=warmup
        )
    return Stepping(schedule, s.clip_norm, s.clip_value, accumulate, s.l1 or 0.0)


def _groups(module: torch.nn.Linear, settings: RunSettings) -> list[Any]:
    """The parameters to train; with a ridge penalty the slopes are a group of their own, as the intercept is free."""
    if not settings.l2:
        return [p for p in module.parameters() if p.numel()]
    name = settings.optimizer.lower()
    if name in NO_DECAY:
        raise UsageError(f"--l2 is a weight decay in the gradient, and {name} has none: use --optimizer adam")
    if is_decoupled(settings):
        raise UsageError(f"--l2 is part of the loss, and {name} keeps its decay out of it: use --optimizer adam")
    groups: list[dict[str, Any]] = [
        {"params": [module.weight], "weight_decay": settings.l2 + (settings.weight_decay or 0.0)}
    ]
    return groups if module.bias is None else [*groups, {"params": [module.bias]}]


def is_decoupled(settings: RunSettings) -> bool:
    """Whether the optimizer applies its weight decay beside the gradient, not as part of the objective."""
    asked = str(settings.opt.get("decoupled_weight_decay", False)).lower() == "true"
    return asked or settings.optimizer.lower() in DECOUPLED


def theta_of(module: torch.nn.Module) -> Array:
    """Weights, then bias, in float64, shape `(q,)`."""
    return np.concatenate([p.detach().numpy().ravel() for p in module.parameters()]).astype(np.float64)
