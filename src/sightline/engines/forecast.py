"""When rounding will stop the training: the last epoch that still changes a parameter."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..linear.squared_error import SquaredError
from .autograd import Autograd
from .base import Engine
from .feeds import TensorFeed
from .optimizers import make_optimizer
from .problem import Problem
from .quadratic import Quadratic

__all__ = ["Freeze", "forecast_freeze"]


@dataclass(frozen=True, slots=True)
class Freeze:
    """`epoch`: number of the last record that differs from the one before it; `loss` from then on."""

    epoch: int
    loss: float


def forecast_freeze(engine: Engine, problem: Problem, form: SquaredError, *, limit: int) -> Freeze | None:
    """Step a copy of model and optimizer, by the engine that will train them, until nothing in either changes any more;
    None within `limit` epochs.

    Only for SGD at one rate: the state of the others, and of schedules, counts steps and so never repeats.
    """
    if type(problem.optimizer) is not torch.optim.SGD or not problem.full_batch or not problem.stepping.is_plain:
        return None
    module = copy.deepcopy(problem.module)
    options = {k: v for k, v in problem.optimizer.param_groups[0].items() if k != "params"}
    optimizer = make_optimizer("sgd", module.parameters(), options)
    twin = Problem(module, problem.loss, optimizer, TensorFeed(problem.x, problem.y))
    trial = Quadratic(twin, form) if isinstance(engine, Quadratic) else Autograd(twin)
    count, changed, before = len(list(module.parameters())), 0, _state(trial)
    for number in range(1, limit + 1):
        trial.run_epoch(number)
        now = _state(trial)
        if _same(now, before):
            loss = trial.measure(loss=True).train_loss
            return Freeze(changed, loss) if loss is not None and math.isfinite(loss) else None
        if not _same(now[:count], before[:count]):
            changed = number
        if number % 100 == 0 and not all(torch.isfinite(t).all() for t in now):
            return None
        before = now
    return None


def _state(engine: Quadratic | Autograd) -> list[Tensor]:
    """Parameters, then momentum buffers, as copies."""
    parameters = list(engine.module.parameters())
    buffers = [engine.optimizer.state[p].get("momentum_buffer") for p in parameters]
    return [t.detach().clone() for t in [*parameters, *buffers] if t is not None]


def _same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
