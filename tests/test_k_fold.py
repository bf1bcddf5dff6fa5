"""A recipe trained once for each fold, beside scikit-learn on the same folds and beside a plain loop."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn

import sightline
from sightline.errors import DataError, UsageError

RNG = np.random.default_rng(5)
N = 90


@pytest.fixture(scope="module")
def frame():
    x, z = RNG.normal(170, 10, N), RNG.normal(size=N)
    city = np.array(["Basel", "Bern", "Chur"])[RNG.integers(0, 3, N)]
    y = 0.5 * x - 3 * z + 4.0 * (city == "Bern") + RNG.normal(0, 2, N)
    score = (x - 170) / 10 - z + RNG.logistic(size=N)
    return pd.DataFrame(
        {
            "x": x, "z": z, "city": city, "y": y, "w": RNG.integers(1, 5, N).astype(float),
            "passed": np.where(score > 0, "yes", "no"), "kind": np.array(["a", "b", "c"])[np.digitize(score, [-1, 1])],
            "visits": RNG.poisson(np.exp(0.3 * z + 0.5)).astype(float), "group": RNG.integers(0, 12, N),
        }
    )  # fmt: skip


def split(found):
    return PredefinedSplit(found.fold - 1)


def columns():
    return make_column_transformer((StandardScaler(), ["x", "z"]), (OneHotEncoder(drop="first"), ["city"]))


def check_numbers(found, y, predicted, weight=None):
    """Every metric of every fold, their mean and spread, and those of all rows, by scikit-learn."""
    for fold in found.folds:
        held = found.fold == fold.number
        w = None if weight is None else weight[held]
        mse = metrics.mean_squared_error(y[held], predicted[held], sample_weight=w)
        assert fold.metrics["rmse"] == pytest.approx(math.sqrt(mse), rel=1e-8)
        expected = metrics.mean_absolute_error(y[held], predicted[held], sample_weight=w)
        assert fold.metrics["mae"] == pytest.approx(expected, rel=1e-8)
        mean = np.average(y[~held], weights=None if weight is None else weight[~held])
        r2 = 1 - mse / np.average((y[held] - mean) ** 2, weights=w)
        assert fold.metrics["r2"] == pytest.approx(r2, rel=1e-8)
        assert (fold.trained, fold.held_out) == (int((~held).sum()), int(held.sum()))
    rmse = [fold.metrics["rmse"] for fold in found.folds]
    assert (found.mean["rmse"], found.sd["rmse"]) == pytest.approx((np.mean(rmse), np.std(rmse, ddof=1)), rel=1e-12)
    pooled = math.sqrt(metrics.mean_squared_error(y, predicted, sample_weight=weight))
    assert found.pooled["rmse"] == pytest.approx(pooled, rel=1e-8)


def test_numbers_are_those_of_scikit_learn_on_the_same_folds(frame):
    found = sightline.k_fold(frame, "y ~ x + z + city", fold_seed=3, epochs=200)
    model = make_pipeline(columns(), LinearRegression())
    expected = cross_val_predict(model, frame, frame.y, cv=split(found))
    np.testing.assert_allclose(found.predictions, expected, rtol=1e-8)
    check_numbers(found, frame.y.to_numpy(), expected)
    for fold in found.folds:
        rest = frame[found.fold != fold.number]
        inside = model.fit(rest, rest.y).predict(rest)
        rmse = math.sqrt(metrics.mean_squared_error(rest.y, inside))
        assert fold.trained_metrics["rmse"] == pytest.approx(rmse, rel=1e-8)
    assert {fold.verdict for fold in found.folds} == {"CONVERGED"}


def test_the_closed_form_with_the_encoding_of_all_rows_has_the_same_errors(frame):
    found = sightline.k_fold(frame, "y ~ x + z", folds=6, epochs=200)
    closed = sightline.cross_validate(sightline.solve(frame, "y ~ x + z"), 6)
    np.testing.assert_allclose(frame.y - found.predictions, closed.residual, rtol=1e-8, atol=1e-9)


def test_weights_count_in_training_and_in_errors(frame):
    found = sightline.k_fold(frame, "y ~ x + z", weights="w", folds=4, epochs=200)
    expected, weight = np.empty(N), frame.w.to_numpy()
    for number in range(1, 5):
        rest, held = frame[found.fold != number], frame[found.fold == number]
        model = LinearRegression().fit(rest[["x", "z"]], rest.y, sample_weight=rest.w)
        expected[found.fold == number] = model.predict(held[["x", "z"]])
    np.testing.assert_allclose(found.predictions, expected, rtol=1e-8)
    check_numbers(found, frame.y.to_numpy(), expected, weight)


@pytest.mark.parametrize("target", ["passed", "kind"])
def test_classes_are_those_of_scikit_learn_on_the_same_folds(frame, target):
    found = sightline.k_fold(frame, f"{target} ~ x + z + city", folds=3, epochs=800)
    model = make_pipeline(columns(), LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000, solver="newton-cg"))
    expected = cross_val_predict(model, frame, frame[target], cv=split(found), method="predict_proba")
    np.testing.assert_allclose(found.predictions, expected, atol=1e-8)
    assert found.classes == tuple(sorted(frame[target].unique()))
    for fold in found.folds:
        held = found.fold == fold.number
        own, probability = frame[target][held], expected[held]
        assert fold.metrics["log_loss"] == pytest.approx(metrics.log_loss(own, probability), rel=1e-8)
        guess = np.array(found.classes)[probability.argmax(axis=1)]
        assert fold.metrics["accuracy"] == pytest.approx(metrics.accuracy_score(own, guess))
        if len(found.classes) == 2:
            brier = metrics.brier_score_loss(own == "yes", probability[:, 1])
            assert fold.metrics["brier"] == pytest.approx(brier, rel=1e-8)
    assert found.pooled["log_loss"] == pytest.approx(metrics.log_loss(frame[target], expected), rel=1e-8)


def test_counts_are_those_of_scikit_learn(frame):
    found = sightline.k_fold(frame, "visits ~ z", loss="poisson-nll", folds=3, epochs=600)
    model = make_pipeline(StandardScaler(), PoissonRegressor(alpha=0.0, tol=1e-12, max_iter=10_000))
    expected = cross_val_predict(model, frame[["z"]], frame.visits, cv=split(found))
    np.testing.assert_allclose(found.predictions, expected, rtol=1e-6)


def test_offsets_are_added_to_predictions_and_taken_from_errors(frame):
    plain = sightline.k_fold(frame.assign(y=frame.y - 2 * frame.z), "y ~ x", folds=3, epochs=200)
    found = sightline.k_fold(frame, "y ~ x + offset(I(2*z))", folds=3, epochs=200)
    np.testing.assert_allclose(found.predictions, plain.predictions + 2 * frame.z, rtol=1e-8)
    assert found.pooled["rmse"] == pytest.approx(plain.pooled["rmse"], rel=1e-8)


@pytest.mark.parametrize("settings", [{}, {"batch_size": 16, "seed": 7}])
def test_a_half_trained_recipe_is_that_of_a_plain_loop(frame, settings):
    found = sightline.k_fold(
        frame, "y ~ x + z", optimizer="adam", lr=0.3, epochs=20, engine="autograd", fold_seed=1, **settings
    )
    X, y = frame[["x", "z"]].to_numpy(), frame.y.to_numpy()
    rest, held = found.fold != 2, found.fold == 2
    center, scale = X[rest].mean(axis=0), X[rest].std(axis=0)
    inputs, outputs = torch.tensor((X[rest] - center) / scale), torch.tensor(y[rest][:, None])
    model = nn.Linear(2, 1, dtype=torch.float64)
    with torch.no_grad():
        model.weight.zero_(), model.bias.zero_()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.3)
    size = settings.get("batch_size", int(rest.sum()))
    for epoch in range(1, 21):
        for rows in batches(int(rest.sum()), size, settings.get("seed", 0), epoch):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(inputs[rows]), outputs[rows]).backward()
            optimizer.step()
    expected = model(torch.tensor((X[held] - center) / scale)).detach().numpy()[:, 0]
    np.testing.assert_allclose(found.predictions[held], expected, rtol=1e-12)
    assert found.folds[1].epochs == 20
    assert found.folds[1].verdict == "NOT_CONVERGED"


def batches(rows, size, seed, epoch):
    """The rows of each step, in the order that torch's sampler draws from the seed of the epoch."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    sampler = torch.utils.data.RandomSampler(range(rows), generator=generator)
    every = torch.arange(rows) if size >= rows else torch.tensor(list(sampler))
    return torch.split(every, size)


@pytest.mark.parametrize("settings", [
    {}, {"optimizer": "adam", "lr": 0.2, "epochs": 15}, {"validation": 0.2, "patience": 3, "lr": 0.05, "epochs": 300},
    {"weights": "w"}, {"cluster": "group"}, {"batch_size": 20, "lr": 0.05, "epochs": 5},
])  # fmt: skip
def test_predictions_of_a_fold_do_not_know_its_targets(frame, settings):
    before = sightline.k_fold(frame, "y ~ x + z + city", **settings)
    for fold in (1, 4):
        held = before.fold == fold
        changed = frame.assign(y=np.where(held, 1e3 * RNG.normal(size=N), frame.y))
        after = sightline.k_fold(changed, "y ~ x + z + city", **settings)
        np.testing.assert_array_equal(after.fold, before.fold)
        np.testing.assert_array_equal(after.predictions[held], before.predictions[held])
        assert not np.allclose(after.predictions[~held], before.predictions[~held])


def test_rows_held_out_for_stopping_come_from_those_trained_on(frame):
    found = sightline.k_fold(frame, "y ~ x + z", validation=0.25, patience=4, lr=0.02, epochs=400)
    for fold in found.folds:
        rest = N - fold.held_out
        assert (fold.trained, fold.validation) == (rest - round(0.25 * rest), round(0.25 * rest))
    part = frame[found.fold != 3]
    run = sightline.fit(part, "y ~ x + z", validation=0.25, patience=4, lr=0.02, epochs=400, output=False)
    np.testing.assert_array_equal(found.predictions[found.fold == 3], run.predict(frame[found.fold == 3]))
    assert found.folds[2].epochs == run.result["epochs"]
    assert found.folds[2].verdict == run.verdict.name


def test_the_seed_of_the_folds_is_not_that_of_the_training(frame):
    a, b, c = (sightline.k_fold(frame, "y ~ x", fold_seed=s, seed=t) for s, t in ((0, 0), (0, 9), (1, 0)))
    np.testing.assert_array_equal(a.fold, b.fold)
    assert (a.fold != c.fold).any()
    assert np.bincount(a.fold)[1:].tolist() == [18] * 5


def test_classes_are_spread_evenly_and_clusters_stay_together(frame):
    found = sightline.k_fold(frame, "kind ~ x", folds=4, epochs=3)
    for label in "abc":
        sizes = np.bincount(found.fold[frame.kind == label], minlength=5)[1:]
        assert sizes.max() - sizes.min() <= 1
    grouped = sightline.k_fold(frame, "y ~ x", cluster="group", folds=4)
    assert all(len(set(grouped.fold[frame.group == g])) == 1 for g in frame.group.unique())


def test_a_class_of_two_rows_is_in_every_training_part():
    x = np.arange(30.0)
    kind = np.array(["a", "b"] * 14 + ["c", "c"])
    found = sightline.k_fold({"x": x % 7, "kind": kind}, "kind ~ x", folds=10, epochs=5)
    assert found.predictions.shape == (30, 3)
    assert len(set(found.fold[kind == "c"])) == 2


def test_a_part_that_looks_like_classes_is_trained_as_the_whole(frame):
    y = np.array([0.0, 1.0] * 10 + [2.0])
    found = sightline.k_fold({"x": np.arange(21.0), "y": y}, "y ~ x", folds=21)
    assert found.loss == "mse"
    assert found.predictions.shape == (21,)


def test_rows_without_a_value_or_weight_take_no_part(frame):
    holes = frame.assign(x=frame.x.where(frame.index != 4), w=frame.w.where(frame.index != 8, 0.0))
    found = sightline.k_fold(holes, "y ~ x + z", weights="w")
    assert len(found.fold) == len(found.predictions) == N - 2
    used = holes[holes.x.notna() & (holes.w > 0)]
    rest, held = used[found.fold != 1], used[found.fold == 1]
    model = LinearRegression().fit(rest[["x", "z"]], rest.y, sample_weight=rest.w)
    np.testing.assert_allclose(found.predictions[found.fold == 1], model.predict(held[["x", "z"]]), rtol=1e-8)


def test_hinge_has_scores_and_accuracy_only(frame):
    found = sightline.k_fold(frame, "passed ~ x + z", loss="hinge", epochs=200)
    assert found.predictions.shape == (N,)
    share = np.mean((found.predictions > 0) == (frame.passed == "yes"))
    assert found.pooled == {"log_loss": None, "accuracy": pytest.approx(share), "brier": None}
    assert "accuracy" in str(found)
    assert "log loss" not in str(found)


def test_a_loss_can_be_a_module(frame):
    found = sightline.k_fold(frame, "y ~ x", loss=nn.HuberLoss(delta=0.5))
    assert found.loss == "huber"


def test_what_diverged_is_said(frame):
    found = sightline.k_fold(frame, "y ~ x + z", lr=4.0, epochs=3000)
    assert {fold.verdict for fold in found.folds} == {"DIVERGED"}
    assert "Every fold DIVERGED: lower the learning rate." in " ".join(str(found).split())
    assert max(map(len, str(found).splitlines())) <= 80


def test_numbers_that_are_not_finite_are_said(frame):
    found = sightline.k_fold(frame, "y ~ x + z", lr=1e200, epochs=30)
    assert found.mean["rmse"] is None
    assert "no held-out RMSE, as folds 1, 2, 3, 4, 5 left no finite numbers" in found.verdict
    json.dumps(found.to_dict()["mean"], allow_nan=False)


def test_a_fold_whose_classes_are_separated_is_named():
    x = [1.0, 2, 3, 4, 5, 6, 7, 8]
    kind = ["a", "a", "a", "b", "a", "b", "b", "b"]
    found = sightline.k_fold({"x": x, "kind": kind}, "kind ~ x", folds=8)
    named = [fold.number for fold in found.folds if "SL-SEPARABLE" in fold.warnings]
    for fold in found.folds:  # separated is what remains without one of the two rows that overlap
        rest = [(v, k) for v, k, f in zip(x, kind, found.fold, strict=True) if f != fold.number]
        apart = max(v for v, k in rest if k == "a") < min(v for v, k in rest if k == "b")
        assert apart == (fold.number in named)
    assert named
    assert "are separated" in found.verdict
    assert "Folds" in found.verdict
    assert "did not converge" in found.verdict


def test_words_for_what_the_errors_say(frame):
    noise = {"x": RNG.normal(size=40), "y": RNG.normal(size=40)}
    assert "no better than always predicting the mean of y" in sightline.k_fold(noise, "y ~ x").verdict
    assert "as well as those trained on" in sightline.k_fold(frame, "y ~ x + z").verdict
    wide = {f"v{i}": RNG.normal(size=24) for i in range(14)}
    wide["y"] = 5 * wide["v0"] + RNG.normal(size=24)
    assert "follows its own rows closely: fewer columns" in sightline.k_fold(wide, target="y").verdict
    half = sightline.k_fold(frame, "y ~ x", lr=0.01, epochs=2)
    assert "train longer" in half.verdict
    assert "No fold converged" in half.verdict


def test_many_folds_are_cut_short_in_the_table_only(frame):
    found = sightline.k_fold(frame, "y ~ x", folds=N)
    assert "... and 70 folds more" in str(found)
    assert len(found.folds) == len(found.to_dict()["folds"]) == N
    assert max(map(len, str(found).splitlines())) <= 80


FEW = {
    "x": [1.0, 2, 3, 4, 5, 6],
    "y": [1.0, 3, 2, 5, 4, 6],
    "k": ["a", "a", "b", "b", "a", "c"],
    "g": [1, 1, 1, 2, 2, 2],
}
BAD = [
    (UsageError, {"folds": 1}, "--folds cannot be '1': give a whole number of at least 2"),
    (UsageError, {"folds": True}, "--folds cannot be 'True'"),
    (UsageError, {"folds": "five"}, "--folds cannot be 'five': give a whole number"),
    (UsageError, {"folds": 2.0}, "--folds cannot be '2.0'"),
    (UsageError, {"folds": 7}, "7 folds of 6 rows: ask for 2 to as many as there are rows"),
    (UsageError, {"fold_seed": -1}, "--fold-seed cannot be '-1'"),
    (UsageError, {"fold_seed": "x"}, "--fold-seed cannot be 'x'"),
    (UsageError, {"output": "here"}, "k_fold writes no run folders and calls no sinks: leave output out"),
    (UsageError, {"foo": 1}, "takes no setting 'foo'"),
    (UsageError, {"folds": 2, "cluster": "g"}, "2 folds of 2 clusters leave 1 cluster to train on"),
    (UsageError, {"folds": 3, "validation": 0.7}, "fold 1 of 3: --validation 0.7 of 4 rows"),
    (DataError, {"formula": "y ~ x + k"}, "row 5, column k: 'c' is in fold . of 5 only .1 row.*category: leave this row"),
    (DataError, {"formula": "k ~ x"}, "row 5, column k: 'c' is in fold . of 5 only .1 row.*class: leave this row out"),
    (DataError, {"formula": "y ~ x + C(g)", "folds": 2, "fold_seed": 15}, "'.' is in fold . of 2 only .3 rows.*--fold-seed"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "given", "message"), BAD)
def test_what_cannot_be_done_is_a_sentence(error, given, message):
    given = {"formula": "y ~ x", **given}
    with pytest.raises(error, match=message):
        sightline.k_fold(FEW, **given)


def test_too_little_to_train_on():
    with pytest.raises(UsageError, match=r"2 folds of 2 rows leave 1 row to train on.*add rows, or ask for more folds"):
        sightline.k_fold({"x": [1, 2], "y": [1, 3]}, "y ~ x", folds=2)
