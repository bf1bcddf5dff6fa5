"""Optimizers of torch by name, with torch's own defaults."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch.optim import Optimizer

from ..errors import UsageError, nearest, shown

__all__ = ["make_optimizer", "optimizer_names"]

NOT_BY_NAME = {"Optimizer", "SparseAdam", "LBFGS", "Muon"}  # need sparse gradients, a closure, or 2-d parameters only


def optimizer_names() -> dict[str, type[Optimizer]]:
    """Every first-order optimizer of `torch.optim` by its name in small letters."""
    found = {n: c for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, Optimizer)}
    return {name.lower(): cls for name, cls in sorted(found.items()) if name not in NOT_BY_NAME}


def make_optimizer(name: str, parameters: Iterable[Any], options: dict[str, Any]) -> Optimizer:
    """The optimizer of that name with these options; what is not given has torch's own default."""
    known = optimizer_names()
    if name.lower() not in known:
        raise UsageError(f"no optimizer {shown(name)}: {nearest(name.lower(), known)}")
    cls = known[name.lower()]
    allowed = inspect.signature(cls.__init__).parameters
    if unknown := [option for option in options if option not in allowed]:
        raise UsageError(f"optimizer {cls.__name__} takes no {unknown[0]}: leave --{unknown[0].replace('_', '-')} out")
    if "torch._dynamo" in sys.modules:
        return cls(parameters, **options)
    with _no_compiler():
        optimizer = cls(parameters, **options)
    return _without_compiler(optimizer)


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
