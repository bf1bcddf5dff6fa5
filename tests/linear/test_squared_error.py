"""The quadratic form of the loss against automatic differentiation and rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from sightline.linear.squared_error import SquaredError


def data(seed=0, n=40, p=3, k=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ rng.normal(size=(p, k)) + 0.3 + rng.normal(size=(n, k))


def autograd(X, Y, weight, bias, reduction):
    w = torch.tensor(weight, requires_grad=True)
    b = None if bias is None else torch.tensor(bias, requires_grad=True)
    prediction = torch.nn.functional.linear(torch.from_numpy(X), w, b)
    loss = torch.nn.functional.mse_loss(prediction, torch.from_numpy(Y), reduction=reduction)
    loss.backward()
    return loss.item(), w.grad.numpy(), None if b is None else b.grad.numpy()


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_value_and_gradient_are_those_of_torch(intercept, k, reduction):
    """Both are sums of 40 to 80 terms of size one, each rounded: 1e-13 relative."""
    X, Y = data(k=k)
    form = SquaredError.of(X, Y, intercept=intercept, total=reduction == "sum")
    for seed in range(5):
        rng = np.random.default_rng(seed)
        weight, bias = rng.normal(size=(k, 3)), rng.normal(size=k) if intercept else None
        loss, by_weight, by_bias = autograd(X, Y, weight, bias, reduction)
        assert form.value(weight, bias) == pytest.approx(loss, rel=1e-13)
        got = form.gradient(weight, bias)
        np.testing.assert_allclose(got[0], by_weight, rtol=1e-12, atol=1e-12)
        if intercept:
            np.testing.assert_allclose(got[1], by_bias, rtol=1e-12, atol=1e-12)


def test_close_to_the_minimum_the_excess_keeps_its_digits():
    """At θ* + d the excess is d'Z'Zd / n, here 1e-20 of the loss, where y'y - 2b'θ + θ'Aθ would have no digit left."""
    X, Y = data(n=20, p=1)
    form = SquaredError.of(X, Y)
    step = (2.0**-34, 2.0**-35)  # exact in float64 beside numbers of size one
    weight, bias = form.weight + step[0], form.bias + step[1]
    theta = [Fraction(float(weight[0, 0])), Fraction(float(bias[0]))]
    start = [Fraction(float(form.weight[0, 0])), Fraction(float(form.bias[0]))]

    def loss(w, b):
        return (
            sum(
                (Fraction(y) - w * Fraction(x) - b) ** 2
                for x, y in zip(X[:, 0].tolist(), Y[:, 0].tolist(), strict=True)
            )
            / 20
        )

    want = float(loss(*theta) - loss(*start))
    got, *_ = form.evaluate(weight, bias)
    assert got == pytest.approx(want, rel=1e-4)  # the gradient at θ₀ is rounding, 1e-16, and is multiplied by 1e-10
    assert 0.0 < want < 1e-19 * float(loss(*start)) * 10


def test_far_from_zero():
    """A column at 1e6 with spread 1: value and gradient against rational numbers."""
    rng = np.random.default_rng(5)
    X = 1e6 + rng.normal(size=(15, 1))
    y = 3.0 * (X[:, 0] - 1e6) + rng.normal(size=15)
    form = SquaredError.of(X, y)
    w, b = Fraction(2), Fraction(-2_000_000)
    residuals = [Fraction(t) - w * Fraction(x) - b for x, t in zip(X[:, 0].tolist(), y.tolist(), strict=True)]
    value = float(sum(r * r for r in residuals) / 15)
    by_bias = float(-2 * sum(residuals) / 15)
    by_weight = float(-2 * sum(r * Fraction(x) for r, x in zip(residuals, X[:, 0].tolist(), strict=True)) / 15)
    assert form.value(np.array([[2.0]]), np.array([-2e6])) == pytest.approx(
        value, rel=1e-8
    )  # 1e6 · eps of each prediction
    got = form.gradient(np.array([[2.0]]), np.array([-2e6]))
    assert got[1][0] == pytest.approx(by_bias, rel=1e-8, abs=1e-9)
    assert got[0][0, 0] == pytest.approx(by_weight, rel=1e-8, abs=1e-3)


def test_around_a_given_point_it_is_the_same_function():
    X, Y = data(seed=7)
    here = SquaredError.of(X, Y, at=(np.array([[5.0, -3.0, 2.0]]), np.array([1.0])))
    weight, bias = np.array([[0.1, 0.2, 0.3]]), np.array([0.4])
    loss, by_weight, by_bias = autograd(X, Y, weight, bias, "mean")
    assert here.value(weight, bias) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(here.gradient(weight, bias)[0], by_weight, rtol=1e-11)
    np.testing.assert_allclose(here.gradient(weight, bias)[1], by_bias, rtol=1e-11)


@pytest.mark.parametrize("intercept", [True, False])
def test_its_minimum_is_that_of_least_squares(intercept):
    X, Y = data(seed=9)
    form = SquaredError.of(X, Y, intercept=intercept)
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X
    theta, squares, *_ = np.linalg.lstsq(Z, Y[:, 0])
    assert form.minimum == pytest.approx(float(squares[0]) / len(X), rel=1e-12)
    np.testing.assert_allclose(form.weight[0], theta[:3], rtol=1e-10)
