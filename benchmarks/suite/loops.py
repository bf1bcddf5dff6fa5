"""The plain PyTorch loops that sightline is compared with: as tutorials write them, and with index slices."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sightline.data.batches import epoch_order

__all__ = ["full_batch", "mini_batches", "shuffled", "sliced", "values"]

Make = Callable[[], tuple[nn.Module, torch.optim.Optimizer]]
Loss = Callable[[Tensor, Tensor], Tensor]


def full_batch(make: Make, x: Tensor, y: Tensor, loss: Loss, *, epochs: int) -> tuple[list[float], list[Tensor]]:
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


def mini_batches(
    make: Make, x: Tensor, y: Tensor, loss: Loss, *, batch: int, steps: int
) -> tuple[list[float], list[Tensor]]:
    """With a TensorDataset and a DataLoader; so many steps."""
    model, optimizer = make()
    loader = DataLoader(TensorDataset(x, y), batch_size=batch, shuffle=True, generator=torch.Generator().manual_seed(0))
    losses = []
    for xb, yb in loader:
        value = loss(model(xb), yb)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
        if len(losses) == steps:
            break
    return losses, [values(model)]


def sliced(
    make: Make, x: Tensor, y: Tensor, loss: Loss, *, batch: int, steps: int, order: Tensor
) -> tuple[list[float], list[Tensor]]:
    """With slices of a permutation, no DataLoader."""
    model, optimizer = make()
    losses = []
    for rows in order.split(batch)[:steps]:
        value = loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses, [values(model)]


def shuffled(make: Make, x: Tensor, y: Tensor, loss: Loss, *, batch: int, epochs: int) -> Tensor:
    """Whole epochs in float64, in the orders that sightline has; the parameters at the end."""
    model, optimizer = make()
    model.double()
    x, y = x.double(), y.double()
    for epoch in range(1, epochs + 1):
        for rows in epoch_order(len(x), seed=0, epoch=epoch).split(batch):  # type: ignore[no-untyped-call]
            value = loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return values(model)


def values(model: nn.Module) -> Tensor:
    """All parameters as one vector in float64."""
    return torch.cat([p.detach().double().reshape(-1) for p in model.parameters()])
