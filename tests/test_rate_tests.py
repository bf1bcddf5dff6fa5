"""The learning-rate range test, against a loop written out; and that the model comes back as it was."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, RandomSampler

import sightline
from sightline.errors import UsageError
from sightline.views.figures import save


def rows(n=64, p=3, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, p, generator=g, dtype=dtype)
    return x, x @ torch.ones(p, 1, dtype=dtype) + 0.1 * torch.randn(n, 1, generator=g, dtype=dtype)


def network(dtype=torch.float64):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).to(dtype)


def plain_range(model, x, y, make, rates, batches):
    """Loss, backward, step at each rate, up to the first loss out of bounds."""
    model = copy.deepcopy(model)
    optimizer = make(model.parameters(), rates[0])
    losses = []
    for rate, rows in zip(rates, batches, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        losses.append(loss.item())
        if not losses[-1] <= 4.0 * losses[0]:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def orders(n, size, seed):
    """What torch's own sampler draws, epoch after epoch."""
    for epoch in range(1, 1000):
        g = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**32)
        yield from BatchSampler(RandomSampler(range(n), generator=g), size, drop_last=False)


@pytest.mark.parametrize("size", [None, 10, 64])
@pytest.mark.parametrize(
    "make", [lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9), lambda p, lr: torch.optim.Adam(p, lr=lr)]
)
def test_it_is_the_loop_written_out(size, make):
    model, (x, y) = network(), rows()
    found = sightline.lr_range_test(
        model, (x, y), loss=nn.MSELoss(), optimizer=make, low=1e-5, high=10.0, steps=50, batch_size=size, seed=4
    )
    rates = np.geomspace(1e-5, 10.0, 50)
    batches = orders(64, size, 4) if size == 10 else iter(lambda: slice(None), 0)
    losses = plain_range(model, x, y, make, rates.tolist(), batches)
    assert found.losses == pytest.approx(losses, rel=1e-12)
    assert found.rates == pytest.approx(rates[: len(losses)].tolist(), rel=1e-12)
    ended = not losses[-1] <= 4.0 * losses[0]
    assert found.diverged == (found.rates[-2] if ended else None)
    kept = np.array(losses[:-1] if ended else losses)
    if size == 10:  # 5 neighbors, twice
        for _ in range(2):
            kept = np.array([np.pad(kept, 2, mode="edge")[i : i + 5].mean() for i in range(len(kept))])
    assert found.smoothed == pytest.approx(kept.tolist(), rel=1e-12)
    kept = kept[: np.argmin(kept) + 1]
    slope = np.gradient(kept, np.log(rates[: len(kept)]))
    assert found.suggestion == pytest.approx(rates[int(np.argmin(slope))])


def test_a_class_of_optimizer_will_do():
    model, data = network(), rows()
    with_class = sightline.lr_range_test(model, data, loss=nn.MSELoss(), optimizer=torch.optim.SGD)
    made = sightline.lr_range_test(model, data, loss=nn.MSELoss(), optimizer=lambda p, lr: torch.optim.SGD(p, lr=lr))
    assert with_class == made
    assert len(with_class.rates) <= 100
    assert str(with_class).startswith("use lr=")


def test_groups_keep_their_ratios():
    model, data = network(), rows()
    seen = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            seen.append([g["lr"] for g in self.param_groups])
            return super().step(closure)

    def make(parameters, lr):
        a, *others = parameters
        return Watched([{"params": [a], "lr": 0.1 * lr}, {"params": others}], lr=lr)

    found = sightline.lr_range_test(model, data, loss=nn.MSELoss(), optimizer=make, low=1e-4, high=1e-2, steps=5)
    assert [b for _, b in seen] == pytest.approx(found.rates)
    assert all(a == pytest.approx(0.1 * b) for a, b in seen)


def test_the_model_comes_back_as_it_was_also_after_an_error():
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)).double()
    x, y = rows()
    nn.MSELoss()(model(x), y).backward()
    model[3].bias.grad = None
    model[1].eval()
    before, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    held = [p.grad for p in model.parameters()]
    generator = torch.get_rng_state()

    def same():
        assert torch.equal(torch.get_rng_state(), generator)
        assert [m.training for m in model.modules()] == modes
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        for p, h, g in zip(model.parameters(), held, gradients, strict=True):
            assert p.grad is h
            assert (g is None and p.grad is None) or torch.equal(p.grad, g)

    first = sightline.lr_range_test(model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.Adam, batch_size=16)
    same()
    assert sightline.lr_range_test(model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.Adam, batch_size=16) == first
    calls = []

    def failing(prediction, target):
        calls.append(1)
        if len(calls) == 7:
            raise ZeroDivisionError
        return nn.functional.mse_loss(prediction, target)

    with pytest.raises(ZeroDivisionError):
        sightline.lr_range_test(model, (x, y), loss=failing, optimizer=torch.optim.SGD)
    same()


def test_the_suggestion_of_a_line_is_below_its_limit_and_divergence_above_it():
    """On a quadratic the loss can only grow beyond 2 / λmax."""
    x, y = rows()
    model = nn.Linear(3, 1, dtype=torch.float64)
    limit = sightline.top_curvature(model, (x, y), loss=nn.MSELoss()).lr_limit
    found = sightline.lr_range_test(model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.SGD, high=1e3)
    assert found.suggestion < limit < found.diverged
    rises = [b > a * (1.0 + 1e-12) for a, b in zip(found.losses, found.losses[1:], strict=False)]
    assert not any(r for r, rate in zip(rises, found.rates, strict=False) if rate < limit)


def test_a_loss_that_never_falls(tmp_path):
    x, y = rows()
    model = nn.Linear(3, 1, dtype=torch.float64)
    found = sightline.lr_range_test(
        model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.SGD, low=1e3, high=1e5, steps=3
    )
    assert found.suggestion is None
    assert found.diverged == 1e3
    assert "never fell" in str(found)
    save(found.figure(), tmp_path / "range.png")


def test_overflow_ends_the_test_quietly(tmp_path):
    x, y = rows(dtype=torch.float32)
    found = sightline.lr_range_test(
        nn.Linear(3, 1), (x, y), loss=nn.MSELoss(), optimizer=torch.optim.SGD, low=1.0, high=1e38, steps=4
    )
    assert not math.isfinite(found.losses[-1]) or found.losses[-1] > 4.0 * found.losses[0]
    assert found.diverged is not None
    save(found.figure(), tmp_path / "range.png")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"low": 1.0, "high": 0.1}, "low is 1 and high is 0.1: give a low below the high"),
        ({"low": 0.0}, "low is 0.0: give a finite number above 0"),
        ({"high": math.inf}, "high is inf"),
        ({"low": "a"}, "low is 'a'"),
        ({"steps": 1}, "steps is 1: give a whole number of at least 2"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"optimizer": torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)}, "is an instance of SGD: give its class"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd': give a class"),
        ({"optimizer": torch.optim.LBFGS}, "LBFGS searches the rate of each step itself"),
        ({"optimizer": lambda p, lr: None}, "optimizer gives a NoneType"),
        ({"loss": nn.MSELoss}, "the loss is the class MSELoss"),
        ({"loss": lambda p, y: (p - y).square()}, "return its mean or its sum"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(given, words):
    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UsageError) as told:
        sightline.lr_range_test(model, rows(), **{"loss": nn.MSELoss(), "optimizer": torch.optim.SGD, **given})
    assert words in str(told.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_start_that_is_not_finite_is_refused():
    model = nn.Linear(3, 1, dtype=torch.float64)
    nn.init.constant_(model.weight, math.nan)
    with pytest.raises(UsageError, match="the loss is nan before the first step"):
        sightline.lr_range_test(model, rows(), loss=nn.MSELoss(), optimizer=torch.optim.SGD)


def test_the_noise_of_batches_is_no_fall():
    torch.manual_seed(0)
    x = torch.randn(60, 3)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.5 * torch.randn(60, 1)
    model = nn.Linear(3, 1)
    for p in model.parameters():
        nn.init.zeros_(p)
    found = sightline.lr_range_test(model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.SGD, batch_size=10)
    assert 1e-3 < found.suggestion < 1.0
    flat = sightline.lr_range_test(
        model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.SGD, batch_size=10, low=1e-9, high=1e-7
    )
    assert flat.suggestion is None
