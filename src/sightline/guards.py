"""Refusals before any work is done: arguments of a training loop that cannot mean what they say."""

from __future__ import annotations

import inspect
import sys
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .errors import DataError, UsageError, shown

__all__ = [
    "as_rows",
    "check_arguments",
    "check_loop",
    "check_loss",
    "check_model",
    "check_number",
    "check_optimizer",
    "check_patience",
    "check_steps",
    "check_values",
    "check_whole",
]


def check_loop(
    *, epochs: Any, start: Any, batch_size: Any, measure: Any, seed: Any, optimizer: torch.optim.Optimizer
) -> None:
    """Epochs, batch size, measuring interval, seed and learning rates that make sense."""
    check_whole("epochs", epochs, at_least=0)
    check_whole("start", start, at_least=0)
    check_whole("seed", seed, at_least=0)
    if seed >= 2**64:
        raise UsageError(f"seed is {shown(seed, quote=False)}: give a whole number below 2**64")
    if batch_size is not None:
        check_whole("batch_size", batch_size, at_least=1)
    if measure is not None and not (isinstance(measure, str) and measure == "auto"):
        check_whole("measure", measure, at_least=1)
    check_optimizer(optimizer)
    if start > epochs:
        raise UsageError(
            f"start is {start} and epochs is {epochs}: epochs counts from the beginning, give at least {start}"
        )
    check_rates(optimizer)


def check_optimizer(optimizer: Any) -> None:
    """An instance of an optimizer."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = type(optimizer).__name__
        raise UsageError(
            f"optimizer is a {kind}: give an instance, such as torch.optim.SGD(model.parameters(), lr=0.1)"
        )


def check_rates(optimizer: torch.optim.Optimizer) -> None:
    """A learning rate in each group: a number, or a tensor of one, as torch takes it."""
    if not optimizer.param_groups:
        raise UsageError("the optimizer holds no parameters: build it from model.parameters()")
    for group in optimizer.param_groups:
        if "lr" not in group:
            raise UsageError(
                f"{type(optimizer).__name__} has no learning rate, and records keep one: name it in its defaults, "
                'super().__init__(parameters, {"lr": lr})'
            )
        lr = group["lr"].item() if isinstance(group["lr"], Tensor) and group["lr"].numel() == 1 else group["lr"]
        if not isinstance(lr, Real):
            raise UsageError(f"the optimizer's learning rate is {shown(lr, quote=isinstance(lr, str))}: give a number")
        if not 0.0 < float(lr) < float("inf"):
            raise UsageError(f"the optimizer's learning rate is {float(lr):g}: give a finite rate above 0")


def check_steps(*, clip_norm: Any, clip_value: Any, accumulate: Any, l1: Any) -> None:
    """Clipping bounds, number of batches for a step and factor of L1 that make sense."""
    for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if value is not None:
            check_number(name, value)
    if not (_is_finite(l1) and l1 >= 0):
        raise UsageError(f"l1 is {shown(l1, quote=isinstance(l1, str))}: give a finite number of at least 0")
    check_whole("accumulate", accumulate, at_least=1)
    if accumulate > sys.maxsize:
        raise UsageError(f"accumulate is {shown(accumulate, quote=False)}: give a number of batches")


def check_number(name: str, value: Any) -> None:
    """A finite number above 0."""
    if not (_is_finite(value) and value > 0):
        raise UsageError(f"{name} is {shown(value, quote=isinstance(value, str))}: give a finite number above 0")


def _is_finite(value: Any) -> bool:
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and bool(-sys.float_info.max <= value <= sys.float_info.max)


def check_whole(name: str, value: Any, *, at_least: int) -> None:
    """A whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name} is {shown(value, quote=isinstance(value, str))}: give a whole number")
    if value < at_least:
        raise UsageError(f"{name} is {value}: give a whole number of at least {at_least}")


def check_patience(patience: Any, *, validated: bool, measured: bool) -> None:
    """A whole number of epochs, and a loss that it can look at."""
    if patience is None:
        return
    check_whole("patience", patience, at_least=1)
    if not (validated or measured):
        raise UsageError("patience has no loss to look at: give validation rows as valid=(x, y), or measure=1")


def as_rows(name: str, values: Any) -> Tensor:
    """The values as a tensor of finite numbers; anything else is refused by name, or by row and column."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise DataError(f"{name} has masked values, which torch would read as numbers: leave their rows out")
    try:
        tensor = torch.as_tensor(values).detach()
    except (KeyError, TypeError, ValueError, RuntimeError):
        array = 'numpy.array(..., dtype="float32")' if isinstance(values, np.ndarray) else ".to_numpy().copy()"
        raise UsageError(
            f"{name} is a {type(values).__name__} that torch cannot read as it is: "
            f"give a tensor, or an array from {array}"
        ) from None
    if tensor.layout is not torch.strided or tensor.is_nested:
        raise UsageError(f"{name} is a sparse or nested tensor, whose rows cannot be told apart: give .to_dense()")
    if tensor.is_meta:
        raise UsageError(f"{name} is on the meta device, where it has no values: give a tensor with values")
    tensor = tensor.clone() if tensor.is_inference() else tensor
    if tensor.ndim == 0:
        raise UsageError(f"{name} is a single number: give one row for each example, as a tensor (n, ...)")
    check_rows(name, tensor)
    return tensor


def check_rows(name: str, values: Tensor) -> None:
    """Refuse non-finite numbers by row and column."""
    if not values.is_floating_point() or torch.isfinite(values.sum()) or torch.isfinite(values).all():
        return  # a sum that is finite has no other terms, and needs no memory
    place = torch.nonzero(~torch.isfinite(values))[0].tolist()
    at = f"row {place[0]}" + "".join(f", column {i}" for i in place[1:])
    raise DataError(f"{name} holds {values[tuple(place)].item():g} at {at}: correct or remove that row before training")


def check_model(model: Any, *, lazy: bool = False) -> None:
    """An instance of a module, with parameters that have a shape, or may get one."""
    if not isinstance(model, nn.Module):
        raise UsageError(f"the model is a {type(model).__name__}: give an instance of torch.nn.Module")
    if not lazy and any(isinstance(p, nn.UninitializedParameter) for p in model.parameters()):
        raise UsageError("the model has lazy parameters without a shape: call it once, as in model(x[:1])")


def check_values(model: nn.Module) -> None:
    """Parameters and buffers that have values."""
    if any(t.is_meta for t in (*model.parameters(), *model.buffers())):
        raise UsageError(
            "the model is on the meta device, where parameters have no values: give them some, with "
            "model.to_empty(device='cpu') and their initialization"
        )


def check_loss(model: Any, loss: Any) -> None:
    """A module as the model; a loss that can be called with prediction and target and gives one number."""
    check_model(model)
    if isinstance(loss, type):
        raise UsageError(f"the loss is the class {loss.__name__}: give an instance, {loss.__name__}()")
    if not callable(loss):
        raise UsageError(f"the loss is {shown(loss)}: give a module or a function, such as torch.nn.MSELoss()")
    if getattr(loss, "reduction", "mean") == "none":
        raise UsageError("the loss has reduction='none', which gives a number for each row: use 'mean' or 'sum'")
    call = loss.forward if isinstance(loss, nn.Module) else loss
    check_arguments("the loss", call, "(prediction, target)", "prediction and target")


def check_arguments(name: str, function: Any, wanted: str, words: str) -> None:
    """It can be called with so many by position."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # what is not written in Python tells no signature
        return
    try:
        signature.bind(*(part for part in wanted.strip("()").split(", ") if part))
    except TypeError:
        raise UsageError(f"{name} takes {signature} and is called with {words}: define it with {wanted}") from None
