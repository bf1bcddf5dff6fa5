"""Training with weights and ridge arrives at the exact answer of the same objective, and that answer is the right one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
import sklearn.linear_model
import statsmodels.formula.api as smf
import torch
from torch import nn

import sightline
from sightline.errors import UsageError

RNG = np.random.default_rng(11)


@pytest.fixture(scope="module")
def frame():
    data = sklearn.datasets.load_diabetes(as_frame=True).frame[["bmi", "bp", "s5", "target"]]
    return data.assign(w=RNG.integers(0, 5, len(data)).astype(float))


@pytest.mark.parametrize("settings", [
    {}, {"engine": "autograd"}, {"optimizer": "adam", "lr": 0.5}, {"batch_size": 50, "lr": 0.05},
])  # fmt: skip
def test_weighted_training_goes_to_weighted_least_squares(frame, settings):
    run = sightline.fit(frame, "target ~ bmi + bp + s5", weights="w", output=False, **settings)
    expected = smf.wls("target ~ bmi + bp + s5", frame[frame.w > 0], weights=frame.w[frame.w > 0]).fit()
    for c in run.coefficients:
        assert c.exact == pytest.approx(expected.params[c.term], rel=1e-10)
        assert c.std_error == pytest.approx(expected.bse[c.term], rel=1e-10)
        assert c.estimate == pytest.approx(c.exact, abs=(0.2 if "batch_size" in settings else 1e-3) * c.std_error)
    assert run.result["fit"]["r2"] == pytest.approx(expected.rsquared, rel=1e-10)
    assert run.result["rows"] == int((frame.w > 0).sum())


def test_weighted_records_are_those_of_a_plain_loop(frame):
    """Each epoch of the weighted loss Σ w (y - ŷ)² / Σ w, by torch alone."""
    run = sightline.fit(frame, "target ~ bmi", weights="w", lr=0.3, epochs=5, output=False)
    used = frame[frame.w > 0]
    x, y, w = (torch.tensor(used[c].to_numpy()) for c in ("bmi", "target", "w"))
    mean = (w * x).sum() / w.sum()
    z = (x - mean) / ((w * (x - mean) ** 2).sum() / w.sum()).sqrt()
    layer = nn.Linear(1, 1, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    sgd = torch.optim.SGD(layer.parameters(), lr=0.3)
    losses = []
    for _ in range(6):
        loss = (w * (y - layer(z[:, None])[:, 0]) ** 2).sum() / w.sum()
        losses.append(loss.item())
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    assert [epoch.train_loss for epoch in run.epochs] == pytest.approx(losses, rel=1e-12)


@pytest.mark.parametrize("settings", [{}, {"engine": "autograd"}, {"optimizer": "adam", "lr": 0.5}])
def test_ridge_training_goes_to_the_ridge(frame, settings):
    """l2 is defined on standardized columns, the intercept free, as Ridge after a StandardScaler."""
    run = sightline.fit(frame, "target ~ bmi + bp + s5", l2=0.2, output=False, **settings)
    X = frame[["bmi", "bp", "s5"]]
    Z = (X - X.mean()) / X.std(ddof=0)
    ridge = sklearn.linear_model.Ridge(alpha=0.1 * len(X), solver="svd", tol=1e-14).fit(Z, frame.target)
    slopes = ridge.coef_ / X.std(ddof=0).to_numpy()
    expected = [ridge.intercept_ - slopes @ X.mean().to_numpy(), *slopes]
    assert [c.exact for c in run.coefficients] == pytest.approx(expected, rel=1e-9)
    assert [c.estimate for c in run.coefficients] == pytest.approx(expected, rel=1e-4)
    assert run.verdict.name == "CONVERGED"


def test_ridge_and_decoupled_decay_do_not_go_together(frame):
    with pytest.raises(UsageError, match="l2"):
        sightline.fit(frame, "target ~ bmi", optimizer="adamw", lr=0.01, l2=0.1, output=False)


def test_weights_and_clusters_survive_the_run_folder(frame, tmp_path):
    path = tmp_path / "d.csv"
    pd.DataFrame(frame).assign(g=np.arange(len(frame)) % 7).to_csv(path, index=False)
    run = sightline.solve(path, "target ~ bmi", weights="w", cluster="g", output=tmp_path / "r")
    again = sightline.load(run.folder)
    assert [c.std_error for c in again.coefficients] == [c.std_error for c in run.coefficients]
    assert (again.settings.weights, again.settings.cluster) == ("w", "g")
    assert sightline.wald_test(again, "bmi = 0")[1] == sightline.wald_test(run, "bmi = 0")[1]
    assert sightline.influence(again).cook.tolist() == sightline.influence(run).cook.tolist()
    assert "standard errors allow for correlation within each g" in again.summary()


@pytest.mark.parametrize("penalty", [{"l2": 0.2}, {"weight_decay": 0.1}])
def test_intervals_of_a_penalized_fit_are_those_of_its_standard_errors(frame, penalty):
    """At the origin of the columns the prediction is the intercept, and its interval that of the table."""
    run = sightline.fit(frame, "target ~ bmi + bp", weights="w", output=False, **penalty)
    at = run.predict({"bmi": [0.0], "bp": [0.0]}, interval=0.95, kind="confidence")
    intercept = run.coefficients[0]
    assert at["high"][0] - at["low"][0] == pytest.approx(intercept.high - intercept.low, rel=1e-9)


@pytest.mark.parametrize("kind", ["hc0", "hc1", "hc2", "hc3", "cluster"])
def test_robust_errors_of_a_ridge_fit_by_their_formula(frame, kind):
    """(Z'WZ + P)⁻¹ Z'W diag(e²) WZ (Z'WZ + P)⁻¹ in standardized coordinates, with the ridge's own leverages."""
    data = frame[frame.w > 0].assign(g=np.arange((frame.w > 0).sum()) % 9)
    option = {"cluster": "g"} if kind == "cluster" else {"robust": kind}
    run = sightline.solve(data, "target ~ bmi + bp", weights="w", l2=0.3, **option)
    w, n = data.w.to_numpy(), len(data)
    X = data[["bmi", "bp"]].to_numpy()
    center = np.average(X, axis=0, weights=w)
    scale = np.sqrt(np.average((X - center) ** 2, axis=0, weights=w))
    Z = np.column_stack([(X - center) / scale, np.ones(n)])
    bread = np.linalg.inv(Z.T @ (Z * w[:, None]) + np.diag([0.15, 0.15, 0.0]) * w.sum())
    e = data.target.to_numpy() - Z @ (bread @ Z.T @ (w * data.target.to_numpy()))
    h = w * np.einsum("ij,jk,ik->i", Z, bread, Z)
    e = e / {"hc2": np.sqrt(1.0 - h), "hc3": 1.0 - h}.get(kind, 1.0)
    scores, factor = Z * (w * e)[:, None], {"hc1": n / (n - 3)}.get(kind, 1.0)
    if kind == "cluster":
        scores = np.array([scores[data.g == g].sum(axis=0) for g in range(9)])
        factor = 9 / 8 * (n - 1) / (n - 3)
    V = factor * bread @ scores.T @ scores @ bread
    assert [c.std_error for c in run.coefficients[1:]] == pytest.approx(np.sqrt(np.diag(V))[:2] / scale, rel=1e-9)


def test_a_run_of_a_file_can_be_pickled(frame, tmp_path):
    import pickle

    path = tmp_path / "d.csv"
    frame.to_csv(path, index=False)
    run = sightline.solve(path, "target ~ bmi", weights="w")
    again = pickle.loads(pickle.dumps(run))
    path.unlink()
    assert again.augment() == run.augment()
    assert again.augment()["row"][:2] == [f"line {i + 2}" for i in np.flatnonzero(frame.w > 0)[:2]]
