"""The penalized objective: values and derivatives by torch, subgradients by what they must satisfy."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from sklearn.linear_model import Lasso
from tests.linear.all_losses import LOSSES

from sightline.linear.objective import Objective
from sightline.linear.row_losses import Absolute, Hinge, Logistic, SquaredLoss

each_loss = pytest.mark.parametrize("name", LOSSES)


@each_loss
def test_value_and_derivatives_are_torchs(name):
    rows = LOSSES[name]
    loss = rows.problem(weighted=True)
    q = 4 * loss.outputs
    theta, ridge, lasso = np.random.default_rng(0).uniform(0.1, 1.0, size=(3, q))
    objective = Objective(loss, ridge, lasso)
    value = rows.torch_value(loss)

    def whole(t):
        return value(t) + (torch.tensor(ridge) * t * t).sum() / 2 + (torch.tensor(lasso) * t.abs()).sum()

    at = torch.tensor(theta, requires_grad=True)
    result = whole(at)
    result.backward()
    assert objective.value(theta) == pytest.approx(result.item(), rel=1e-13)
    assert objective.smooth_gradient(theta) + lasso == pytest.approx(at.grad.numpy(), rel=1e-12, abs=1e-13)
    assert objective.subgradient(theta) == pytest.approx(at.grad.numpy(), rel=1e-12, abs=1e-13)
    H = torch.autograd.functional.hessian(whole, torch.tensor(theta)).numpy()
    assert objective.hessian(theta) == pytest.approx(H, rel=1e-11, abs=1e-13)
    assert objective.hessian_times(theta, lasso) == pytest.approx(H @ lasso, rel=1e-11, abs=1e-13)


def test_the_excess_near_the_answer_keeps_digits_that_the_values_lose():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(50, 2)), (rng.random(50) < 0.5).astype(float)
    objective = Objective(Logistic(X, y, False), np.array([0.1, 0.3]), np.array([0.0, 0.05]))
    near = np.array([0.3, -0.2])
    for size in (1e-3, 1e-8, 1e-12):
        theta = near + size * np.array([1.0, 2.0])
        with mpmath.workdps(60):

            def exactly(t):
                t = [mpmath.mpf(v) for v in t.tolist()]
                total = mpmath.mpf(0)
                for x, target in zip(X.tolist(), y.tolist(), strict=True):
                    z = sum(mpmath.mpf(a) * b for a, b in zip(x, t, strict=True))
                    total += mpmath.log(1 + mpmath.exp(z)) - target * z
                penalty = [mpmath.mpf(r) * v * v / 2 for r, v in zip([0.1, 0.3], t, strict=True)]
                return total / len(X) + sum(penalty) + mpmath.mpf(0.05) * abs(t[1])

            exact = float(exactly(theta) - exactly(near))
        assert objective.excess(theta, near) == pytest.approx(exact, rel=1e-12)


def test_the_subgradient_vanishes_at_scikit_learns_lasso():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 6))
    y = X[:, 0] - 2.0 * X[:, 1] + rng.normal(size=80)
    found = Lasso(alpha=0.2, tol=1e-14, max_iter=100_000).fit(X, y)
    theta = np.append(found.coef_, found.intercept_)
    assert (theta == 0).sum() >= 2
    objective = Objective(SquaredLoss(X, y), np.zeros(7), np.append(np.full(6, 0.4), 0.0))  # sklearn halves the square
    assert objective.subgradient_norm(theta) < 1e-12
    assert objective.subgradient_norm(theta + 1e-3) > 1e-3


@pytest.mark.parametrize("kind", [Absolute, Hinge])
def test_the_subgradient_vanishes_at_the_vertex_of_the_linear_program(kind):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(41, 2))
    y = X @ [1.0, -1.0] + rng.standard_cauchy(41)
    y = y if kind is Absolute else (y > 0).astype(float)
    Z, n = np.column_stack([X, np.ones(41)]), 41
    s = 2.0 * y - 1.0
    if kind is Absolute:
        A, b, cost = np.vstack([np.hstack([Z, -np.eye(n)]), np.hstack([-Z, -np.eye(n)])]), np.append(y, -y), np.ones(n)
    else:
        A, b, cost = np.hstack([-s[:, None] * Z, -np.eye(n)]), -np.ones(n), np.ones(n)
    answer = linprog(
        np.append(np.zeros(3), cost), A_ub=A, b_ub=b, bounds=[(None, None)] * 3 + [(0, None)] * n, method="highs-ds"
    )
    objective = Objective.plain(kind(X, y))
    theta = answer.x[:3]
    on = np.argsort(np.abs(Z @ theta - y if kind is Absolute else 1.0 - s * (Z @ theta)))[:3]
    theta = np.linalg.solve(Z[on], y[on] if kind is Absolute else s[on])  # the vertex to its last digits
    assert objective.value(theta) == pytest.approx(answer.fun / n, rel=1e-12)
    assert objective.subgradient_norm(theta) < 1e-12
    assert objective.subgradient_norm(theta + 0.01) > 1e-3


def test_thousands_of_rows_on_their_kink():
    """With no slope every row of one class is exactly at its margin."""
    rows = np.random.default_rng(4).normal(size=(5000, 6))
    at, told = np.append(np.zeros(6), 1.0), Hinge(rows, (rows[:, 0] > -0.3).astype(float))
    untold = Hinge(rows, np.append(np.ones(3000), np.zeros(2000)))
    assert Objective.plain(untold).subgradient_norm(at) < 1e-12  # the labels have nothing to do with the columns
    assert Objective.plain(told).subgradient_norm(at) > 0.1
    assert Objective(told, np.zeros(7), np.append(np.full(6, 1.0), 0.0)).subgradient_norm(at) < 1e-12


def test_kinks_of_rows_and_of_weights_are_taken_together():
    X, y = np.array([[1.0], [1.0], [1.0]]), np.array([0.0, 1.0, 2.0])
    loss = Absolute(X, y, False)
    assert Objective(loss, np.zeros(1), np.array([0.4])).subgradient_norm(np.ones(1)) == pytest.approx(1.0 / 15.0)
    assert Objective(loss, np.zeros(1), np.array([0.2])).subgradient_norm(np.ones(1)) == pytest.approx(0.0, abs=1e-15)
    assert Objective(loss, np.zeros(1), np.array([0.4])).subgradient_norm(np.zeros(1)) == pytest.approx(0.0, abs=1e-15)
