"""The plain PyTorch loop, written out as tutorials write it: the reference that every engine is compared with."""

from __future__ import annotations

import torch
from torch import nn


def plain_loop(model, x, y, loss_function, optimizer, epochs):
    """Losses before each update, and the parameters after it, epoch by epoch; the first entry is the start."""
    losses, states = [], [[p.detach().clone() for p in model.parameters()]]
    for _ in range(epochs):
        prediction = model(x)
        loss = loss_function(prediction, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        states.append([p.detach().clone() for p in model.parameters()])
    losses.append(loss_function(model(x), y).item())
    return losses, states


def linear(p, k=1, *, dtype=torch.float64, bias=True, fill=0.0):
    """A linear layer with all parameters set to one number."""
    model = nn.Linear(p, k, bias=bias, dtype=dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(fill)
    return model


def table(n, p, k=1, *, seed=0, dtype=torch.float64, noise=0.3):
    """Rows of a linear model with noise."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=g, dtype=torch.float64)
    y = (
        x @ torch.randn(p, k, generator=g, dtype=torch.float64)
        + 0.7
        + noise * torch.randn(n, k, generator=g, dtype=torch.float64)
    )
    return x.to(dtype), y.to(dtype)


def running_example(dtype=torch.float64):
    """Columns of the five people, and the model of the classic script."""
    x = torch.tensor([150.0, 160.0, 170.0, 175.0, 185.0], dtype=dtype).reshape(-1, 1)
    y = torch.tensor([55.0, 70.0, 64.0, 80.0, 75.0], dtype=dtype).reshape(-1, 1)
    model = nn.Linear(1, 1, dtype=dtype)
    with torch.no_grad():
        model.weight.fill_(0.45)
        model.bias.fill_(-35.0)
    return model, x, y
