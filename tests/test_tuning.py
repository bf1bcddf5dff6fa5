"""Automatic steps on random problems: every combination converges; other optimizers are judged honestly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

import sightline
from sightline.engines.optimizers import optimizer_names


def conditioned(seed, condition, *, n=80, p=3):
    """Columns whose Hessian has (nearly) this condition number, unstandardized, mean zero."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.normal(size=(n, p)) - rng.normal(size=(n, p)).mean(axis=0))[0]
    V = np.linalg.qr(rng.normal(size=(p, p)))[0]
    X = math.sqrt(n) * U * np.sqrt(np.geomspace(1.0, 1.0 / condition, p)) @ V.T
    y = 0.3 + X @ rng.normal(size=p) * 2.0 + 0.5 * rng.normal(size=n)
    return {**{f"x{i}": X[:, i] for i in range(p)}, "y": y}


FORMULA = "y ~ x0 + x1 + x2"


def design(table, standardize=False):
    X = np.column_stack([table[f"x{i}"] for i in range(3)])
    if standardize:
        X = (X - X.mean(axis=0)) / X.std(axis=0)
    return np.column_stack([X, np.ones(len(X))])


def true_excess(run, table):
    """Mean square between the run's predictions and numpy's fitted values: loss above the exact loss, by Pythagoras."""
    Z = design(table)
    fitted = Z @ np.linalg.lstsq(Z, table["y"])[0]
    weight, bias = run.model.weight.detach().numpy().astype(float)[0], run.model.bias.item()
    return float(np.mean((Z[:, :3] @ weight + bias - fitted) ** 2))


def baseline(table):
    return float(table["y"].var())


def assert_verdict_is_true(run, table):
    """CONVERGED if and only if the excess, computed from predictions, is at most 1e-10 of the baseline."""
    excess = true_excess(run, table)
    assert run.to_dict()["excess"] == pytest.approx(excess, rel=1e-6, abs=1e-20 * baseline(table))
    assert (run.verdict.name == "CONVERGED") == (excess <= 1e-10 * baseline(table))
    assert run.verdict.name in ("CONVERGED", "NOT_CONVERGED")


COMBINATIONS = {
    "nothing given": {},
    "both auto": {"lr": "auto", "momentum": "auto"},
    "momentum auto": {"momentum": "auto"},
    "nesterov": {"nesterov": True},
    "nesterov, both auto": {"lr": "auto", "momentum": "auto", "nesterov": True},
}


@pytest.mark.parametrize("condition", [1.0, 30.0, 1e4, 1e6])
@pytest.mark.parametrize("settings", COMBINATIONS.values(), ids=COMBINATIONS)
def test_free_momentum_converges_up_to_a_condition_number_of_a_million(settings, condition):
    table = conditioned(int(condition) % 97, condition)
    run = sightline.fit(table, FORMULA, output=False, standardize=False, **settings)
    assert run.verdict.name == "CONVERGED"
    assert_verdict_is_true(run, table)


@pytest.mark.parametrize("condition", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("settings", [
    {"lr": "auto"}, {"lr": "auto", "momentum": 0.0}, {"momentum": 0.9}, {"lr": "auto", "momentum": 0.5},
    {"momentum": 0.9, "nesterov": True}, {"lr": "auto", "momentum": 0.5, "nesterov": True}, {"momentum": 0.99},
])  # fmt: skip
def test_automatic_rate_for_a_given_momentum_converges(settings, condition):
    table = conditioned(5, condition)
    run = sightline.fit(table, FORMULA, output=False, standardize=False, **settings)
    assert run.verdict.name == "CONVERGED"
    assert_verdict_is_true(run, table)


@pytest.mark.parametrize("share", [1e-3, 0.05, 0.9])
def test_automatic_momentum_for_a_given_rate_is_faster_than_none(share):
    table = conditioned(6, 1000.0)
    Z = design(table)
    lr = share * 2.0 / float(np.linalg.eigvalsh(2.0 * Z.T @ Z / 80).max())
    runs = [
        sightline.fit(table, FORMULA, output=False, standardize=False, lr=lr, epochs=300, **more)
        for more in ({}, {"momentum": "auto"})
    ]
    for run in runs:
        assert_verdict_is_true(run, table)
    assert true_excess(runs[1], table) < true_excess(runs[0], table)


@pytest.mark.parametrize("seed", range(6))
def test_loss_never_comes_near_the_ceiling_of_divergence(seed):
    """Momentum overshoots; the tuned step must stay far below 1000 × the start. Started in the steepest direction."""
    table = conditioned(seed, 10.0 ** (seed + 1))
    Z = design(table)
    best = np.linalg.lstsq(Z, table["y"])[0]
    steep = np.linalg.eigh(Z.T @ Z)[1][:, -1]
    start = dict(zip(("x0", "x1", "x2", "Intercept"), (best + 10.0 * steep).tolist(), strict=True))
    run = sightline.fit(table, FORMULA, output=False, standardize=False, start=start)
    assert run.verdict.name == "CONVERGED"
    assert max(e.train_loss for e in run.epochs) < 900.0 * max(run.epochs[0].train_loss, baseline(table))


@pytest.mark.parametrize("name", sorted(set(optimizer_names()) - {"sgd"}))
def test_other_optimizers_run_with_an_automatic_rate(name):
    table = conditioned(8, 10.0)
    run = sightline.fit(table, FORMULA, output=False, optimizer=name, epochs=150)
    assert_verdict_is_true(run, table)
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss
    assert len(run.epochs) == 151


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_lr_auto_can_be_spelled_out_for_other_optimizers(name):
    table = conditioned(8, 10.0)
    default, spelled = (
        sightline.fit(table, FORMULA, output=False, optimizer=name, epochs=30, **m) for m in ({}, {"lr": "auto"})
    )
    assert [e.train_loss for e in spelled.epochs] == [e.train_loss for e in default.epochs]


def test_adam_without_epochs_converges():
    table = conditioned(9, 3.0)
    run = sightline.fit(table, FORMULA, output=False, optimizer="adam")
    assert_verdict_is_true(run, table)
    assert run.verdict.name == "CONVERGED"


@pytest.mark.parametrize("batch_size", [1, 7, 79])
def test_mini_batches_with_an_automatic_rate_do_not_diverge(batch_size):
    table = conditioned(10, 50.0)
    run = sightline.fit(table, FORMULA, output=False, batch_size=batch_size, epochs=20)
    assert_verdict_is_true(run, table)
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss


def test_a_batch_of_all_rows_is_the_full_batch():
    table = conditioned(11, 20.0)
    runs = [
        sightline.fit(table, FORMULA, output=False, lr=0.1, epochs=30, batch_size=b) for b in (80, 500, "full", None)
    ]
    assert all([e.train_loss for e in run.epochs] == [e.train_loss for e in runs[0].epochs] for run in runs)


def test_one_given_number_gives_torchs_defaults_for_the_rest():
    run = sightline.fit(conditioned(12, 5.0), FORMULA, output=False, lr=0.05, epochs=3)
    theirs = torch.optim.SGD([torch.zeros(1)], lr=0.05).param_groups[0]
    ours = run.to_dict()["optimizer"]
    assert {k: ours[k] for k in ("lr", "momentum", "dampening", "weight_decay", "nesterov")} == {
        k: theirs[k] for k in ("lr", "momentum", "dampening", "weight_decay", "nesterov")
    }


# Weight decay


def penalized(table, weight_decay, *, standardize):
    """Ridge with alpha = n wd / 2 on all parameters, in training coordinates; and those coordinates."""
    Z = design(table, standardize)
    theta = (
        Ridge(alpha=len(Z) * weight_decay / 2.0, fit_intercept=False, solver="svd", tol=0.0).fit(Z, table["y"]).coef_
    )
    return Z, theta


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("weight_decay", [1e-3, 0.1, 5.0])
def test_weight_decay_has_its_own_optimum_and_training_reaches_it(standardize, weight_decay):
    table = conditioned(13, 40.0)
    table["x0"] = 4.0 + table["x0"]
    Z, theta = penalized(table, weight_decay, standardize=standardize)
    run = sightline.fit(table, FORMULA, output=False, weight_decay=weight_decay, standardize=standardize)
    assert run.verdict.name == "CONVERGED"
    X = np.column_stack([table[f"x{i}"] for i in range(3)])
    scale, center = (X.std(axis=0), X.mean(axis=0)) if standardize else (np.ones(3), np.zeros(3))
    slopes = theta[:3] / scale
    want = [theta[3] - slopes @ center, *slopes]
    np.testing.assert_allclose([c.exact for c in run.coefficients], want, rtol=1e-10)
    # an excess of 1e-10 b bounds each coordinate by √(1e-10 b n / λ), λ the least eigenvalue of Z'Z
    distance = math.sqrt(1e-10 * baseline(table) * len(Z) / float(np.linalg.eigvalsh(Z.T @ Z)[0]))
    reached = np.array([c.estimate for c in run.coefficients])
    assert np.linalg.norm((reached[1:] - slopes) * scale) <= distance
    assert run.to_dict()["exact_loss"] == pytest.approx(float(np.mean((table["y"] - Z @ theta) ** 2)), rel=1e-10)


def test_excess_with_weight_decay_is_that_of_the_objective():
    table = conditioned(14, 10.0)
    Z, theta = penalized(table, 0.5, standardize=False)
    run = sightline.fit(table, FORMULA, output=False, weight_decay=0.5, standardize=False, lr=0.02, epochs=5)

    def objective(t):
        return float(np.mean((table["y"] - Z @ t) ** 2)) + 0.25 * float(t @ t)

    reached = np.array([c.estimate for c in run.coefficients])[[1, 2, 3, 0]]
    assert run.verdict.name == "NOT_CONVERGED"
    assert run.to_dict()["excess"] == pytest.approx(objective(reached) - objective(theta), rel=1e-10)
    assert run.to_dict()["loss"] == pytest.approx(float(np.mean((table["y"] - Z @ reached) ** 2)), rel=1e-12)


def test_curvature_with_weight_decay_has_it_added():
    table = conditioned(15, 10.0)
    Z = design(table)
    values = np.linalg.eigvalsh(2.0 * Z.T @ Z / 80 + 0.5 * np.eye(4))
    curvature = sightline.fit(table, FORMULA, output=False, weight_decay=0.5, standardize=False, lr=0.1, epochs=1)
    curvature = curvature.to_dict()["curvature"]
    assert (curvature["min"], curvature["max"]) == pytest.approx((values[0], values[-1]), rel=1e-12)
    assert curvature["lr_limit"] == pytest.approx(2.0 / values[-1], rel=1e-12)


def test_adamw_decays_beside_the_loss_so_its_optimum_is_that_of_the_loss():
    table = conditioned(16, 10.0)
    Z = design(table)
    run = sightline.fit(table, FORMULA, output=False, optimizer="adamw", weight_decay=0.1, epochs=10)
    want = np.linalg.lstsq(Z, table["y"])[0][[3, 0, 1, 2]]
    np.testing.assert_allclose([c.exact for c in run.coefficients], want, rtol=1e-10)
