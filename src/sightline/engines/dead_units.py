"""Units that nothing can train any more: no row gives their weights a gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..records import Warning

__all__ = ["DeadUnits"]

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
SHARE = 0.5  # of the units of a layer, at least: in many that learn well some are dead
LEFT = 1e-3  # of the first loss: below it, no gradient means that nothing is left to learn


class DeadUnits:
    """Watches the epochs 2, 4, 8, ... and the last: a unit is dead if the gradient of all its weights was exactly zero
    in every step of an epoch, as behind a ReLU that no row switches on.

    Every layer is told of once. What has had a gradient is not looked at again in that epoch, so that after the first
    steps of a healthy one nothing is left to look at. The last layer cannot be dead by itself.
    """

    def __init__(self, module: nn.Module, tell: Callable[[Warning], None], *, last: int | None = None) -> None:
        layers = [(n, m.weight) for n, m in module.named_modules() if isinstance(m, LAYERS) and len(m.weight) > 1]
        self._layers = {name: weight for name, weight in layers[:-1] if weight.requires_grad}
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        self._tell, self.last = tell, last
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
            if not bool(suspects.any()):
                del self._suspects[name]

    def end(self, epoch: int, loss: float) -> None:
        """The epoch is over; `loss` is its running loss."""
        self._first = abs(loss) if self._first is None else self._first
        found = {name: suspects for name, suspects in self._suspects.items() if suspects is not None}
        self._suspects = {}
        if not found or not any(p.grad is not None and bool(p.grad.any()) for p in self._parameters):
            if found and abs(loss) > LEFT * self._first:
                self._layers.clear()
                self._tell(Warning("SL-DEAD", f"no parameter has a gradient in epoch {epoch}, with the loss at "
                                   f"{loss:.4g}: the output is at a bound, leave the last ReLU out"))  # fmt: skip
            return
        for name, suspects in found.items():
            if int(suspects.sum()) >= max(1.0, SHARE * len(suspects)):
                del self._layers[name]
                self._tell(Warning("SL-DEAD", _sentence(name, suspects, epoch)))


def _sentence(name: str, suspects: Tensor, epoch: int) -> str:
    units, dead = len(suspects), int(suspects.sum())
    which = torch.nonzero(suspects).flatten().tolist()
    some = ", ".join(str(unit) for unit in which[:3]) + (", ..." if dead > 3 else "")
    what = f"all {units} units" if dead == units else f"{dead} of {units} units ({some})"
    return (
        f"{what} of layer {name or 'the model'} had a gradient of exactly zero for every row of epoch {epoch}, so no "
        "step trains them: lower the learning rate, use LeakyReLU or GELU, or start them with other biases"
    )
