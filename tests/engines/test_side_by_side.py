"""Sweeps on mini-batches in machine code, against the plain loop and against the products of matrices."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.engines import choose as choosing
from sightline.engines.choose import choose_for_rates
from sightline.engines.feeds import TensorFeed
from sightline.engines.kernels import engine
from sightline.engines.kernels.sweep import SideBySide
from sightline.engines.losses import Weighted
from sightline.engines.problem import Problem
from sightline.engines.stacked import Stacked
from tests.engines.mini_batches import BATCH, OPTIMIZERS, ROWS, plain

pytest.importorskip("numba", reason="machine code needs numba")

LOSSES = [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(delta=0.5), nn.SmoothL1Loss(beta=0.3), nn.BCEWithLogitsLoss()]
COLUMNS = 5


def rows_for(loss, dtype=torch.float64, *, columns=COLUMNS, weighted=False):
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(ROWS, columns, generator=draw, dtype=dtype)
    y = x @ torch.randn(columns, 1, generator=draw, dtype=dtype) + torch.randn(ROWS, 1, generator=draw, dtype=dtype)
    y = (y > 0).to(dtype) if isinstance(loss, nn.BCEWithLogitsLoss) else y
    weight = torch.rand(ROWS, 1, generator=draw, dtype=dtype) + 0.1
    return x, torch.cat([y, weight / weight.mean()], 1) if weighted else y


def layer(dtype=torch.float64, *, columns=COLUMNS, bias=True):
    torch.manual_seed(1)
    return nn.Linear(columns, 1, bias=bias, dtype=dtype)


def against_plain_loops(rates, optimizer, loss, rows, *, tolerance, **options):
    """Three epochs of all rates at once, and of each in a loop of its own."""
    model = layer(rows[0].dtype, columns=rows[0].shape[1], **options)
    together = SideBySide(
        Problem(model, loss, optimizer(model.parameters()), TensorFeed(*rows, BATCH)), rates, epochs=3
    )
    found = [together.run_epoch(number) for number in (1, 2, 3)]
    measured = together.measure()
    for i, rate in enumerate(rates):
        other = layer(rows[0].dtype, columns=rows[0].shape[1], **options)
        own = optimizer(other.parameters())
        own.param_groups[0]["lr"] = rate
        running, rest = plain(other, own, loss, *rows)
        assert [losses[i] for losses in found] == pytest.approx(running, rel=tolerance)
        assert measured[i].train_loss == pytest.approx(rest[-1][0], rel=tolerance)
        assert measured[i].gradient_norm == pytest.approx(rest[-1][1], rel=50 * tolerance, abs=tolerance)
        for mine, theirs in zip(together.models[i].parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=10 * tolerance, atol=tolerance)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_loss_with_every_optimizer(optimizer, loss):
    rates = np.geomspace(1e-3, 0.05, 11).tolist()
    against_plain_loops(rates, OPTIMIZERS[optimizer], loss, rows_for(loss), tolerance=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("columns", "count"), [(1, 2), (7, 16), (8, 17), (40, 33)])
@pytest.mark.parametrize("bias", [True, False])
def test_any_number_of_columns_and_rates(columns, count, dtype, bias):
    """In float32 to some dozens of roundings of 6e-8."""
    rates, tolerance = np.geomspace(1e-4, 0.1 / columns, count).tolist(), 1e-12 if dtype == torch.float64 else 5e-6
    rows = rows_for(nn.MSELoss(), dtype, columns=columns)
    against_plain_loops(rates, OPTIMIZERS["sgd"], nn.MSELoss(), rows, tolerance=tolerance, bias=bias)


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss])
def test_weights_of_the_rows(loss):
    inner = loss(reduction="none")
    against_plain_loops(
        [0.01, 0.02, 0.04], OPTIMIZERS["adam"], Weighted(inner), rows_for(inner, weighted=True), tolerance=1e-12
    )


@pytest.fixture
def data():
    x, y = rows_for(nn.MSELoss())
    columns = {name: x[:, i].numpy() for i, name in enumerate("abcde")}
    return {**columns, "y": y[:, 0].numpy(), "two": np.where(y[:, 0].numpy() > 0, "yes", "no")}


@pytest.mark.parametrize(
    ("formula", "settings"),
    [
        ("y ~ a + b + c", {}),
        ("y ~ a + b", {"momentum": 0.9, "l2": 0.1}),
        ("y ~ 0 + a", {"loss": "huber"}),
        ("two ~ a + b", {"momentum": 0.5}),
        ("y ~ a + b", {"standardize": False, "lr": [1e-3, 0.1, 1e3, 1e100]}),
    ],
)
def test_what_diverges_is_dropped_and_disturbs_nobody(data, monkeypatch, formula, settings):
    """The records of a sweep with rates that diverge, some of them to infinity, are those of the plain engine."""
    call = {"lr": [*np.geomspace(1e-3, 1.0, 17), 3.0], "epochs": 20, "batch_size": BATCH, "output": False, **settings}
    monkeypatch.setattr(engine, "LONG", 0.0)
    expected, found = (sightline.sweep(data, formula, engine=name, **call) for name in ("autograd", "auto"))
    assert (expected.subject["engine"], found.subject["engine"]) == ("autograd", "kernel")
    assert found.words == expected.words
    for mine, theirs in zip(found.runs, expected.runs, strict=True):
        assert [(e.number, e.lr, e.rows, e.stop) for e in mine] == [(e.number, e.lr, e.rows, e.stop) for e in theirs]
        for a, b in zip(mine, theirs, strict=True):
            for got, want in ((a.running_loss, b.running_loss), (a.train_loss, b.train_loss)):
                assert got == want or got == pytest.approx(want, rel=1e-11, nan_ok=True)
            assert a.parameters == pytest.approx(b.parameters, rel=1e-10, abs=1e-12, nan_ok=True)


def test_a_lane_that_is_not_a_number_stays_by_itself():
    rows = rows_for(nn.MSELoss())
    found = []
    for rates in ([0.01, 0.02, 0.03], [0.01, 1e200, 0.03]):
        model = layer()
        problem = Problem(model, nn.MSELoss(), OPTIMIZERS["adam"](model.parameters()), TensorFeed(*rows, BATCH))
        together = SideBySide(problem, rates, epochs=4)
        losses = [together.run_epoch(number) for number in (1, 2)]
        if rates[1] > 1.0:
            assert not math.isfinite(losses[-1][1])
            together.drop([1])
        losses += [together.run_epoch(number) for number in (3, 4)]
        found.append([[each[i] for i in (0, 2)] for each in losses])
    assert found[0] == found[1]


def test_short_runs_of_several_outputs_and_short_sweeps_never_load_numba():
    code = (
        "import sys, torch, sightline; m = torch.nn.Linear(3, 4); x = torch.randn(64, 3); y = torch.arange(64) % 4; "
        "o = torch.optim.SGD(m.parameters(), lr=.1); call = dict(loss=torch.nn.CrossEntropyLoss(), optimizer=o); "
        "list(sightline.train(m, (x, y), epochs=2, batch_size=8, engine='kernel', **call)); "
        "table = {'x': x[:, 0].numpy(), 'y': x[:, 1].numpy()}; "
        "sightline.sweep(table, 'y ~ x', lr=[.1, .2], epochs=2, batch_size=8, engine='kernel', output=False); "
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_which_trains_and_why(monkeypatch):
    def chosen(loss=None, optimizer="sgd", outputs=1, **options):
        torch.manual_seed(0)
        model = nn.Linear(COLUMNS, outputs, dtype=torch.float64)
        x = rows_for(nn.MSELoss())[0]
        target = torch.zeros(ROWS, dtype=torch.int64) if outputs > 1 else x[:, :1]
        feed = TensorFeed(x, target, options.pop("batch", BATCH))
        problem = Problem(model, loss or nn.MSELoss(), OPTIMIZERS[optimizer](model.parameters()), feed)
        return choose_for_rates(problem, [0.1, 0.2], epochs=3, **options)

    assert type(chosen()[0]) is Stacked  # so short that machine code would come too late
    monkeypatch.setattr(engine, "LONG", 0.0)
    made, why = chosen()
    assert (type(made), why) == (SideBySide, "each rate in a lane of machine code")
    with monkeypatch.context() as without:
        without.setattr(choosing, "available", lambda: False)
        assert type(chosen(engine="kernel")[0]) is Stacked
    assert type(chosen(engine="autograd")[0]) is Stacked
    assert type(chosen(batch=None)[0]) is Stacked
    assert type(chosen(nn.CrossEntropyLoss(), outputs=3)[0]) is Stacked
    with pytest.raises(sightline.UsageError, match="only models of one output"):
        chosen(nn.CrossEntropyLoss(), outputs=3, engine="kernel")
