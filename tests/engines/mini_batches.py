"""The plain loop on mini-batches in a DataLoader's order, and the kernel engine beside it."""

from __future__ import annotations

import copy

import pytest
import torch

import sightline
from sightline.data.batches import epoch_order

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "decay": lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.2),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02, weight_decay=0.1, betas=(0.8, 0.95)),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, weight_decay=0.01),
    "rmsprop, momentum": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
}
ROWS, BATCH, EPOCHS = 203, 16, 3  # the last batch is short


def plain(model, optimizer, loss, x, y, *, epochs=EPOCHS, batch=BATCH):
    """The loop of a tutorial; the mean of its losses in each epoch, and loss and gradient norm after it."""
    running, rest = [], []
    for epoch in range(1, epochs + 1):
        losses = []
        for rows in epoch_order(len(x), seed=0, epoch=epoch).split(batch):
            value = loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item() * len(rows))
        running.append(sum(losses) / len(x))
        model.zero_grad()
        value = loss(model(x), y)
        value.backward()
        norm = torch.cat([p.grad.reshape(-1) for p in model.parameters()]).norm().item()
        rest.append((value.item(), norm))
    return running, rest


def compared(model, optimizer, loss, x, y, *, tolerance, **options):
    """Trained by both, and everything compared."""
    other = copy.deepcopy(model)
    running, rest = plain(other, optimizer(other.parameters()), loss, x, y)
    own = optimizer(model.parameters())
    records = list(
        sightline.train(
            model, (x, y), loss=loss, optimizer=own, epochs=EPOCHS, batch_size=BATCH, engine="kernel", **options
        )
    )
    for record, mean, (at_rest, norm) in zip(records[1:], running, rest, strict=True):
        assert record.running_loss == pytest.approx(mean, rel=tolerance)
        assert record.train_loss == pytest.approx(at_rest, rel=tolerance)
        assert record.gradient_norm == pytest.approx(norm, rel=50 * tolerance, abs=tolerance)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=10 * tolerance, atol=tolerance)
