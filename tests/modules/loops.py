"""Small models, data and loops of the tests of guards."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import sightline
from sightline.errors import LoopWarning

X = torch.linspace(-1, 1, 24).reshape(12, 2)
Y = X.sum(1, keepdim=True).sin()
CLASSES = torch.arange(12) % 3
TWO = (torch.arange(12) % 2).float().reshape(-1, 1)


class Lambda(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Own(nn.Module):
    """Layers of one's own, with something done to the output."""

    def __init__(self, outputs=1, end=lambda out: out):
        super().__init__()
        self.hidden, self.out, self.end = nn.Linear(2, 4), nn.Linear(4, outputs), end

    def forward(self, x):
        return self.end(self.out(torch.tanh(self.hidden(x))))


def net(outputs=1, *end):
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, outputs), *end)


def compiled(module):
    return torch.compile(module, backend="eager")


def optimizer_of(model, kind=torch.optim.SGD, lr=0.1, **options):
    return kind(model.parameters(), lr=lr, **options)


def train(model, data, *, optimizer=None, epochs=2, **options):
    optimizer = optimizer or optimizer_of(model)
    return list(sightline.train(model, data, optimizer=optimizer, epochs=epochs, **options))


def fit(model, data, *, optimizer=None, epochs=2, **options):
    """The same by fit_module; what it tells comes as a warning here too."""
    optimizer = optimizer or optimizer_of(model)
    run = sightline.fit_module(model, data, optimizer=optimizer, epochs=epochs, output=False, **options)
    for note in run.verdict.warnings:
        if note.code != "SL-DIVERGED":
            warnings.warn(f"{note.text} ({note.code})", LoopWarning, stacklevel=2)
    return run.epochs


def loader(*tensors, size=4, **options):
    return DataLoader(TensorDataset(*tensors), batch_size=size, **options)


HOW = pytest.mark.parametrize("how", [train, fit])


def stepping(zero=True, backward=True, step=True, loss=F.mse_loss):
    """A step function with its parts in or out."""

    def one(model, batch, optimizer):
        x, y = batch
        if zero:
            optimizer.zero_grad()
        value = loss(model(x), y)
        if backward:
            value.backward()
        if step:
            optimizer.step()
        return value

    return one
