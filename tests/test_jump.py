"""To any epoch at once, against the plain loop, exact fractions and decimals of fifty digits."""

from __future__ import annotations

from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import sightline

OPTIONS = {
    "plain": {},
    "decay": {"weight_decay": 0.05},
    "momentum": {"momentum": 0.9},
    "dampening": {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "nesterov and decay": {"momentum": 0.95, "nesterov": True, "weight_decay": 0.02},
}
MSE = nn.MSELoss()


def rows(n=60, p=4, k=1, dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, p, generator=draw, dtype=torch.float64) * torch.logspace(-1, 0.5, p, dtype=torch.float64) + 0.5
    y = x @ torch.randn(p, k, generator=draw, dtype=torch.float64) + torch.randn(
        n, k, generator=draw, dtype=torch.float64
    )
    return x.to(dtype), y.to(dtype)


def layer(p=4, k=1, *, bias=True, dtype=torch.float64):
    torch.manual_seed(1)
    return nn.Linear(p, k, bias=bias, dtype=dtype)


def looped(model, data, sgd, epochs, loss=MSE):
    """The plain loop; the loss before the last step."""
    value = None
    for _ in range(epochs):
        value = loss(model(data[0]), data[1])
        sgd.zero_grad()
        value.backward()
        sgd.step()
    return None if value is None else value.item()


def numbers(model, sgd):
    """Parameters, and the momentum where there is one."""
    held = [sgd.state[p].get("momentum_buffer") for p in model.parameters()]
    parts = [*model.parameters(), *(b for b in held if b is not None)]
    return torch.cat([t.detach().double().reshape(-1) for t in parts]).numpy()


@pytest.mark.parametrize("epochs", [0, 1, 2, 3, 50, 10_000])
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("k", "bias"), [(1, True), (1, False), (3, True)])
def test_it_ends_where_the_plain_loop_ends(name, epochs, k, bias):
    data, found = rows(k=k), []
    for jumps in (False, True):
        model = layer(k=k, bias=bias)
        sgd = torch.optim.SGD(model.parameters(), lr=0.01, **OPTIONS[name])
        if jumps:
            record = sightline.jump(model, data, loss=MSE, optimizer=sgd, epochs=epochs)
        else:
            running = looped(model, data, sgd, epochs)
        found.append(numbers(model, sgd))
    assert found[1] == pytest.approx(found[0], rel=1e-9, abs=1e-12)
    assert record.number == epochs
    assert record.rows == epochs * 60
    assert record.running_loss == (None if running is None else pytest.approx(running, rel=1e-11))
    assert record.train_loss == pytest.approx(MSE(model(data[0]), data[1]).item(), rel=1e-12)
    assert record.stop.reason == "epochs"


@pytest.mark.parametrize("name", OPTIONS)
def test_it_takes_up_the_momentum_that_there_is_and_leaves_it_as_torch_would(name):
    """Loop, jump, loop are one loop."""
    data, found = rows(), []
    for middle in (looped, lambda m, d, s, t: sightline.jump(m, d, loss=MSE, optimizer=s, epochs=t)):
        model = layer()
        sgd = torch.optim.SGD(model.parameters(), lr=0.02, **OPTIONS[name])
        looped(model, data, sgd, 7)
        middle(model, data, sgd, 30)
        looped(model, data, sgd, 5)
        found.append(numbers(model, sgd))
    assert found[1] == pytest.approx(found[0], rel=1e-11, abs=1e-13)


def test_a_sum_of_losses_and_decay_of_the_weights_alone():
    data, found = rows(), []
    for jumps in (False, True):
        model, loss = layer(), nn.MSELoss(reduction="sum")
        groups = [{"params": [model.weight], "weight_decay": 3.0}, {"params": [model.bias]}]
        sgd = torch.optim.SGD(groups, lr=2e-4, momentum=0.5)
        if jumps:
            sightline.jump(model, data, loss=loss, optimizer=sgd, epochs=100)
        else:
            looped(model, data, sgd, 100, loss)
        found.append(numbers(model, sgd))
    assert found[1] == pytest.approx(found[0], rel=1e-11)


@pytest.mark.parametrize("name", ["plain", "momentum", "nesterov", "dampening"])
def test_fifty_steps_in_exact_fractions(name):
    x, y, lr = [0, 1, 2, 5], [1, 3, 2, 7], Fraction(1, 64)
    options = {
        key: Fraction(value).limit_denominator(1000) for key, value in OPTIONS[name].items() if key != "nesterov"
    }
    mu, tau, decay = (options.get(key, Fraction(0)) for key in ("momentum", "dampening", "weight_decay"))
    theta, buffer = [Fraction(1, 2), Fraction(-1, 4)], None
    for _ in range(50):
        r = [theta[0] * a + theta[1] - b for a, b in zip(x, y, strict=True)]
        g = [sum(2 * e * a for e, a in zip(r, x, strict=True)) / 4, sum(2 * e for e in r) / 4]
        g = [v + decay * t for v, t in zip(g, theta, strict=True)]
        buffer = g if buffer is None else [mu * b + (1 - tau) * v for b, v in zip(buffer, g, strict=True)]
        step = [v + mu * b for v, b in zip(g, buffer, strict=True)] if "nesterov" in OPTIONS[name] else buffer
        theta = [t - lr * (s if mu else v) for t, s, v in zip(theta, step, g, strict=True)]
    model = layer(1)
    with torch.no_grad():
        model.weight.fill_(0.5)
        model.bias.fill_(-0.25)
    sgd = torch.optim.SGD(model.parameters(), lr=1 / 64, **OPTIONS[name])
    data = torch.tensor(x, dtype=torch.float64)[:, None], torch.tensor(y, dtype=torch.float64)[:, None]
    sightline.jump(model, data, loss=MSE, optimizer=sgd, epochs=50)
    assert [model.weight.item(), model.bias.item()] == pytest.approx([float(t) for t in theta], rel=1e-14)


@pytest.mark.parametrize("epochs", [10**5, 32_000_000, 10**9, 10**12])
def test_the_running_example_after_millions_of_epochs(epochs):
    """Its slow direction by the exact eigenvalues of the 2 × 2 Hessian, in fifty digits."""
    getcontext().prec = 50
    x, y = [150, 160, 170, 175, 185], [55, 70, 64, 80, 75]
    a, b, c = (Decimal(2 * v) / 5 for v in (sum(v * v for v in x), sum(x), 5))
    f, g = Decimal(2 * sum(v * w for v, w in zip(x, y, strict=True))) / 5, Decimal(2 * sum(y)) / 5
    det = a * c - b * b
    rest = [(c * f - b * g) / det, (a * g - b * f) / det]
    start = [Decimal("0.45"), Decimal(-35)]
    root = ((a - c) ** 2 + 4 * b * b).sqrt()
    want = list(rest)
    for value in ((a + c + root) / 2, 2 * det / (a + c + root)):
        vector = [b, value - a]
        length = vector[0] ** 2 + vector[1] ** 2
        off = sum(v * (s - r) for v, s, r in zip(vector, start, rest, strict=True)) / length
        shrunk = off * (1 - Decimal("3e-6") * value) ** epochs
        want = [w + shrunk * v for w, v in zip(want, vector, strict=True)]
    model = layer(1)
    with torch.no_grad():
        model.weight.fill_(0.45)
        model.bias.fill_(-35.0)
    sgd = torch.optim.SGD(model.parameters(), lr=3e-6)
    data = torch.tensor(x, dtype=torch.float64)[:, None], torch.tensor(y, dtype=torch.float64)[:, None]
    sightline.jump(model, data, loss=MSE, optimizer=sgd, epochs=epochs)
    assert [model.weight.item(), model.bias.item()] == pytest.approx([float(v) for v in want], rel=1e-8)


def test_float32_is_rounded_once_where_a_loop_freezes():
    """The bias of the loop stays at -34.999; without its rounding it is on its way."""
    x, y = torch.tensor([[150.0], [160], [170], [175], [185]]), torch.tensor([[55.0], [70], [64], [80], [75]])
    found = []
    for jumps in (False, True):
        model = layer(1, dtype=torch.float32)
        with torch.no_grad():
            model.weight.fill_(0.45)
            model.bias.fill_(-35.0)
        sgd = torch.optim.SGD(model.parameters(), lr=3e-6)
        if jumps:
            sightline.jump(model, (x, y), loss=MSE, optimizer=sgd, epochs=20_000)
        else:
            looped(model, (x, y), sgd, 20_000)
        found.append(model.bias.item())
    assert found[0] == pytest.approx(-34.999, abs=1e-3)
    assert -34.998 < found[1] < -34.9


@pytest.mark.parametrize(("n", "p"), [(5, 20), (1, 3), (40, 1)])
def test_more_columns_than_rows_and_columns_that_repeat_each_other(n, p):
    x, y = rows(n, p)
    x = torch.cat([x, x[:, :1], torch.ones(n, 1, dtype=torch.float64)], dim=1)
    found = []
    for jumps in (False, True):
        model = layer(p + 2)
        sgd = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.5)
        if jumps:
            sightline.jump(model, (x, y), loss=MSE, optimizer=sgd, epochs=500)
        else:
            looped(model, (x, y), sgd, 500)
        found.append(numbers(model, sgd))
    assert found[1] == pytest.approx(found[0], rel=1e-8, abs=1e-10)


def test_a_rate_above_the_limit_is_said_to_diverge():
    model = layer()
    sgd = torch.optim.SGD(model.parameters(), lr=10.0)
    record = sightline.jump(model, rows(), loss=MSE, optimizer=sgd, epochs=100_000)
    assert record.stop.reason == "diverged"
    assert "learning rate 10 is too large for the largest curvature" in record.stop.sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": nn.L1Loss()}, "has no closed form: the loss is not torch.nn.MSELoss; use train"),
        (
            {"model": nn.Sequential(nn.Linear(4, 1)).double()},
            "has no closed form: the model is not a plain torch.nn.Linear",
        ),
        ({"optimizer": torch.optim.Adam}, "has no closed form: its steps are known for SGD, not Adam; use train"),
        ({"epochs": -1}, "epochs is -1: give a whole number of at least 0"),
        ({"epochs": 1.5}, "epochs is 1.5: give a whole number"),
    ],
)
def test_what_has_no_closed_form_is_refused(change, words):
    model = change.get("model", layer())
    optimizer = change.get("optimizer", torch.optim.SGD)(model.parameters(), lr=0.1)
    with pytest.raises(sightline.UsageError) as refused:
        sightline.jump(model, rows(), loss=change.get("loss", MSE), optimizer=optimizer, epochs=change.get("epochs", 3))
    assert words in str(refused.value)
    assert np.isfinite(numbers(model, optimizer)).all()


def test_a_hook_that_waits_for_steps_is_not_passed_over():
    model = layer()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    sgd.register_step_post_hook(lambda *_: None)
    with pytest.raises(sightline.UsageError, match="hooks look at the optimizer's steps"):
        sightline.jump(model, rows(), loss=MSE, optimizer=sgd, epochs=3)


def test_squares_beyond_float64_are_refused():
    model, (x, y) = layer(), rows()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(sightline.UsageError, match="the squares of the rows are beyond float64; use train"):
        sightline.jump(model, (x * 1e200, y), loss=MSE, optimizer=sgd, epochs=3)


@pytest.mark.parametrize("name", ["lr", "momentum", "maximize"])
def test_groups_must_share_what_bends_all_directions(name):
    model = layer()
    other = {"lr": 0.2, "momentum": 0.5, "maximize": True}[name]
    sgd = torch.optim.SGD([{"params": [model.weight], name: other}, {"params": [model.bias]}], lr=0.1)
    with pytest.raises(sightline.UsageError, match=f"the groups of the optimizer have their own {name}"):
        sightline.jump(model, rows(), loss=MSE, optimizer=sgd, epochs=3)
