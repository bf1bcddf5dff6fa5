"""Parameters and the state of their optimizer as machine code holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn, optim

__all__ = ["OPTIMIZERS", "State"]

Array = np.ndarray[Any, Any]
OPTIMIZERS: dict[type[optim.Optimizer], int] = {optim.SGD: 0, optim.Adam: 1, optim.AdamW: 2, optim.RMSprop: 3}
MOMENTS = {  # what torch calls the first and the second
    0: ("momentum_buffer", None), 1: ("exp_avg", "exp_avg_sq"), 2: ("exp_avg", "exp_avg_sq"),
    3: ("momentum_buffer", "square_avg"),
}  # fmt: skip


class State:
    """Parameters and moments side by side in whole vectors, as machine code holds them, and back again."""

    def __init__(self, values: Array, options: Array, count: int, bias: int) -> None:
        self.values, self.options, self.count, self._bias = values, options, count, bias

    @classmethod
    def of(cls, module: nn.Linear, optimizer: optim.Optimizer) -> State:
        """As they are."""
        kind, d = OPTIMIZERS[type(optimizer)], module.in_features
        wide = 64 // module.weight.element_size()
        bias = -(-d // wide) * wide
        values = np.zeros((4, bias + (0 if module.bias is None else wide)), dtype=module.weight.detach().numpy().dtype)
        count = 0
        for parameter, part in _parts(module, bias):
            held = optimizer.state.get(parameter, {})
            values[0, part] = parameter.detach().numpy().reshape(-1)
            for row, name in enumerate(MOMENTS[kind], 1):
                if name is not None and held.get(name) is not None:
                    values[row, part] = held[name].numpy().reshape(-1)
            count = int(held.get("step", held.get("momentum_buffer") is not None))
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        bias_group = groups[id(module.weight if module.bias is None else module.bias)]
        options = np.array([_options(groups[id(module.weight)]), _options(bias_group)])
        return cls(values, options, count, bias)

    def copy(self) -> State:
        """Values of its own."""
        return State(self.values.copy(), self.options, self.count, self._bias)

    def hand_back(self, module: nn.Linear, optimizer: optim.Optimizer) -> None:
        """To the module, and to the optimizer's state as it makes it itself."""
        with torch.no_grad():
            for parameter, part in _parts(module, self._bias):
                parameter.copy_(torch.from_numpy(self.values[0, part]).reshape(parameter.shape))
                held = self._held(optimizer, part, parameter.shape)
                optimizer.state.pop(parameter, None)
                if held:
                    optimizer.state[parameter] = held

    def _held(self, optimizer: optim.Optimizer, part: slice, shape: torch.Size) -> dict[str, Any]:
        """What the optimizer holds of a parameter; nothing before its first step."""
        kind, held = OPTIMIZERS[type(optimizer)], dict[str, Any]()
        if not self.count:
            return held
        if kind:
            held["step"] = torch.tensor(float(self.count))
        for row, name in enumerate(MOMENTS[kind], 1):
            if name is None or (name == "momentum_buffer" and not optimizer.param_groups[0]["momentum"]):
                continue
            held[name] = torch.from_numpy(self.values[row, part].copy()).reshape(shape)
        return held


def _parts(module: nn.Linear, bias: int) -> list[tuple[Any, slice]]:
    weight: tuple[Any, slice] = (module.weight, slice(0, module.in_features))
    return [weight] if module.bias is None else [weight, (module.bias, slice(bias, bias + 1))]


def _options(group: Mapping[str, Any]) -> list[float]:
    """A row of `compiled.updates.OPTIONS`."""
    beta1, beta2 = group.get("betas", (0.0, group.get("alpha", 0.0)))
    used = (group["lr"], group["weight_decay"], group.get("momentum", 0.0), group.get("dampening", 0.0))
    return [*map(float, (*used, group.get("nesterov", False), beta1, beta2, group.get("eps", 0.0)))]
