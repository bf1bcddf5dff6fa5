"""Parameters and the state of their optimizer as machine code holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn, optim

__all__ = ["OPTIMIZERS", "Places", "State", "values_of"]

Array = np.ndarray[Any, Any]
OPTIMIZERS: dict[type[optim.Optimizer], int] = {optim.SGD: 0, optim.Adam: 1, optim.AdamW: 2, optim.RMSprop: 3}
MOMENTS = {  # what torch calls the first and the second
    0: ("momentum_buffer", None), 1: ("exp_avg", "exp_avg_sq"), 2: ("exp_avg", "exp_avg_sq"),
    3: ("momentum_buffer", "square_avg"),
}  # fmt: skip


class Places:
    """Where the parameters of models side by side lie in a row of `State.values`.

    Of one output: its weights, padded to whole vectors, then its bias. Of several, `in_lanes`: a matrix with a row for
    each column of the data and one for the bias, in whole vectors of `lanes` outputs.
    """

    def __init__(self, models: Sequence[nn.Linear], *, in_lanes: bool) -> None:
        self.models, self.in_lanes = models, in_lanes
        first = models[0]
        wide = 64 // first.weight.element_size()
        self.columns, self.ones, self.outputs = first.in_features, int(first.bias is not None), first.out_features
        self.lanes = _whole(self.outputs * len(models), wide) if in_lanes else 1
        padded = _whole(self.columns, wide) + wide * self.ones
        self.size = self.lanes * _whole(self.columns + self.ones, wide) if in_lanes else padded
        self._bias = padded - wide

    def views(self, row: Array) -> list[list[tuple[Any, Array]]]:
        """Of each model its parameters, each with its part of the row in the shape that it has."""
        if not self.in_lanes:
            parts: list[tuple[Any, Array]] = [(self.models[0].weight, row[None, : self.columns])]
            return [[*parts, *([(self.models[0].bias, row[self._bias : self._bias + 1])] if self.ones else [])]]
        matrix, found = row.reshape(-1, self.lanes), []
        for i, model in enumerate(self.models):
            own = slice(i * self.outputs, (i + 1) * self.outputs)
            parts = [(model.weight, matrix[: self.columns, own].T)]
            found.append([*parts, *([(model.bias, matrix[self.columns, own])] if self.ones else [])])
        return found


def values_of(places: Places, *, rows: int = 1) -> Array:
    """The parameters as they are, in the first of so many rows `(rows, m)`."""
    values = np.zeros((rows, places.size), dtype=places.models[0].weight.detach().numpy().dtype)
    for parameter, view in _flat(places, values[0]):
        view[...] = parameter.detach().numpy()
    return values


class State:
    """Parameters and moments side by side in whole vectors, as machine code holds them, and back again.

    `options` and `rates` have a row for the weights and one for the bias, `rates (2, lanes)`.
    """

    def __init__(self, values: Array, options: Array, rates: Array, count: int, places: Places) -> None:
        self.values, self.options, self.rates, self.count, self.places = values, options, rates, count, places

    @classmethod
    def of(cls, places: Places, optimizer: optim.Optimizer) -> State:
        """As they are."""
        kind, first = OPTIMIZERS[type(optimizer)], places.models[0]
        values = values_of(places, rows=4)
        count = 0
        for row, name in enumerate(MOMENTS[kind], 1):
            for parameter, view in _flat(places, values[row]):
                held = optimizer.state.get(parameter, {})
                if name is not None and held.get(name) is not None:
                    view[...] = held[name].numpy()
                count = int(held.get("step", held.get("momentum_buffer") is not None))
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        bias = first.weight if first.bias is None else first.bias
        options = np.array([_options(groups[id(first.weight)]), _options(groups[id(bias)])])
        return cls(values, options, _rates(places, groups), count, places)

    def copy(self) -> State:
        """Values of its own."""
        return State(self.values.copy(), self.options, self.rates, self.count, self.places)

    @torch.no_grad()
    def hand_back_parameters(self) -> None:
        """To the models."""
        for parameter, view in _flat(self.places, self.values[0]):
            parameter.copy_(torch.from_numpy(view))

    def hand_back(self, optimizer: optim.Optimizer) -> None:
        """To the models, and to the optimizer's state as it makes it itself."""
        self.hand_back_parameters()
        kind, used = OPTIMIZERS[type(optimizer)], bool(optimizer.param_groups[0].get("momentum"))
        for parameter, _ in _flat(self.places, self.values[0]):
            optimizer.state.pop(parameter, None)
            if kind and self.count:
                optimizer.state[parameter] = {"step": torch.tensor(float(self.count))}
        for row, name in enumerate(MOMENTS[kind], 1):
            if name is None or not self.count or (name == "momentum_buffer" and not used):
                continue
            for parameter, view in _flat(self.places, self.values[row]):
                optimizer.state[parameter][name] = torch.from_numpy(view.copy())


def _flat(places: Places, row: Array) -> list[tuple[Any, Array]]:
    return [part for parts in places.views(row) for part in parts]


def _rates(places: Places, groups: Mapping[int, Mapping[str, Any]]) -> Array:
    """The rate of each lane, 0 in those that nobody uses."""
    rates = np.zeros((2, places.lanes))
    for i, model in enumerate(places.models):
        own = slice(i * places.outputs, (i + 1) * places.outputs)
        for row, parameter in enumerate([model.weight, model.weight if model.bias is None else model.bias]):
            rates[row, own] = groups[id(parameter)]["lr"]
    return rates


def _options(group: Mapping[str, Any]) -> list[float]:
    """A row of `compiled.updates.OPTIONS`."""
    beta1, beta2 = group.get("betas", (0.0, group.get("alpha", 0.0)))
    used = (group["lr"], group["weight_decay"], group.get("momentum", 0.0), group.get("dampening", 0.0))
    return [*map(float, (*used, group.get("nesterov", False), beta1, beta2, group.get("eps", 0.0)))]


def _whole(count: int, wide: int) -> int:
    return -(-count // wide) * wide
