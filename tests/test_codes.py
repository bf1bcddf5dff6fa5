"""Many rows of categories: their codes stand for the columns of zeros and ones, which are never made."""

from __future__ import annotations

import importlib
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import sightline
from sightline import answer_of_many, coded_rows, coded_sums
from sightline.coded_rows import CodedRows, Indicators, add_rows, counted, take_rows
from sightline.coded_sums import coded_moments, coded_residual_pass
from sightline.data import compact
from sightline.data.sources import open_source
from sightline.data.table import CodedColumn
from sightline.engines.coded import CodedLinear, coded_inputs
from sightline.engines.modules import linear_layer
from sightline.errors import DataError, UsageError
from sightline.explanation import explain
from sightline.linear.moments import Moments, residual_pass

DENSE = "8GB"  # holds all columns as numbers


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Tables of some thousand numbers count as large, and are read in several blocks."""
    for name in ("sightline.by_pieces",):
        monkeypatch.setattr(importlib.import_module(name), "MOST_INDICATORS", 1000)
    monkeypatch.setattr(coded_rows, "UNIT", 700)
    monkeypatch.setattr(coded_rows, "BLOCK", 1400)
    monkeypatch.setattr(compact, "BLOCK", 900)


def table(n=3000, levels=(4, 25, 7), seed=0):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(k, size=n) for k in levels]
    x = rng.normal(size=n) * 5 + 100
    y = sum(rng.normal(size=k)[c] for k, c in zip(levels, codes, strict=True)) + 0.1 * x + rng.normal(size=n)
    named = {
        f"g{i}": pd.Categorical.from_codes(c, [f"l{j:02d}" for j in range(k)])
        for i, (k, c) in enumerate(zip(levels, codes, strict=True))
    }
    return pd.DataFrame({**named, "x": x, "w": rng.uniform(0.5, 2.0, n), "y": y})


def dummies(frame, columns, *, intercept=True):
    """Treatment coding by pandas, the intercept first."""
    parts = pd.get_dummies(frame[columns], drop_first=True, dtype=float)
    order = [name for c in columns for name in parts.columns if name == c or name.startswith(f"{c}_")]
    Z = parts[order].to_numpy()
    return np.column_stack([np.ones(len(Z)), Z]) if intercept else Z


def values(run, name):
    return np.array([getattr(c, name) for c in run.coefficients], dtype=float)


def rows_of(n, levels, seed=0, dtype=np.int16):
    """Coded rows with two other columns, codes and columns in no order, and an arbitrary affine map."""
    rng = np.random.default_rng(seed)
    parts, first = [], 0
    for k in levels:
        columns = rng.permutation(np.append(np.arange(first, first + k - 1), -1))
        parts.append(Indicators(rng.integers(k, size=n).astype(dtype), columns))
        first += k - 1
    other = rng.normal(size=(n, 2)) * [1.0, 3.0] + [50.0, 0.0]
    p = first + 2
    return CodedRows(
        n, p, tuple(parts), np.array([first, first + 1]), lambda a, b: other[a:b].copy(),
        center=rng.normal(size=p), scale=rng.uniform(0.5, 2.0, p),
    )  # fmt: skip


def test_the_answer_is_that_of_statsmodels_and_no_indicator_is_made(monkeypatch):
    sm = pytest.importorskip("statsmodels.api")
    frame = table()
    monkeypatch.setattr(CodedRows, "__getitem__", lambda *_: pytest.fail("a column of indicators"))
    run = sightline.solve(frame, "y ~ g0 + g1 + g2 + x")
    assert run.result["accuracy"]["path"] == "counts"
    reference = sm.OLS(frame["y"].to_numpy(), dummies(frame, ["g0", "g1", "g2", "x"])).fit()
    np.testing.assert_allclose(values(run, "estimate"), reference.params, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(values(run, "std_error"), reference.bse, rtol=1e-9)
    np.testing.assert_allclose(run.result["fit"]["r2"], reference.rsquared, rtol=1e-12)
    np.testing.assert_allclose(run.result["fit"]["f"], reference.fvalue, rtol=1e-9)


def test_weights_and_rows_with_missing_values():
    sm = pytest.importorskip("statsmodels.api")
    frame = table(seed=1)
    frame.loc[::17, "g1"] = None
    frame.loc[5::31, "x"] = np.nan
    run = sightline.solve(frame, "y ~ g0 + g1 + x", weights="w")
    kept = frame.dropna(subset=["g0", "g1", "x"])
    Z = dummies(kept, ["g0", "g1", "x"])
    reference = sm.WLS(kept["y"].to_numpy(), Z, weights=kept["w"].to_numpy()).fit()
    assert run.result["accuracy"]["path"] == "counts"
    assert run.result["rows"] == len(kept)
    np.testing.assert_allclose(values(run, "estimate"), reference.params, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(values(run, "std_error"), reference.bse, rtol=1e-9)


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("formula", ["y ~ 0 + g0 + g1 + x", "y ~ g0 + g1 + x + I(x**2) + g0:x + g2", "y ~ g0 + g1"])
def test_any_formula_as_from_all_columns(monkeypatch, formula, many):
    if many:  # columns whose singular values would take long
        monkeypatch.setattr(answer_of_many, "MANY_COLUMNS", 5)
    frame = table(seed=2)
    coded, dense = sightline.solve(frame, formula), sightline.solve(frame, formula, memory=DENSE)
    assert coded.result["accuracy"]["path"] in ("counts", "QR by blocks")
    assert dense.result["accuracy"]["path"] == "double-double"
    for name, tolerance in (("estimate", 1e-8), ("std_error", 1e-8)):
        np.testing.assert_allclose(values(coded, name), values(dense, name), rtol=tolerance, atol=1e-9)
    for name, value in dense.result["curvature"].items():
        np.testing.assert_allclose(coded.result["curvature"][name], value, rtol=1e-6)


@pytest.mark.parametrize("many", [True, False])
def test_categories_that_repeat_each_other_have_the_solution_of_least_norm_and_a_warning(monkeypatch, many):
    if many:
        monkeypatch.setattr(answer_of_many, "MANY_COLUMNS", 5)
        monkeypatch.setattr(answer_of_many, "MOST_PARAMETERS", 5)
    frame = table(seed=3)
    frame["again"] = frame["g0"].cat.rename_categories(lambda label: f"same {label}")
    coded, dense = (sightline.solve(frame, "y ~ g0 + again + g1 + x", memory=m) for m in (None, DENSE))
    assert coded.result["accuracy"]["path"] == ("counts" if many else "QR by blocks")
    assert [w.code for w in coded.verdict.warnings] == [w.code for w in dense.verdict.warnings] == ["SL-COLLINEAR"] * 3
    assert coded.result["df"] == dense.result["df"]
    np.testing.assert_allclose(values(coded, "estimate"), values(dense, "estimate"), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 30}, {"epochs": 20, "optimizer": "adam"}, {"epochs": 3, "batch_size": 100}, {"epochs": 30, "l2": 0.1},
        {"epochs": 10, "weights": "w"}, {"epochs": 5, "standardize": False, "dtype": "float64"}, {},
    ],
)  # fmt: skip
def test_training_is_that_on_all_columns(settings):
    frame = table(seed=4)
    asked = {"dtype": "float64", **settings}
    coded = sightline.fit(frame, "y ~ g0 + g1 + g2 + x", **asked, output=False)
    dense = sightline.fit(frame, "y ~ g0 + g1 + g2 + x", **asked, memory=DENSE, output=False)
    assert coded.result["engine"]["name"] == dense.result["engine"]["name"]
    assert len(coded.epochs) == len(dense.epochs)
    np.testing.assert_allclose([e.loss for e in coded.epochs], [e.loss for e in dense.epochs], rtol=1e-9)
    np.testing.assert_allclose(values(coded, "estimate"), values(dense, "estimate"), rtol=1e-7, atol=1e-9)
    assert coded.verdict.name == dense.verdict.name


def test_columns_of_which_no_pair_has_room_are_refused(monkeypatch):
    monkeypatch.setattr(coded_sums, "memory_limit", lambda: 30_000.0)
    with pytest.raises(DataError, match=r"makes 34 columns, and the products of all pairs of them take 9.25e-06 GB"):
        sightline.solve(table(), "y ~ g0 + g1 + g2 + x")


def test_a_library_of_frames_keeps_its_codes():
    frame = table(seed=5)
    expected = values(sightline.solve(frame, "y ~ g0 + g1 + x"), "estimate")
    text = pl.from_pandas(frame.assign(**{g: frame[g].astype(str) for g in ("g0", "g1", "g2")}))
    for kind in (pl.Categorical, pl.Enum(["unused", *sorted(set(text["g0"]) | set(text["g1"]))])):
        run = sightline.solve(text.with_columns(pl.col("g0", "g1").cast(kind)), "y ~ g0 + g1 + x")
        assert run.result["accuracy"]["path"] == "counts"
        np.testing.assert_allclose(values(run, "estimate"), expected, rtol=1e-12)
    np.testing.assert_allclose(values(sightline.solve(text, "y ~ g0 + g1 + x"), "estimate"), expected, rtol=1e-12)


def test_a_run_is_saved_drawn_and_predicts(tmp_path):
    frame = table(seed=6)
    run = sightline.fit(frame, "y ~ g0 + g1 + x", output=tmp_path, epochs=50)
    from sightline.views.figures import overview

    drawn = [a for axes in overview(run).axes for a in axes.collections]
    assert max(len(a.get_offsets()) for a in drawn) > 100
    found = sightline.load(run.folder).predict(frame.head(40))
    Z = dummies(frame, ["g0", "g1", "x"])[:40]
    np.testing.assert_allclose(found, Z @ values(run, "estimate"), rtol=1e-9)
    strange = pd.DataFrame({"g0": ["l00"], "g1": ["new"], "x": [1.0]})
    with pytest.raises(DataError, match="'new' is no category"):
        run.predict(strange)


@pytest.mark.parametrize("ask", [lambda run: run.augment(), explain])
def test_what_needs_all_columns_says_so(tmp_path, ask):
    path = tmp_path / "rows.parquet"
    table(seed=7).to_parquet(path)
    run = sightline.fit(path, "y ~ g0 + g1 + x", epochs=3, output=tmp_path)
    with pytest.raises(UsageError, match=r"needs all rows at once, and rows\.parquet (is read in|has its cat)"):
        ask(run)


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("kind", ["hc0", "hc1", "cluster"])
def test_robust_standard_errors_without_a_column_of_indicators(monkeypatch, kind, weights, many):
    sm = pytest.importorskip("statsmodels.api")
    if many:  # columns whose singular values would take long
        monkeypatch.setattr(answer_of_many, "MANY_COLUMNS", 5)
    frame = table(seed=8)
    frame["town"] = np.random.default_rng(9).integers(40, size=len(frame))
    frame["y"] += frame["town"] % 7 + frame["x"] * (frame["g0"].cat.codes == 1)  # unequal, and alike in a town
    monkeypatch.setattr(CodedRows, "__getitem__", lambda *_: pytest.fail("a column of indicators"))
    asked = {"cluster": "town"} if kind == "cluster" else {"robust": kind.upper()}
    run = sightline.solve(frame, "y ~ g0 + g1 + g2 + x", weights=weights, **asked)
    assert run.result["accuracy"]["path"] == "counts"
    w = np.ones(len(frame)) if weights is None else frame["w"].to_numpy()
    Z, groups = dummies(frame, ["g0", "g1", "g2", "x"]), {"groups": frame["town"].to_numpy()}
    fitted = sm.WLS(frame["y"].to_numpy(), Z, weights=w).fit()
    reference = fitted.get_robustcov_results(kind if kind == "cluster" else kind.upper(), use_t=True,
                                             **(groups if kind == "cluster" else {}))  # fmt: skip
    np.testing.assert_allclose(values(run, "estimate"), reference.params, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(values(run, "std_error"), reference.bse, rtol=1e-8)
    _, test = sightline.wald_test(run, "g0[T.l01] = g0[T.l02]")
    contrast = np.zeros(Z.shape[1])
    contrast[[1, 2]] = 1.0, -1.0
    assert test.statistic == pytest.approx(float(np.squeeze(reference.f_test(contrast).fvalue)), rel=1e-7)


@pytest.mark.parametrize("weights", [None, "w"])
def test_hypotheses_about_very_many_coefficients(monkeypatch, weights):
    sm = pytest.importorskip("statsmodels.api")
    monkeypatch.setattr(answer_of_many, "MANY_COLUMNS", 5)
    frame = table(seed=11)
    monkeypatch.setattr(CodedRows, "__getitem__", lambda *_: pytest.fail("a column of indicators"))
    run = sightline.solve(frame, "y ~ g0 + g1 + g2 + x", weights=weights)
    Z, w = dummies(frame, ["g0", "g1", "g2", "x"]), 1.0 if weights is None else frame["w"].to_numpy()
    fitted = sm.WLS(frame["y"].to_numpy(), Z, weights=w).fit()
    contrasts = np.zeros((2, Z.shape[1]))
    contrasts[[0, 0, 1], [1, 2, 5]] = 1.0, -1.0, 1.0
    _, test = sightline.wald_test(run, f"g0[T.l01] = g0[T.l02], {run.design.terms[5]} = 0")
    want = fitted.f_test(contrasts)
    assert test.statistic == pytest.approx(float(np.squeeze(want.fvalue)), rel=1e-8)
    assert test.p == pytest.approx(float(want.pvalue), rel=1e-6)


def test_robust_standard_errors_with_a_penalty_without_an_intercept_and_of_categories_alone():
    frame = table(seed=10)
    cases = [
        ("y ~ g0 + g1 + x", {"l2": 0.3, "robust": "HC1"}), ("y ~ 0 + g0 + g1 + x", {"robust": "HC0"}),
        ("y ~ g0:x + g1", {"robust": "HC1"}), ("y ~ g0 + g1", {"cluster": "g2"}),
    ]  # fmt: skip
    for formula, asked in cases:
        run = sightline.solve(frame, formula, **asked)
        dense = sightline.solve(frame, formula, memory=DENSE, **asked)
        assert (run.result["accuracy"]["path"] == "counts") != (dense.result["accuracy"]["path"] == "counts")
        np.testing.assert_allclose(values(run, "std_error"), values(dense, "std_error"), rtol=1e-8)


def test_a_part_held_out_is_coded_too(monkeypatch):
    monkeypatch.setattr(CodedRows, "__getitem__", lambda *_: pytest.fail("a column of indicators"))
    run = sightline.fit(table(seed=8), "y ~ g0 + g1 + x", epochs=3, output=False, validation=0.2, dtype="float64")
    monkeypatch.undo()
    dense = sightline.fit(
        table(seed=8), "y ~ g0 + g1 + x", epochs=3, output=False, validation=0.2, dtype="float64", memory=DENSE
    )
    assert run.result["accuracy"]["path"] == "counts"
    np.testing.assert_allclose([e.valid_loss for e in run.epochs], [e.valid_loss for e in dense.epochs], rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_and_residuals_of_codes_are_those_of_the_matrix(weighted):
    X, rng = rows_of(2500, (3, 30, 11)), np.random.default_rng(1)
    y, weight = rng.normal(size=(2500, 2)) + 7.0, rng.uniform(0.1, 3.0, 2500) if weighted else None
    dense = np.vstack([X[i : i + 500] for i in range(0, 2500, 500)])
    for name in ("n", "x_mean", "y_mean", "xx", "xy", "yy"):
        found, expected = (getattr(m, name) for m in (coded_moments(X, y, weight), Moments.of(dense, y, weight)))
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * np.abs(expected).max())
    at = rng.normal(size=(2, X.shape[1])), np.array([0.5, -1.0])
    pairs = zip(coded_residual_pass(X, y, *at, weight), residual_pass(dense, y, *at, weight), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())
    assert X.longest() == pytest.approx((dense**2).sum(axis=1).max(), rel=1e-12)


@pytest.mark.parametrize("block", [100, 2500])
def test_counts_do_not_depend_on_the_size_of_blocks(monkeypatch, block):
    X, y = rows_of(2500, (3, 30, 11)), np.random.default_rng(1).normal(size=(2500, 1))
    expected = coded_moments(X, y)
    monkeypatch.setattr(coded_rows, "BLOCK", block)
    found = coded_moments(X, y)
    marked = np.setdiff1d(np.arange(X.shape[1]), X.places)
    pair = np.ix_(marked, marked)
    np.testing.assert_array_equal(found.xx[pair], expected.xx[pair])  # counts are whole numbers
    np.testing.assert_allclose(found.xx, expected.xx, rtol=1e-12, atol=1e-12)


def test_machine_code_counts_as_numpy_does():
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    first, second = (rng.integers(k, size=1000).astype(np.int32) for k in (5, 9))
    weight, numbers = rng.uniform(size=1000), rng.normal(size=(1000, 3))
    for w, kind in ((None, np.uint32), (weight, np.float64)):
        tables = [np.zeros((5, 9), kind) for _ in range(2)]
        for made, work in zip(tables, (0, 10**9), strict=True):
            counted(first, second, made, w, work=work)
        reference = pd.crosstab(first, second, values=w, aggfunc=None if w is None else "sum").to_numpy()
        np.testing.assert_allclose(tables[0], reference, rtol=1e-12)
        np.testing.assert_allclose(tables[1], reference, rtol=1e-12)
    sums = pd.DataFrame(numbers).groupby(first).sum().to_numpy()
    np.testing.assert_allclose(add_rows(first, numbers, 5), sums, rtol=1e-10)
    found = np.ones((1000, 2))
    take_rows(first, np.arange(10.0).reshape(5, 2), found)
    np.testing.assert_array_equal(found, 1.0 + np.arange(10.0).reshape(5, 2)[first])


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [("MSELoss", 1), ("BCEWithLogitsLoss", 1), ("HuberLoss", 1), ("L1Loss", 1), ("SmoothL1Loss", 1),
     ("PoissonNLLLoss", 1), ("SoftMarginLoss", 1), ("CrossEntropyLoss", 4)],
)  # fmt: skip
def test_every_loss_has_the_gradient_of_the_dense_layer(loss, outputs):
    X = rows_of(400, (3, 12), seed=3, dtype=np.int8)
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(outputs, X.shape[1])) * 0.1, rng.normal(size=outputs)
    dense = linear_layer(weight, bias, dtype="float64")
    coded = CodedLinear.like(linear_layer(weight, bias, dtype="float64"), X)
    y = torch.tensor(rng.integers(outputs, size=400) if outputs > 1 else rng.integers(2, size=(400, 1)))
    y = y if outputs > 1 else y.double() * (2.0 if loss == "SoftMarginLoss" else 1.0)
    measure = getattr(torch.nn, loss)()
    for layer, inputs in ((dense, (torch.from_numpy(X[0:400]),)), (coded, coded_inputs(X, torch.float64))):
        measure(layer(*inputs), y).backward()
    torch.testing.assert_close(coded.weight.grad, dense.weight.grad, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(coded.bias.grad, dense.bias.grad, rtol=1e-10, atol=1e-12)
    assert coded.state_dict().keys() == dense.state_dict().keys()


def test_categories_that_are_numbers_are_codes_in_the_order_of_their_size():
    codes = np.array([2, 0, 1, 0, 1, 2, 0, 1, 2, -1], dtype=np.int8)
    kinds = {"whole": [1, 2, 10], "real": [10.25, -1.5, 2.0], "texts": ["9", "10", "8"]}
    frame = pd.DataFrame({name: pd.Categorical.from_codes(codes, labels) for name, labels in kinds.items()})
    frame["y"] = np.arange(10.0) ** 2
    table = open_source(frame).load(list(kinds))
    assert all(isinstance(table[name], CodedColumn) for name in kinds)
    assert np.shares_memory(table["whole"].codes, frame["whole"].array.codes)
    want = {"whole": ["2", "10"], "real": ["2", "10.25"], "texts": ["8", "9"]}
    for name, levels in want.items():
        run = sightline.solve(frame, f"y ~ {name}")
        assert [c.term for c in run.coefficients[1:]] == [f"{name}[T.{level}]" for level in levels]
        assert run.result["rows"] == 9
    numbers = frame.dropna().assign(whole=lambda f: f["whole"].astype(int))
    by_number, by_category = sightline.solve(numbers, "y ~ C(whole)"), sightline.solve(frame, "y ~ C(whole)")
    assert [(c.term, c.estimate) for c in by_number.coefficients] == [
        (c.term, c.estimate) for c in by_category.coefficients
    ]
    again = by_category.predict(pd.DataFrame({"whole": pd.Categorical([10, 2, 1], categories=[2, 10, 1])}))
    np.testing.assert_array_equal(again, by_number.predict({"whole": [10, 2, 1]}))
    back = pickle.loads(pickle.dumps(table["whole"]))
    assert (back.numeric, back.values.tolist()) == (True, table["whole"].values.tolist())
