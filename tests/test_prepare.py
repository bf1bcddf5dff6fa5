"""From data to rows: weights, clusters, classes, the loss that is meant, and every refusal by its sentence."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.preprocessing import LabelEncoder, StandardScaler

import sightline
from sightline.data.design import Design
from sightline.data.sources import open_source
from sightline.errors import DataError, UsageError
from sightline.prepare import prepare

NAN = math.nan


def columns(n=12, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "a": 50 + rng.normal(size=n), "b": rng.normal(size=n), "y": rng.normal(size=n),
        "w": rng.integers(1, 5, n).astype(float), "firm": [f"f{i}" for i in rng.integers(0, 4, n)],
        "unit": rng.integers(0, 3, n).astype(float),
    }  # fmt: skip


def with_cell(row, **cells):
    data = {name: list(values) for name, values in columns().items()}
    for name, value in cells.items():
        data[name][row] = value
    return data


# Weights


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("intercept", ["", "0 + "])
def test_standardized_by_the_weighted_mean_and_deviation(standardize, intercept):
    data = columns()
    rows = prepare(data, f"y ~ {intercept}a + b", weights="w", standardize=standardize).rows
    X = np.column_stack([data["a"], data["b"]])
    if standardize and intercept:
        X = X / np.sqrt(np.average(X**2, axis=0, weights=data["w"]))
    elif standardize:
        X = StandardScaler().fit(X, sample_weight=data["w"]).transform(X)
    np.testing.assert_allclose(rows.X, X, rtol=1e-11, atol=1e-12)  # a is 50 of its deviations from zero
    np.testing.assert_array_equal(rows.weight, data["w"])


@given(
    st.lists(st.integers(0, 4), min_size=12, max_size=12).filter(lambda w: sum(v > 0 for v in w) > 1),
    st.sampled_from([1e-200, 0.25, 1e200]),
)
def test_whole_weights_are_repeated_rows_and_zeros_none(weights, unit):
    data = columns()
    repeated = {name: np.repeat(np.array(values), weights) for name, values in data.items()}
    weighted = prepare({**data, "w": np.array(weights) * unit}, "y ~ a + b", weights="w")
    plain = prepare(repeated, "y ~ a + b").design
    np.testing.assert_allclose(weighted.design.center, plain.center, rtol=1e-13)
    np.testing.assert_allclose(weighted.design.scale, plain.scale, rtol=1e-11)  # 50 deviations from zero squared
    assert weighted.zero_weight == weights.count(0)
    assert len(weighted.rows) == 12 - weights.count(0)


def test_rows_of_weight_zero_are_left_out_and_told():
    data = with_cell(3, w=0.0, y=1e9)
    prepared = prepare(data, "y ~ a + b", weights="w")
    assert prepared.zero_weight == prepared.manifest()["zero_weight"] == 1
    keep = np.arange(12) != 3
    np.testing.assert_array_equal(prepared.rows.y, np.array(data["y"])[keep])
    np.testing.assert_array_equal(prepared.rows.weight, np.array(data["w"])[keep])
    assert len(prepared.rows) == prepared.table.rows == 11


def test_a_missing_value_goes_before_its_weight_is_looked_at():
    prepared = prepare(with_cell(5, a=NAN, w=-1.0), "y ~ a + b", weights="w")
    assert (prepared.missing.rows, prepared.zero_weight, len(prepared.rows)) == (1, 0, 11)


def test_a_weight_may_be_a_feature_too():
    prepared = prepare(columns(), "y ~ a + w", weights="w")
    assert prepared.design.terms == ("Intercept", "a", "w")
    np.testing.assert_array_equal(prepared.rows.weight, columns()["w"])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (NAN, r"the dict row 4, column w: the weight is missing; write a number of at least 0 there"),
        (None, r"row 4, column w: the weight is missing"),
        (-1.5, r"row 4, column w: -1.5 is no weight; write a number of at least 0 there \(0 leaves the row out\)"),
        (math.inf, r"row 4, column w: inf is no weight"),
        ("many", r"row 4, column w: 'many' is no weight; write a number of at least 0 there, or name another column"),
    ],
)
def test_weights_that_are_none(cell, message):
    with pytest.raises(DataError, match=message):
        prepare(with_cell(4, w=cell), "y ~ a", weights="w")


def test_places_of_weights_are_lines_of_the_file(tmp_path):
    pd.DataFrame(with_cell(4, a=NAN, w=NAN) | {"w": [1, 2, 3, 4, 5, 6, -7, 8, 9, 10, 11, 12]}).to_csv(
        tmp_path / "t.csv"
    )
    with pytest.raises(DataError, match=r"t.csv line 8, column w: -7 is no weight"):
        prepare(tmp_path / "t.csv", "y ~ a", weights="w")


def test_other_weights_that_cannot_be():
    with pytest.raises(DataError, match=r"every weight in column 'w' of the dict is 0: give rows weights above 0"):
        prepare({**columns(), "w": np.zeros(12)}, "y ~ a", weights="w")
    with pytest.raises(
        DataError, match=r"column 'w' of the dict holds numbers as text: convert it with astype\(float\)"
    ):
        prepare({**columns(), "w": ["1"] * 12}, "y ~ a", weights="w")
    with pytest.raises(DataError, match=r"column w: 'f\d' is no weight"):
        prepare({**columns(), "w": columns()["firm"]}, "y ~ a", weights="w")
    with pytest.raises(DataError, match=r"no column 'W' in the dict: did you mean 'w'"):
        prepare(columns(), "y ~ a", weights="W")
    with pytest.raises(UsageError, match=r"weights is a ndarray: give the name of a column of the data"):
        prepare(columns(), "y ~ a", weights=np.ones(12))
    with pytest.raises(
        DataError, match=r"1 usable row after leaving out 1 row with missing values and 10 rows of weight 0"
    ):
        prepare({**with_cell(4, a=NAN), "w": [1.0, *[0.0] * 11]}, "y ~ a", weights="w")


# Clusters


@pytest.mark.parametrize("name", ["firm", "unit"])
def test_clusters_are_codes_of_sorted_labels(name):
    data = with_cell(2, a=NAN)
    rows = prepare(data, "y ~ a", cluster=name).rows
    left = [v for i, v in enumerate(data[name]) if i != 2]
    encoder = LabelEncoder().fit(left)
    np.testing.assert_array_equal(rows.cluster, encoder.transform(left))
    assert rows.clusters == tuple(str(v).removesuffix(".0") for v in encoder.classes_)
    assert rows.weight is None


def test_clusters_of_the_rows_that_count_only():
    data = {**columns(), "firm": ["z", *["a", "b"] * 5, "z"], "w": [0.0, *[1.0] * 10, 0.0]}
    rows = prepare(data, "y ~ a", cluster="firm", weights="w").rows
    assert (rows.clusters, len(rows.cluster)) == (("a", "b"), 10)


@pytest.mark.parametrize(("name", "value"), [("firm", None), ("unit", NAN)])
def test_rows_without_a_cluster(name, value):
    with pytest.raises(DataError, match=rf"the dict row 7, column {name}: the value is missing; fill it in"):
        prepare(with_cell(7, **{name: value}), "y ~ a", cluster=name)


def test_one_cluster_is_none():
    with pytest.raises(DataError, match=r"column 'firm' of the dict names one cluster only \('x'\): .* at least two"):
        prepare({**columns(), "firm": ["x"] * 12}, "y ~ a", cluster="firm")


def test_target_leaves_weights_and_clusters_out_of_the_features():
    prepared = prepare(columns(), target="y", weights="w", cluster="firm")
    assert prepared.design.formula == "y ~ a + b + unit"
    long = {"x" * 4000 + str(i): [1.0 * i, 2, 4] for i in range(3)}  # too long to list: written as y ~ .
    prepared = prepare({**long, "y": [1, 2, 3], "w": [1, 2, 1]}, target="y", weights="w")
    assert (prepared.design.formula, len(prepared.design.terms)) == ("y ~ .", 4)


# The design reads its rows again


@pytest.mark.parametrize("more", [{}, {"weights": "w"}, {"cluster": "firm"}, {"weights": "w", "cluster": "unit"}])
def test_a_design_from_json_gives_the_same_rows(tmp_path, more):
    data = with_cell(5, b=NAN, w=0.0)
    data["w"][8] = 0.0
    pd.DataFrame(data).to_csv(tmp_path / "t.csv", index=False)
    prepared = prepare(tmp_path / "t.csv", "y ~ a + b + C(firm)", **more)
    design = Design.from_dict(json.loads(json.dumps(prepared.design.to_dict(), allow_nan=False)))
    again = design.rows(open_source(tmp_path / "t.csv").read(design.training_columns))
    for name in ("X", "y", "weight", "cluster"):
        mine, theirs = getattr(prepared.rows, name), getattr(again, name)
        assert (mine is None) == (theirs is None)
        assert mine is None or mine.tobytes() == theirs.tobytes()
    assert again.clusters == prepared.rows.clusters
    assert (again.weight is not None, again.cluster is not None) == ("weights" in more, "cluster" in more)


def test_a_loaded_run_reads_its_rows_again(tmp_path):
    pd.DataFrame(with_cell(5, b=NAN)).to_csv(tmp_path / "t.csv", index=False)
    run = sightline.solve(tmp_path / "t.csv", "y ~ a + b", output=tmp_path / "runs")
    loaded = sightline.load(run.folder).training_rows()
    assert loaded.X.tobytes() == run.training_rows().X.tobytes()
    assert len(loaded) == 11


def test_designs_of_before_are_read_as_they_were():
    values = prepare(columns(), "y ~ a + b").design.to_dict()
    for key in ("exact", "weights", "cluster"):
        del values[key]
    design = Design.from_dict(values)
    assert (design.exact.tolist(), design.weights, design.cluster, design.classes) == ([False, False], None, None, ())


# Classes


@pytest.mark.parametrize(
    ("labels", "classes", "loss"),
    [
        ([2, 1, 2, 1], ("1", "2"), "bce"),
        ([1, -1, -1, 1], ("-1", "1"), "bce"),
        ([9, 0, 5, 0], ("0", "5", "9"), "cross-entropy"),
        ([10, 9, 100, 9], ("9", "10", "100"), "cross-entropy"),
        ([True, False, False, True], ("False", "True"), "bce"),
        (["no", "yes", "no", "no"], ("no", "yes"), "bce"),
        (["b", "c", "a", "b"], ("a", "b", "c"), "cross-entropy"),
    ],
)
@pytest.mark.parametrize("kind", ["dict", "pandas", "csv"])
def test_classes_are_sorted_labels_and_the_target_their_codes(tmp_path, labels, classes, loss, kind):
    data = {"x": [1.0, 2.0, 3.0, 5.0], "y": labels}
    frame = pd.DataFrame(data)
    frame.to_csv(tmp_path / "t.csv", index=False)
    prepared = prepare({"dict": data, "pandas": frame, "csv": tmp_path / "t.csv"}[kind], "y ~ x", loss=loss)
    assert (prepared.design.classes, prepared.loss) == (classes, loss)
    assert prepared.rows.y.tolist() == LabelEncoder().fit_transform(labels).tolist()
    assert prepared.rows.y.dtype == np.float64
    encoding = prepared.design.encoding
    assert encoding.response_pairs(prepared.table).hi.tolist() == prepared.rows.y.tolist()
    assert encoding.response_fractions(prepared.table).tolist() == prepared.rows.y.tolist()
    again = Design.from_dict(json.loads(json.dumps(prepared.design.to_dict())))
    assert again.classes == classes
    assert again.encoding.response(prepared.table).tolist() == prepared.rows.y.tolist()


@pytest.mark.parametrize(
    ("y", "loss", "meant"),
    [
        (["a", "b", "a"], None, "bce"), (["a", "b", "c"], None, "cross-entropy"), ([True, False, True], None, "bce"),
        ([0, 1, 0], None, "bce"), ([0, 1, 2], None, "mse"), ([1, 2, 1], None, "mse"), ([0.5, 1, 0], None, "mse"), ([0, 1, 0], "mse", "mse"), ([0, 1, 0], "huber", "huber"),
        ([0, 1, 0], "bce", "bce"), ([0, 1, 2], "cross-entropy", "cross-entropy"), ([0, 1, 0], "cross-entropy", "cross-entropy"),
    ],
)  # fmt: skip
def test_the_loss_that_is_meant(y, loss, meant):
    prepared = prepare({"x": [1, 2, 4], "y": y}, "y ~ x", loss=loss)
    assert prepared.loss == meant
    assert bool(prepared.design.classes) == (meant in ("bce", "cross-entropy"))


def test_iris():
    iris = load_iris(as_frame=True)
    frame = iris.data.assign(species=[iris.target_names[k] for k in iris.target])
    prepared = prepare(frame, target="species")
    assert (prepared.loss, prepared.design.classes) == ("cross-entropy", ("setosa", "versicolor", "virginica"))
    np.testing.assert_array_equal(prepared.rows.y, iris.target)
    np.testing.assert_allclose(prepared.rows.X, StandardScaler().fit_transform(iris.data), rtol=1e-12, atol=1e-13)


def test_rows_without_a_class_are_missing_rows():
    data = {"x": [1, 2, 3, 4, 5], "y": ["a", None, "b", "a", "c"], "w": [1, 1, 1, 1, 0]}
    prepared = prepare(data, "y ~ x", weights="w")
    assert (prepared.design.classes, prepared.missing.rows, prepared.zero_weight) == (("a", "b"), 1, 1)
    assert prepared.rows.y.tolist() == [0.0, 1.0, 0.0]


def test_other_rows_get_the_codes_of_the_training_rows():
    design = prepare({"x": [1, 2, 4], "y": [5, 7, 9]}, "y ~ x", loss="cross-entropy").design
    other = open_source({"x": [1, 2], "y": ["9", "5"]}).read()
    assert design.encoding.response(other).tolist() == [2.0, 0.0]
    with pytest.raises(DataError, match=r"the dict row 1, column y: '6' is no category .* there are: 5, 7, 9; correct"):
        design.rows(open_source({"x": [1, 2], "y": [9, 6]}).read())


@pytest.mark.parametrize("loss", ["bce", "cross-entropy"])
@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (
            ["a", "a", "a"],
            DataError,
            r"the target 'y' of the dict has one class only \('a'\): add rows of another class",
        ),
        ([1, 1, 1], DataError, r"has one class only \('1'\): .* or name another target"),
        ([0, 1.5, 1], DataError, r"the dict row 1, column y: 1.5 is no class, .* use --loss mse for a number that is"),
        ([0, math.inf, 1], DataError, r"the dict row 1, column y: inf is no finite number"),
    ],
)
def test_targets_that_have_no_classes(loss, y, error, message):
    with pytest.raises(error, match=message):
        prepare({"x": [1, 2, 4], "y": y}, "y ~ x", loss=loss)


def test_more_classes_than_the_loss_takes():
    data = {"x": [1, 2, 4], "y": ["u", "v", "w"]}
    with pytest.raises(
        UsageError,
        match=r"--loss bce takes two classes, and the target 'y' has 3 \(u, v, w\): use --loss cross-entropy",
    ):
        prepare(data, "y ~ x", loss="bce")
    many = {"x": np.arange(30.0), "y": np.arange(30.0)}
    with pytest.raises(UsageError, match=r"has 30 \(0, 1, .*, 11, \.\.\.\): use"):
        prepare(many, "y ~ x", loss="bce")


def test_more_than_a_thousand_classes():
    order = np.random.default_rng(0).permutation(1500)
    data = {"x": np.arange(1500.0), "y": order}
    message = (
        rf"the dict row 1000, column y: '{order[1000]}' is class number 1,001 of 1,500, more than 1,000; use --loss mse"
    )
    with pytest.raises(DataError, match=message):
        prepare(data, "y ~ x", loss="cross-entropy")
    with pytest.raises(DataError, match=r"'n\d+' is class number 1,001 .* name a column with fewer different texts"):
        prepare({"x": data["x"], "y": [f"n{k}" for k in order]}, "y ~ x")


def test_text_and_expressions_under_the_wrong_loss():
    text = {"x": [1, 2, 4], "y": ["a", "b", "a"]}
    with pytest.raises(
        DataError, match=r"'y' is text; a linear model needs numbers: .* --loss bce .* --loss cross-entropy"
    ):
        prepare(text, "y ~ x", loss="mse")
    with pytest.raises(DataError, match=r"the target 'y' is text"):
        prepare(text, "log(y) ~ x")
    with pytest.raises(
        UsageError, match=r"--loss bce needs classes to predict, and log\(y\) computes numbers: .* --loss mse"
    ):
        prepare({"x": [1, 2, 4], "y": [1, 2, 1]}, "log(y) ~ x", loss="bce")
    with pytest.raises(DataError, match=r"the dict row 1, column y: 'b' is not a number"):
        prepare({"x": [1, 2, 4], "y": [1, "b", 2]}, "y ~ x")


# Decimals


def test_decimal_makes_doubles_the_decimals_that_they_print_as():
    data = {"x": [0.1, 0.2, 0.7], "y": [1.1, 2.2, 3.3]}
    plain, meant = (prepare(data, "y ~ x + I(x^2)", decimal=decimal) for decimal in (False, True))
    assert plain.design.exact.tolist() == [False, False]
    assert meant.design.exact.tolist() == [True, True]
    assert meant.rows.X.tobytes() == plain.rows.X.tobytes()
    assert str(meant.design.encoding.fractions(meant.table)[2, 1]) == "49/100"


def test_arguments_are_looked_at_before_the_data():
    with pytest.raises(UsageError, match="the formula is a DataFrame: give text such as"):
        prepare("y ~ x", pd.DataFrame({"x": [1]}))
    with pytest.raises(UsageError, match="give a formula or a target, one of the two"):
        prepare(columns())
