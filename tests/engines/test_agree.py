"""Engines against the plain loop: whole record sequences, at a stated tolerance."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

import sightline
from tests.plain import linear, plain_loop, running_example, table

SGD_FAMILY = {
    "sgd": {"lr": 0.1},
    "momentum": {"lr": 0.05, "momentum": 0.9},
    "nesterov": {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    "weight decay": {"lr": 0.1, "weight_decay": 0.3},
    "dampening": {"lr": 0.1, "momentum": 0.8, "dampening": 0.4},
    "maximize off, all on": {"lr": 0.02, "momentum": 0.7, "nesterov": True, "weight_decay": 0.01},
}
OTHERS = ["Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD"]


def deviation(records, losses, states):
    """The largest relative deviation of losses and parameters from the plain loop's."""
    worst = 0.0
    for record, loss, state in zip(records, losses, states, strict=True):
        worst = max(worst, abs(record.train_loss - loss) / abs(loss))
        got = torch.cat(
            [torch.tensor(record.parameters[n], dtype=torch.float64).reshape(-1) for n in ("weight", "bias")]
        )
        want = torch.cat([p.reshape(-1).double() for p in state])
        worst = max(worst, float((got - want).norm() / max(float(want.norm()), 1e-3)))
    return worst


def both(make_optimizer, x, y, epochs, engine, k=1):
    model = linear(x.shape[1], k)
    reference = copy.deepcopy(model)
    losses, states = plain_loop(reference, x, y, nn.MSELoss(), make_optimizer(reference.parameters()), epochs)
    records = list(
        sightline.train(
            model, (x, y), loss=nn.MSELoss(), optimizer=make_optimizer(model.parameters()), epochs=epochs, engine=engine
        )
    )
    return deviation(records, losses, states)


@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
@pytest.mark.parametrize("options", SGD_FAMILY.values(), ids=SGD_FAMILY)
def test_sgd_family_agrees_over_1000_epochs(engine, options):
    x, y = table(200, 5)
    assert both(lambda p: torch.optim.SGD(p, **options), x, y, 1000, engine) < 1e-9


@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
@pytest.mark.parametrize("name", OTHERS)
def test_other_optimizers_agree_over_300_epochs(engine, name):
    """At a rate that does not arrive within 300 epochs: once RMSprop circles the optimum it amplifies every
    rounding.
    """
    x, y = table(150, 4, seed=0)
    assert both(lambda p: getattr(torch.optim, name)(p, lr=0.003), x, y, 300, engine) < 1e-9


@pytest.mark.parametrize("name", ["Adam", "RMSprop"])
def test_adaptive_optimizers_at_their_usual_rate(name):
    x, y = table(150, 4, seed=0)
    assert both(lambda p: getattr(torch.optim, name)(p, lr=0.01), x, y, 300, "quadratic") < 1e-6


@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
def test_several_outputs(engine):
    x, y = table(120, 3, 2, seed=5)
    assert both(lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.5), x, y, 300, engine, k=2) < 1e-9


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_no_bias_and_sum(reduction):
    x, y = table(60, 3, seed=9)
    loss, lr = nn.MSELoss(reduction=reduction), 0.1 if reduction == "mean" else 0.001
    model, reference = linear(3, bias=False), linear(3, bias=False)
    losses, states = plain_loop(reference, x, y, loss, torch.optim.SGD(reference.parameters(), lr=lr), 200)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    records = list(sightline.train(model, (x, y), loss=loss, optimizer=optimizer, epochs=200, engine="quadratic"))
    assert max(abs(r.train_loss - v) / v for r, v in zip(records, losses, strict=True)) < 1e-9
    assert torch.allclose(model.weight, states[-1][0], rtol=1e-10, atol=0)


def test_a_column_far_from_zero_and_a_near_perfect_fit_keep_their_digits():
    x, y = table(400, 3, seed=2, noise=1e-6)
    x = x * torch.tensor([1.0, 1e-2, 1.0], dtype=torch.float64) + torch.tensor([1e3, 0.0, 0.0], dtype=torch.float64)
    assert both(lambda p: torch.optim.SGD(p, lr=1e-7), x, y, 1000, "quadratic") < 1e-9


@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
def test_running_example_in_float64(engine):
    model, x, y = running_example()
    sgd = torch.optim.SGD(model.parameters(), lr=3e-6)
    records = list(sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=20, engine=engine))
    assert records[0].train_loss == pytest.approx(826.225, rel=1e-12)
    assert records[20].running_loss == pytest.approx(30.0864724836, rel=1e-11)
    assert records[20].train_loss == pytest.approx(29.8798166757, rel=1e-11)
    assert model.weight.item() == pytest.approx(0.6135704920, abs=5e-11)
    assert model.bias.item() == pytest.approx(-34.9990259714, abs=5e-11)
    assert records[20].rows == 100
    assert records[20].stop.reason == "epochs"
    assert all(r.stop is None for r in records[:-1])


@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
def test_running_example_freezes_where_the_plain_float32_loop_does(engine):
    model, x, y = running_example(torch.float32)
    reference = copy.deepcopy(model)
    _, states = plain_loop(reference, x, y, nn.MSELoss(), torch.optim.SGD(reference.parameters(), lr=3e-6), 200)
    plain_last = max(
        i for i in range(1, 201) if any(not torch.equal(a, b) for a, b in zip(states[i], states[i - 1], strict=True))
    )
    records = list(
        sightline.train(
            model,
            (x, y),
            loss=nn.MSELoss(),
            optimizer=torch.optim.SGD(model.parameters(), lr=3e-6),
            epochs=200,
            engine=engine,
        )
    )
    last = max(b.number for a, b in pairwise(records) if a.parameters != b.parameters)
    assert last == plain_last == 74
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), states[-1], strict=True))
    assert f"{model.weight.item():.8f} {model.bias.item():.8f}" == "0.61758298 -34.99900818"


def test_gradient_norm_is_that_of_autograd():
    model, x, y = running_example()
    loss = nn.functional.mse_loss(model(x), y)
    want = math.sqrt(sum(float(g.pow(2).sum()) for g in torch.autograd.grad(loss, list(model.parameters()))))
    for engine in ("autograd", "quadratic"):
        model, x, y = running_example()
        sgd = torch.optim.SGD(model.parameters(), lr=3e-6)
        first = next(iter(sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=1, engine=engine)))
        assert first.gradient_norm == pytest.approx(want, rel=1e-12)


def test_time_of_an_epoch_does_not_read_the_rows(monkeypatch):
    """After the moments are made, nothing of the quadratic engine touches x or y again."""
    x, y = table(500, 3)
    model = linear(3)
    records = sightline.train(
        model,
        (x, y),
        loss=nn.MSELoss(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        epochs=5,
        engine="quadratic",
    )
    first = next(records)
    x.fill_(float("nan"))
    y.fill_(float("nan"))
    rest = list(records)
    assert math.isfinite(first.train_loss)
    assert all(math.isfinite(r.train_loss) for r in rest)
