"""Losses row by row against torch's own, with their gradients from autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from torch import nn

from sightline.errors import UsageError
from sightline.linear.row_losses import CrossEntropy, Logistic, SquaredLoss, row_loss


def iris():
    X, y = load_iris(return_X_y=True)
    return X, y.astype(float), CrossEntropy, 3, nn.CrossEntropyLoss(reduction="none")


def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), y.astype(float), Logistic, 1, nn.BCEWithLogitsLoss(reduction="none")


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X, y, SquaredLoss, 1, nn.MSELoss(reduction="none")


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("data", [iris, cancer, diabetes])
def test_value_gradient_and_terms_are_torchs(data, weighted, intercept):
    X, y, kind, k, criterion = data()
    rng = np.random.default_rng(0)
    v = rng.uniform(0.5, 1.5, len(y)) if weighted else None
    theta = rng.normal(size=k * X.shape[1] + k * intercept)
    loss = kind(X, y, intercept, v, k)
    at = torch.tensor(theta, requires_grad=True)
    W = at[: k * X.shape[1]].reshape(k, -1)
    z = torch.tensor(X) @ W.T + (at[k * X.shape[1] :] if intercept else 0.0)
    target = torch.tensor(y)
    rows = criterion(z, target.long()) if k > 1 else criterion(z[:, 0], target)
    value = (rows * (1.0 if v is None else torch.tensor(v))).mean()
    value.backward()
    assert loss.value(theta) == pytest.approx(value.item(), rel=1e-12)
    assert loss.pieces(theta).loss == pytest.approx(rows.detach().numpy(), rel=1e-9, abs=1e-12)
    scale = np.abs(at.grad.numpy()).max()
    assert np.abs(loss.gradient(theta) - at.grad.numpy()).max() <= 1e-12 * scale
    terms = loss.terms(theta).sum(axis=0) * loss.factor / len(y)
    assert np.abs(terms - at.grad.numpy()).max() <= 1e-12 * scale


@pytest.mark.parametrize("data", [iris, cancer, diabetes])
def test_along_a_line_it_is_the_loss_there(data):
    X, y, kind, k, _ = data()
    rng = np.random.default_rng(1)
    loss, theta, step = kind(X, y, outputs=k), *rng.normal(size=(2, k * X.shape[1] + k))
    t, h = 0.7, 1e-5
    assert loss.along(theta, step, t) == pytest.approx(loss.value(theta + t * step), rel=1e-12)
    assert loss.slope_along(theta, step, t) == pytest.approx(loss.gradient(theta + t * step) @ step, rel=1e-11)
    difference = (loss.along(theta, step, t + h) - loss.along(theta, step, t - h)) / (2.0 * h)
    assert loss.slope_along(theta, step, t) == pytest.approx(difference, rel=1e-6)  # h² and eps / h, both 1e-10 or so


def test_rows_of_a_loss_are_those_rows():
    X, y, kind, k, _ = diabetes()
    weight = np.linspace(0.5, 1.5, len(y))
    part = kind(X, y, True, weight, k).of_rows([5, 0, 7])
    theta = np.linspace(-1.0, 1.0, X.shape[1] + 1)
    direct = kind(X[[5, 0, 7]], y[[5, 0, 7]], True, weight[[5, 0, 7]], k)
    assert part.value(theta) == direct.value(theta)
    assert part.gradient(theta).tolist() == direct.gradient(theta).tolist()


@pytest.mark.parametrize("eps", [np.finfo(np.float32).eps, 1e-5])
def test_the_bound_of_rounding_holds_for_coarser_numbers(eps):
    X, y, kind, k, _ = diabetes()
    loss, theta = kind(X, y, outputs=k), np.linspace(-300.0, 300.0, X.shape[1] + 1)
    rng = np.random.default_rng(2)
    worst = np.zeros(len(theta))
    for _ in range(50):  # every number of the way off by up to eps / 2

        def noise(a):
            return a * (1.0 + eps * rng.uniform(-0.5, 0.5, np.shape(a)))

        products = noise(noise(X) * noise(theta[:-1]))
        error = noise(noise(products.sum(axis=1) + noise(theta[-1])) - noise(y))
        found = 2.0 / len(y) * np.append(noise(error[:, None] * X).sum(axis=0), error.sum())
        worst = np.maximum(worst, np.abs(found - loss.gradient(theta)))
    assert (worst <= loss.gradient_rounding(theta, eps)).all()
    assert worst.max() > 0.0


def test_extreme_predictors_neither_overflow_nor_warn():
    loss = Logistic(np.array([[1.0], [-1.0]]), np.array([0.0, 1.0]))
    assert loss.value(np.array([1e4, 0.0])) == 1e4
    assert np.isinf(SquaredLoss(np.array([[1.0]]), np.zeros(1)).along(np.zeros(2), np.array([1e200, 0.0]), 1e100))


def test_an_unknown_loss_is_refused():
    with pytest.raises(UsageError, match="the loss 'mae' cannot be worked out by hand: did you mean 'mse'"):
        row_loss("mae")
