"""What the closed form of a gradient, and of a mini-batch step, is known for."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from ...data.table import names_of
from ..losses import Weighted
from ..problem import Problem
from .rows import LOSSES
from .state import OPTIMIZERS

__all__ = ["HOOKS", "why_no_gradient", "why_no_steps", "why_not_side_by_side"]

NOT_KNOWN = ("maximize", "amsgrad", "centered")  # options of optimizers
OF_ALL = ("momentum", "dampening", "betas")  # options that weights and bias share
MOST_OUTPUTS = 64  # where products of matrices, in several threads, take as long on large batches
HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")


def why_no_gradient(problem: Problem) -> str:
    """What stands against the gradient of rows in closed form, beside what stands against every engine for linear
    models; empty where nothing does.
    """
    kind = problem.loss.inner if isinstance(problem.loss, Weighted) else problem.loss
    if type(kind) not in LOSSES or getattr(problem.loss, "reduction", "") != "mean" or _by_number(kind):
        return f"its steps are known for {names_of([c.__name__ for c in LOSSES])} with a mean, without weights by class"
    if getattr(kind, "beta", 1.0) == 0.0:
        return "a SmoothL1Loss of beta 0 is L1Loss"
    if obstacle := _why_no_outputs(problem, kind):
        return obstacle
    targets = problem.y if problem.y.is_floating_point() else problem.x
    if problem.x.dtype != targets.dtype or problem.x.dtype != next(problem.module.parameters()).dtype:
        return "rows and parameters have several dtypes"
    return ""


def why_no_steps(problem: Problem) -> str:
    """What stands against steps of the optimizer in machine code, beside that."""
    optimizer, how = problem.optimizer, problem.stepping
    groups = optimizer.param_groups
    if type(optimizer) not in OPTIMIZERS:
        return f"its steps are known for {names_of([c.__name__ for c in OPTIMIZERS])}, not {type(optimizer).__name__}"
    if used := [name for name in NOT_KNOWN if any(group.get(name) for group in groups)]:
        return f"its steps are not known with {names_of(used)}"
    if any(isinstance(value, Tensor) for group in groups for value in group.values()):
        return "an option of the optimizer is a tensor"
    if any(group.get(name) != groups[0].get(name) for group in groups for name in OF_ALL):
        return "the groups of parameters have momentum of their own"
    if len({_steps(optimizer, p) for group in groups for p in group["params"]}) > 1:
        return "the parameters have taken different numbers of steps"
    if any(getattr(optimizer, name, None) for name in HOOKS):
        return "hooks look at the optimizer's steps"
    if how.clip_norm or how.clip_value or how.l1 or how.accumulate > 1 or (how.schedule and how.schedule.each_step):
        return "something is done between two steps"
    return ""


def why_not_side_by_side(problem: Problem) -> str:
    """What stands against several models in the lanes, beside that."""
    assert isinstance(problem.module, nn.Linear)
    if problem.full_batch:
        return "without a batch size all rows are one batch"
    return "" if problem.module.out_features == 1 else "only models of one output are trained side by side"


def _why_no_outputs(problem: Problem, kind: Any) -> str:
    """What stands against several outputs."""
    assert isinstance(problem.module, nn.Linear)
    outputs = problem.module.out_features
    if outputs > MOST_OUTPUTS:
        return f"the model has more than {MOST_OUTPUTS} outputs, which products of matrices suit better"
    if not isinstance(kind, nn.CrossEntropyLoss):
        return ""
    if outputs == 1:
        return "one output chooses between no classes"
    classes = problem.y if problem.y.ndim == 1 else problem.y[:, 0]
    beyond = (classes < 0) | (classes >= outputs) | (classes == kind.ignore_index)
    return "a class has no output, or is ignored" if bool(beyond.any()) else ""


def _steps(optimizer: Optimizer, parameter: Tensor) -> int:
    """How many steps it has taken, of SGD whether it has any momentum."""
    held = optimizer.state.get(parameter, {})
    return int(held.get("step", held.get("momentum_buffer") is not None))


def _by_number(loss: Any) -> bool:
    return any(getattr(loss, name, None) is not None for name in ("weight", "pos_weight"))
