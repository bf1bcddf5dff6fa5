"""Refusals before any work is done: arguments of a training loop that cannot mean what they say."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .errors import DataError, UsageError, shown

__all__ = ["as_rows", "check_loop", "check_target"]


def check_loop(
    *, epochs: Any, start: Any, batch_size: Any, measure: Any, seed: Any, optimizer: torch.optim.Optimizer
) -> None:
    """Epochs, batch size, measuring interval, seed and learning rates that make sense."""
    _whole("epochs", epochs, at_least=0)
    _whole("start", start, at_least=0)
    _whole("seed", seed, at_least=0)
    if batch_size is not None:
        _whole("batch_size", batch_size, at_least=1)
    if measure not in ("auto", None):
        _whole("measure", measure, at_least=1)
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = type(optimizer).__name__
        raise UsageError(
            f"optimizer is a {kind}: give an instance, such as torch.optim.SGD(model.parameters(), lr=0.1)"
        )
    if start > epochs:
        raise UsageError(
            f"start is {start} and epochs is {epochs}: epochs counts from the beginning, give at least {start}"
        )
    for group in optimizer.param_groups:
        lr = float(group.get("lr", 1.0))
        if not 0.0 < lr < float("inf"):
            raise UsageError(f"the optimizer's learning rate is {lr:g}: give a finite rate above 0")


def _whole(name: str, value: Any, *, at_least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} is {shown(value)}: give a whole number")
    if value < at_least:
        raise UsageError(f"{name} is {value}: give a whole number of at least {at_least}")


def as_rows(name: str, values: Any) -> Tensor:
    """The values as a tensor of finite numbers; anything else is refused by name, or by row and column."""
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(
            f"{name} is a {type(values).__name__} that torch cannot read as numbers: give a tensor or an array"
        ) from None
    if tensor.ndim == 0:
        raise UsageError(f"{name} is a single number: give one row for each example, as a tensor (n, ...)")
    check_rows(name, tensor)
    return tensor


def check_rows(name: str, values: Tensor) -> None:
    """Refuse non-finite numbers by row and column."""
    if not values.is_floating_point() or torch.isfinite(values).all():
        return
    place = torch.nonzero(~torch.isfinite(values))[0].tolist()
    at = f"row {place[0]}" + "".join(f", column {i}" for i in place[1:])
    raise DataError(f"{name} holds {values[tuple(place)].item():g} at {at}: correct or remove that row before training")


def check_target(loss: Any, y: Tensor) -> None:
    """Refuse targets of a kind that the loss cannot use."""
    if not isinstance(loss, nn.Module):
        return
    name = type(loss).__name__
    if name in FLOAT_TARGETS and not y.is_floating_point():
        raise UsageError(f"{name} needs floating-point targets and y is {y.dtype}: convert it with y.float()")
    if name in ("BCELoss", "BCEWithLogitsLoss") and not bool(((y >= 0) & (y <= 1)).all()):
        worst = y[(y < 0) | (y > 1)][0].item()
        raise UsageError(f"{name} needs targets between 0 and 1 and y holds {worst:g}: map the two classes to 0 and 1")
    if name in ("CrossEntropyLoss", "NLLLoss") and y.is_floating_point() and y.ndim == 1:
        raise UsageError(f"{name} needs class numbers and y is {y.dtype}: convert it with y.long()")


FLOAT_TARGETS = {"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "PoissonNLLLoss"}
