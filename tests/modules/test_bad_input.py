"""Mistakes in models, losses, optimizers and settings are one sentence, and what is unusual but valid trains as
the plain loop does.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils import parametrizations
from torch.optim import lr_scheduler

import sightline
from sightline import RunError, UsageError

from .loops import Lambda, X, Y
from .small import MSE, fitted, linear, net, plainly, sgd, trained

# What is unusual and valid


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


# Settings


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": None}, "no engine 'None'"),
        ({"engine": np.ones(2)}, "no engine"),
        ({"measure": np.ones(2)}, "measure is .* give a whole number"),
        ({"autocast": np.ones(2)}, "autocast is"),
        ({"accumulate": 10**30, "batch_size": 4}, "accumulate is 10+: give a number of batches"),
        ({"clip_value": 1e300}, "too large for the dtype"),
        ({"restore_best": "no"}, "restore_best is 'no': give True or False"),
        ({"device": 10**30}, "cannot be moved to device"),
        ({"device": torch.tensor(0.5)}, "device is .* give a device of torch"),
        ({"valid": {}}, "valid is an empty dict"),
    ],
)
def test_settings_of_another_type(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        trained(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"output": 3}, "output is 3: give a folder"),
        ({"output": "a\0b"}, "cannot write runs to a.*null byte"),
        ({"resume": 3}, "resume is 3: give the folder or the id"),
        ({"resume": "a" * 5000}, "no run"),
        ({"sinks": None}, "sinks is None: give a list of functions"),
        ({"sinks": [1]}, r"sinks is \[1\]: give a list of functions"),
        ({"target_loss": float("nan")}, "target_loss is nan: give a finite number"),
        ({"min_improvement": {}}, "min_improvement is"),
        ({"epoch": 3}, "no option 'epoch': did you mean 'epochs'"),
    ],
)
def test_settings_of_fit_module(options, sentence):
    with pytest.raises((UsageError, RunError), match=sentence):
        fitted(linear(), **options)


def test_what_is_missing():
    with pytest.raises(UsageError, match="optimizer is missing: give one"):
        sightline.fit_module(linear(), (X, Y), loss=MSE)


# Models and losses


@dataclasses.dataclass
class Out:
    prediction: object


@pytest.mark.parametrize("wrap", [lambda out: (out, out), lambda out: {"out": out}, Out])
def test_an_output_that_is_no_tensor(wrap):
    model = nn.Sequential(linear(), Lambda(wrap))
    for call in (trained, lambda m: sightline.lr_range_test(m, (X, Y), loss=MSE, optimizer=torch.optim.SGD)):
        with pytest.raises(UsageError, match="and MSELoss takes a tensor: give a loss of your own"):
            call(model)


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (lambda p, y: F.mse_loss(p, y).to(torch.cfloat), "the loss is a complex number"),
        (lambda p: p.mean(), "the loss takes .* and is called with prediction and target"),
        (lambda p, y, z: F.mse_loss(p, y) + z, "the loss takes .* and is called with prediction and target"),
    ],
)
def test_losses_that_cannot_be_meant(loss, sentence):
    with pytest.raises(UsageError, match=sentence):
        trained(loss=loss)


@pytest.mark.parametrize(
    "call",
    [
        trained,
        fitted,
        lambda m: sightline.top_curvature(m, (X, Y), loss=MSE),
        lambda m: sightline.lr_range_test(m, (X, Y), loss=MSE, optimizer=torch.optim.SGD),
    ],
)
def test_parameters_without_values(call):
    with pytest.raises(UsageError, match="on the meta device, where parameters have no values"):
        call(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1, device="meta")))


def embedding():
    return nn.Sequential(nn.Embedding(12, 1, sparse=True), nn.Flatten())


@pytest.mark.parametrize(
    ("optimizer", "options", "sentence"),
    [
        (sgd, {"clip_norm": 1.0}, "a gradient is sparse, and torch clips only"),
        (sgd, {"clip_value": 1.0}, "a gradient is sparse, and torch clips only"),
        (lambda m: torch.optim.Adam(m.parameters()), {}, "a gradient is sparse, and Adam takes none"),
    ],
)
def test_sparse_gradients(optimizer, options, sentence):
    rows = torch.arange(12).reshape(12, 1)
    trained(embedding(), (rows, Y))
    with pytest.raises(UsageError, match=sentence):
        trained(embedding(), (rows, Y), optimizer=optimizer, **options)
    with pytest.raises(UsageError, match="SparseAdam takes sparse gradients only"):
        trained(optimizer=lambda m: torch.optim.SparseAdam(m.parameters()))


# Optimizers and schedules


class NoRate(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {})


class Deaf(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})

    def step(self, closure):
        """Never measures."""


class Keeping(torch.optim.SGD):
    def step(self, closure=None):
        super().step(closure)
        self.state[self.param_groups[0]["params"][0]]["f"] = object()


def rated(lr):
    def make(model):
        optimizer = sgd(model)
        optimizer.param_groups[0]["lr"] = lr
        return optimizer

    return make


def without_groups(model):
    optimizer = sgd(model)
    optimizer.param_groups.clear()
    return optimizer


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (lambda m: NoRate(m.parameters()), "NoRate has no learning rate"),
        (lambda m: Deaf(m.parameters()), r"Deaf\.step\(closure\) did not call the closure"),
        (without_groups, "the optimizer holds no parameters"),
        *((rated(lr), "learning rate is .* give a number") for lr in ("0.1", None, [0.1], np.array([0.1]), 1j)),
    ],
)
def test_optimizers_without_what_a_loop_needs(optimizer, sentence):
    with pytest.raises(UsageError, match=sentence):
        trained(net(), optimizer=optimizer)


def test_a_state_that_cannot_be_kept(tmp_path):
    with pytest.raises(RunError, match=r"the state holds a object at optimizer.*train with output=False"):
        fitted(net(), optimizer=lambda m: Keeping(m.parameters(), lr=0.1), output=tmp_path)
    assert len(fitted(net(), optimizer=lambda m: Keeping(m.parameters(), lr=0.1)).epochs) == 4


def test_a_schedule_that_ends_before_a_stream():
    class Short:
        """Says that it has one batch, and has three."""

        def __len__(self):
            return 1

        def __iter__(self):
            return iter([(X, Y)] * 3)

    model = linear()
    optimizer = sgd(model)
    schedule = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    with pytest.raises(UsageError, match="the schedule has ended and the training goes on"):
        trained(model, Short(), optimizer=lambda _: optimizer, schedule=schedule)
