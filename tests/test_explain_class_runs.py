"""Explained epochs of trained classes: every number of the step against the same loop in plain PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn

import sightline
from sightline.explanation import explain
from sightline.views.explain import explanation
from sightline.views.sheet import written

CARS = Path(__file__).parent / "real_data" / "data" / "mtcars.csv"
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.5}),
    "momentum": (torch.optim.SGD, {"lr": 0.3, "momentum": 0.9}),
    "adam": (torch.optim.Adam, {"lr": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.05}),
}
EPOCH = 4


@pytest.fixture(scope="module")
def iris(tmp_path_factory) -> Path:
    data = load_iris(as_frame=True)
    frame = pd.DataFrame(
        {"sl": data.data.iloc[:, 0], "sw": data.data.iloc[:, 1], "kind": data.target_names[data.target]}
    )
    path = tmp_path_factory.mktemp("explain") / "iris.csv"
    frame.to_csv(path, index=False)
    return path


def loop(X, y, loss, outputs, optimizer, options, epochs, dtype):
    """Parameters before each step, the gradients there, and the parameters at the end, in plain PyTorch."""
    layer = nn.Linear(X.shape[1], outputs, dtype=dtype)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    steps, x = optimizer(layer.parameters(), **options), torch.tensor(X).to(dtype)
    before, gradients = [], []

    def flat(tensors):
        return np.concatenate([t.detach().numpy().ravel() for t in tensors]).astype(float)

    for _ in range(epochs):
        steps.zero_grad()
        loss(layer(x), y).backward()
        before.append(flat(layer.parameters()))
        gradients.append(flat([p.grad for p in layer.parameters()]))
        steps.step()
    return before, gradients, flat(layer.parameters())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("task", ["bce", "cross-entropy"])
def test_the_step_is_that_of_the_plain_loop(task, name, dtype, iris, tmp_path):
    cls, options = OPTIMIZERS[name]
    torch_dtype = getattr(torch, dtype)
    if task == "bce":
        data, formula, outputs, loss = CARS, "am ~ wt + hp", 1, nn.BCEWithLogitsLoss()
        frame = pd.read_csv(CARS)
        X, y = frame[["wt", "hp"]].to_numpy(float), torch.tensor(frame[["am"]].to_numpy()).to(torch_dtype)
    else:
        data, formula, outputs, loss = iris, "kind ~ sl + sw", 3, nn.CrossEntropyLoss()
        frame = pd.read_csv(iris)
        X, y = frame[["sl", "sw"]].to_numpy(float), torch.tensor(pd.Categorical(frame["kind"]).codes.astype(int))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    run = sightline.fit(
        data, formula, optimizer="sgd" if name in ("sgd", "momentum") else name, epochs=8, dtype=dtype,
        output=tmp_path, figures="none", **options,
    )  # fmt: skip
    worked = explain(sightline.load(run.folder), EPOCH)
    before, gradients, _ = loop(X, y, loss, outputs, cls, options, EPOCH, torch_dtype)
    after = loop(X, y, loss, outputs, cls, options, EPOCH, torch_dtype)[2]
    small = 1e-12 if dtype == "float64" else 3e-6
    assert np.allclose(worked.step.before, before[-1], rtol=small, atol=small)
    assert np.allclose(worked.step.left, gradients[-2], rtol=small, atol=small)
    assert np.allclose(worked.step.gradient, gradients[-1], rtol=small, atol=small)
    assert np.allclose(worked.gradient, gradients[-1], rtol=small, atol=small)
    assert np.allclose(worked.step.after, after, rtol=small, atol=small)
    assert np.allclose(worked.taken.after, after, rtol=small, atol=small)
    assert worked.apart < small
    text = written(explanation(worked), "text")
    assert max(map(len, text.splitlines())) <= 80
    assert f"The loss falls from {worked.whole.value(before[-1]):.6g}"[:26] in text
    assert len(worked.progress) == (3 if task == "bce" else 0)  # the irises are separated: there is no lowest point


def test_the_way_gone_is_measured_from_the_optimum_of_the_likelihood():
    """Along each eigenvector of the Hessian at the maximum, by plain torch."""
    run = sightline.fit(CARS, "am ~ wt + hp", lr=0.5, epochs=3, figures="none", output=False)
    exact = {c.term: c.exact for c in run.coefficients}
    frame = pd.read_csv(CARS)
    raw = frame[["wt", "hp"]].to_numpy(float)
    X, scale = (raw - raw.mean(axis=0)) / raw.std(axis=0), raw.std(axis=0)
    slopes = np.array([exact["wt"], exact["hp"]])
    best = np.append(slopes * scale, exact["Intercept"] + slopes @ raw.mean(axis=0))
    x, y = torch.tensor(X), torch.tensor(frame["am"].to_numpy(float))

    def loss(t):
        return nn.functional.binary_cross_entropy_with_logits(x @ t[:2] + t[2], y)

    values, vectors = np.linalg.eigh(torch.autograd.functional.hessian(loss, torch.tensor(best)).numpy())
    worked = explain(run, 2)
    for p, value, v in zip(worked.progress, values[::-1], vectors.T[::-1], strict=True):
        way, gone = v @ (worked.step.before - best), v @ (worked.step.after - worked.step.before)
        assert np.isclose(p.curvature, value, rtol=1e-6)
        assert np.isclose(p.covered, -gone / way, rtol=1e-4)
