"""One training in a run folder, made the same in every process, to be stopped and gone on with."""

from __future__ import annotations

import sys
from dataclasses import replace

import torch
from torch import nn
from torch.utils.data import TensorDataset

import sightline
from sightline.runs import checkpoint
from tests.modules.plain import shuffled

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.003, momentum=0.5, centered=True),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3, history_size=4),
}
EPOCHS, BATCHES = 6, 6


def step(model, batch, optimizer):
    """A step of one's own."""
    x, y = batch
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


class Stopping(nn.Module):
    """Calls `stop` before a forward pass of the training, if it is the one to stop at."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.forwards, self.stop_at, self.stop = inner, 0, None, None

    def forward(self, x):
        if self.training:
            self.forwards += 1
            if self.forwards == self.stop_at:
                self.stop()
        return self.inner(x)


def made(name):
    """The model and its optimizer."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    model = Stopping(inner)
    optimizer = OPTIMIZERS[name](model.parameters())
    torch.manual_seed(1)
    return model, optimizer


def rows():
    """Rows that one's own generator made, and nothing else drew from."""
    draw = torch.Generator().manual_seed(2)
    return TensorDataset(torch.randn(90, 5, generator=draw), torch.randint(3, (90,), generator=draw))


def fitted(name, *, epochs=EPOCHS, own=True, schedule="none", stop_at=None, stop=None, **options):
    """The training to its end, or to where it stops."""
    model, optimizer = made(name)
    model.stop_at, model.stop = stop_at, stop
    if schedule == "one-cycle":
        options["schedule"] = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.05, total_steps=EPOCHS * BATCHES, cycle_momentum=False
        )
    elif schedule == "step":
        options["schedule"] = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    options = {"loss": nn.CrossEntropyLoss(), "valid": rows(), **options}
    return sightline.fit_module(
        model, shuffled(rows(), 16, own=own), optimizer=optimizer, epochs=epochs, restore_best=False, **options
    )


def without_time(epochs):
    """Records without their seconds."""
    return [replace(record, seconds=0.0) for record in epochs]


def same_runs(one, other):
    """Equal records, parameters and buffers."""
    a, b = one.model.state_dict(), other.model.state_dict()
    return without_time(one.epochs) == without_time(other.epochs) and all(torch.equal(a[k], b[k]) for k in a)


if __name__ == "__main__":  # a process of its own: resume this run
    torch.set_num_threads(1)
    checkpoint.PAUSE = 0.0
    name, folder, output = sys.argv[1:]
    resumed = fitted(name, resume=folder)
    torch.save({"state": resumed.model.state_dict(), "epochs": [repr(e) for e in without_time(resumed.epochs)]}, output)
