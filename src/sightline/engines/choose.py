"""Which engine fits a problem, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from ..compiled import available
from ..errors import UsageError, nearest, shown
from ..linear.moments import Moments
from ..linear.squared_error import SquaredError
from .autograd import Autograd
from .base import Engine
from .coded import CodedLinear
from .device_moments import form_on
from .feeds import TensorFeed, device_of
from .kernels.engine import Kernel, is_long
from .kernels.full_batch import FullBatch
from .kernels.obstacles import why_no_gradient, why_no_steps, why_not_side_by_side
from .kernels.sweep import SideBySide
from .losses import Weighted
from .problem import Problem
from .quadratic import Quadratic
from .repeated import is_by_row, repeated
from .stacked import Stacked

__all__ = [
    "BEYOND", "ENGINES", "choose", "choose_for_rates", "quadratic_form", "why_not_from_moments", "why_not_kernel",
    "why_not_quadratic",
]  # fmt: skip

ENGINES = ("auto", "autograd", "quadratic", "kernel")
BEYOND = "the squares of the rows are beyond float64"
NOT_FIRST_ORDER = (optim.LBFGS, optim.SparseAdam)


def choose(
    problem: Problem, *, engine: str = "auto", epochs: int, form: SquaredError | None = None
) -> tuple[Engine, str]:
    """The engine for this problem, and the reason in one sentence; `form` is the loss as a quadratic where it is
    known.
    """
    if not isinstance(engine, str) or engine not in ENGINES:
        raise UsageError(f"no engine {shown(engine)}: {nearest(str(engine), ENGINES)}")
    if engine == "autograd":
        return Autograd(problem, last=epochs), "forward, loss, zero_grad, backward, step, as asked for"
    if engine == "kernel" or (engine == "auto" and not problem.full_batch):
        obstacle = why_not_kernel(problem)
        if engine == "kernel" and obstacle:
            raise UsageError(f"the kernel engine cannot train this: {obstacle}; use engine autograd or auto")
        if not obstacle and (engine == "kernel" or is_long(problem, epochs)):
            return _in_closed_form(problem, epochs)
    if obstacle := why_not_from_moments(problem, engine=engine, epochs=epochs):
        return _without_moments(problem, obstacle, engine=engine, epochs=epochs)
    form = quadratic_form(problem) if form is None else form
    if form is None:
        return _without_moments(problem, BEYOND, engine=engine, epochs=epochs)
    if form.root is not None:
        return Quadratic(problem, form), "every epoch comes from the rows' triangular factor, as columns nearly repeat"
    return Quadratic(problem, form), "every epoch comes from the moments, without the rows"


def why_not_from_moments(problem: Problem, *, engine: str, epochs: int) -> str:
    """What stands against so many epochs on moments, as a clause; empty where nothing does."""
    if engine not in ("auto", "quadratic"):
        return f"the {engine} engine was asked for"
    obstacle = why_not_quadratic(problem)
    if not obstacle and engine == "auto" and not _pays(problem, epochs):
        obstacle = "too few epochs or rows to pay for the moments of so many columns"
    return obstacle


def quadratic_form(problem: Problem) -> SquaredError | None:
    """The loss of a problem that nothing stands against training on moments, as a quadratic; None where the squares of
    the rows are beyond float64. What lies on a device, or is to be trained there, is added up there.
    """
    intercept, total = problem.module.bias is not None, getattr(problem.loss, "reduction", "") == "sum"
    places = (problem.x.device, device_of(problem.module))
    if there := [place for place in places if place.type != "cpu"]:
        return form_on(there[0], problem.x, problem.y, intercept=intercept, total=total)
    x, y = problem.x.detach().numpy(), problem.y.detach().numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        moments = Moments.of(x, y)
    if not (np.isfinite(moments.xx).all() and np.isfinite(moments.yy).all()):
        return None
    return SquaredError.of(x, y, intercept=intercept, total=total, moments=moments)


def _without_moments(problem: Problem, obstacle: str, *, engine: str, epochs: int) -> tuple[Engine, str]:
    """Passes over the rows in closed form where they pay, else the plain loop; refused where moments were asked for."""
    if engine == "quadratic":
        raise UsageError(f"the quadratic engine cannot train this: {obstacle}; use engine autograd or auto")
    if problem.full_batch and available() and not _why_not_linear(problem):
        if not why_not_kernel(problem) and is_long(problem, epochs):
            return _in_closed_form(problem, epochs)
        if is_by_row(problem) and is_long(problem, epochs):
            found = repeated(problem, last=epochs)
            if found is not None:
                how = "each times how many of them there are"
                return found, f"forward and backward of {found.different:,} different rows, {how}: {obstacle}"
    return Autograd(problem, last=epochs), obstacle


def _in_closed_form(problem: Problem, epochs: int) -> tuple[Engine, str]:
    """The engine for gradients in closed form: of each batch, or of all rows in one pass."""
    if not problem.full_batch:
        return Kernel(problem, epochs=epochs), "the gradient of each batch in closed form, without a graph"
    engine = FullBatch(problem, epochs=epochs)
    if engine.different < engine.rows:
        return engine, f"the gradient of {engine.different:,} different rows, each with how many of them there are"
    return engine, "the gradient in closed form, in one pass over the rows"


def choose_for_rates(
    problem: Problem, rates: Sequence[float], *, engine: str = "auto", epochs: int, form: SquaredError | None = None
) -> tuple[Stacked, str]:
    """What trains this problem at all these rates at once, and the reason; `form` is the loss as a quadratic."""
    obstacle = why_not_kernel(problem) or why_not_side_by_side(problem)
    if engine == "kernel" and obstacle:
        raise UsageError(f"the kernel engine cannot train this: {obstacle}; use engine autograd or auto")
    if engine in ("kernel", "auto") and not obstacle and available() and is_long(problem, epochs * len(rates)):
        return SideBySide(problem, rates, epochs=epochs), "each rate in a lane of machine code"
    return Stacked(problem, rates, form), "one product of matrices predicts with all rates"


def why_not_quadratic(problem: Problem) -> str:
    """What stands against training on moments, as a clause; empty where nothing does."""
    loss, optimizer = problem.loss, problem.optimizer
    if obstacle := _why_not_linear(problem):
        return obstacle
    kind = loss.inner if isinstance(loss, Weighted) else loss
    if type(kind) is not nn.MSELoss or getattr(loss, "reduction", "none") == "none":
        return "the loss is not torch.nn.MSELoss"
    if not problem.full_batch:
        return "mini-batches visit the rows themselves"
    return _why_not_by_gradient(optimizer) or _why_not_a_table(problem)


def why_not_kernel(problem: Problem) -> str:
    """What stands against the closed form of mini-batch steps, as a clause; empty where nothing does."""
    if isinstance(problem.module, CodedLinear):
        return "categories are kept as codes"
    if obstacle := _why_not_linear(problem) or _why_not_a_table(problem) or _why_not_here(problem):
        return obstacle
    if obstacle := why_no_gradient(problem):
        return obstacle
    return _why_not_by_gradient(problem.optimizer) if problem.full_batch else why_no_steps(problem)


def _why_not_by_gradient(optimizer: optim.Optimizer) -> str:
    """Of an optimizer that needs more of an epoch than one gradient, to the last bit or not."""
    if isinstance(optimizer, NOT_FIRST_ORDER) or not type(optimizer).__module__.startswith("torch.optim"):
        return f"{type(optimizer).__name__} is not a first-order optimizer of torch.optim"
    if type(optimizer).__name__ == "Muon":
        return "Muon rounds its step to 8 bits, so the last bit of a gradient can turn it"
    return ""


def _why_not_linear(problem: Problem) -> str:
    module = problem.module
    if type(module) not in (nn.Linear, CodedLinear) or "forward" in vars(module) or _has_hooks(module):
        return "the model is not a plain torch.nn.Linear"
    return "" if problem.autocast is None else "mixed precision is one of the forward pass"


def _why_not_a_table(problem: Problem) -> str:
    """Of rows and parameters that are not all in memory, numbers, and trained."""
    module: Any = problem.module
    if isinstance(module, CodedLinear):  # `trainable` has made it of such rows
        return ""
    optimizer = problem.optimizer
    if not isinstance(problem.feed, TensorFeed) or not all(isinstance(t, Tensor) for t in problem.feed.whole()):
        return "the rows are not one tensor with one target"
    if problem.x.ndim != 2 or not (_is_classes(problem) or _is_numbers(problem)):
        return "the rows are not a table (n, p) with targets (n, k), or with class numbers (n,)"
    tensors = [problem.x, *([] if _is_classes(problem) else [problem.y]), *module.parameters()]
    if any(t.device.type in NO_FLOAT64 for t in tensors) or any(str(t.dtype) not in FLOATS for t in tensors):
        return "rows or parameters are not float32 or float64, or lie where there is no float64"
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if any(not p.requires_grad for p in module.parameters()) or held != {id(p) for p in module.parameters()}:
        return "not all parameters of the model, and only those, are trained"
    return ""


def _why_not_here(problem: Problem) -> str:
    """Of rows and parameters that machine code and products on the CPU do not reach."""
    there = [t.device for t in (problem.x, problem.y, *problem.module.parameters()) if t.device.type != "cpu"]
    return f"rows or parameters are on {there[0]}, and it works on the CPU" if there else ""


def _is_classes(problem: Problem) -> bool:
    """Whether the targets are numbers of classes."""
    return type(problem.loss) is nn.CrossEntropyLoss and problem.y.ndim == 1 and problem.y.dtype == torch.int64


def _is_numbers(problem: Problem) -> bool:
    """Whether they are a number for each output, or one, or a class, with a weight beside it."""
    loss, y, outputs = problem.loss, problem.y, int(problem.module.out_features)  # type: ignore[arg-type]
    if y.ndim != 2 or type(loss) is nn.CrossEntropyLoss:
        return False
    if not isinstance(loss, Weighted):
        return bool(y.shape[1] == outputs)
    return y.shape[1] == 2 and (outputs == 1 or type(loss.inner) is nn.CrossEntropyLoss)


FLOATS = {"torch.float32", "torch.float64"}
NO_FLOAT64 = ("mps", "meta")


def _has_hooks(module: nn.Module) -> bool:
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "parametrizations")
    of_parameters = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return any(getattr(module, name, None) for name in names) or any(
        getattr(p, name, None) for p in module.parameters() for name in of_parameters
    )


def _pays(problem: Problem, epochs: int) -> bool:
    """The moments cost about p/50 epochs of the plain loop, and an epoch on them less than one on the rows if p <
    2n.
    """
    n, p = problem.feed.rows, int(problem.module.in_features)  # type: ignore[arg-type]
    return p <= 2 * n + 10 and epochs * 50 >= p
