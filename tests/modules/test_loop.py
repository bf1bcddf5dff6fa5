"""`train` against the plain loop: every kind of data, dropout, batch statistics, precision, compiled modules."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import sightline
from tests.modules import worked
from tests.modules.plain import cut, plain_train, same_bits, shuffled

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


KINDS = {
    "loader, own generator": (net, lambda: shuffled(TensorDataset(*rows()), 16)),
    "loader, global generator": (net, lambda: shuffled(TensorDataset(*rows()), 16, own=False)),
    "loader, last batch dropped": (net, lambda: shuffled(TensorDataset(*rows()), 16, drop_last=True)),
    "list of batches": (net, batches),
    "dicts": (two, by_name),
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


def step(model, batch, optimizer):
    """A step of one's own that clips by hand."""
    *inputs, y = batch
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(*inputs), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    return loss


@pytest.mark.parametrize("size", [None, 16])
def test_a_step_of_ones_own(size):
    data = rows if size else lambda: shuffled(TensorDataset(*rows()), 16)
    check_same(net, data, step=step, batch_size=size)


def test_a_step_of_ones_own_moves_the_schedule():
    check_same(
        net, batches, step=step, epochs=2,
        schedule=lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.05, total_steps=12),
    )  # fmt: skip


SCHEDULES = {
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.05, total_steps=18),
    "cyclic": lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.001, 0.05, step_size_up=4, cycle_momentum=False),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=3),
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5),
    "warm-up, then steps": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o, [torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=1), torch.optim.lr_scheduler.StepLR(o, 1)], [1]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    records = check_same(
        net, lambda: shuffled(TensorDataset(*rows()), 16), loss=CE, schedule=SCHEDULES[name], clip_norm=0.7
    )
    assert len({r.lr for r in records}) > 1


def groups(model):
    """No decay for norms and biases, and a rate of their own."""
    flat = [p for p in model.parameters() if p.ndim < 2]
    rest = [p for p in model.parameters() if p.ndim > 1]
    return torch.optim.AdamW([{"params": rest, "weight_decay": 0.1}, {"params": flat, "lr": 0.02}], lr=0.01)


def test_two_groups_of_parameters():
    check_same(net, batches, loss=CE, optimizer=groups, schedule=SCHEDULES["cosine"])


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("k", [2, 4])
def test_accumulation(k, clip):
    check_same(net, batches, loss=CE, accumulate=k, clip_norm=clip)
    check_same(two, pairs, loss=CE, accumulate=k, clip_norm=clip)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(dtype, accumulate):
    records = check_same(net, batches, loss=CE, autocast=dtype, accumulate=accumulate, valid=batches)
    _, single = records_of(sightline.train, net, batches, loss=CE, accumulate=accumulate)
    assert records[1].running_loss != single[1].running_loss == pytest.approx(records[1].running_loss, rel=0.05)


def test_float16_clips_gradients_of_their_own_size():
    check_same(net, batches, loss=CE, autocast=torch.float16, clip_norm=0.5)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_modules(backend):
    def compiled(model):
        torch._dynamo.reset()
        return torch.compile(model, backend=backend)

    check_same(net, batches, loss=CE, wrap=compiled, valid=batches)
    check_same(two, by_name, loss=CE, wrap=compiled)


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
