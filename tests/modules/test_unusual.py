"""Models, losses, rates and rows that are unusual and valid train as the plain loop does, and are kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils import parametrizations

import sightline
from sightline import UsageError

from .loops import X, Y
from .small import MSE, fitted, linear, net, plainly, trained


def patched():
    model = linear()
    model.forward = lambda x: 2 * F.linear(x, model.weight, model.bias)
    return model


def halved():
    model = linear()
    model.weight.register_hook(lambda gradient: gradient / 2)
    return model


def halved_afterwards():
    def halve(p):
        p.grad.mul_(0.5)

    model = linear()
    model.weight.register_post_accumulate_grad_hook(halve)
    return model


def spectral():
    model = net()
    parametrizations.spectral_norm(model[0])
    return model


def spectral_by_hook():
    model = net()
    nn.utils.spectral_norm(model[0])
    return model


class Counting(nn.Module):
    """Counts its forward passes in a buffer of whole numbers."""

    def __init__(self):
        super().__init__()
        self.inner = linear()
        self.register_buffer("passes", torch.tensor(0))

    def forward(self, x):
        if self.training:
            self.passes += 1
        return self.inner(x)


@pytest.mark.filterwarnings("ignore:.*spectral_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("make", [patched, halved, halved_afterwards, spectral, spectral_by_hook, Counting])
def test_hooks_and_buffers_train_as_in_the_plain_loop(make):
    ours, theirs = trained(make(), epochs=30).state_dict(), plainly(make(), 30).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


class Scaled(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(1))

    def forward(self, prediction, target):
        return ((prediction - target).square() * torch.exp(-self.s) + self.s).mean()


def test_a_resumed_run_has_the_parameters_of_its_loss(tmp_path):
    def run(epochs, **options):
        model, loss = linear(), Scaled()
        optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.05, momentum=0.9)
        made = sightline.fit_module(model, (X, Y), loss=loss, optimizer=optimizer, epochs=epochs, **options)
        return made, model, loss

    half, _, _ = run(4, output=tmp_path)
    _, model, loss = run(9, resume=half)
    _, straight, whole = run(9, output=False)
    assert torch.equal(loss.s, whole.s)
    assert torch.equal(model.weight, straight.weight)


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Parameter(torch.randn(2, 1, dtype=torch.cfloat))

    def forward(self, x):
        return (x.to(torch.cfloat) @ self.w).abs()


def test_complex_parameters_are_kept_as_pairs(tmp_path):
    model = Complex()
    run = fitted(model, output=tmp_path)
    last = json.loads((run.folder / "epochs.jsonl").read_text().splitlines()[-1])["parameters"]["w"]
    assert last == torch.view_as_real(model.w).tolist()
    with pytest.raises(UsageError, match="complex parameters"):
        sightline.top_curvature(model, (X, Y), loss=MSE)


def test_torch_has_no_right_second_derivative_of_weight_norm():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 3)), nn.Tanh(), nn.Linear(3, 1))
    with pytest.raises(UsageError, match="wrong one for weight_norm"):
        sightline.top_curvature(model, (X, Y), loss=MSE)


@pytest.mark.parametrize("lr", [torch.tensor(0.1), np.float32(0.1), np.float64(0.1)])
def test_rates_that_are_tensors_or_of_numpy(lr, tmp_path):
    def fit(epochs, **options):
        return fitted(net(), optimizer=lambda m: torch.optim.Adam(m.parameters(), lr=lr), epochs=epochs, **options)

    went_on, straight = fit(5, resume=fit(3, output=tmp_path)), fit(5)
    assert [e.train_loss for e in went_on.epochs] == [e.train_loss for e in straight.epochs]


def test_rows_made_in_inference_mode():
    with torch.inference_mode():
        rows = X * 1.0, Y * 1.0
    assert torch.equal(trained(net(), rows)[0].weight, trained(net())[0].weight)
