"""The lines of each optimizer against torch: parameters and state after several steps, to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.linear.steps import formula_of, take_step

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.0}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.5}),
    ("Adagrad", {"lr": 0.5}),
    ("Adagrad", {"lr": 0.5, "lr_decay": 0.1, "initial_accumulator_value": 0.3, "weight_decay": 0.1}),
]


def state_of(optimizer, parameter):
    return {
        k: v.item() if k == "step" else v.detach().numpy().copy()
        for k, v in optimizer.state[parameter].items()
        if v is not None
    }


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_every_step_is_torchs(name, options):
    start = np.array([0.5, -2.0, 30.0])
    parameter = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(torch.optim, name)([parameter], **options)
    settings = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    rng = np.random.default_rng(0)
    for _ in range(6):
        theta, state = parameter.detach().numpy().copy(), state_of(optimizer, parameter)
        gradient = rng.normal(size=3) * [1.0, 100.0, 1e-3]
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        taken = take_step(name.lower(), settings, theta, gradient, state)
        assert taken.after == pytest.approx(parameter.detach().numpy(), rel=1e-13, abs=1e-15)
        assert taken.step == pytest.approx(taken.after - theta, rel=1e-9, abs=1e-13)
        after = state_of(optimizer, parameter)
        for key, value in taken.state.items():
            if key in after:
                assert value == pytest.approx(after[key], rel=1e-13, abs=1e-300)
        assert {k for k in after if k != "step"} == {k for k in taken.state if k != "step"}


def test_the_decay_may_differ_between_parameters():
    taken = take_step("sgd", {"lr": 1.0, "weight_decay": np.array([0.5, 0.0])}, np.ones(2), np.zeros(2), {})
    assert taken.after.tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("name", "options"), [("nadam", {}), ("adam", {"amsgrad": True}), ("sgd", {"lr": 1.0, "maximize": True})]
)
def test_what_is_not_written_out_is_none(name, options):
    assert formula_of(name, options) is None
    assert take_step(name, options, np.ones(1), np.ones(1), {}) is None


def test_the_numbers_of_a_line_are_those_before_it():
    taken = take_step("sgd", {"lr": 0.1, "momentum": 0.5}, np.array([2.0]), np.array([3.0]), {"momentum_buffer": [4.0]})
    velocity, step = taken.lines
    assert (velocity.assignment.formula, velocity.before["v"].tolist(), velocity.result.tolist()) == (
        "μ · v + g",
        [4.0],
        [5.0],
    )
    assert step.result == pytest.approx([1.5])


def test_a_step_that_the_sum_swallows_is_still_known():
    taken = take_step("sgd", {"lr": 1e-30}, np.array([1.0]), np.array([3.0]), {})
    assert taken.after.tolist() == [1.0]
    assert taken.step == pytest.approx([-3e-30])
