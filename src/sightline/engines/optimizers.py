"""Optimizers of torch by name, with torch's own defaults."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch.optim import Optimizer

from ..errors import UsageError, nearest, shown
from .options import refusals_of_torch, typed_options

__all__ = ["load_optimizer", "make_optimizer", "optimizer_names", "optimizer_options"]

NOT_FOR_EVERY_MODEL = {"SparseAdam", "Muon"}  # need sparse gradients, or matrices only
HIDDEN = {"self", "params"}


def optimizer_names() -> dict[str, type[Optimizer]]:
    """Every optimizer of `torch.optim` that trains any model, by its name in small letters."""
    return {name: cls for name, cls in _all().items() if cls.__name__ not in NOT_FOR_EVERY_MODEL}


def _all() -> dict[str, type[Optimizer]]:
    found = {n: c for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, Optimizer)}
    return {name.lower(): cls for name, cls in sorted(found.items()) if name != "Optimizer"}


def optimizer_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the optimizer of that name, typed as torch has them.

    >>> optimizer_options("lbfgs", {"max_iter": "5", "line_search_fn": "strong_wolfe"})
    {'max_iter': 5, 'line_search_fn': 'strong_wolfe'}

    Raises UsageError for an option that it does not take, with the nearest that it does.
    """
    cls = _class(name)
    return typed_options(f"optimizer {cls.__name__}", cls.__init__, given, hidden=HIDDEN)


def _class(name: str) -> type[Optimizer]:
    known = _all()
    if name.lower() not in known:
        raise UsageError(
            f"no optimizer {shown(name)}: {nearest(name.lower(), [n for n in known if n != 'sparseadam'])}"
        )
    if name.lower() == "sparseadam":
        raise UsageError("optimizer SparseAdam steps sparse gradients only, and these are dense: use adam")
    return known[name.lower()]


def make_optimizer(name: str, parameters: Iterable[Any], options: dict[str, Any]) -> Optimizer:
    """The optimizer of that name with these options; what is not given has torch's own default."""
    cls, parameters = _class(name), list(parameters)
    if cls.__name__ == "Muon":
        _check_matrices(parameters)
    allowed = inspect.signature(cls.__init__).parameters
    if unknown := [option for option in options if option not in allowed]:
        raise UsageError(f"optimizer {cls.__name__} takes no {unknown[0]}: leave --{unknown[0].replace('_', '-')} out")
    with refusals_of_torch(f"optimizer {cls.__name__}", options, f"optim.{cls.__name__}"):
        if "torch._dynamo" in sys.modules:
            return cls(parameters, **options)
        with _no_compiler():
            optimizer = cls(parameters, **options)
    return _without_compiler(optimizer)


def load_optimizer(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """`optimizer.load_state_dict` of a copy, that leaves every number in the dtype it has; torch would turn those
    that go beside float64 parameters, such as the float32 product of momenta of NAdam, into float64. Single numbers
    stay on the CPU, where torch counts.
    """
    optimizer.load_state_dict(copy.deepcopy(dict(state)))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, values in state["state"].items():
        held = optimizer.state[parameters[index]]
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and held[name].dtype != value.dtype:
                held[name] = value.to(parameters[index].device, copy=True) if value.ndim else value.clone()


def _check_matrices(parameters: Iterable[Any]) -> None:
    held = [p for group in parameters for p in (group["params"] if isinstance(group, dict) else [group])]
    if any(p.ndim != 2 for p in held):
        raise UsageError(
            "optimizer Muon steps matrices only, and an intercept is a single number: leave the intercept out of the "
            "model, as in 'y ~ 0 + x', or use adamw"
        )


# torch imports its compiler (torch._dynamo, about a second) the first time an optimizer is built or stepped, only
# to tell it to stay away. Nothing is compiled here, so the optimizer is built and bound to the functions below
# those wrappers. The arithmetic is torch's own; where a release has no such wrappers, or the compiler is loaded
# already, nothing is changed.


@contextmanager
def _no_compiler() -> Iterator[None]:
    function = inspect.unwrap(Optimizer.add_param_group)
    function.__dynamo_disable = function
    try:
        yield
    finally:
        del function.__dynamo_disable


def _without_compiler(optimizer: Optimizer) -> Optimizer:
    step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    setattr(optimizer, "step", MethodType(step, optimizer))  # noqa: B010 - a method is bound to one object on purpose
    for name in ("zero_grad", "state_dict", "load_state_dict"):
        setattr(optimizer, name, MethodType(inspect.unwrap(getattr(type(optimizer), name)), optimizer))
    return optimizer
