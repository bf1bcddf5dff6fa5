"""The triangular factor of many rows, and what it keeps: the paths of training where columns nearly repeat each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.engines.choose import choose
from sightline.engines.feeds import TensorFeed
from sightline.engines.problem import Problem
from sightline.linear import blocks, triangle
from sightline.linear.moments import Moments
from sightline.linear.squared_error import SquaredError
from sightline.linear.triangle import is_steep


def rows(eps, n=60, k=1):
    """The second column is the first and `eps` of another; all numbers have few bits."""
    rng = np.random.default_rng(0)
    X = rng.integers(-50, 50, (n, 3)) / 64
    X[:, 1] = X[:, 0] + eps * X[:, 1]
    return X, X @ rng.integers(-2, 3, (3, k)) + rng.integers(-9, 9, (n, k)) / 64


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [2, 5, 3072, 40_000])
def test_it_is_the_factor_of_all_rows_up_to_signs(n, weighted):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(n, 4)) + 3.0, rng.normal(size=(n, 2))
    w = rng.uniform(0.5, 2.0, n) if weighted else None
    share = np.full(n, 1.0 / n) if w is None else w / w.sum()
    Z = np.column_stack([X, y])
    Z = (Z - share @ Z) * np.sqrt(1.0 if w is None else w)[..., None]
    want = np.zeros((6, 6))
    want[: min(n, 6)] = np.linalg.qr(Z, mode="r")
    got = triangle.triangle(X, y, Moments.of(X, y, w), w)
    assert np.abs(got) == pytest.approx(np.abs(want), rel=1e-9, abs=1e-11)


def test_its_bits_do_not_depend_on_threads(monkeypatch):
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(40_000, 5)).astype(np.float32), rng.normal(size=(40_000, 1))
    monkeypatch.setattr(blocks, "WORTH", 0)
    found = set()
    for count in (1, 2, 5):
        monkeypatch.setattr(blocks, "workers", lambda count=count: count)
        found.add(triangle.triangle(np.asfortranarray(X), y, Moments.of(X, y)).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize(("eps", "steep"), [(1.0, False), (0.1, False), (1e-4, True), (0.0, True)])
def test_only_columns_that_nearly_repeat_are_worth_it(eps, steep):
    X, y = rows(eps)
    assert is_steep(Moments.of(X, y)) is steep
    assert (SquaredError.of(X, y).root is not None) is steep
    assert not is_steep(Moments.of(X * [1e-9, 1e9, 1.0], y)) or steep  # whatever the units


@pytest.mark.parametrize("eps", [1e-3, 1e-4, 2.0**-20])
def test_small_eigenvalues_keep_their_digits(eps):
    """The curvature along the difference of the two columns, against exact products of whole numbers."""
    X, y = rows(eps)
    form = SquaredError.of(X, y)
    direction = np.array([[1.0, -1.0, 0.0]])
    moved = form.weight + direction
    difference = (X[:, 0] - X[:, 1]).astype(np.longdouble)
    want = ((difference - difference.mean()) ** 2).mean()
    excess = form.evaluate(moved, form.bias - direction @ form.moments.x_mean)[0]
    assert excess == pytest.approx(float(want), rel=1e-10)


def in_long_doubles(X, y, *, lr, momentum, epochs):
    """The plain loop with 64 bits of fraction or more; weights `(k, p)` and biases `(k,)`."""
    X, y = X.astype(np.longdouble), y.astype(np.longdouble)
    Z = np.column_stack([X, np.ones(len(X), np.longdouble)])
    theta, buffer = np.zeros((Z.shape[1], y.shape[1]), np.longdouble), np.longdouble(0)
    for _ in range(epochs):
        buffer = momentum * buffer + 2 * Z.T @ (Z @ theta - y) / y.size
        theta = theta - lr * buffer
    return theta.astype(float)


def off_the_path(eps, k, train):
    """How far a training ends from the loop in long doubles, relative to the way to the answer, which is far where
    columns nearly repeat.
    """
    X, y = rows(eps, k=k)
    want = in_long_doubles(X, y, lr=np.longdouble(0.5), momentum=np.longdouble(0.9), epochs=5000)
    way = np.abs(np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y)[0]).max()
    model = nn.Linear(3, k, dtype=torch.float64)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    sgd = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    train(model, (torch.tensor(X), torch.tensor(y)), loss=nn.MSELoss(), optimizer=sgd, epochs=5000)
    got = np.vstack([model.weight.detach().numpy().T, model.bias.detach().numpy()])
    return np.abs(got - want).max() / way


def stepped(*arguments, **options):
    list(sightline.train(*arguments, engine="quadratic", **options))


@pytest.mark.parametrize("eps", [1e-3, 1e-4])
@pytest.mark.parametrize("k", [1, 2])
def test_training_stays_on_the_path_of_the_loop_as_moments_alone_would_not(monkeypatch, eps, k):
    assert off_the_path(eps, k, stepped) < 2e-14
    monkeypatch.setattr("sightline.linear.squared_error.is_steep", lambda _: False)
    assert off_the_path(eps, k, stepped) > 5e-13


@pytest.mark.parametrize("eps", [1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("k", [1, 2])
def test_a_jump_ends_there_too(eps, k):
    assert off_the_path(eps, k, sightline.jump) < 1e-12


def test_the_reason_says_so():
    X, y = rows(1e-4)
    model = nn.Linear(3, 1, dtype=torch.float64)
    feed = TensorFeed(torch.tensor(X), torch.tensor(y))
    problem = Problem(model, nn.MSELoss(), torch.optim.SGD(model.parameters(), lr=0.1), feed)
    assert "triangular factor" in choose(problem, epochs=10)[1]
