"""Small models, trained and fitted with a mean squared error unless told otherwise."""

from __future__ import annotations

import torch
from torch import nn

import sightline

from .loops import X, Y

MSE = nn.MSELoss()


def linear():
    torch.manual_seed(0)
    return nn.Linear(2, 1)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr)


def trained(model=None, data=(X, Y), *, loss=MSE, optimizer=sgd, epochs=3, **options):
    model = linear() if model is None else model
    made = optimizer(model)
    list(sightline.train(model, data, loss=loss, optimizer=made, epochs=epochs, **options))
    return model


def fitted(model, *, optimizer=sgd, loss=MSE, epochs=3, output=False, **options):
    return sightline.fit_module(
        model, (X, Y), loss=loss, optimizer=optimizer(model), epochs=epochs, output=output, **options
    )


def plainly(model, epochs):
    optimizer = sgd(model)
    for _ in range(epochs):
        optimizer.zero_grad()
        MSE(model(X), Y).backward()
        optimizer.step()
    return model
