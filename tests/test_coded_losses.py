"""Logistic, softmax and every other loss of many categories: from codes, without a column of zeros and ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sightline
from sightline import by_pieces, coded_classes, coded_rows, streaming
from sightline.coded_blocks import ByCodes, CodedBlock, by_codes
from sightline.coded_rows import CodedRows
from sightline.data import compact
from sightline.errors import DataError
from sightline.linear.objective import Objective
from sightline.linear.optimum import optimum
from sightline.linear.row_losses import (
    Absolute,
    CrossEntropy,
    GaussianNLL,
    Hinge,
    Huber,
    Logistic,
    PoissonNLL,
    SmoothL1,
    SquaredLoss,
)  # fmt: skip
from tests.test_codes import DENSE, dummies, rows_of, table, values

FORMULA = "g0 + g1 + g2 + x"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Tables of some thousand numbers count as large, and are read in several blocks."""
    monkeypatch.setattr(by_pieces, "MOST_INDICATORS", 1000)
    monkeypatch.setattr(coded_rows, "UNIT", 700)
    monkeypatch.setattr(coded_rows, "BLOCK", 1400)
    monkeypatch.setattr(compact, "BLOCK", 900)


@pytest.fixture
def no_columns(monkeypatch):
    """Nobody makes a column of indicators."""
    monkeypatch.setattr(CodedRows, "__getitem__", lambda *_: pytest.fail("a column of indicators"))
    monkeypatch.setattr(CodedBlock, "__array__", lambda *_, **__: pytest.fail("a column of indicators"))


def labeled(seed=0, n=3000):
    """The table with two classes, three classes, counts and towns."""
    frame, rng = table(seed=seed, n=n), np.random.default_rng(seed + 100)
    z = ((frame["y"] - frame["y"].mean()) / frame["y"].std()).to_numpy()
    frame["b"] = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    frame["c"] = np.array(["u", "v", "w"])[(z[:, None] * [0.0, 0.8, -0.5] + rng.gumbel(size=(n, 3))).argmax(axis=1)]
    frame["k"] = rng.poisson(np.exp(0.5 * z))
    frame["town"] = rng.integers(40, size=n)
    return frame


def design(frame):
    return dummies(frame, ["g0", "g1", "g2", "x"])


@pytest.mark.parametrize("errors", [None, "hc0", "hc1", "cluster"])
def test_logistic_is_that_of_statsmodels(no_columns, errors):
    sm = pytest.importorskip("statsmodels.api")
    frame = labeled()
    asked = {} if errors is None else {"cluster": "town"} if errors == "cluster" else {"robust": errors}
    run = sightline.solve(frame, f"b ~ {FORMULA}", **asked)
    kind = {} if errors is None else {"cov_type": "HC0"}
    if errors == "cluster":
        kind = {"cov_type": "cluster", "cov_kwds": {"groups": frame["town"].to_numpy(), "use_correction": False}}
    Z = design(frame)
    reference = sm.Logit(frame["b"].to_numpy(), Z).fit(method="newton", disp=False, tol=1e-14, **kind)
    (n, q), groups = Z.shape, 40
    factor = {"hc1": n / (n - q), "cluster": groups / (groups - 1) * (n - 1) / (n - q)}.get(errors, 1.0)
    np.testing.assert_allclose(values(run, "exact"), reference.params, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(values(run, "std_error"), reference.bse * np.sqrt(factor), rtol=1e-7)
    assert run.result["fit"]["log_likelihood"] == pytest.approx(reference.llf, rel=1e-12)
    P = reference.predict(Z)
    H = (Z * (P * (1 - P))[:, None]).T @ Z / n
    scale = run.design.scale
    T = np.zeros((q, q))  # from training coordinates, the intercept last there
    T[0, -1], T[0, :-1], T[1:, :-1] = 1.0, -run.design.center / scale, np.diag(1.0 / scale)
    eigenvalues = np.linalg.eigvalsh(T.T @ H @ T)
    assert run.result["curvature"]["max"] == pytest.approx(eigenvalues[-1], rel=1e-9)
    assert run.result["curvature"]["min"] == pytest.approx(eigenvalues[0], rel=1e-6)


@pytest.mark.parametrize("kind", ["hc2", "hc3"])
@pytest.mark.parametrize("weights", [None, "w"])
def test_standard_errors_by_leverage(no_columns, kind, weights):
    sm = pytest.importorskip("statsmodels.api")
    frame = labeled(seed=1)
    Z, power = design(frame), {"hc2": 0.5, "hc3": 1.0}[kind]
    w = np.ones(len(Z)) if weights is None else frame["w"].to_numpy()
    run = sightline.solve(frame, f"y ~ {FORMULA}", robust=kind, weights=weights)
    reference = sm.WLS(frame["y"].to_numpy(), Z, weights=w).fit(cov_type=kind.upper())
    np.testing.assert_allclose(values(run, "std_error"), reference.bse, rtol=1e-8)
    run = sightline.solve(frame, f"b ~ {FORMULA}", robust=kind, weights=weights)
    P = 1.0 / (1.0 + np.exp(-Z @ values(run, "exact")))
    bread = np.linalg.inv((Z * (w * P * (1 - P))[:, None]).T @ Z)
    h = w * P * (1 - P) * np.einsum("ij,jk,ik->i", Z, bread, Z)
    scores = Z * (w * (frame["b"].to_numpy() - P) / (1 - h) ** power)[:, None]
    want = np.sqrt(np.diag(bread @ scores.T @ scores @ bread))
    np.testing.assert_allclose(values(run, "std_error"), want, rtol=1e-7)


def test_a_row_that_alone_has_a_category_has_no_hc3():
    frame = labeled(seed=2)
    frame["g1"] = frame["g1"].cat.add_categories("alone")
    frame.loc[17, "g1"] = "alone"
    with pytest.raises(DataError, match="row 18 has leverage 1"):
        sightline.solve(frame, f"y ~ {FORMULA}", robust="hc3")
    run = sightline.solve(frame, f"y ~ {FORMULA}", robust="hc1")
    assert np.isfinite(values(run, "std_error")).sum() >= 35


@pytest.mark.parametrize("weights", [None, "w"])
def test_softmax_is_that_of_statsmodels(no_columns, weights):
    sm = pytest.importorskip("statsmodels.api")
    frame = labeled(seed=3)
    run = sightline.solve(frame, f"c ~ {FORMULA}", weights=weights)
    Z = design(frame)
    if weights is None:
        reference = sm.MNLogit(frame["c"].to_numpy(), Z).fit(
            method="newton", disp=False, tol=1e-12, warn_convergence=False
        )
        np.testing.assert_allclose(values(run, "exact"), reference.params.T.ravel(), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(values(run, "std_error"), reference.bse.T.ravel(), rtol=1e-7)
    theta, w = values(run, "exact").reshape(2, -1).T, np.ones(len(Z)) if weights is None else frame["w"].to_numpy()
    E = np.exp(np.column_stack([np.zeros(len(Z)), Z @ theta]))
    P = E / E.sum(axis=1, keepdims=True)
    own = (frame["c"].to_numpy()[:, None] == ["u", "v", "w"]).astype(float)
    assert np.abs(Z.T @ (w[:, None] * (P - own))).max() < 1e-8 * len(Z)
    assert run.result["metrics"]["accuracy"] == pytest.approx(
        np.average(own[np.arange(len(Z)), P.argmax(1)], weights=w)
    )


@pytest.mark.parametrize("l2", [None, 0.05])
@pytest.mark.parametrize("target", ["b", "c"])
def test_classes_as_from_all_columns(target, l2):
    frame = labeled(seed=4)
    for formula in (FORMULA, "0 + g0 + g1 + x", "g0 + g1 + g0:x", "g0 + g1"):
        coded, dense = (sightline.solve(frame, f"{target} ~ {formula}", l2=l2, memory=m) for m in (None, DENSE))
        for name in ("exact", "std_error"):
            np.testing.assert_allclose(values(coded, name), values(dense, name), rtol=1e-8, atol=1e-10)
        for name, value in dense.result["fit"].items():
            assert coded.result["fit"][name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9))
        for name, value in dense.result["curvature"].items():
            assert coded.result["curvature"][name] == pytest.approx(value, rel=1e-6)
        for name in ("log_loss", "auc", "accuracy", "brier"):
            assert coded.result["metrics"][name] == pytest.approx(dense.result["metrics"][name], rel=1e-9)
        assert coded.result["accuracy"]["digits"] > 8.0


@pytest.mark.parametrize("target", ["b", "c", "k"])
def test_categories_that_repeat_each_other(target):
    frame = labeled(seed=5)
    frame["again"] = frame["g0"].cat.rename_categories(lambda label: f"same {label}")
    formula = f"{target} ~ g0 + again + g1 + x"
    asked = {"loss": "poisson-nll"} if target == "k" else {}
    coded = sightline.solve(frame, formula, **asked)
    assert {w.code for w in coded.verdict.warnings} == {"SL-COLLINEAR"}
    plain = sightline.solve(frame, f"{target} ~ g0 + g1 + x", **asked)
    assert coded.result["loss"] == pytest.approx(plain.result["loss"], rel=1e-12)
    assert coded.result["df"] == plain.result["df"]


def test_counts_are_those_of_statsmodels(no_columns):
    sm = pytest.importorskip("statsmodels.api")
    frame = labeled(seed=6)
    run = sightline.solve(frame, f"k ~ {FORMULA}", loss="poisson-nll", weights="w")
    model = sm.GLM(
        frame["k"].to_numpy(), design(frame), family=sm.families.Poisson(), var_weights=frame["w"].to_numpy()
    )
    reference = model.fit(tol=1e-14)
    np.testing.assert_allclose(values(run, "exact"), reference.params, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(values(run, "std_error"), reference.bse, rtol=1e-7)
    assert run.result["fit"]["deviance"] == pytest.approx(reference.deviance, rel=1e-10)


@pytest.mark.parametrize("asked", [{}, {"robust": "hc0"}, {"cluster": "town"}, {"l1": 0.02}, {"l2": 0.1}])
@pytest.mark.parametrize(
    ("target", "loss"), [("y", "huber"), ("y", "smooth-l1"), ("k", "poisson-nll"), ("k", "gaussian-nll"), ("b", "bce")]
)
def test_other_losses_as_from_all_columns(target, loss, asked):
    frame = labeled(seed=7)
    coded, dense = (
        sightline.solve(frame, f"{target} ~ {FORMULA}", loss=loss, memory=m, **asked) for m in (None, DENSE)
    )
    np.testing.assert_allclose(values(coded, "exact"), values(dense, "exact"), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(values(coded, "std_error"), values(dense, "std_error"), rtol=1e-8)
    assert coded.result["loss"] == pytest.approx(dense.result["loss"], rel=1e-12)


@pytest.mark.parametrize("asked", [{}, {"validation": 0.2}, {"class_weight": "balanced"}, {"optimizer": "adam"}])
@pytest.mark.parametrize("target", ["b", "c"])
def test_training_of_classes_has_the_same_records_and_verdict(no_columns, target, asked, monkeypatch):
    frame = labeled(seed=8)
    settings = {"epochs": 15, "dtype": "float64", "output": False, **asked}
    coded = sightline.fit(frame, f"{target} ~ {FORMULA}", **settings)
    monkeypatch.undo()
    dense = sightline.fit(frame, f"{target} ~ {FORMULA}", memory=DENSE, **settings)
    for one, other in zip(coded.epochs, dense.epochs, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-9)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-7)
    assert coded.verdict.name == dense.verdict.name
    if "validation" in asked:
        np.testing.assert_allclose(
            [e.valid_loss for e in coded.epochs], [e.valid_loss for e in dense.epochs], rtol=1e-9
        )


def apart(frame, *, columns, rows):
    """Logistic regression by statsmodels of some of the rows and columns."""
    sm = pytest.importorskip("statsmodels.api")
    return sm.Logit(frame["b"].to_numpy()[rows], design(frame)[rows][:, columns]).fit(
        method="newton", disp=False, tol=1e-14
    )


def test_a_category_of_one_class_goes_to_infinity_and_the_others_are_those_without_it(no_columns):
    frame = labeled(seed=9)
    here = frame["g1"] == "l03"
    frame.loc[here, "b"] = 1
    run = sightline.solve(frame, f"b ~ {FORMULA}")
    at = [c.term for c in run.coefficients].index("g1[T.l03]")
    others = np.delete(np.arange(len(run.coefficients)), at)
    reference = apart(frame, columns=others, rows=~here.to_numpy())
    assert values(run, "exact")[at] == np.inf
    np.testing.assert_allclose(values(run, "exact")[others], reference.params, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(values(run, "std_error")[others], reference.bse, rtol=1e-7)
    (warning,) = run.verdict.warnings
    assert warning.code == "SL-SEPARABLE"
    assert f"for {(~here).sum():,} rows on the boundary itself" in warning.text
    assert run.result["loss"] * len(frame) == pytest.approx(-reference.llf, rel=1e-10)


def test_the_category_without_a_column_may_be_of_one_class(no_columns):
    frame = labeled(seed=10)
    here = frame["g1"] == "l00"
    frame.loc[here, "b"] = 0
    run = sightline.solve(frame, f"b ~ {FORMULA}")
    terms = [c.term for c in run.coefficients]
    moved = np.array([t.startswith("g1") or t == "Intercept" for t in terms])
    np.testing.assert_array_equal(np.isinf(values(run, "exact")), moved)
    assert values(run, "exact")[0] == -np.inf
    assert (values(run, "exact")[moved][1:] == np.inf).all()
    kept = np.flatnonzero(np.array(terms) != "g1[T.l01]")  # of the others, l01 is the one to compare with
    reference = apart(frame, columns=kept, rows=~here.to_numpy())
    np.testing.assert_allclose(
        values(run, "exact")[~moved], reference.params[~moved[kept]], rtol=1e-8, atol=1e-10
    )  # fmt: skip


def changed(case):
    """A table of which categories, or thresholds, tell classes apart in one or more rounds."""
    frame = labeled(seed=11, n=1200)
    g1, g2 = frame["g1"].astype(str), frame["g2"].astype(str)
    b, c = frame["b"].copy(), frame["c"].copy()
    if case == "two categories":
        b[(g1 == "l03") | (g2 == "l02")] = 1
    elif case == "both directions":
        b[g1 == "l03"], b[(g1 == "l05") | (g1 == "l00")] = 1, 0
    elif case == "the rest of what is left":
        b[g1 == "l03"] = 1
        b[(g1 != "l03") & (g2 == "l05")] = 0
    elif case == "a class that a category lacks":
        c[(g1 == "l03") & (c == "w")] = "u"
    elif case == "a class that the reference lacks":
        c[(g1 == "l00") & (c == "u")] = "v"
    elif case == "one class in a category":
        c[g1 == "l04"] = "v"
    elif case == "several":
        c[(g1 == "l03") & (c == "w")] = "u"
        c[(g2 == "l00") & (c == "u")] = "w"
        c[(g1 == "l00") & (c == "v")] = "w"
    return frame.assign(b=b, c=c), "c" if (c != frame["c"]).any() else "b"


CASES = ["two categories", "both directions", "the rest of what is left", "a class that a category lacks",
         "a class that the reference lacks", "one class in a category", "several"]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_thresholds_find_what_linear_programs_find(case, no_columns, monkeypatch):
    frame, target = changed(case)
    coded = sightline.solve(frame, f"{target} ~ {FORMULA}")
    monkeypatch.undo()
    dense = sightline.solve(frame, f"{target} ~ {FORMULA}", memory=DENSE)
    assert np.isinf(values(dense, "exact")).any()
    for name in ("exact", "std_error"):
        np.testing.assert_allclose(values(coded, name), values(dense, name), rtol=1e-8, atol=1e-9)
    assert [w.code for w in coded.verdict.warnings] == [w.code for w in dense.verdict.warnings] == ["SL-SEPARABLE"]
    assert coded.result["loss"] == pytest.approx(dense.result["loss"], rel=1e-10)


def test_classes_that_no_threshold_separates_but_a_plane_does():
    frame = labeled(seed=12, n=1200)
    other = np.random.default_rng(0).normal(size=1200)
    frame["b"], frame["v"] = (frame["x"] - 100 + 5 * other > 0).astype(int), other
    run = sightline.solve(frame, "b ~ g0 + g1 + x + v")
    dense = sightline.solve(frame, "b ~ g0 + g1 + x + v", memory=DENSE)
    assert [w.text for w in run.verdict.warnings] == [w.text for w in dense.verdict.warnings]
    assert "completely" in run.verdict.warnings[0].text


def test_counts_of_which_a_category_has_only_zeros():
    sm = pytest.importorskip("statsmodels.api")
    frame = labeled(seed=13)
    here = (frame["g1"] == "l03").to_numpy()
    frame.loc[here, "k"] = 0
    run = sightline.solve(frame, f"k ~ {FORMULA}", loss="poisson-nll")
    at = [c.term for c in run.coefficients].index("g1[T.l03]")
    others = np.delete(np.arange(len(run.coefficients)), at)
    model = sm.GLM(frame["k"].to_numpy()[~here], design(frame)[~here][:, others], family=sm.families.Poisson())
    reference = model.fit(tol=1e-14)
    assert values(run, "exact")[at] == -np.inf
    np.testing.assert_allclose(values(run, "exact")[others], reference.params, rtol=1e-8, atol=1e-10)


def test_more_coefficients_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(coded_classes, "memory_limit", lambda: 1e6)
    with pytest.raises(
        DataError, match=r"makes 72 coefficients, and the products of all pairs of them take 0\.00104 GB"
    ):
        sightline.solve(labeled(), f"c ~ {FORMULA} + I(x**2)")


def operands(seed=0, n=2500):
    X = rows_of(n, (3, 30, 11), seed=seed)
    return ByCodes(X), np.vstack([X[i : i + 500] for i in range(0, n, 500)]), np.random.default_rng(seed)


def test_a_block_is_what_its_matrix_is():
    X, dense, rng = operands()
    block, part = X[300:900], dense[300:900]
    W, E = rng.normal(size=(dense.shape[1], 3)), rng.normal(size=(2, 600))
    np.testing.assert_allclose(np.asarray(block), part, rtol=1e-13, atol=1e-15)
    for found, want in (
        (block @ W, part @ W), (block @ W[:, 0], part @ W[:, 0]), (E @ block, E @ part), (E[0] @ block, E[0] @ part),
        (block.T @ E.T, part.T @ E.T), (abs(block) @ W, np.abs(part) @ W), (E @ abs(block), E @ np.abs(part)),
        (block.scores(W.T), part @ W), (block.lengths(), np.linalg.norm(part, axis=1)),
    ):  # fmt: skip
        np.testing.assert_allclose(found, want, rtol=1e-11, atol=1e-11)
    sides = rng.random((600, 4)) < [0.5, 0.1, 0.01, 0.0]
    for found, end, nothing in zip(block.extremes(sides), (np.min, np.max), (np.inf, -np.inf), strict=True):
        for k in range(4):
            want = end(part[sides[:, k]], axis=0) if sides[:, k].any() else np.full(part.shape[1], nothing)
            np.testing.assert_allclose(found[k, : part.shape[1]], want, rtol=1e-13, atol=1e-15)


def test_sums_of_products_are_those_of_the_matrix():
    X, dense, rng = operands(seed=1)
    Z = np.column_stack([dense, np.ones(len(dense))])
    weight = rng.normal(size=(len(Z), 2))
    for found, w in zip(X.squares(lambda part, _: weight[part], 2), weight.T, strict=True):
        want = (Z * w[:, None]).T @ Z
        np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-10 * np.abs(want).max())
    groups, pull = rng.integers(50, size=len(Z)), rng.normal(size=(len(Z), 2))
    scores = np.hstack([pull[:, [k]] * Z for k in range(2)])
    for labels, rows in ((None, scores), (groups, pd.DataFrame(scores).groupby(groups).sum().to_numpy())):
        want = rows.T @ rows
        np.testing.assert_allclose(
            X.score_squares(pull, labels, intercept=True), want, rtol=1e-9, atol=1e-10 * np.abs(want).max()
        )
    V = np.linalg.inv(Z.T @ Z)
    leverage = np.einsum("ij,jk,ik->i", Z, V, Z)
    np.testing.assert_allclose(X.left(V, None), 1.0 - leverage, rtol=1e-10)
    np.testing.assert_allclose(X.left(V, weight[:, 0] ** 2), 1.0 - weight[:, 0] ** 2 * leverage, rtol=1e-10)
    places = np.flatnonzero(rng.random(len(Z)) < 0.3)
    np.testing.assert_allclose(np.asarray(X.at(places)[50:300]), dense[places[50:300]], rtol=1e-13, atol=1e-15)
    columns = np.flatnonzero(rng.random(dense.shape[1]) < 0.5)
    picked = by_codes(X.rows.picked(columns))
    np.testing.assert_allclose(np.asarray(picked[100:200]), dense[100:200][:, columns], rtol=1e-13, atol=1e-15)


LOSSES = {
    "mse": (SquaredLoss, 1, {}), "l1": (Absolute, 1, {}), "huber": (Huber, 1, {"delta": 0.7}),
    "smooth-l1": (SmoothL1, 1, {"beta": 0.3}), "bce": (Logistic, 1, {}), "hinge": (Hinge, 1, {}),
    "cross-entropy": (CrossEntropy, 3, {"smoothing": 0.1}), "poisson-nll": (PoissonNLL, 1, {}),
    "gaussian-nll": (GaussianNLL, 2, {}),
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_all_that_a_loss_can_tell_is_that_of_the_matrix(name, weighted):
    kind, outputs, options = LOSSES[name]
    X, dense, rng = operands(seed=2)
    n, q = len(dense), outputs * (dense.shape[1] + 1)
    y = rng.integers(outputs, size=n) if outputs == 3 else rng.integers(2, size=n)
    weight = rng.uniform(0.5, 2.0, n) if weighted else None
    coded, plain = (kind(rows, y.astype(float), True, weight, outputs, **options) for rows in (X, dense))
    theta, step = rng.normal(size=(2, q)) * 0.02
    theta[-outputs:] -= np.asarray(dense.mean(axis=0) @ theta[: q - outputs].reshape(outputs, -1).T)
    asked = {
        "value": (theta,), "gradient": (theta,), "hessian": (theta,), "hessian_times": (theta, step),
        "change": (theta, step), "gradient_rounding": (theta,), "predictor_size": (theta,),
        "largest_rounding": (theta,), "along": (theta, step, 0.3), "slope_along": (theta, step, 0.3),
    }  # fmt: skip
    for method, given in asked.items():
        want = np.asarray(getattr(plain, method)(*given))
        np.testing.assert_allclose(
            getattr(coded, method)(*given), want, rtol=1e-8, atol=1e-10 * np.abs(want).max(initial=0.0), err_msg=method
        )
    terms = plain.terms(theta)
    np.testing.assert_allclose(
        coded.term_squares(theta), terms.T @ terms, rtol=1e-8, atol=1e-10 * np.abs(terms).max() ** 2 * n
    )
    first, second = (Objective.plain(loss) for loss in (coded, plain))
    np.testing.assert_allclose(first.subgradient(theta), second.subgradient(theta), rtol=1e-8, atol=1e-10)


def test_columns_that_squares_do_not_tell_apart_are_told_apart_by_the_rows():
    X, dense, rng = operands(seed=3)
    y = rng.poisson(1.5, size=len(dense)).astype(float)
    other = X.rows.dense(0, len(dense))
    near = np.column_stack([other[:, 0], other[:, 0] + 1e-7 * rng.normal(size=len(dense))])
    rows = CodedRows(
        len(dense), X.shape[1], X.rows.parts, X.rows.places, lambda a, b: near[a:b].copy(), center=X.rows.center,
        scale=X.rows.scale,
    )  # fmt: skip
    both = [
        PoissonNLL(loss, y) for loss in (ByCodes(rows), np.vstack([rows[i : i + 500] for i in range(0, 2500, 500)]))
    ]
    coded, plain = (optimum(Objective.plain(loss)) for loss in both)
    assert coded.unique
    assert plain.unique
    scores = [loss.over(lambda part, t=found.theta: [part.predictor(t)]) for loss, found in zip(both, (coded, plain),
                                                                                              strict=True)]  # fmt: skip
    np.testing.assert_allclose(np.concatenate(scores[0]), np.concatenate(scores[1]), rtol=1e-6, atol=1e-6)


def test_passes_over_the_codes(monkeypatch):
    """The products of columns, thresholds, a start; one for each Newton step; two of the proof that classes overlap,
    one for rounding; two for the curvature, rows and probabilities, and two for the metrics.
    """
    frame, read = labeled(seed=14), [0]
    block = CodedRows.block

    def counted(self, first, last):
        read[0] += last - first
        return block(self, first, last)

    monkeypatch.setattr(CodedRows, "block", counted)
    for target in ("b", "c"):
        read[0] = 0
        run = sightline.solve(frame, f"{target} ~ {FORMULA}")
        steps = int(run.result["accuracy"]["reason"].split(",")[1].split()[0])
        assert read[0] / len(frame) == steps + 10


@pytest.mark.parametrize("scale", [(1e9, 1.0), (0.0, 1e3), (5e8, 1e5), (-1e4, 1e9)])
@pytest.mark.parametrize("loss", ["huber", "smooth-l1"])
def test_losses_with_a_width_far_below_the_residuals(loss, scale):
    frame = labeled(seed=15)
    frame["y"] = scale[0] + scale[1] * (frame["y"] - frame["y"].mean())
    coded, dense = (sightline.solve(frame, "y ~ g0 + g1 + x", loss=loss, memory=m) for m in (None, DENSE))
    assert coded.result["loss"] == pytest.approx(dense.result["loss"], rel=1e-8)
    at, want = values(coded, "exact"), values(dense, "exact")
    if [w.code for w in dense.verdict.warnings] != ["SL-FLAT"]:
        np.testing.assert_allclose(at, want, rtol=1e-6, atol=1e-6 * scale[1])


def test_a_width_within_which_hardly_a_row_lies_is_refused(monkeypatch):
    from sightline.linear.optimum import narrowing

    frame = labeled(seed=15)
    newton = narrowing.newton_optimum

    def unsettled(objective, *rest):
        found = newton(objective, *rest)
        if objective.loss.delta > 1.0:
            return found
        return replace(found, reason=f"{found.reason}{narrowing.UNSETTLED}", unique=unique)

    unique = True
    monkeypatch.setattr(narrowing, "newton_optimum", unsettled)
    assert sightline.solve(frame, "y ~ g0 + g1 + x", loss="huber").result["accuracy"]["digits"] > 5.0
    unique = False
    with pytest.raises(DataError, match=r"the delta of huber, 1, is small beside residuals of about 0\.\d+"):
        sightline.solve(frame, "y ~ g0 + g1 + x", loss="huber")


@pytest.mark.parametrize(
    "formula", ["k ~ 0 + g0 + again + x", "k ~ 0 + g0 + far", "zero ~ g0 + g1", "zero ~ 0 + g0 + x"]
)
def test_counts_without_an_intercept_and_of_zeros_alone(formula):
    frame = labeled(seed=16).assign(zero=0)
    frame["again"] = frame["g0"].cat.rename_categories(lambda label: f"same {label}")
    frame["far"] = 1e5 + frame["x"]
    frame["g0"] = frame["g1"]
    coded, dense = (sightline.solve(frame, formula, loss="poisson-nll", memory=m) for m in (None, DENSE))
    np.testing.assert_allclose(values(coded, "exact"), values(dense, "exact"), rtol=1e-6, atol=1e-8)
    assert [w.code for w in coded.verdict.warnings] == [w.code for w in dense.verdict.warnings]


@pytest.mark.parametrize("mean", [1e4, 1e6, 1e7])
@pytest.mark.parametrize(("target", "asked"), [("b", {}), ("c", {}), ("y", {"loss": "huber"})])
def test_a_column_far_from_zero_without_an_intercept(target, asked, mean):
    frame = labeled(seed=17)
    frame["far"] = mean + (frame["x"] - 100) / 5
    coded, dense = (sightline.solve(frame, f"{target} ~ 0 + g1 + far", memory=m, **asked) for m in (None, DENSE))
    at = [c.term.endswith("far") for c in dense.coefficients]
    for name in ("exact", "std_error"):
        np.testing.assert_allclose(values(coded, name)[at], values(dense, name)[at], rtol=1e-6)


@pytest.mark.parametrize("low", [1e-4, 1e-6, 1e-8])
def test_standard_errors_of_very_unequal_class_weights(low):
    frame = labeled(seed=18)
    weights = {"u": low, "v": 1.0, "w": 1.0}
    coded, dense = (sightline.solve(frame, "c ~ g0 + g1", class_weight=weights, memory=m) for m in (None, DENSE))
    np.testing.assert_allclose(values(coded, "std_error"), values(dense, "std_error"), rtol=1e-5)


def test_undetermined_and_infinite_coefficients_of_a_column_that_is_far_from_zero():
    rng = np.random.default_rng(0)
    n, K = 800, 3
    g, z = rng.integers(0, 6, n), rng.normal(size=n).round(1)
    c = (np.outer(z, np.arange(K)) + rng.gumbel(size=(n, K))).argmax(axis=1)
    c[g == 0], c[g == 1] = K - 1, 0
    c[(g == 2) & (c == 1)], c[(g == 3) & (c == 1)] = 0, 2
    frame = pd.DataFrame({"c": [f"c{v}" for v in c], "g": [f"L{v}" for v in g], "x": z * 0.1 + 1000})
    for formula in ("c ~ g + x - 1", "c ~ g + x"):
        coded, dense = (sightline.solve(frame, formula, memory=m) for m in (None, DENSE))
        known = np.isfinite(values(dense, "exact"))  # which of the others are infinite depends on the direction
        np.testing.assert_array_equal(np.isfinite(values(coded, "exact")), known)
        for name in ("exact", "std_error"):
            np.testing.assert_allclose(values(coded, name)[known], values(dense, name)[known], rtol=1e-7)
        assert known.sum() >= 2


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e6])
def test_the_error_that_is_claimed_holds(mean):
    """Against rows in double-double, in training coordinates, where the rows of codes are fitted."""
    from sightline.double_double import Pair
    from sightline.linear.classes.softmax import softmax_optimum
    from sightline.prepare import prepare
    from sightline.settings import RunSettings
    from sightline.truths import truth_of

    frame = labeled(seed=19, n=800)
    frame["far"] = mean + (frame["x"] - 100) / 50
    for target in ("b", "c"):
        prepared = prepare(frame, f"{target} ~ g1 + far", most=1000)
        fit = truth_of(prepared, RunSettings()).fit
        X, design = prepared.rows.blocks, prepared.design
        plain = prepare(frame, f"{target} ~ g1 + far")
        units = plain.pairs()[0]
        Z = (units - design.center) / Pair.of(design.scale)
        want = softmax_optimum(Z, plain.rows.y.astype(np.int64), len(design.classes))
        off = np.abs((fit.coefficients - want.coefficients).hi)
        assert (off <= fit.error + want.error).all()
        assert float((fit.error / np.maximum(np.abs(want.coefficients.hi), 1e-3)).max()) < 1e-9
        assert X.parts


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("target", "asked"),
    [("b", {}), ("b", {"robust": "hc3"}), ("c", {"weights": "w"}), ("c", {"cluster": "town"}), ("y", {"robust": "hc2"}),
     ("k", {"loss": "poisson-nll", "robust": "hc0"}), ("y", {"loss": "huber", "cluster": "town"})],
)  # fmt: skip
def test_a_file_read_piece_by_piece_has_codes_too(tmp_path, monkeypatch, no_columns, kind, target, asked):
    """Of which a category has one class alone, and another lacks one."""
    monkeypatch.setattr(streaming, "MOST_INDICATORS", 1000)
    frame = labeled(seed=20)
    frame.loc[frame["g1"] == "l03", "b"] = 1
    frame.loc[(frame["g1"] == "l05") & (frame["c"] == "u"), "c"] = "v"
    path = tmp_path / f"rows.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    streamed = sightline.solve(path, f"{target} ~ {FORMULA}", memory=1, cache=str(tmp_path / "numbers"), **asked)
    monkeypatch.undo()
    dense = sightline.solve(frame, f"{target} ~ {FORMULA}", memory=DENSE, **asked)
    for name in ("exact", "std_error"):
        np.testing.assert_allclose(values(streamed, name), values(dense, name), rtol=1e-10, atol=1e-12)
    assert [w.text for w in streamed.verdict.warnings] == [w.text for w in dense.verdict.warnings]
