"""Every kind of data in `train` is what the plain loop makes of it, bit for bit."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import sightline
from sightline.engines.feeds import moved
from tests.modules import worked
from tests.modules.checked import CE, batches, by_name, check_same, net, pairs, records_of, rows, two
from tests.modules.plain import plain_train, same_bits, shuffled


class Nested(torch.utils.data.Dataset):
    """((x1, x2), y) of each row."""

    def __init__(self):
        self.x, self.y = rows()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return (self.x[i, :3], self.x[i, 3:]), self.y[i]


class Named(Nested):
    """The same by name."""

    def __getitem__(self, i):
        return {"one": self.x[i, :3], "two": self.x[i, 3:], "y": self.y[i]}


KINDS = {
    "loader, own generator": (net, lambda: shuffled(TensorDataset(*rows()), 16)),
    "loader, global generator": (net, lambda: shuffled(TensorDataset(*rows()), 16, own=False)),
    "loader, last batch dropped": (net, lambda: shuffled(TensorDataset(*rows()), 16, drop_last=True)),
    "list of batches": (net, batches),
    "dicts": (two, by_name),
    "loader of dicts": (two, lambda: shuffled(Named(), 16)),
    "loader of ((x1, x2), y)": (two, lambda: shuffled(Nested(), 16)),
    "((x1, x2), y)": (two, pairs),
    "(x1, x2, y)": (two, lambda: [(*x, y) for x, y in pairs()]),
    "({name: x}, y)": (two, lambda: [({"two": b, "one": a}, y) for (a, b), y in pairs()]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_batches_is_the_plain_loop(kind):
    make, data = KINDS[kind]
    check_same(make, data, loss=CE)


@pytest.mark.parametrize("seed", [0, 9])
def test_rows_in_memory_are_a_sampler_with_a_seed_for_each_epoch(seed):
    check_same(net, rows, loss=CE, batch_size=16, seed=seed)


def test_two_inputs_in_memory():
    def data():
        x, y = rows()
        return (x[:, :3], x[:, 3:]), y

    check_same(two, data, loss=CE, batch_size=20, seed=3)


def test_a_tensor_dataset_is_its_tensors():
    ours, _ = records_of(sightline.train, net, lambda: TensorDataset(*rows()), loss=CE, batch_size=16)
    theirs, _ = records_of(plain_train, net, rows, loss=CE, batch_size=16)
    assert same_bits(ours, theirs)


DIGITS = {
    "mlp": (worked.mlp, lambda x: x),
    "cnn": (worked.cnn, lambda x: x.reshape(-1, 1, 8, 8)),
}


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", DIGITS)
def test_the_models_of_the_page_on_a_shuffling_loader(name, own, valid):
    make, shaped = DIGITS[name]
    x, y = rows(80, 64)

    def data():
        return shuffled(TensorDataset(shaped(x), y), 32, own=own)

    def held():
        return shuffled(TensorDataset(shaped(x[:30]), y[:30]), 11, own=False)

    check_same(make, data, loss=CE, epochs=2, **({"valid": held} if valid else {}))


def test_a_list_of_tensors_is_batches_for_a_step_of_ones_own():
    seen = []

    def encode(model, batch, optimizer):
        seen.append(tuple(batch.shape))
        optimizer.zero_grad()
        loss = (model(batch) - batch).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    model = nn.Linear(5, 5)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    parts = list(rows(20)[0].split(8))
    *_, last = sightline.train(model, parts, step=encode, optimizer=sgd, epochs=2)
    assert seen == 2 * [(8, 5), (8, 5), (4, 5)]
    assert last.rows == 40


def test_named_tuples_follow_the_model():
    Pair = namedtuple("Pair", ["x", "y"])
    there = moved({"a": Pair(torch.ones(2), [torch.ones(1)])}, torch.device("meta"))["a"]
    assert type(there) is Pair
    assert there.x.is_meta
    assert there.y[0].is_meta


@pytest.mark.parametrize("own", [True, False])
def test_the_lstm_and_the_transformer_of_the_page(own):
    def together(walks):
        batch = worked.defined("An LSTM")["together"](walks)
        return {"y": batch.pop("higher"), **batch}

    draw = torch.Generator().manual_seed(1)
    walks = [torch.rand(n, 1, generator=draw) for n in (3, 5, 4, 7, 6) * 8]
    tokens, first = torch.randint(10, (40, 12), generator=draw), torch.randint(2, (40,), generator=draw)
    check_same(
        worked.lstm, lambda: shuffled(walks, 16, own=own, collate_fn=together), loss=nn.BCEWithLogitsLoss(), epochs=2
    )
    check_same(worked.transformer, lambda: shuffled(TensorDataset(tokens, first), 16, own=own), loss=CE, epochs=2)
