"""Limits and speeds of gradient descent against plain PyTorch just below and just above them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.linear.curvature import (
    Curvature,
    best_momentum,
    epochs_per_digit,
    epochs_per_factor,
    rates_per_epoch,
    steady_momentum,
)  # fmt: skip
from sightline.linear.exact import least_squares

OPTIONS = {
    "plain": {},
    "momentum 0.5": {"momentum": 0.5},
    "momentum 0.9": {"momentum": 0.9},
    "nesterov 0.5": {"momentum": 0.5, "nesterov": True},
    "nesterov 0.9": {"momentum": 0.9, "nesterov": True},
    "dampening": {"momentum": 0.9, "dampening": 0.5},
    "dampening without momentum": {"dampening": 0.5},
    "strong dampening": {"momentum": 0.8, "dampening": 0.95},
}


def problem(seed=0, n=40, p=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * [1.0, 3.0, 0.2][:p] + [0.5, 0.0, 1.0][:p]
    return X, X @ rng.normal(size=p) + 1.0 + rng.normal(size=n)


def curvature_of(X, y, *, intercept=True):
    exact = least_squares(X, y, intercept=intercept)
    return Curvature.of(exact.factor, rows=len(y), rank=exact.rank)


def hessian(X):
    Z = torch.from_numpy(np.column_stack([X, np.ones(len(X))]))
    zero = torch.zeros(Z.shape[1], dtype=torch.float64)
    return torch.autograd.functional.hessian(lambda t: ((Z @ t) ** 2).mean(), zero).numpy()


def torch_excess(X, y, options, lr, steps):
    """sqrt of the loss above its minimum after each step of torch's SGD, from a start with every direction in it."""
    Z = torch.from_numpy(np.column_stack([X, np.ones(len(X))]))
    best = torch.from_numpy(np.linalg.lstsq(Z.numpy(), y)[0])
    theta = torch.nn.Parameter(best + torch.tensor([1.0, -1.0, 1.0, 0.7], dtype=torch.float64)[: len(best)])
    optimizer = torch.optim.SGD([theta], lr=lr, **options)
    bent = 2.0 * Z.T @ Z / len(y)
    sizes = []
    for _ in range(steps):
        theta.grad = bent @ (theta.detach() - best)
        optimizer.step()
        d = theta.detach() - best
        sizes.append(math.sqrt(float(d @ bent @ d)))
    return np.array(sizes)


def test_eigenvalues_are_those_of_the_hessian():
    X, y = problem()
    curvature = curvature_of(X, y)
    values, vectors = np.linalg.eigh(hessian(X))
    np.testing.assert_allclose(curvature.eigenvalues, values[::-1], rtol=1e-12)
    assert curvature.max == pytest.approx(values[-1], rel=1e-13)
    assert curvature.min == pytest.approx(values[0], rel=1e-12)
    assert curvature.condition == pytest.approx(values[-1] / values[0], rel=1e-12)
    overlap = np.abs(curvature.directions @ vectors[:, ::-1])
    np.testing.assert_allclose(overlap, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_limit_is_where_torch_begins_to_diverge(options):
    """0.2 % below it the steepest direction shrinks, 0.2 % above it grows: by far more than rounding in 8000 steps."""
    X, y = problem()
    limit = curvature_of(X, y).lr_limit(**options)
    below = torch_excess(X, y, options, 0.998 * limit, 8000)
    above = torch_excess(X, y, options, 1.002 * limit, 8000)
    assert below[-1] < 0.5 * below[100:200].max()
    assert above[-1] > 2.0 * above[100:200].min()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_contraction_is_the_spectral_radius_of_the_iteration(options, share):
    """Against the eigenvalues of the companion matrix of torch's update, direction by direction."""
    X, y = problem(1)
    curvature = curvature_of(X, y)
    lr = share * curvature.lr_limit(**options)
    momentum, dampening = options.get("momentum", 0.0), options.get("dampening", 0.0)
    radii = []
    for value in curvature.eigenvalues:
        # velocity v ← βv + (1 - δ) λ θ; θ ← θ - lr v, or with Nesterov θ ← θ - lr (λ θ + β v)
        d = (1.0 - dampening) * value if momentum else value
        if options.get("nesterov"):
            step = [[1.0 - lr * (value + momentum * d), -lr * momentum**2], [d, momentum]]
        else:
            step = [[1.0 - lr * d, -lr * momentum], [d, momentum]]
        radii.append(max(abs(np.linalg.eigvals(np.array(step)))))
    # near a double root an eigenvalue moves by the square root of the rounding
    np.testing.assert_allclose(curvature.contraction(lr, **options), radii, rtol=1e-7)


@pytest.mark.parametrize("options", [OPTIONS["plain"], OPTIONS["momentum 0.5"], OPTIONS["nesterov 0.5"]])
def test_contraction_is_the_speed_that_torch_shows(options):
    """Late in a run the error shrinks by the worst direction's factor in each step; 1 % for what else is left."""
    X, y = problem(2, p=2)
    curvature = curvature_of(X, y)
    lr = 0.3 * curvature.lr_limit(**options)
    sizes = torch_excess(X, y, options, lr, 120)
    worst = float(curvature.contraction(lr, **options).max())
    seen = (sizes[110] / sizes[50]) ** (1.0 / 60.0)
    assert seen == pytest.approx(worst, rel=0.01)


def test_best_rate_is_the_best_of_all_rates():
    curvature = curvature_of(*problem(3))
    best = float(curvature.contraction(curvature.best_lr).max())
    assert best == pytest.approx((curvature.condition - 1.0) / (curvature.condition + 1.0), rel=1e-12)
    for lr in np.linspace(0.01, 1.2, 300) * curvature.lr_limit():
        assert float(curvature.contraction(lr).max()) >= best * (1.0 - 1e-12)


def test_best_momentum_is_the_best_of_all_pairs():
    curvature = curvature_of(*problem(4))
    lr, momentum = best_momentum(curvature)
    root = math.sqrt(curvature.condition)
    best = (root - 1.0) / (root + 1.0)
    # at the double root rounding of 1e-16 moves the root by 1e-8
    assert float(curvature.contraction(lr, momentum).max()) == pytest.approx(best, rel=1e-7)
    for beta in np.linspace(0.0, 0.99, 60):
        for rate in np.linspace(0.02, 1.0, 60) * curvature.lr_limit(beta):
            assert float(curvature.contraction(rate, beta).max()) >= best - 1e-7


@pytest.mark.parametrize("condition", [1.0, 3.0, 100.0, 300.0, 341.0, 343.0, 5900.0, 1e4, 1e6, 1e9])
def test_steady_momentum_costs_little_and_overshoots_little(condition):
    curvature = Curvature(np.array([condition, 1.0]), np.eye(2), 2)
    lr, momentum = steady_momentum(curvature)
    root = math.sqrt(condition)
    best = (root - 1.0) / (root + 1.0)
    factor = float(curvature.contraction(lr, momentum).max())
    assert lr * condition <= 3.6 * (1.0 + 1e-12)
    assert factor < 1.0
    if condition > 1.0:
        assert math.log(best) / math.log(factor) < 1.055  # at most 5.5 % more epochs
    theta, velocity, peak = np.ones(2), np.zeros(2), 1.0
    for _ in range(3000):
        velocity = momentum * velocity + curvature.eigenvalues * theta
        theta = theta - lr * velocity
        peak = max(peak, float(np.abs(theta).max()))
    assert peak**2 <= 50.0  # the loss in the worst direction: "at most fiftyfold"


@given(
    st.floats(1e-8, 10.0), st.floats(0.0, 0.99), st.floats(1e-6, 0.999), st.sampled_from(["heavy", "nesterov"])
)  # fmt: skip
def test_below_the_limit_every_direction_shrinks_and_above_it_one_grows(value, momentum, share, kind):
    curvature = Curvature(np.array([value]), np.eye(1), 1)
    options = {"momentum": momentum, "nesterov": kind == "nesterov" and momentum > 0.0}
    limit = curvature.lr_limit(**options)
    assert float(curvature.contraction(share * limit, **options)[0]) <= 1.0
    assert float(curvature.contraction(limit / share, **options)[0]) > 1.0
    assert float(rates_per_epoch(np.array([value]), limit, **options)[0]) == pytest.approx(1.0, abs=1e-7)


@given(st.floats(1e-3, 0.99999))
def test_epochs_per_factor_and_digit(factor):
    assert factor ** epochs_per_factor(factor) == pytest.approx(math.exp(-1.0), rel=1e-9)
    assert factor ** epochs_per_digit(factor) == pytest.approx(0.1, rel=1e-9)


def test_epochs_that_never_or_at_once_arrive():
    assert epochs_per_factor(1.0) == epochs_per_factor(1.5) == math.inf
    assert epochs_per_factor(0.0) == 0.0


def test_directions_that_the_data_leave_open_do_not_count():
    X, y = problem(5)
    X = np.column_stack([X, X[:, 0] + X[:, 1]])
    curvature = curvature_of(X, y)
    values = np.linalg.eigvalsh(2.0 * np.column_stack([X, np.ones(40)]).T @ np.column_stack([X, np.ones(40)]) / 40)
    assert curvature.rank == 4
    assert curvature.min == pytest.approx(values[1], rel=1e-11)
    assert curvature.condition == pytest.approx(values[-1] / values[1], rel=1e-11)
    assert len(curvature.contraction(0.1)) == 4


def test_no_curvature_at_all_has_no_limit():
    flat = Curvature(np.zeros(2), np.eye(2), 0)
    assert flat.lr_limit() == flat.condition == math.inf
    assert best_momentum(flat) == steady_momentum(flat) == (1.0, 0.0)
