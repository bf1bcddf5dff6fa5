"""Every loss of a fit: trained as the plain loop trains it, beside the optimum that torch or a linear program finds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import linprog
from torch import nn
from torch.nn import functional

import sightline
from sightline.errors import UsageError

FORMULAS = {
    "mse": "y", "l1": "y", "huber": "y", "smooth-l1": "y", "poisson-nll": "count", "gaussian-nll": "y",
    "bce": "two", "bce-probability": "two", "hinge": "two", "cross-entropy": "three",
}  # fmt: skip
SMOOTH = [loss for loss in FORMULAS if loss not in ("l1", "hinge")]
ROWS = 60


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    a, b = rng.normal(size=(2, ROWS))
    y = 1.0 + 2.0 * a - b + rng.standard_t(3, ROWS)
    return pd.DataFrame({
        "a": a, "b": 5.0 + 3.0 * b, "y": y, "count": rng.poisson(np.exp(0.5 + 0.4 * a)),
        "two": np.where(a + rng.normal(size=ROWS) > 0, "yes", "no"),
        "three": np.array(["u", "v", "w"])[np.digitize(a + rng.normal(size=ROWS), [-0.6, 0.6])],
        "w": rng.integers(1, 5, ROWS),
    })  # fmt: skip


def each(loss, z, y):
    """The loss of each row, written with torch alone."""
    if loss == "mse":
        return (z[:, 0] - y) ** 2
    if loss == "l1":
        return (z[:, 0] - y).abs()
    if loss == "huber":
        return functional.huber_loss(z[:, 0], y, delta=0.8, reduction="none")
    if loss == "smooth-l1":
        return functional.smooth_l1_loss(z[:, 0], y, beta=0.5, reduction="none")
    if loss == "poisson-nll":
        return functional.poisson_nll_loss(z[:, 0], y, reduction="none")
    if loss == "gaussian-nll":
        return functional.gaussian_nll_loss(z[:, 0], y, z[:, 1].exp(), reduction="none")
    if loss == "bce":
        return functional.binary_cross_entropy_with_logits(z[:, 0], y, reduction="none")
    if loss == "bce-probability":
        return functional.binary_cross_entropy(torch.sigmoid(z[:, 0]), y, reduction="none")
    if loss == "hinge":
        return torch.relu(1.0 - (2.0 * y - 1.0) * z[:, 0])
    return functional.cross_entropy(z, y.long(), reduction="none")


OPTIONS = {"huber": {"delta": 0.8}, "smooth-l1": {"beta": 0.5}}
OUTPUTS = {"gaussian-nll": 2, "cross-entropy": 3}


def prepared(data, loss, *, weighted=False):
    """Columns standardized as training has them, targets, weights with mean 1."""
    X, w = data[["a", "b"]].to_numpy(float), data["w"].to_numpy(float) if weighted else np.ones(ROWS)
    mean = np.average(X, axis=0, weights=w)
    X = (X - mean) / np.sqrt(np.average((X - mean) ** 2, axis=0, weights=w))
    y = data[FORMULAS[loss]]
    codes = pd.Categorical(y).codes if y.dtype.kind not in "if" else y.to_numpy()
    return torch.tensor(X), torch.tensor(codes.astype(float)), torch.tensor(w / w.mean())


def start(loss):
    layer = nn.Linear(2, OUTPUTS.get(loss, 1), dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def fitted(data, loss, **settings):
    options = {"loss": loss, "loss_opt": OPTIONS.get(loss, {}), "output": False, "figures": "none", **settings}
    return sightline.fit(data, f"{FORMULAS[loss]} ~ a + b", **options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", FORMULAS)
def test_the_records_are_those_of_the_plain_loop(data, loss, weighted):
    run = fitted(data, loss, lr=0.05, momentum=0.5, epochs=40, weights="w" if weighted else None)
    X, y, w = prepared(data, loss, weighted=weighted)
    layer = start(loss)
    sgd = torch.optim.SGD(layer.parameters(), lr=0.05, momentum=0.5)
    for record in run.epochs:
        value = (w * each(loss, layer(X), y)).mean()
        assert record.train_loss == pytest.approx(value.item(), rel=1e-11, abs=1e-13)
        sgd.zero_grad()
        value.backward()
        sgd.step()


@pytest.mark.parametrize("l2", [None, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", SMOOTH)
def test_the_exact_loss_is_the_lowest_and_training_reaches_it(data, loss, weighted, l2):
    run = fitted(data, loss, weights="w" if weighted else None, l2=l2)
    X, y, w = prepared(data, loss, weighted=weighted)
    layer = start(loss)
    search = torch.optim.LBFGS(
        layer.parameters(), max_iter=2000, tolerance_grad=1e-11, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def objective():
        return (w * each(loss, layer(X), y)).mean() + (l2 or 0.0) / 2.0 * (layer.weight**2).sum()

    def closure():
        search.zero_grad()
        value = objective()
        value.backward()
        return value

    for _ in range(3):
        search.step(closure)
    lowest = (w * each(loss, layer(X), y)).mean().item()
    assert run.result["exact_loss"] == pytest.approx(lowest, rel=1e-6 if l2 else 1e-9)
    assert run.verdict.name == "CONVERGED"
    assert abs(run.result["excess"]) < 1e-9
    assert run.result["loss"] == pytest.approx(run.result["exact_loss"], rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["l1", "hinge"])
def test_losses_with_kinks_against_a_linear_program(data, loss, weighted):
    X, y, w = (t.numpy() for t in prepared(data, loss, weighted=weighted))
    Z = np.column_stack([X, np.ones(ROWS)])
    slack = np.eye(ROWS)
    if loss == "l1":
        A, b = np.block([[Z, -slack], [-Z, -slack]]), np.concatenate([y, -y])
    else:
        A, b = np.hstack([-(2.0 * y - 1.0)[:, None] * Z, -slack]), -np.ones(ROWS)
    cost = np.concatenate([np.zeros(3), w / ROWS])
    found = linprog(cost, A_ub=A, b_ub=b, bounds=[(None, None)] * 3 + [(0, None)] * ROWS)
    run = fitted(data, loss, weights="w" if weighted else None, epochs=300)
    assert run.result["exact_loss"] == pytest.approx(found.fun, rel=1e-9)
    assert run.verdict.name == "NOT_CONVERGED"
    assert [warning.code for warning in run.verdict.warnings] == ["SL-KINKS"]
    assert run.result["loss"] - found.fun < 0.1 * (run.epochs[0].train_loss - found.fun)


@pytest.mark.parametrize("loss", FORMULAS)
def test_a_run_read_back_predicts_the_same(data, loss, tmp_path):
    run = fitted(data, loss, epochs=30, lr=0.05, output=tmp_path)
    again = sightline.load(run.folder)
    assert again.predict(data).tolist() == run.predict(data).tolist()
    assert again.summary() == run.summary()
    z = run.model(torch.tensor(data[["a", "b"]].to_numpy(float)))
    assert z.shape == (ROWS, OUTPUTS.get(loss, 1))
    if loss == "poisson-nll":
        assert np.allclose(run.predict(data), z[:, 0].exp().detach())
    elif loss in ("mse", "l1", "huber", "smooth-l1", "gaussian-nll"):
        assert np.allclose(run.predict(data), z[:, 0].detach())
    elif loss != "cross-entropy":
        assert (run.predict(data) == np.where(z[:, 0].detach() > 0, "yes", "no")).all()


MODULES = {
    "mse": nn.MSELoss(), "l1": nn.L1Loss(), "huber": nn.HuberLoss(delta=0.8), "smooth-l1": nn.SmoothL1Loss(beta=0.5),
    "poisson-nll": nn.PoissonNLLLoss(), "gaussian-nll": nn.GaussianNLLLoss(), "bce": nn.BCEWithLogitsLoss(),
    "bce-probability": nn.BCELoss(), "cross-entropy": nn.CrossEntropyLoss(),
}  # fmt: skip


@pytest.mark.parametrize("loss", MODULES)
def test_a_module_of_torch_means_the_loss_of_that_name(data, loss):
    by_name = fitted(data, loss, lr=0.05, epochs=5)
    by_module = sightline.fit(data, f"{FORMULAS[loss]} ~ a + b", loss=MODULES[loss], lr=0.05, epochs=5, output=False)
    assert by_module.result["loss_name"] == loss
    assert [e.train_loss for e in by_module.epochs] == [e.train_loss for e in by_name.epochs]
    smooth = sightline.solve(data, "three ~ a + b", loss=nn.CrossEntropyLoss(label_smoothing=0.2))
    assert smooth.settings.loss_opt == {"label_smoothing": 0.2}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (nn.HuberLoss, r"the loss is the class HuberLoss: give an instance, HuberLoss\(\)"),
        (nn.KLDivLoss(), "fit knows no loss 'KLDivLoss'.*sightline.train"),
        (nn.MSELoss(reduction="sum"), "reduction='sum': fit minimizes the mean"),
        (nn.CrossEntropyLoss(weight=torch.ones(3)), "give class_weight by label instead"),
        (nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)), "give class_weight by label instead"),
        (nn.PoissonNLLLoss(full=True), "full=True or log_input=False"),
        (math.sin, "fit knows no loss"),
    ],
)
def test_a_loss_that_a_fit_cannot_minimize(data, loss, message):
    with pytest.raises(UsageError, match=message):
        sightline.fit(data, "y ~ a", loss=loss, output=False)
