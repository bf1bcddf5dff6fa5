"""A model and its data, trained by `train` and by the plain loop from the same seeds."""

from __future__ import annotations

import torch
from torch import nn

import sightline
from tests.modules.plain import cut, plain_train, same_bits

CE = nn.CrossEntropyLoss()


class Two(nn.Module):
    """Two inputs, dropout."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(3, 8), nn.Linear(2, 8), nn.Dropout(0.3)
        self.out = nn.Linear(8, 3)

    def forward(self, one, two):
        return self.out(self.drop(torch.tanh(self.a(one) + self.b(two))))


def two():
    torch.manual_seed(0)
    return Two()


def net():
    """Batch normalization and dropout."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.4), nn.Linear(12, 3))


def rows(n=90, p=5):
    draw = torch.Generator().manual_seed(2)
    return torch.randn(n, p, generator=draw), torch.randint(3, (n,), generator=draw)


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.01)


def records_of(train, make, data, *, optimizer=adam, epochs=3, schedule=None, wrap=None, **options):
    """Model and records, from the same seeds; `data` makes the data anew, for a loader has a generator."""
    model = make() if wrap is None else wrap(make())
    made = optimizer(model)
    torch.manual_seed(7)
    options |= {} if schedule is None else {"schedule": schedule(made)}
    options = {k: v() if k == "valid" and callable(v) else v for k, v in options.items()}
    return model, list(train(model, data(), optimizer=made, epochs=epochs, **options))


def check_same(make, data, **options):
    """Both loops from the same seeds: parameters, buffers, running and validation losses, rates, the random stream."""
    ours, mine = records_of(sightline.train, make, data, **options)
    stream = torch.get_rng_state()
    theirs, plain = records_of(plain_train, make, data, **options)
    assert same_bits(ours, theirs)
    assert torch.equal(stream, torch.get_rng_state())
    for name in ("number", "running_loss", "valid_loss", "lr"):
        assert [getattr(r, name) for r in mine] == [getattr(r, name) for r in plain]
    assert not same_bits(ours, make())
    return mine


def batches():
    return cut(*rows(), 16, 0, 1)


def pairs():
    x, y = rows()
    return cut((x[:, :3], x[:, 3:]), y, 16, 0, 1)


def by_name():
    return [{"one": one, "two": two, "y": y} for (one, two), y in pairs()]


def step(model, batch, optimizer):
    """A step of one's own that clips by hand."""
    *inputs, y = batch
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(*inputs), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    return loss
