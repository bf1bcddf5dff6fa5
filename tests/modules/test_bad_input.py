"""Mistakes in models, losses, optimizers and settings are one sentence."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.optim import lr_scheduler

import sightline
from sightline import RunError, UsageError

from .loops import Lambda, X, Y
from .small import MSE, fitted, linear, net, sgd, trained

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
        ({"epoch": 3}, "there is no setting 'epoch': did you mean 'epochs'"),
    ],
)
def test_settings_of_fit_module(options, sentence):
    with pytest.raises((UsageError, RunError), match=sentence):
        fitted(linear(), **options)


def test_what_is_missing():
    with pytest.raises(UsageError, match="optimizer is missing: give it"):
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
    with pytest.raises(UsageError, match=r"holds a object at /optimizer.*no run folder with output=False"):
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
