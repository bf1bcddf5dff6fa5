"""The Python API end to end: tables at the edge of what can be fitted, run folders, and the guards of `train`."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from safetensors.torch import load_file
from torch import nn

import sightline
from sightline.comparisons import wald_test
from sightline.errors import DataError, UsageError
from tests.conftest import HEIGHTS
from tests.plain import linear, table


def codes(run):
    return [w.code for w in run.verdict.warnings]


def columns(seed=0, n=30, p=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return {**{f"x{i}": X[:, i] for i in range(p)}, "y": 1.0 + X @ np.arange(1.0, p + 1.0) + rng.normal(size=n)}


def by_term(run, field="estimate"):
    return {c.term: getattr(c, field) for c in run.coefficients}


def both(data, formula):
    return [sightline.solve(data, formula), sightline.fit(data, formula, output=False)]


# Columns that cannot be estimated


def test_constant_column_is_left_out_and_said():
    data = {**columns(), "k": np.full(30, 7.0)}
    model = sm.OLS(data["y"], sm.add_constant(np.column_stack([data["x0"], data["x1"]]))).fit()
    for run in both(data, "y ~ x0 + k + x1"):
        assert codes(run) == ["SL-CONSTANT"]
        assert "'k'" in run.verdict.warnings[0].text
        k = run.coefficients[2]
        assert (k.term, k.estimate, k.exact, k.std_error, k.t, k.p, k.off_by) == ("k", *[None] * 6)
        others = [c for c in run.coefficients if c.term != "k"]
        np.testing.assert_allclose([c.exact for c in others], model.params, rtol=1e-10)
        np.testing.assert_allclose([c.std_error for c in others], model.bse, rtol=1e-10)
        assert run.to_dict()["df"] == 27
        # fit ends within 1e-14 of the baseline in the loss: 1e-7 of a standard deviation in the predictions
        np.testing.assert_allclose(run.predict(data), model.fittedvalues, atol=1e-6)
        assert run.verdict.name == "CONVERGED"


def test_constant_column_without_an_intercept_is_a_column_like_any_other():
    data = {**columns(), "k": np.full(30, 7.0)}
    for run in both(data, "y ~ 0 + x0 + k"):
        assert codes(run) == []
        want = np.linalg.lstsq(np.column_stack([data["x0"], data["k"]]), data["y"])[0]
        np.testing.assert_allclose(list(by_term(run, "exact").values()), want, rtol=1e-10)


def test_a_column_of_zeros_without_an_intercept():
    data = {**columns(), "k": np.zeros(30)}
    for run in both(data, "y ~ 0 + x0 + k"):
        assert codes(run) == ["SL-CONSTANT"]
        assert by_term(run)["k"] is None


@pytest.mark.parametrize(
    ("make", "group"),
    [
        (lambda d: 2.0 * d["x0"], {"x0", "z"}),
        (lambda d: d["x0"] + d["x1"], {"x0", "x1", "z"}),
        (lambda d: 3.0 - d["x2"], {"x2", "z", "Intercept"}),
        (lambda d: 1e6 * d["x1"] - 1e2 * d["x0"], {"x0", "x1", "z"}),
    ],
)
def test_collinear_columns_are_named_and_predictions_are_those_of_the_pseudoinverse(make, group):
    data = columns(1, p=3)
    data["z"] = make(data)
    Z = np.column_stack([np.ones(30), *(data[n] for n in ("x0", "x1", "x2", "z"))])
    fitted = Z @ np.linalg.pinv(Z, rcond=1e-13) @ data["y"]
    for run in both(data, "y ~ x0 + x1 + x2 + z"):
        assert codes(run) == ["SL-COLLINEAR"]
        named = run.verdict.warnings[0].text.removeprefix("columns ").split(" are ")[0].split(", ")
        assert set(named) - {"Intercept"} == group - {"Intercept"}
        undetermined = {t for t, e in by_term(run, "std_error").items() if e is None}
        assert undetermined == group
        np.testing.assert_allclose(run.predict(data), fitted, atol=1e-6)
        assert run.verdict.name == "CONVERGED"
        assert run.to_dict()["df"] == 26
        assert run.to_dict()["fit"]["sigma"] == pytest.approx(
            math.sqrt(float(((data["y"] - fitted) ** 2).sum()) / 26), rel=1e-9
        )
        exact = sum(v * data.get(t, 1.0) for t, v in by_term(run, "exact").items())
        np.testing.assert_allclose(exact, fitted, atol=1e-8)  # 1e6 times eps is lost in the last case


def test_two_groups_of_collinear_columns_are_two_warnings():
    data = columns(2, p=4)
    data["a"], data["b"] = 2.0 * data["x0"], data["x1"] - data["x2"]
    run = sightline.solve(data, "y ~ x0 + x1 + x2 + x3 + a + b")
    assert codes(run) == ["SL-COLLINEAR", "SL-COLLINEAR"]
    named = {frozenset(w.text.removeprefix("columns ").split(" are ")[0].split(", ")) for w in run.verdict.warnings}
    assert named == {frozenset({"x0", "a"}), frozenset({"x1", "x2", "b"})}


def test_fewer_rows_than_columns_interpolates_with_the_least_norm_in_training_coordinates():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(4, 6)) * [1, 10, 0.1, 1, 1, 1] + 3.0, rng.normal(size=4)
    data = {**{f"x{i}": X[:, i] for i in range(6)}, "y": y}
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(4)])
    theta = np.linalg.pinv(Z) @ y
    for run in both(data, "y ~ " + " + ".join(f"x{i}" for i in range(6))):
        assert "SL-FEWROWS" in codes(run)
        np.testing.assert_allclose(run.predict(data), y, atol=1e-6)
        slopes = np.array(list(by_term(run).values())[1:]) * X.std(axis=0)
        np.testing.assert_allclose(slopes, theta[:6], atol=1e-5 if run.epochs else 1e-12)
        json.dumps(run.to_dict(), allow_nan=False)
        assert run.to_dict()["df"] == 0


def test_as_many_rows_as_coefficients():
    data = {"x": [1.0, 2.0, 4.0], "z": [0.0, 1.0, 5.0], "y": [1.0, 0.0, 2.0]}
    want = np.linalg.solve(np.column_stack([np.ones(3), data["x"], data["z"]]), data["y"])
    for run in both(data, "y ~ x + z"):
        assert codes(run) == ["SL-FEWROWS"]
        np.testing.assert_allclose(list(by_term(run, "exact").values()), want, rtol=1e-12)
        assert all(c.std_error is c.t is c.p is c.low is c.high is c.off_by is None for c in run.coefficients)
        result = json.loads(json.dumps(run.to_dict(), allow_nan=False))
        assert result["df"] == 0
        assert result["fit"]["sigma"] is result["fit"]["f"] is None
        assert run.summary()
        with pytest.raises(UsageError, match="residual degrees of freedom"):
            run.predict(data, interval=0.95)


# Rows and values


@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_or_one_row_is_refused(rows):
    with pytest.raises(DataError, match="row"):
        sightline.fit({"x": [1.0] * rows, "y": [2.0] * rows}, "y ~ x", output=False)


def test_no_usable_row_is_refused():
    nan = math.nan
    with pytest.raises(DataError, match="every row"):
        sightline.fit({"x": [1.0, nan, 3.0], "y": [nan, 2.0, nan]}, "y ~ x", output=False)
    with pytest.raises(DataError, match="1 usable row after leaving out 2"):
        sightline.fit({"x": [1.0, nan, 3.0], "y": [nan, 2.0, 5.0]}, "y ~ x", output=False)
    with pytest.raises(DataError, match=r"'x'.*no values"):
        sightline.fit({"x": [nan, nan], "y": [1.0, 2.0]}, "y ~ x", output=False)


@pytest.mark.parametrize("value", [4.0, 0.0, 0.1, 1e9 + 0.3])
def test_constant_target(value):
    for run in both({**columns(4), "y": np.full(30, value)}, "y ~ x0 + x1"):
        assert run.verdict.name == "CONVERGED"
        np.testing.assert_allclose(list(by_term(run).values()), [value, 0.0, 0.0], rtol=1e-13, atol=1e-13 * abs(value))
        fit = run.to_dict()["fit"]
        assert fit["r2"] is None
        assert fit["baseline_loss"] == 0.0
        json.dumps(run.to_dict(), allow_nan=False)
        assert run.summary()


def test_perfect_fit():
    data = {"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 5.0, 7.0]}
    for run in both(data, "y ~ x"):
        assert run.verdict.name == "CONVERGED"
        np.testing.assert_allclose(list(by_term(run).values()), [1.0, 2.0], rtol=1e-12)
        assert run.to_dict()["fit"]["r2"] == pytest.approx(1.0, abs=1e-15)
        json.dumps(run.to_dict(), allow_nan=False)
        assert run.summary()


@pytest.mark.parametrize("formula", ["y ~ y + x0", "log(y) ~ y", "y ~ x0 + log(y)", "y ~ x0:y"])
def test_target_that_is_also_a_feature_is_refused(formula):
    data = {**columns(5), "y": np.arange(1.0, 31.0)}
    for verb in (sightline.solve, sightline.fit):
        with pytest.raises(UsageError, match="'y' is the target and a feature too: remove it"):
            verb(data, formula, output=False)


@pytest.mark.parametrize("power", [996, 400, -400, -900])
def test_huge_and_tiny_features_are_fitted_as_well_as_others(power):
    """Multiplied by a power of two no digit changes, so slope and standard error are divided by exactly that power."""
    data = columns(6)
    far = {**data, "x0": data["x0"] * 2.0**power}
    for near, run in zip(both(data, "y ~ x0 + x1"), both(far, "y ~ x0 + x1"), strict=True):
        assert run.verdict.name == "CONVERGED"
        assert codes(run) == codes(near) == []
        for field in ("estimate", "exact", "std_error", "low", "high"):
            assert math.ldexp(by_term(run, field)["x0"], power) == pytest.approx(
                by_term(near, field)["x0"], rel=1e-12
            ), field
        for field in ("t", "p"):
            assert by_term(run, field) == pytest.approx(by_term(near, field), rel=1e-12), field
        np.testing.assert_allclose(run.predict(far), near.predict(data), rtol=1e-11, atol=1e-12)
        assert run.to_dict()["loss"] == pytest.approx(near.to_dict()["loss"], rel=1e-13)


@pytest.mark.parametrize("factor", [1e300, 1e200, 1e-310, 5e-324])
def test_a_target_whose_squares_overflow_or_vanish_is_refused(factor):
    data = columns(7)
    y = np.where(data["y"] > 0, 1.0, 2.0) * factor
    with pytest.raises(DataError, match="'y'"):
        sightline.fit({**data, "y": y}, "y ~ x0", output=False)


@pytest.mark.parametrize("power", [-1070, -1030, -996])
def test_a_feature_of_denormals_or_nearly_so_is_refused_by_name(power):
    """The squares of such numbers are zero, so that no slope could be told from the rounding."""
    x = np.arange(1.0, 11.0)
    with pytest.raises(DataError, match="'x'"):
        sightline.solve({"x": x * 2.0**power, "y": 3.0 * x + np.sin(x)}, "y ~ x")


@pytest.mark.parametrize("bad", [math.inf, -math.inf])
@pytest.mark.parametrize("column", ["x1", "y"])
def test_infinity_is_refused_by_row_and_column(bad, column):
    data = columns(8)
    data[column] = data[column].copy()
    data[column][4] = bad
    data["x0"] = np.where(np.arange(30) == 1, math.nan, data["x0"])  # a row left out does not shift the number
    with pytest.raises(DataError, match=rf"row 4, column {column}.*inf"):
        sightline.fit(data, "y ~ x0 + x1", output=False)


def test_infinity_in_a_file_is_refused_by_its_line(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("x,y\n1,2\n2,3\ninf,4\n5,1\n")
    with pytest.raises(DataError, match="line 4, column x"):
        sightline.fit(path, "y ~ x", output=False)


def test_missing_values_are_left_out_and_counted():
    frame = pd.DataFrame(columns(9))
    frame.loc[[1, 5], "x0"] = np.nan
    frame.loc[[5, 8], "y"] = np.nan
    run = sightline.fit(frame, "y ~ x0 + x1", output=False)
    kept = frame.dropna()
    assert run.to_dict()["rows"] == 27
    assert run.source["missing"] == {"rows": 3, "by_column": {"x0": 2, "y": 2}}
    model = sm.OLS(kept["y"], sm.add_constant(kept[["x0", "x1"]])).fit()
    np.testing.assert_allclose(list(by_term(run, "exact").values()), model.params, rtol=1e-11)
    assert np.flatnonzero(np.isnan(run.predict(frame))).tolist() == [1, 5]


# What a run is


def test_model_is_a_plain_linear_layer_in_the_units_of_the_data():
    data = columns(10)
    run = sightline.fit(data, "y ~ x0 + x1", output=False)
    assert type(run.model) is nn.Linear
    x = torch.from_numpy(np.column_stack([data["x0"], data["x1"]]))
    with torch.no_grad():
        np.testing.assert_allclose(run.model(x).numpy()[:, 0], run.predict(data), rtol=1e-13, atol=1e-13)


def test_run_folder_is_read_without_sightline(tmp_path):
    data = columns(11)
    run = sightline.fit(data, "y ~ x0 + x1", output=tmp_path, lr=0.1, epochs=7, figures="none")
    manifest = json.loads((run.folder / "run.json").read_text())
    assert manifest["status"] == "done"
    assert manifest["result"] == run.to_dict()
    lines = [json.loads(line) for line in (run.folder / "epochs.jsonl").read_text().splitlines()]
    assert [line["train_loss"] for line in lines] == [e.train_loss for e in run.epochs]
    assert len(lines) == 8
    model = nn.Linear(2, 1, dtype=torch.float64)
    model.load_state_dict(load_file(run.folder / "model.safetensors"))
    with torch.no_grad():
        predicted = model(torch.from_numpy(np.column_stack([data["x0"], data["x1"]])))[:, 0]
    np.testing.assert_allclose(predicted, run.predict(data), rtol=1e-13, atol=1e-13)


def test_loaded_run_is_the_run(tmp_path):
    data = columns(12)
    run = sightline.fit(data, "y ~ x0 * x1", output=tmp_path, figures="none")
    loaded = sightline.load(run.folder)
    assert list(loaded.coefficients) == list(run.coefficients)
    assert loaded.verdict == run.verdict
    assert [e.train_loss for e in loaded.epochs] == [e.train_loss for e in run.epochs]
    assert [e.parameters for e in loaded.epochs] == [dict(e.parameters) for e in run.epochs]
    assert loaded.epochs[-1].stop == run.epochs[-1].stop
    assert loaded.predict(data).tolist() == run.predict(data).tolist()
    mine, theirs = run.predict(data, interval=0.8), loaded.predict(data, interval=0.8)
    assert {k: v.tolist() for k, v in theirs.items()} == {k: v.tolist() for k, v in mine.items()}
    assert loaded.to_dict() == run.to_dict()


def test_solved_run_can_be_saved_and_loaded(tmp_path):
    run = sightline.solve(HEIGHTS, "weight ~ height", output=tmp_path)
    loaded = sightline.load(run.folder)
    assert loaded.to_dict() == run.to_dict()
    assert loaded.verdict == run.verdict
    assert loaded.predict(HEIGHTS).tolist() == run.predict(HEIGHTS).tolist()


def test_predictions_in_another_process_are_the_same_to_the_bit(tmp_path):
    frame = pd.DataFrame(columns(13)).assign(g=list("abcab" * 6))
    frame.to_csv(tmp_path / "d.csv", index=False)
    run = sightline.fit(tmp_path / "d.csv", "y ~ I(x0^2) + x1:g + g", output=tmp_path / "runs")
    here = run.predict(tmp_path / "d.csv", interval=0.9)
    script = (
        "import sys, json, sightline\n"
        "p = sightline.load(sys.argv[1]).predict(sys.argv[2], interval=0.9)\n"
        "print(json.dumps({k: [v.hex() for v in values.tolist()] for k, values in p.items()}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(run.folder), str(tmp_path / "d.csv")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {k: [v.hex() for v in values.tolist()] for k, values in here.items()}


def test_evaluate_on_other_rows():
    train, test = columns(14), columns(15)
    run = sightline.solve(train, "y ~ x0 + x1")
    Z = np.column_stack([np.ones(30), train["x0"], train["x1"]])
    theta = np.linalg.lstsq(Z, train["y"])[0]
    residual = test["y"] - theta[0] - theta[1] * test["x0"] - theta[2] * test["x1"]
    metrics = run.evaluate(test)
    assert metrics["rows"] == 30
    assert metrics["mse"] == pytest.approx(float(np.mean(residual**2)), rel=1e-11)
    assert metrics["mae"] == pytest.approx(float(np.mean(np.abs(residual))), rel=1e-11)


@pytest.mark.parametrize("interval", [0.0, 1.0, 95, -0.5, math.nan])
def test_bad_interval(interval):
    with pytest.raises(UsageError, match="between 0 and 1"):
        sightline.solve(HEIGHTS, "weight ~ height").predict(HEIGHTS, interval=interval)


def test_output_false_writes_nothing_and_sinks_see_every_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    run = sightline.fit(HEIGHTS, "weight ~ height", output=False, lr=0.1, epochs=4, sinks=[seen.append])
    assert run.folder is None
    assert list(tmp_path.iterdir()) == []
    assert [e.number for e in seen] == [0, 1, 2, 3, 4]
    assert seen == list(run.epochs)


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    sightline.fit(HEIGHTS, "weight ~ height", output=False, batch_size=2, epochs=2)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("arguments", [{}, {"formula": "weight ~ height", "target": "weight"}])
def test_formula_or_target_one_of_the_two(arguments):
    with pytest.raises(UsageError, match="one of the two"):
        sightline.fit(HEIGHTS, output=False, **arguments)


def test_json_keys_are_those_of_the_contract():
    result = sightline.fit(HEIGHTS, "weight ~ height", output=False).to_dict()
    assert list(result) == [
        "run", "formula", "rows", "df", "loss_name", "loss", "exact_loss", "excess", "epochs", "verdict", "frozen_at",
        "coef",
        "fit", "curvature", "engine", "warnings", "optimizer", "accuracy",
    ]  # fmt: skip
    assert list(result["coef"][0]) == ["term", "estimate", "exact", "std_error", "t", "p", "low", "high", "off_by"]
    assert list(result["fit"]) == [
        "sigma",
        "r2",
        "adj_r2",
        "f",
        "f_p",
        "df_model",
        "df_resid",
        "aic",
        "bic",
        "baseline_loss",
        "log_likelihood",
    ]
    assert list(result["curvature"]) == ["min", "max", "condition", "lr_limit"]
    assert list(sightline.solve(HEIGHTS, "weight ~ height").to_dict()) == list(result)


# Guards of `train`


def started(x, y, *, model=None, loss=None, optimizer=None, **more):
    model = model or linear(x.shape[1] if getattr(x, "ndim", 0) == 2 else 1)
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
    return list(sightline.train(model, (x, y), loss=loss or nn.MSELoss(), optimizer=optimizer, **{"epochs": 1, **more}))


@pytest.mark.parametrize("engine", ["auto", "autograd"])
@pytest.mark.parametrize("loss", [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss])
def test_a_column_of_predictions_against_a_flat_target_is_refused(engine, loss):
    x, y = table(6, 2)
    with pytest.raises(UsageError, match=r"y\.reshape\(-1, 1\)"):
        started(x, y[:, 0], loss=loss(), engine=engine)
    assert len(started(x, y[:, 0].reshape(-1, 1), loss=loss(), engine=engine)) == 2  # the remedy works


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss])
def test_flat_predictions_against_a_column_are_refused(loss):
    x, y = table(6, 2)
    model = nn.Sequential(linear(2), nn.Flatten(0))
    with pytest.raises(UsageError, match=r"y\.reshape\(-1\)"):
        started(x, y, model=model, loss=loss())
    assert len(started(x, y.reshape(-1), model=model, loss=loss())) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["x", "y"])
def test_numbers_that_are_not_finite_are_refused_by_place(bad, where):
    x, y = table(6, 2)
    (x if where == "x" else y)[4, 1 if where == "x" else 0] = bad
    with pytest.raises(DataError, match=rf"^{where} holds .*row 4, column {1 if where == 'x' else 0}"):
        started(x, y)


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss, nn.BCEWithLogitsLoss])
def test_whole_numbers_for_a_loss_of_floats(loss):
    x, y = table(6, 2)
    with pytest.raises(UsageError, match=r"y\.float\(\)"):
        started(x, (y > 0).long(), loss=loss())


def test_floats_for_a_loss_of_classes():
    x, y = table(6, 2)
    with pytest.raises(UsageError, match=r"y\.long\(\)"):
        started(x, (y[:, 0] > 0).double(), model=linear(2, 2), loss=nn.CrossEntropyLoss())
    assert len(started(x, (y[:, 0] > 0).long(), model=linear(2, 2), loss=nn.CrossEntropyLoss())) == 2


@pytest.mark.parametrize("bad", [-1.0, 1.5, 2.0])
@pytest.mark.parametrize("loss", [nn.BCELoss, nn.BCEWithLogitsLoss])
def test_targets_outside_zero_and_one(bad, loss):
    x, _ = table(6, 2)
    y = torch.zeros(6, 1, dtype=torch.float64)
    y[3] = bad
    with pytest.raises(UsageError, match=f"y holds {bad:g}"):
        started(x, y, model=nn.Sequential(linear(2), nn.Sigmoid()), loss=loss())


def test_optimizer_of_another_model():
    x, y = table(6, 2)
    with pytest.raises(UsageError, match="holds parameters of another model"):
        started(x, y, optimizer=torch.optim.SGD(linear(2).parameters(), lr=0.1))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, "sgd", 3])
def test_optimizer_that_is_no_optimizer(optimizer):
    x, y = table(6, 2)
    with pytest.raises(UsageError, match=r"SGD\(model\.parameters\(\)"):
        started(x, y, optimizer=optimizer)


@pytest.mark.parametrize("lr", [math.nan, math.inf, 0.0, -0.1])
def test_learning_rate_that_means_nothing(lr):
    x, y = table(6, 2)
    model = linear(2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["lr"] = lr
    with pytest.raises(UsageError, match="finite rate above 0"):
        started(x, y, model=model, optimizer=optimizer)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[("epochs", v) for v in [math.nan, math.inf, -1, 2.5, "20", True, None]],
        *[("batch_size", v) for v in [math.nan, math.inf, 0, -1, 2.5, "8", True]],
        *[("measure", v) for v in [math.nan, 0, -1, 2.5, "often", True]],
        *[("seed", v) for v in [math.nan, -1, 2.5, "a", True, None]],
        *[("start", v) for v in [math.nan, -1, 2.5, "a"]],
    ],
)
def test_numbers_of_the_loop_that_mean_nothing(setting, value):
    x, y = table(6, 2)
    with pytest.raises(UsageError, match=setting):
        started(x, y, **{setting: value})


def test_nothing_is_trained_before_the_refusal():
    x, y = table(6, 2)
    model = linear(2)
    with pytest.raises(UsageError):
        sightline.train(
            model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.SGD(model.parameters(), lr=0.1), epochs=-1
        )


@pytest.mark.parametrize(("rows", "targets"), [(6, 5), (5, 6), (6, 0)])
def test_rows_and_targets_of_different_number(rows, targets):
    x, y = table(6, 2)
    with pytest.raises(UsageError, match=f"x has {rows} rows and y has {targets}"):
        started(x[:rows], y[:targets])


def test_no_rows():
    x, y = table(6, 2)
    with pytest.raises(UsageError, match="at least one row"):
        started(x[:0], y[:0])


@pytest.mark.parametrize("data", [None, 3, "xy", [1], (1, 2, 3)])
def test_data_that_is_no_pair(data):
    model = linear(2)
    with pytest.raises(UsageError, match="pair"):
        sightline.train(model, data, loss=nn.MSELoss(), optimizer=torch.optim.SGD(model.parameters(), lr=0.1), epochs=1)


@pytest.mark.parametrize("x", ["text", [["a"]], None, {"a": 1}])
def test_data_that_are_no_numbers(x):
    with pytest.raises(UsageError):
        started(x, torch.zeros(1, 1))


def test_prediction_intervals_of_nearly_collinear_columns():
    """Against the leverage from a QR of [1, x, z - x], which is well conditioned; 1e-8 costs eight of sixteen digits."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    z = x * (1.0 + 1e-8 * rng.normal(size=20))
    y = x + rng.normal(size=20)
    run = sightline.solve({"x": x, "z": z, "y": y}, "y ~ x + z", output=False)
    got = run.predict({"x": x, "z": z}, interval=0.95)
    d = z - x
    Q, _ = np.linalg.qr(np.column_stack([np.ones(20), x, d / np.abs(d).max()]))
    residual = y - Q @ (Q.T @ y)
    from scipy.stats import t

    half = t.ppf(0.975, 17) * np.sqrt(residual @ residual / 17.0) * np.sqrt(1.0 + (Q**2).sum(axis=1))
    np.testing.assert_allclose(got["high"] - got["prediction"], half, rtol=1e-6)


def test_a_start_on_a_constant_column_is_refused():
    with pytest.raises(sightline.UsageError, match="give the Intercept alone"):
        sightline.fit({"x": [1e3] * 4, "y": [1.0, 2.0, 3.0, 3.0]}, "y ~ x", start={"x": 1.0}, output=False)


def test_a_start_too_far_away_is_refused():
    with pytest.raises(sightline.UsageError, match="start nearer"):
        sightline.fit({"x": [1.0, 2.0, 4.0], "y": [1.0, 2.0, 3.0]}, "y ~ x", start={"Intercept": 1e200}, output=False)


def test_a_penalized_fit_has_no_f_test():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    run = sightline.fit({"x": x, "y": 5.0 + rng.normal(size=20)}, "y ~ x", weight_decay=1.0, output=False)
    assert run.to_dict()["fit"]["f"] is None
    assert run.to_dict()["fit"]["f_p"] is None
    assert "nan" not in run.summary()


def test_no_columns_with_every_optimizer():
    from sightline.engines.optimizers import optimizer_names

    for name in optimizer_names():
        run = sightline.fit({"y": [1.0, 2.0, 4.0]}, "y ~ 1", optimizer=name, lr=0.01, epochs=2, output=False)
        assert run.epochs[-1].number == 2


@pytest.mark.parametrize("name", ["weight_decay", "lr", "epochs"])
def test_solve_refuses_what_it_would_ignore(name):
    with pytest.raises(sightline.UsageError, match=f"takes no '{name}': leave it out, or use fit"):
        sightline.solve({"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 4.0]}, "y ~ x", **{name: 1})


@pytest.mark.parametrize("unit", [1e-6, 1.0, 40.0])
def test_intervals_and_hypotheses_do_not_depend_on_the_unit_of_weights(unit):
    """Only σ² is per unit of weight: coefficients, their tests and the interval of a mean are not. A new observation
    has weight 1, so that its own variance is σ².
    """
    import statsmodels.api as sm

    x, y, w = np.array([1.0, 2.0, 3.0, 5.0, 8.0]), np.array([2.0, 3.0, 7.0, 8.0, 15.0]), unit * np.arange(1.0, 6.0)
    run = sightline.solve({"x": x, "y": y, "w": w}, "y ~ x", weights="w")
    theirs = sm.WLS(y, sm.add_constant(x), weights=w).fit()
    expected = theirs.get_prediction(sm.add_constant(x)).summary_frame(alpha=0.1)
    ours = run.predict({"x": x}, interval=0.9)
    np.testing.assert_allclose(ours["low"], expected["obs_ci_lower"], rtol=1e-12)
    np.testing.assert_allclose(ours["high"], expected["obs_ci_upper"], rtol=1e-12)
    assert wald_test(run, "x = 2")[1].statistic == pytest.approx(theirs.t_test("x1 = 2").tvalue[0, 0] ** 2, rel=1e-12)
