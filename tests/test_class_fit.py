"""Training of classes: against the plain loop, statsmodels and scikit-learn; labels of every kind; what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from torch import nn

import sightline
from sightline.errors import DataError, UsageError

MTCARS = Path(__file__).parent / "real_data" / "data" / "mtcars.csv"


@pytest.fixture(scope="module")
def cars() -> pd.DataFrame:
    return pd.read_csv(MTCARS)


@pytest.fixture(scope="module")
def wine() -> pd.DataFrame:
    data = load_wine(as_frame=True)
    frame = data.frame.rename(columns={"od280/od315_of_diluted_wines": "od"})
    frame["grape"] = [f"class {k}" for k in data.target]
    return frame


def standardized(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def plain(x, y, module, loss, optimizer, epochs):
    """Losses before each step of the plain loop, and the last one after it."""
    losses = []
    for _ in range(epochs):
        optimizer.zero_grad()
        value = loss(module(x), y)
        value.backward()
        losses.append(value.item())
        optimizer.step()
    return [*losses, loss(module(x), y).item()]


def zero(p, k):
    layer = nn.Linear(p, k, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    return layer


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_two_classes_are_the_plain_loop(cars, optimizer):
    run = sightline.fit(cars, "am ~ wt + hp", optimizer=optimizer, lr=0.1, epochs=60, output=False)
    X = standardized(cars[["wt", "hp"]].to_numpy(float))
    layer = zero(2, 1)
    cls = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}[optimizer]
    y = torch.tensor(cars["am"].to_numpy(float))[:, None]
    losses = plain(torch.tensor(X), y, layer, nn.BCEWithLogitsLoss(), cls(layer.parameters(), lr=0.1), 60)
    assert run.result["loss_name"] == "bce"
    assert np.allclose([e.train_loss for e in run.epochs], losses, rtol=1e-12)
    slopes = layer.weight.detach().numpy()[0] / cars[["wt", "hp"]].to_numpy(float).std(axis=0)
    assert np.allclose([c.estimate for c in run.coefficients[1:]], slopes, rtol=1e-9)


def test_several_classes_are_the_plain_loop(wine):
    run = sightline.fit(wine, "grape ~ alcohol + ash", lr=0.3, momentum=0.5, epochs=80, output=False)
    X = standardized(wine[["alcohol", "ash"]].to_numpy(float))
    layer = zero(2, 3)
    sgd = torch.optim.SGD(layer.parameters(), lr=0.3, momentum=0.5)
    losses = plain(torch.tensor(X), torch.tensor(wine["target"].to_numpy()), layer, nn.CrossEntropyLoss(), sgd, 80)
    assert run.result["loss_name"] == "cross-entropy"
    assert np.allclose([e.train_loss for e in run.epochs], losses, rtol=1e-12)
    weight = layer.weight.detach().numpy() / wine[["alcohol", "ash"]].to_numpy(float).std(axis=0)
    by_name = {c.term: c.estimate for c in run.coefficients}
    assert math.isclose(by_name["class 2: ash"], weight[2, 1] - weight[0, 1], rel_tol=1e-9)


def test_the_exact_column_is_that_of_statsmodels_and_training_reaches_it(cars, wine):
    run = sightline.fit(cars, "am ~ wt + hp", output=False)
    reference = sm.Logit(cars["am"], sm.add_constant(cars[["wt", "hp"]])).fit(disp=0, tol=1e-14)
    assert np.allclose([c.exact for c in run.coefficients], reference.params, rtol=1e-8)
    assert np.allclose([c.std_error for c in run.coefficients], reference.bse, rtol=1e-7)
    assert run.verdict.name == "CONVERGED"
    assert max(abs(c.off_by) for c in run.coefficients) < 1e-4

    run = sightline.fit(wine, "grape ~ alcohol + ash", output=False)
    reference = sm.MNLogit(wine["target"], sm.add_constant(wine[["alcohol", "ash"]])).fit(disp=0)
    assert np.allclose([c.exact for c in run.coefficients], reference.params.to_numpy().T.ravel(), rtol=1e-5)
    assert run.verdict.name == "CONVERGED"
    assert max(abs(c.off_by) for c in run.coefficients) < 1e-4


@pytest.mark.parametrize(
    ("values", "labels", "loss"),
    [
        ([0, 1], ("0", "1"), None),
        (["no", "yes"], ("no", "yes"), None),
        ([False, True], ("False", "True"), None),
        ([1, 2], ("1", "2"), "bce"),
        ([-1, 1], ("-1", "1"), "bce"),
        ([-1, 1], ("-1", "1"), "hinge"),
        ([0.0, 1.0], ("0", "1"), "bce-probability"),
        ([0, 5, 9], ("0", "5", "9"), "cross-entropy"),
        (["a", "b", "c"], ("a", "b", "c"), None),
    ],
)
def test_labels_of_every_kind_are_mapped_and_mapped_back(tmp_path, values, labels, loss):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, len(values), 90)
    frame = pd.DataFrame({"x": rng.normal(size=90) + 0.7 * codes, "y": [values[k] for k in codes]})
    frame.to_csv(tmp_path / "d.csv", index=False)
    run = sightline.fit(tmp_path / "d.csv", "y ~ x", loss=loss, epochs=200, output=tmp_path, figures="none")
    assert run.design.classes == labels
    assert run.result["loss_name"] == (loss or ("bce" if len(values) == 2 else "cross-entropy"))
    again = sightline.load(run.folder)
    assert set(again.predict(frame)) <= set(labels)
    shares = np.mean(again.predict(frame) == np.array([labels[k] for k in codes]))
    assert shares > 1.1 / len(values)
    assert again.evaluate(tmp_path / "d.csv")["accuracy"] == pytest.approx(shares)


def test_a_number_stays_a_number():
    data = {"x": [1, 2, 3, 4], "y": [1, 2, 1, 2]}
    assert sightline.fit(data, "y ~ x", output=False).result["loss_name"] == "mse"
    assert sightline.fit({**data, "y": [0, 1, 1, 0]}, "y ~ x", loss="mse", output=False).design.classes == ()


def test_softmax_of_two_classes_is_logistic(cars):
    one = sightline.fit(cars, "am ~ wt", output=False)
    two = sightline.fit(cars, "am ~ wt", loss="cross-entropy", output=False)
    assert np.allclose([c.estimate for c in one.coefficients], [c.estimate for c in two.coefficients], rtol=1e-5)
    assert math.isclose(one.result["loss"], two.result["loss"], rel_tol=1e-12)
    assert one.model.weight.shape == (1, 1)
    assert two.model.weight.shape == (2, 1)
    x = torch.tensor(cars[["wt"]].to_numpy(float))
    loss = nn.CrossEntropyLoss()(two.model(x), torch.tensor(cars["am"].to_numpy()))
    assert math.isclose(loss.item(), two.result["loss"], rel_tol=1e-12)


def torch_optimum(make_loss, p, k):
    """The minimum by LBFGS on a plain layer."""
    layer = zero(p, k)
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = make_loss(layer)
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    return make_loss(layer).item()


@pytest.mark.parametrize("loss", ["bce", "cross-entropy"])
def test_ridge_is_that_of_the_layer_that_is_trained(cars, loss):
    run = sightline.fit(cars, "am ~ wt + hp", loss=loss, l2=0.1, output=False)
    X, y = torch.tensor(standardized(cars[["wt", "hp"]].to_numpy(float))), torch.tensor(cars["am"].to_numpy())
    function = nn.BCEWithLogitsLoss() if loss == "bce" else nn.CrossEntropyLoss()
    target = y.double()[:, None] if loss == "bce" else y

    def objective(layer):
        return function(layer(X), target) + 0.05 * (layer.weight**2).sum()

    lowest = torch_optimum(objective, 2, 1 if loss == "bce" else 2)
    W = run.model.weight.detach() * torch.tensor(cars[["wt", "hp"]].to_numpy(float).std(axis=0))
    assert run.verdict.name == "CONVERGED"
    assert math.isclose(run.result["loss"] + 0.05 * float((W**2).sum()), lowest, rel_tol=1e-10)


def test_weights_of_classes(wine):
    run = sightline.fit(wine, "grape ~ alcohol + ash", class_weight="balanced", output=False)
    model = LogisticRegression(C=1e12, class_weight="balanced", tol=1e-12, max_iter=5000)
    X = wine[["alcohol", "ash"]].to_numpy(float)
    model.fit(standardized(X), wine["target"])
    P = model.predict_proba(standardized(X))
    assert run.verdict.name == "CONVERGED"
    assert np.allclose(run.probabilities(wine), P, atol=2e-5)

    assert run.result["metrics"]["accuracy"] == pytest.approx(np.mean(run.predict(wine) == wine["grape"]))

    given = {"class 0": 2.0, "class 1": 1.0, "class 2": 5.0}
    run = sightline.fit(wine, "grape ~ alcohol + ash", class_weight=given, lr=0.2, epochs=40, output=False)
    layer = zero(2, 3)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([2.0, 1.0, 5.0], dtype=torch.float64))
    y = torch.tensor(wine["target"].to_numpy())
    losses = plain(torch.tensor(standardized(X)), y, layer, loss, torch.optim.SGD(layer.parameters(), lr=0.2), 40)
    assert np.allclose([e.train_loss for e in run.epochs], losses, rtol=1e-11)
    assert all(c.std_error for c in run.coefficients)


def test_label_smoothing_is_that_of_torch(wine):
    X, y = torch.tensor(standardized(wine[["alcohol", "ash"]].to_numpy(float))), torch.tensor(wine["target"].to_numpy())
    run = sightline.fit(
        wine, "grape ~ alcohol + ash", loss="cross-entropy", loss_opt={"label_smoothing": 0.1}, output=False
    )
    smooth = nn.CrossEntropyLoss(label_smoothing=0.1)
    assert run.verdict.name == "CONVERGED"
    assert math.isclose(run.result["exact_loss"], torch_optimum(lambda layer: smooth(layer(X), y), 2, 3), rel_tol=1e-10)
    assert math.isclose(run.result["loss"], run.result["exact_loss"], rel_tol=1e-9)


def test_a_start_is_given_by_the_names_of_the_table(wine):
    start = {"class 1: alcohol": -1.0, "class 2: Intercept": 3.0}
    run = sightline.fit(wine, "grape ~ alcohol", start=start, lr=0.1, epochs=0, output=False)
    found = {c.term: c.estimate for c in run.coefficients}
    assert found == pytest.approx(
        {"class 1: Intercept": 0.0, "class 1: alcohol": -1.0, "class 2: Intercept": 3.0, "class 2: alcohol": 0.0}
    )
    with pytest.raises(UsageError, match=r"--start names no coefficient with 'alcohol': .*class 1: alcohol"):
        sightline.fit(wine, "grape ~ alcohol", start={"alcohol": 1.0}, output=False)


def test_separated_classes_are_said_and_never_converge(tmp_path):
    iris = load_iris(as_frame=True).frame.iloc[:100].rename(columns={"petal length (cm)": "petal"})
    run = sightline.fit(iris, "target ~ petal", output=tmp_path, figures="none")
    assert run.verdict.name == "NOT_CONVERGED"
    assert "the classes are separated" in run.verdict.sentence
    assert [w.code for w in run.verdict.warnings] == ["SL-SEPARABLE"]
    assert all(math.isfinite(c.estimate) and math.isinf(c.exact) for c in run.coefficients)
    assert run.evaluate(iris)["accuracy"] == 1.0
    again = sightline.load(run.folder)
    assert [c.exact for c in again.coefficients] == [c.exact for c in run.coefficients]
    assert [c.estimate for c in again.coefficients] == [c.estimate for c in run.coefficients]
    held = sightline.fit(iris, "target ~ petal", l2=0.01, output=False)
    assert held.verdict.name == "CONVERGED"
    assert [w.code for w in held.verdict.warnings] == ["SL-SEPARATED"]


def test_the_limit_is_where_it_stops_settling(cars):
    """2 / λmax at the optimum, with λmax from the Hessian of plain torch."""
    run = sightline.fit(cars, "am ~ wt + hp", lr=1.0, epochs=1, output=False)
    X = torch.tensor(standardized(cars[["wt", "hp"]].to_numpy(float)))
    y = torch.tensor(cars["am"].to_numpy(float))
    exact = torch.tensor([c.exact for c in run.coefficients])
    scale, center = (
        torch.tensor(getattr(cars[["wt", "hp"]], f)(**k).to_numpy()) for f, k in (("std", {"ddof": 0}), ("mean", {}))
    )
    theta = torch.cat([exact[1:] * scale, (exact[0] + (exact[1:] * center).sum())[None]])

    def loss(t):
        return nn.functional.binary_cross_entropy_with_logits(X @ t[:-1] + t[-1], y)

    top = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, theta))[-1].item()
    limit = run.result["curvature"]["lr_limit"]
    assert math.isclose(limit, 2.0 / top, rel_tol=1e-6)
    assert math.isclose(run.result["curvature"]["max"], top, rel_tol=1e-6)
    start = {c.term: c.exact * 1.001 for c in run.coefficients}
    below = sightline.fit(cars, "am ~ wt + hp", lr=0.9 * limit, epochs=20000, start=start, output=False)
    above = sightline.fit(cars, "am ~ wt + hp", lr=1.1 * limit, epochs=20000, start=start, output=False)
    assert below.verdict.name == "CONVERGED"
    assert above.verdict.name == "NOT_CONVERGED"
    assert above.verdict.warnings[0].code == "SL-LR-LIMIT"
    assert "cannot settle" in above.verdict.warnings[0].text


def test_fixes_lead_to_the_answer(cars):
    run = sightline.fit(cars, "am ~ wt + hp", optimizer="adam", lr=0.01, epochs=10, output=False)
    assert run.verdict.name == "NOT_CONVERGED"
    fix = next(f for w in run.verdict.warnings for f in w.fix if f.startswith("--lr auto"))
    epochs = int(fix.split("--epochs ")[1].split()[0])
    again = sightline.fit(cars, "am ~ wt + hp", lr="auto", momentum="auto", epochs=epochs, output=False)
    assert again.verdict.name == "CONVERGED"
    assert "sightline.solve(data, 'am ~ wt + hp')  # no epochs" in run.verdict.warnings[0].fix


def test_float32_is_told_honestly(cars):
    run = sightline.fit(cars, "am ~ wt + hp", dtype="float32", output=False)
    assert run.model.weight.dtype == torch.float32
    assert run.result["excess"] < 1e-6
    assert run.result["excess"] >= 0


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ({"y": ["a", "a", "a"]}, {}, DataError, r"target 'y' .* has one class only \('a'\)"),
        ({"y": [0.5, 1.5, 2.5]}, {"loss": "cross-entropy"}, DataError, r"row 0, column y: 0.5 is no class"),
        ({"y": ["a", "b", "c"]}, {"loss": "bce"}, UsageError, "--loss bce takes two classes"),
        ({"y": ["a", "b", "c"]}, {"loss": "hinge"}, UsageError, "--loss hinge takes two classes"),
        ({"y": ["a", "b", "c"]}, {"loss": "mse"}, DataError, "the target 'y' is text"),
        ({"y": [1, -2, 3]}, {"loss": "poisson-nll"}, DataError, "row 1, column y: -2 is no count"),
        ({"y": ["a", "b", "a"]}, {"class_weight": {"z": 2.0}}, UsageError, "--class-weight names no class with 'z'"),
        ({"y": ["a", "b", "a"]}, {"class_weight": {"a": 0.0}}, UsageError, "--class-weight a cannot be 0"),
        ({"y": ["a", "b", "a"]}, {"class_weight": "even"}, UsageError, "--class-weight cannot be 'even'"),
        ({"y": [1.0, 2.0, 4.0]}, {"class_weight": "balanced"}, UsageError, "--class-weight needs classes"),
        ({"y": [1.0, 2.0, 4.0]}, {"loss_opt": {"delta": 1.0}}, UsageError, "--loss mse takes no 'delta'"),
        ({"y": [1.0, 2.0, 4.0]}, {"loss": "huber", "loss_opt": {"delta": 0}}, UsageError, "loss-opt delta cannot be 0"),
        ({"y": [1.0, 2.0, 4.0]}, {"loss": "huber", "loss_opt": {"dleta": 1}}, UsageError, "did you mean 'delta'"),
        ({"y": ["a", "b", "a"]}, {"loss": "cross-entropy", "loss_opt": {"label_smoothing": 1}}, UsageError, "below 1"),
        ({"y": [1.0, 2.0, 4.0]}, {"loss": "mae"}, UsageError, "--loss cannot be 'mae'"),
    ],
)  # fmt: skip
def test_what_is_refused(data, options, error, message):
    with pytest.raises(error, match=message):
        sightline.fit({"x": [1.0, 2.0, 4.0], **data}, "y ~ x", output=False, **options)


def test_labels_that_training_did_not_have(cars):
    run = sightline.fit(cars, "am ~ wt", output=False)
    with pytest.raises(DataError, match=r"row 1, column am: .*2"):
        run.evaluate({"wt": [2.0, 3.0], "am": [0, 2]})


def test_momentum_is_chosen_below_one_or_not_at_all(cars):
    with pytest.raises(UsageError, match="--momentum auto needs a curvature, and the l1 loss has kinks"):
        sightline.fit(cars, "mpg ~ wt", loss="l1", lr=0.1, momentum="auto", epochs=5, output=False)
    separated = {"x": [1.0, 2.0, 3.0, 4.0], "y": ["a", "a", "b", "b"]}
    run = sightline.fit(separated, "y ~ x", lr=0.1, momentum="auto", epochs=200, output=False)
    assert 0.0 < run.result["optimizer"]["momentum"] < 1.0
    assert run.result["loss"] < 0.1 * run.epochs[0].train_loss
