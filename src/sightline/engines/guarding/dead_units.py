"""Units that nothing can train any more: no row gives their weights a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...records import Warning
from ..at_rest import resting
from ..feeds import tensors_in
from ..random_streams import undisturbed

__all__ = ["DeadUnits"]

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
SHARE = 0.5  # of the units of a layer, at least: in many that learn well some are dead
NOT_ZERO = 1e-3
LEFT = 1e-3  # of the first loss: below it, no gradient means that nothing is left to learn


class DeadUnits:
    """Watches the epochs 2, 4, 8, ... and the last: a unit is dead if the gradient of all its weights was exactly zero
    in every step of an epoch, and the prediction does not depend on them either, as behind a ReLU that no row switches
    on. Where a loss merely has nothing left to learn, the prediction still does.

    Every layer is told of once. A layer of which half has had a gradient is not looked at again in that epoch, so that
    after the first steps of a healthy one nothing is left to look at. The last layer cannot be dead by itself.
    """

    def __init__(self, module: nn.Module, tell: Callable[[Warning], None], *, last: int | None = None) -> None:
        module = getattr(module, "_orig_mod", module)
        layers = {name: m._parameters.get("weight") for name, m in module.named_modules() if isinstance(m, LAYERS)}
        own = {name: weight for name, weight in layers.items() if weight is not None}  # not one that is computed
        self._layers = {name: weight for name, weight in own.items() if weight.requires_grad}
        self._last_layer = next(reversed(layers), "")
        self._module, self._tell, self.last = module, tell, last
        self._suspects: dict[str, Tensor | None] = {}
        self._first: float | None = None

    def begin(self, epoch: int) -> None:
        """A new epoch."""
        watched = epoch == self.last or (epoch > 1 and epoch & (epoch - 1) == 0)
        self._suspects = dict.fromkeys(self._layers) if watched else {}

    @property
    def looking(self) -> bool:
        """Whether any unit has had no gradient in this epoch so far."""
        return bool(self._suspects)

    def look(self) -> None:
        """After a backward pass."""
        for name in list(self._suspects):
            gradient, suspects = self._layers[name].grad, self._suspects[name]
            if gradient is None:
                del self._suspects[name]
                continue
            silent = ~gradient.detach().flatten(1).any(1)
            suspects = silent if suspects is None else suspects & silent
            self._suspects[name] = suspects
            if not _enough(suspects):
                del self._suspects[name]

    def end(self, epoch: int, loss: float, inputs: Any) -> None:
        """The epoch is over; `loss` is its running loss, `inputs` are those of its last batch."""
        self._first = abs(loss) if self._first is None else self._first
        found = {name: suspects for name, suspects in self._suspects.items() if suspects is not None}
        self._suspects = {}
        slopes = _slopes(self._module, inputs) if found else {}
        if not slopes:
            return
        if not any(bool(slope.any()) for slope in slopes.values()):
            self._layers.clear()
            if abs(loss) > LEFT * self._first:
                self._tell(Warning("SL-DEAD", _nothing(epoch, loss)))
            return
        for name, suspects in found.items():
            dead = suspects
            for part in ("weight", "bias"):
                slope = slopes.get(f"{name}.{part}" if name else part)
                dead = dead if slope is None else dead & ~slope.reshape(len(dead), -1).any(1)
            if name != self._last_layer and _enough(dead):
                del self._layers[name]
                self._tell(Warning("SL-DEAD", _sentence(name, dead, epoch)))


def _enough(units: Tensor) -> bool:
    """Whether these are so many that it is worth a word."""
    return int(units.sum()) >= max(1.0, SHARE * len(units))


def _slopes(module: nn.Module, inputs: Any) -> dict[str, Tensor]:
    """How the prediction for these rows, summed with fixed weights, changes with each parameter; empty where it cannot
    be known. A weight of exactly zero is taken as nearly so: what is behind it is not dead.
    """
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    at = {name: p.detach().clone().requires_grad_() for name, p in named.items()}
    for p in at.values():
        if p.ndim > 1:
            p.data[p.data == 0.0] = NOT_ZERO
    try:
        with undisturbed(), resting(module), torch.enable_grad():
            given = inputs if isinstance(inputs, (tuple, dict)) else (inputs,)
            args, words = ((), given) if isinstance(given, dict) else (given, {})
            parts = [t for t in tensors_in(torch.func.functional_call(module, at, args, words)) if t.requires_grad]
            weighted = [t.flatten() @ torch.arange(1, t.numel() + 1, device=t.device).cos().to(t.dtype) for t in parts]
            slopes = torch.autograd.grad(torch.stack(weighted).sum(), list(at.values()), allow_unused=True)
    except Exception:  # a batch of a step function need not be what the model takes
        return {}
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named.items(), slopes, strict=True)}


def _nothing(epoch: int, loss: float) -> str:
    return (
        f"no parameter has a gradient in epoch {epoch}, with the loss at {loss:.4g}, because the prediction depends on "
        "none: the output is at a bound for every row, leave the last ReLU (or a softmax over one output) out"
    )


def _sentence(name: str, suspects: Tensor, epoch: int) -> str:
    units, dead = len(suspects), int(suspects.sum())
    which = torch.nonzero(suspects).flatten().tolist()
    some = ", ".join(str(unit) for unit in which[:3]) + (", ..." if dead > 3 else "")
    what = f"all {units} units" if dead == units else f"{dead} of {units} units ({some})"
    return (
        f"{what} of layer {name or 'the model'} had a gradient of exactly zero for every row of epoch {epoch}, so no "
        "step trains them: lower the learning rate, use LeakyReLU or GELU, or start them with other biases"
    )
