"""The kernel engine, in machine code and in torch, against the plain loop with a DataLoader's order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.data.batches import epoch_order
from sightline.engines.kernels import engine
from sightline.engines.kernels.engine import Kernel
from sightline.engines.losses import Weighted
from tests.engines.mini_batches import BATCH, EPOCHS, OPTIMIZERS, ROWS, compared, plain

LOSSES = [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(delta=0.5), nn.SmoothL1Loss(beta=0.3), nn.BCEWithLogitsLoss()]


def table(p, dtype=torch.float64, *, classes=False, rows=ROWS):
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(rows, p, generator=draw, dtype=dtype)
    y = x @ torch.randn(p, 1, generator=draw, dtype=dtype) + torch.randn(rows, 1, generator=draw, dtype=dtype)
    return x, (y > 0).to(dtype) if classes else y


def layer(p, dtype=torch.float64, *, bias=True):
    torch.manual_seed(1)
    return nn.Linear(p, 1, bias=bias, dtype=dtype)


@pytest.mark.parametrize(("optimizer", "loss"), [*itertools.product(OPTIMIZERS, LOSSES)], ids=str)
def test_every_loss_with_every_optimizer(how, optimizer, loss):
    x, y = table(5, classes=isinstance(loss, nn.BCEWithLogitsLoss))
    compared(layer(5), OPTIMIZERS[optimizer], loss, x, y, tolerance=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [1, 7, 8, 9, 15, 16, 17, 31, 33, 100, 300])
@pytest.mark.parametrize("bias", [True, False])
def test_any_number_of_columns(how, p, dtype, bias):
    x, y = table(p, dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 5e-6
    compared(
        layer(p, dtype, bias=bias), lambda q: torch.optim.SGD(q, lr=0.5 / p), nn.MSELoss(), x, y, tolerance=tolerance
    )


def test_rows_of_every_layout(how):
    x, y = table(6)
    strided = torch.cat([x, x], 1)[:, ::2].clone().t().contiguous().t()
    for rows in (x.t().contiguous().t(), strided, x[::2], x.expand(ROWS, 6)):
        compared(layer(6), OPTIMIZERS["adam"], nn.MSELoss(), rows, y[: len(rows)], tolerance=1e-12)


def test_groups_of_their_own_for_weight_and_bias(how):
    def groups(parameters):
        weight, bias = parameters
        return torch.optim.SGD([{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "lr": 0.1}], lr=0.02)

    x, y = table(4)
    compared(layer(4), groups, nn.MSELoss(), x, y, tolerance=1e-12)


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss])
def test_weights_of_the_rows(how, loss):
    x, y = table(5, classes=loss is nn.BCEWithLogitsLoss)
    weight = torch.rand(ROWS, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + 0.1
    target = torch.cat([y, weight / weight.mean()], 1)
    compared(layer(5), OPTIMIZERS["momentum"], Weighted(loss(reduction="none")), x, target, tolerance=1e-12)


def test_a_schedule_that_goes_by_epochs(how):
    """The rate of each epoch is torch's own, and torch does not warn that nothing has been stepped."""
    x, y = table(5)
    model, other = layer(5), layer(5)
    own, theirs = OPTIMIZERS["sgd"](model.parameters()), OPTIMIZERS["sgd"](other.parameters())
    schedule, expected = (torch.optim.lr_scheduler.ExponentialLR(o, 0.5) for o in (own, theirs))
    for epoch in range(1, 4):
        for rows in epoch_order(ROWS, seed=0, epoch=epoch).split(BATCH):
            theirs.zero_grad()
            nn.functional.mse_loss(other(x[rows]), y[rows]).backward()
            theirs.step()
        expected.step()
    call = {"loss": nn.MSELoss(), "optimizer": own, "schedule": schedule, "batch_size": BATCH, "engine": "kernel"}
    records = list(sightline.train(model, (x, y), epochs=3, **call))
    assert [r.lr for r in records[1:]] == [0.01, 0.005, 0.0025]
    torch.testing.assert_close(model.weight, other.weight, rtol=1e-12, atol=1e-13)


def test_what_only_the_plain_loop_can_do_is_refused():
    x, y = table(5)
    model = layer(5)
    weight, bias = model.parameters()
    apart = torch.optim.SGD([{"params": [weight], "momentum": 0.9}, {"params": [bias]}], lr=0.02)
    hooked = torch.optim.SGD([weight, bias], lr=0.02)
    hooked.register_step_post_hook(lambda *_: None)
    uneven = torch.optim.Adam([weight, bias], lr=0.02)
    weight.grad = torch.ones_like(weight)
    uneven.step()
    for optimizer, why in ((apart, "momentum of their own"), (hooked, "hooks"), (uneven, "different numbers of steps")):
        call = {"loss": nn.MSELoss(), "optimizer": optimizer, "epochs": 1, "batch_size": BATCH, "engine": "kernel"}
        with pytest.raises(sightline.UsageError, match=why):
            list(sightline.train(model, (x, y), **call))


def test_the_state_of_the_optimizer_is_torchs_own(how):
    x, y = table(5)
    for name, optimizer in OPTIMIZERS.items():
        model, other = layer(5), layer(5)
        own, theirs = optimizer(model.parameters()), optimizer(other.parameters())
        plain(other, theirs, nn.MSELoss(), x, y)
        list(
            sightline.train(
                model, (x, y), loss=nn.MSELoss(), optimizer=own, epochs=EPOCHS, batch_size=BATCH, engine="kernel"
            )
        )
        got, want = own.state_dict()["state"], theirs.state_dict()["state"]
        assert {k: sorted(v) for k, v in got.items()} == {k: sorted(v) for k, v in want.items()}, name
        for number, held in want.items():
            for key, value in held.items():
                torch.testing.assert_close(got[number][key], value, rtol=1e-10, atol=1e-13)


def test_started_where_a_plain_loop_has_stopped(how):
    """The buffers of an optimizer that has stepped already are gone on with."""
    x, y = table(5)
    model, other = layer(5), layer(5)
    for name in ("momentum", "adam", "rmsprop, momentum"):
        own, theirs = OPTIMIZERS[name](model.parameters()), OPTIMIZERS[name](other.parameters())
        plain(model, own, nn.MSELoss(), x, y, epochs=1)
        plain(other, theirs, nn.MSELoss(), x, y, epochs=3)
        call = {"loss": nn.MSELoss(), "optimizer": own, "epochs": 3, "batch_size": BATCH, "engine": "kernel"}
        assert len(list(sightline.train(model, (x, y), start=1, **call))) == 3
        torch.testing.assert_close(model.weight, other.weight, rtol=1e-10, atol=1e-12)


def test_the_loss_at_rest_does_not_depend_on_threads(monkeypatch):
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)
    x, y = table(10, torch.float32, rows=5000)
    found = set()
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        model = layer(10, torch.float32)
        call = {"loss": nn.MSELoss(), "optimizer": OPTIMIZERS["adam"](model.parameters()), "engine": "kernel"}
        records = sightline.train(model, (x, y), epochs=2, batch_size=50, **call)
        found.add(tuple((r.train_loss, r.gradient_norm) for r in records))
    assert len(found) == 1


def test_a_short_run_never_loads_numba():
    assert not Kernel.__module__.startswith("numba")
    code = (
        "import sys, torch, sightline; m = torch.nn.Linear(3, 1); x = torch.randn(64, 3); "
        "o = torch.optim.SGD(m.parameters(), lr=.1); "
        "list(sightline.train(m, (x, x[:, :1]), loss=torch.nn.MSELoss(), optimizer=o, epochs=2, batch_size=8, engine='kernel')); "
        "sys.exit('numba' in sys.modules)"
    )
    import subprocess
    import sys

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_long_runs_choose_it_and_what_it_cannot_train_goes_to_the_plain_loop(monkeypatch):
    x, y = table(5)
    monkeypatch.setattr(engine, "is_long", lambda *_: True)
    from sightline.engines import choose as choosing
    from sightline.engines.feeds import TensorFeed
    from sightline.engines.problem import Problem

    monkeypatch.setattr(choosing, "is_long", lambda *_: True)
    model = layer(5)

    def chosen(loss=None, optimizer=None, target=y):
        how = optimizer or OPTIMIZERS["sgd"](model.parameters())
        problem = Problem(model, loss or nn.MSELoss(), how, TensorFeed(x, target, BATCH))
        return type(choosing.choose(problem, epochs=3)[0]).__name__

    assert chosen() == "Kernel"
    assert chosen(optimizer=torch.optim.Adagrad(model.parameters())) == "Autograd"
    assert chosen(optimizer=torch.optim.Adam(model.parameters(), amsgrad=True)) == "Autograd"
    assert chosen(loss=nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)), target=(y > 0).double()) == "Autograd"
    assert chosen(loss=nn.MSELoss(reduction="sum")) == "Autograd"


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop, momentum"])
@pytest.mark.parametrize("what", ["parameter", "rate", "rows"])
def test_a_loss_that_is_not_finite_ends_the_run_as_in_the_plain_loop(how, what, optimizer):
    x, y = table(5)
    ends = []
    for name in ("autograd", "kernel"):
        model, rows = layer(5), x.clone()
        if what == "parameter":
            model.weight.data[0, 0] = np.nan
        if what == "rows":
            rows[150, 0] = 1e300
        own = OPTIMIZERS[optimizer](model.parameters())
        if what == "rate":
            own.param_groups[0]["lr"] = 1e200
        call = {"loss": nn.MSELoss(), "optimizer": own, "epochs": 40, "batch_size": BATCH, "measure": None}
        records = list(sightline.train(model, (rows, y), engine=name, **call))
        ends.append((records[-1].number, records[-1].stop, [repr(p) for p in model.parameters()]))
    assert ends[0][1].reason == "diverged"
    assert ends[0] == ends[1]


def test_denormal_and_huge_rows(how):
    x, y = table(5)
    compared(layer(5), lambda p: torch.optim.SGD(p, lr=0.01), nn.MSELoss(), x * 5e-324**0.5, y, tolerance=1e-12)
    compared(layer(5), lambda p: torch.optim.SGD(p, lr=1e-13), nn.MSELoss(), x * 1e6, y, tolerance=1e-12)
