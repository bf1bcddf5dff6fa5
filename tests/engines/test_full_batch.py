"""All rows in one pass in closed form, in machine code and in torch, against the plain loop; rows that repeat."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.engines.choose import choose
from sightline.engines.feeds import TensorFeed
from sightline.engines.kernels import engine, grouped
from sightline.engines.kernels.full_batch import FullBatch
from sightline.engines.losses import Weighted
from sightline.engines.problem import Problem
from tests.engines.mini_batches import OPTIMIZERS
from tests.engines.test_kernel import LOSSES, layer, table

ROWS = 1500  # two blocks of sums
MORE = {
    **OPTIMIZERS,
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.02, amsgrad=True),
}


def plain(model, optimizer, loss, x, y, epochs):
    """The loop of a tutorial: the loss before each step, and loss and gradient norm after it."""
    running, rest = [], []
    for _ in range(epochs):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        running.append(value.item())
        model.zero_grad()
        value = loss(model(x), y)
        value.backward()
        rest.append((value.item(), torch.cat([p.grad.reshape(-1) for p in model.parameters()]).norm().item()))
    return running, rest


def compared(model, optimizer, loss, x, y, *, tolerance=1e-12, epochs=6):
    """Trained by both from the same start, and everything compared."""
    other = copy.deepcopy(model)
    running, rest = plain(other, optimizer(other.parameters()), loss, x, y, epochs)
    own = optimizer(model.parameters())
    records = list(sightline.train(model, (x, y), loss=loss, optimizer=own, epochs=epochs, engine="kernel"))
    for record, before, (at_rest, norm) in zip(records[1:], running, rest, strict=True):
        assert record.running_loss == pytest.approx(before, rel=tolerance)
        assert record.train_loss == pytest.approx(at_rest, rel=tolerance)
        assert record.gradient_norm == pytest.approx(norm, rel=50 * tolerance, abs=tolerance)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=20 * tolerance, atol=20 * tolerance)


def chosen(model, loss, x, y, optimizer="sgd", **options):
    problem = Problem(model, loss, MORE[optimizer](model.parameters()), TensorFeed(x, y))
    return choose(problem, **{"engine": "kernel", "epochs": 6, **options})


def repeated(x, y, rows, seed=5):
    """So many rows drawn from these, in any order."""
    pick = torch.randint(len(x), (rows,), generator=torch.Generator().manual_seed(seed))
    return x[pick], y[pick]


@pytest.mark.parametrize(("optimizer", "loss"), [*itertools.product(MORE, LOSSES)], ids=str)
def test_every_loss_with_every_optimizer(how, optimizer, loss):
    x, y = table(5, classes=isinstance(loss, nn.BCEWithLogitsLoss), rows=ROWS)
    compared(layer(5), MORE[optimizer], loss, x, y)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classes(how, smoothing):
    x, _ = table(5, rows=ROWS)
    y = torch.randint(3, (ROWS,), generator=torch.Generator().manual_seed(2))
    torch.manual_seed(1)
    compared(nn.Linear(5, 3).double(), MORE["adam"], nn.CrossEntropyLoss(label_smoothing=smoothing), x, y)


@pytest.mark.parametrize("p", [1, 3, 8, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_any_number_of_columns(how, p, dtype, bias):
    x, y = table(p, dtype, classes=True, rows=ROWS)
    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    compared(layer(p, dtype, bias=bias), MORE["momentum"], nn.BCEWithLogitsLoss(), x, y, tolerance=tolerance)


def test_clipping_and_a_schedule_are_around_its_steps(how):
    x, y = table(5, classes=True, rows=ROWS)
    loss, ends = nn.BCEWithLogitsLoss(), []
    for name in ("autograd", "kernel"):
        model = layer(5)
        own = MORE["sgd"](model.parameters())
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(own, T_max=5)
        call = {"loss": loss, "optimizer": own, "epochs": 5, "engine": name, "clip_norm": 0.1, "schedule": schedule}
        records = list(sightline.train(model, (x, y), **call))
        ends.append(([r.lr for r in records], [r.train_loss for r in records], model.weight.detach().numpy()))
    assert ends[0][0] == ends[1][0]
    for a, b in zip(ends[0][1:], ends[1][1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("p", [1, 3, 4])  # rows of 4, 12 and 16 bytes in float32
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_rows_that_repeat_are_read_once(monkeypatch, loss, dtype, p):
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)
    few, target = table(p, dtype, classes=isinstance(loss, nn.BCEWithLogitsLoss), rows=40)
    x, y = repeated(few, target, 3 * grouped.SAMPLE)
    found, reason = chosen(layer(p, dtype), loss, x, y)
    assert found.different == len(torch.unique(torch.cat([x, y], 1), dim=0)) == 40
    assert reason == "the gradient of 40 different rows, each with how many of them there are"
    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    compared(layer(p, dtype), MORE["momentum"], loss, x, y, tolerance=tolerance)


def test_classes_and_weights_of_rows_that_repeat(monkeypatch):
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)
    few, _ = table(3, rows=50)
    draw = torch.Generator().manual_seed(4)
    labels = torch.randint(3, (50,), generator=draw)
    x, y = repeated(few, labels, 3 * grouped.SAMPLE)
    torch.manual_seed(1)
    model = nn.Linear(3, 3).double()
    assert chosen(model, nn.CrossEntropyLoss(), x, y)[0].different == 50
    compared(model, MORE["adam"], nn.CrossEntropyLoss(), x, y)
    weight = torch.rand(len(x), 1, generator=draw, dtype=torch.float64) + 0.1
    target = torch.cat([(y > 0).double()[:, None], weight / weight.mean()], 1)
    loss = Weighted(nn.BCEWithLogitsLoss(reduction="none"))
    assert chosen(layer(3), loss, x, target)[0].different == 50
    compared(layer(3), MORE["sgd"], loss, x, target)


def test_rows_that_differ_in_a_bit_are_different(monkeypatch):
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)
    value = 0.1
    few = torch.tensor([[0.0, value], [-0.0, value], [0.0, np.nextafter(value, 1.0)]], dtype=torch.float64)
    x, y = repeated(few, torch.tensor([[0.0], [0.0], [0.0]], dtype=torch.float64), 3 * grouped.SAMPLE)
    assert chosen(layer(2), nn.L1Loss(), x, y)[0].different == 3
    x[5, 0] = torch.nan
    assert chosen(layer(2), nn.HuberLoss(), x[10:], y[10:])[0].different == 3


def test_most_rows_are_different(monkeypatch):
    """Neither a sample with few repeats nor a sample that misleads leads to groups."""
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)
    x, y = table(3, classes=True, rows=4 * grouped.SAMPLE)
    found, reason = chosen(layer(3), nn.BCEWithLogitsLoss(), x, y)
    assert found.different == len(x)
    assert reason == "the gradient in closed form, in one pass over the rows"
    x[::4], y[::4] = x[0], y[0]  # all that the sample sees
    found, _ = chosen(layer(3), nn.BCEWithLogitsLoss(), x, y)
    assert found.different == len(x)
    compared(layer(3), MORE["sgd"], nn.BCEWithLogitsLoss(), x, y)


def test_the_bits_do_not_depend_on_threads(monkeypatch):
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)
    x, y = table(10, torch.float32, classes=True, rows=5000)
    found = set()
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        model = layer(10, torch.float32)
        call = {"loss": nn.BCEWithLogitsLoss(), "optimizer": MORE["adam"](model.parameters()), "engine": "kernel"}
        found.add(tuple((r.train_loss, r.gradient_norm) for r in sightline.train(model, (x, y), epochs=3, **call)))
    assert len(found) == 1


def test_long_runs_choose_it_and_others_do_not(monkeypatch):
    pytest.importorskip("numba", reason="machine code needs numba")
    x, y = table(5, classes=True, rows=ROWS)
    bce = nn.BCEWithLogitsLoss()
    assert chosen(layer(5), bce, x, y, engine="auto", epochs=2)[0].name == "autograd"
    long = {"engine": "auto", "epochs": 100_000}
    assert isinstance(chosen(layer(5), bce, x, y, **long)[0], FullBatch)
    assert chosen(layer(5), nn.MSELoss(), x, y, **long)[0].name == "quadratic"
    assert isinstance(chosen(layer(5), bce, x, y, "adagrad", **long)[0], FullBatch)
    assert chosen(layer(5), nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)), x, y, **long)[0].name == "autograd"
    assert chosen(layer(5), nn.L1Loss(reduction="sum"), x, y, **long)[0].name == "autograd"
    model = layer(5)
    lbfgs = torch.optim.LBFGS(model.parameters())
    with pytest.raises(sightline.UsageError, match="LBFGS is not a first-order optimizer"):
        list(sightline.train(model, (x, y), loss=bce, optimizer=lbfgs, epochs=1, engine="kernel"))


@pytest.mark.parametrize("what", ["parameter", "rate", "rows"])
def test_a_loss_that_is_not_finite_ends_the_run_as_in_the_plain_loop(how, what):
    x, y = table(5, rows=ROWS)
    ends = []
    for name in ("autograd", "kernel"):
        model, rows = layer(5), x.clone()
        if what == "parameter":
            model.weight.data[0, 0] = np.nan
        if what == "rows":
            rows[150, 0] = 1e308
        own = torch.optim.SGD(model.parameters(), lr=1e300 if what == "rate" else 0.1)
        call = {"loss": nn.HuberLoss(delta=1e10), "optimizer": own, "epochs": 40, "measure": None}
        records = list(sightline.train(model, (rows, y), engine=name, **call))
        ends.append((records[-1].number, records[-1].stop, [repr(p) for p in model.parameters()]))
    assert ends[0][1].reason == "diverged"
    assert ends[0] == ends[1]


def test_gone_on_with_from_its_state(how):
    x, y = table(5, classes=True, rows=ROWS)
    whole, part = layer(5), layer(5)
    loss = nn.BCEWithLogitsLoss()
    call = {"loss": loss, "engine": "kernel"}
    list(sightline.train(whole, (x, y), optimizer=MORE["adam"](whole.parameters()), epochs=6, **call))
    own = MORE["adam"](part.parameters())
    list(sightline.train(part, (x, y), optimizer=own, epochs=3, **call))
    list(sightline.train(part, (x, y), optimizer=own, epochs=6, start=3, **call))
    assert torch.equal(whole.weight, part.weight)
    assert torch.equal(whole.bias, part.bias)
