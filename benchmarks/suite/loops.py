"""The plain PyTorch loops that sightline is compared with: as tutorials write them, with index slices, compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sightline.data.batches import epoch_order

__all__ = [
    "compiled", "deviation", "full_batch", "in_float64", "linear", "mini_batches", "shuffled", "sliced", "trained",
    "values",
]  # fmt: skip

Make = Callable[[], tuple[nn.Module, torch.optim.Optimizer]]
Loss = Callable[[Tensor, Tensor], Tensor]
Trajectory = tuple[list[float], list[Tensor]]


def linear(p: int, optimizer: Callable[..., Any], *, dtype: torch.dtype = torch.float32) -> Make:
    """Makes a layer of zeros with one output, and its optimizer."""

    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = nn.Linear(p, 1, dtype=dtype)
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model, optimizer(model.parameters())

    return make


def in_float64(make: Make) -> Make:
    """The same in float64."""

    def double() -> tuple[nn.Module, torch.optim.Optimizer]:
        model, optimizer = make()
        return model.double(), optimizer

    return double


def trained(make: Make, data: Any, loss: nn.Module, **options: Any) -> tuple[list[Any], Tensor]:
    """The records of sightline, and the parameters at the end."""
    import sightline

    model, optimizer = make()
    records = list(sightline.train(model, data, loss=loss, optimizer=optimizer, **options))
    return records, values(model)


def full_batch(make: Make, x: Tensor, y: Tensor, loss: Loss, *, epochs: int) -> Trajectory:
    """The loss before each epoch's step, and the parameters after each."""
    model, optimizer = make()
    losses, states = [], []
    for _ in range(epochs):
        value = loss(model(x), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
        states.append(values(model))
    return losses, states


def compiled(make: Make, x: Tensor, y: Tensor, loss: Loss) -> Callable[[int], list[float]]:
    """Full batch with `torch.compile` on prediction and loss; a function of the number of epochs."""
    model, optimizer = make()

    @torch.compile
    def forward(x: Tensor, y: Tensor) -> Tensor:
        return loss(model(x), y)

    def run(epochs: int) -> list[float]:
        losses = []
        for _ in range(epochs):
            value = forward(x, y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
        return losses

    return run


def mini_batches(make: Make, x: Tensor, y: Tensor, loss: Loss, *, batch: int, order: Tensor) -> list[float]:
    """With a TensorDataset and a DataLoader; its rows in that order, as its sampler would have drawn them."""
    model, optimizer = make()
    losses = []
    for xb, yb in DataLoader(TensorDataset(x, y), batch_size=batch, sampler=order.tolist()):
        value = loss(model(xb), yb)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def sliced(make: Make, x: Tensor, y: Tensor, loss: Loss, *, batch: int, order: Tensor) -> list[float]:
    """With slices of a permutation, no DataLoader."""
    model, optimizer = make()
    losses = []
    for rows in order.split(batch):  # type: ignore[no-untyped-call]
        value = loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def shuffled(make: Make, x: Tensor, y: Tensor, loss: Loss, *, batch: int, epochs: int) -> tuple[list[float], Tensor]:
    """Whole epochs in the orders that sightline has: the mean loss of each, and the parameters at the end."""
    model, optimizer = make()
    losses = []
    for epoch in range(1, epochs + 1):
        total = 0.0
        for rows in epoch_order(len(x), seed=0, epoch=epoch).split(batch):  # type: ignore[no-untyped-call]
            value = loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(rows)
        losses.append(total / len(x))
    return losses, values(model)


def values(model: nn.Module) -> Tensor:
    """All parameters as one vector in float64."""
    return torch.cat([p.detach().double().reshape(-1) for p in model.parameters()])


def deviation(got: tuple[Sequence[float], Tensor], want: tuple[Sequence[float], Tensor]) -> float:
    """The largest relative one of the losses of all epochs and of the parameters at the end; NaN where one is."""
    losses, exact = (torch.tensor(list(found[0]), dtype=torch.float64) for found in (got, want))
    apart = ((losses - exact).abs() / exact.abs()).max()
    return float(torch.maximum(apart, (got[1] - want[1]).abs().max() / want[1].abs().max()))
