"""Looking at a model, by validation or at rest, leaves its training as it is."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import sightline
from tests.modules.checked import CE, batches, net, records_of, rows
from tests.modules.plain import same_bits, shuffled


def test_validation_leaves_the_bits_of_the_training():
    def data():
        return shuffled(TensorDataset(*rows()), 16, own=False)

    def held():
        return shuffled(TensorDataset(*rows(30)), 7, own=False)

    bare, records = records_of(sightline.train, net, data, loss=CE)
    held_out, same = records_of(sightline.train, net, data, loss=CE, valid=held, restore_best=False)
    assert same_bits(bare, held_out)
    assert [r.running_loss for r in records] == [r.running_loss for r in same]


def test_the_best_epoch_is_restored():
    x, y = rows(40)
    kept = {}
    model = net()
    sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    for record in sightline.train(
        model, batches(), loss=CE, optimizer=sgd, epochs=12, valid=[(x[:20], y[:20].flip(0)), (x[20:], y[20:])]
    ):
        kept[record.number] = record.valid_loss, {k: v.clone() for k, v in model.state_dict().items()}
    best = min(kept, key=lambda number: kept[number][0])
    assert best < 12
    assert all(torch.equal(v, kept[best][1][k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("own", [True, False])
def test_measuring_at_rest_leaves_the_bits_of_the_training(own):
    def data():
        return shuffled(TensorDataset(*rows()), 16, own=own)

    bare, records = records_of(sightline.train, net, data, loss=CE, epochs=4)
    measured, same = records_of(sightline.train, net, data, loss=CE, epochs=4, measure=2)
    assert same_bits(bare, measured)
    assert [r.running_loss for r in records] == [r.running_loss for r in same]
    assert [r.number for r in same if r.train_loss is not None] == [0, 2, 4]
    x, y = rows()
    with torch.no_grad():
        assert same[-1].train_loss == pytest.approx(CE(measured.eval()(x), y).item(), rel=1e-6)


class Noisy(torch.utils.data.Dataset):
    """Rows that numpy, Python and torch disturb each time they are read."""

    def __init__(self, n):
        self.x, self.y = rows(n)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i] + 0.1 * torch.randn(5) + float(np.random.normal()) + random.random(), self.y[i]


@pytest.mark.parametrize("looked", [{"valid": lambda: shuffled(Noisy(20), 7)}, {"measure": 1}])
def test_looking_draws_nothing_from_the_streams_of_the_training(looked):
    def trained(**options):
        np.random.seed(1)
        random.seed(1)
        return records_of(sightline.train, net, lambda: shuffled(Noisy(60), 16), loss=CE, restore_best=False, **options)

    bare, records = trained()
    seen, same = trained(**looked)
    assert same_bits(bare, seen)
    assert [r.running_loss for r in records] == [r.running_loss for r in same]
