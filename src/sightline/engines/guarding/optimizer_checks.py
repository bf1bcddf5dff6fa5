"""Whether the optimizer trains the model: its parameters, all of them, as they are now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...errors import UsageError
from ...records import Warning
from ...words import count

__all__ = ["check_optimizer", "foreign_parameters", "lacking", "left_out", "listed", "refuse_foreign"]

Tell = Callable[[Warning], None]


def check_optimizer(
    optimizer: Optimizer, module: nn.Module, others: Iterable[Any], tell: Tell, *, own_step: bool = False
) -> None:
    """Refuse an optimizer made for another model, or before the model was changed or moved; tell of parameters that it
    holds in vain, or leaves out.

    Where a step function trains (`own_step`), there may be other optimizers and parameters outside the model: only
    one that holds nothing of the model is refused before the first step.
    """
    named = dict(module.named_parameters())
    held = _held(optimizer)
    foreign = foreign_parameters(optimizer, module, others)
    if foreign and (not own_step or len(foreign) == len(held)):
        refuse_foreign(foreign, optimizer, module)
    _check_state(optimizer, named)
    ids = {id(p) for p in held}
    frozen = [name for name, p in named.items() if not p.requires_grad and id(p) in ids]
    if held and not any(p.requires_grad for p in held):
        raise UsageError(
            "every parameter that the optimizer holds is frozen (requires_grad is False), so no step changes anything: "
            "set requires_grad_(True) on what is to be trained"
        )
    if frozen:
        tell(Warning("SL-NOGRAD", f"the optimizer holds {listed(frozen, 'frozen parameter')}, which no step trains: "
             "build it from [p for p in model.parameters() if p.requires_grad], or unfreeze them"))  # fmt: skip
    lacks = left_out(optimizer, module)
    if lacks and not own_step:
        tell(lacking(lacks))


def foreign_parameters(optimizer: Optimizer, module: nn.Module, others: Iterable[Any]) -> list[Tensor]:
    """What the optimizer holds and neither the module nor the other modules have."""
    modules = [module, *(m for m in others if isinstance(m, nn.Module))]
    known = {id(p) for m in modules for p in m.parameters()}
    return [p for p in _held(optimizer) if id(p) not in known]


def left_out(optimizer: Optimizer, module: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable parameters of the module that the optimizer does not hold, by name."""
    ids = {id(p) for p in _held(optimizer)}
    named = module.named_parameters()
    return {name: p for name, p in named if p.requires_grad and p.numel() and id(p) not in ids}


def lacking(names: Iterable[str]) -> Warning:
    """That these trainable parameters are not trained."""
    return Warning("SL-LEFTOUT", f"the optimizer lacks {listed(list(names), 'trainable parameter')}, which stay as "
                   "they are: build it after the model is complete, or freeze them with "
                   "requires_grad_(False)")  # fmt: skip


def refuse_foreign(foreign: list[Tensor], optimizer: Optimizer, module: nn.Module) -> None:
    """Say what they are, as far as it can be known."""
    held, lacks = len(_held(optimizer)), list(left_out(optimizer, module))
    if len(foreign) == held:
        raise UsageError(
            "the optimizer holds parameters of another model, or those that this one had before it was changed or "
            "converted, so no step would train it: build it from this model as it is now, for example "
            "torch.optim.SGD(model.parameters(), lr=...)"
        )
    if lacks:
        raise UsageError(
            f"the optimizer holds {count(len(foreign), 'parameter')} that the model no longer has, and lacks "
            f"{listed(lacks, 'parameter')}: it was made before the model was changed, make it afterwards"
        )
    raise UsageError(
        f"the optimizer holds {count(len(foreign), 'parameter')} which no gradient will ever reach, those of layers "
        "that the model no longer has or parameters of another model: build it from this model, for example "
        "torch.optim.SGD(model.parameters(), lr=...)"
    )


def _held(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _check_state(optimizer: Optimizer, named: dict[str, nn.Parameter]) -> None:
    """Momenta and moments that lie elsewhere than their parameter, or have another dtype; float32 beside narrower
    parameters is meant.
    """
    for name, p in named.items():
        for key, value in optimizer.state.get(p, {}).items():
            if not isinstance(value, Tensor) or value.shape != p.shape or not value.is_floating_point() or not p.ndim:
                continue
            wider = torch.finfo(value.dtype).bits > torch.finfo(p.dtype).bits and value.dtype == torch.float32
            if value.device != p.device or (value.dtype != p.dtype and not wider):
                raise UsageError(_moved(name, key, value, p))


def _moved(name: str, key: str, value: Tensor, p: Tensor) -> str:
    was, now = (f"{str(t.dtype).removeprefix('torch.')} on {t.device}" for t in (value, p))
    return (
        f"the optimizer's {key} of {name} is {was} and the parameter is {now}: the model was moved or converted after "
        "the optimizer had taken steps, make a new optimizer from it"
    )


def listed(names: list[str], what: str) -> str:
    """Their number, and the first three."""
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{count(len(names), what)} ({some})"
