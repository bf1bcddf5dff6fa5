"""Every loss and every standard error of a file read piece by piece: as in memory, and as statsmodels has them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from statsmodels.miscmodels.ordinal_model import OrderedModel  # noqa: F401  statsmodels warns when it is first loaded

import sightline
from sightline.coded_rows import CodedRows
from sightline.errors import DataError, UsageError
from sightline.linear import blocks
from sightline.linear.optimum import few_kinks, find, newton
from sightline.linear.robust import robust_covariance
from sightline.prepare import prepare_for
from sightline.settings import RunSettings
from sightline.solution import solved
from sightline.solving import by_name
from sightline.truths import truth_of

ROWS = 2500
FORMULA = "~ x + z + g"


def frame():
    """Numbers, counts, two and three classes, weights that may be 0, clusters, and categories."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=ROWS).round(3), (3.0 + rng.normal(size=ROWS)).round(3)
    g, w = rng.choice(list("abcd"), ROWS), rng.choice([0.0, 1.0, 2.5], ROWS)
    eta = 0.5 * x - 0.7 * (z - 3.0) + 0.5 * (g == "a")
    scores = np.column_stack([eta, -eta, 0.0 * eta]) + rng.gumbel(size=(ROWS, 3))
    return pd.DataFrame(
        {
            "x": x, "z": z, "g": g, "w": w, "c": rng.integers(0, 40, ROWS),
            "y": (eta + rng.standard_t(3, ROWS)).round(3),
            "b": np.where(rng.random(ROWS) < 1.0 / (1.0 + np.exp(-eta)), "yes", "no"),
            "k": rng.poisson(np.exp(0.3 * eta)), "kind": np.array(list("pqr"))[scores.argmax(axis=1)],
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "d.csv"
    frame().to_csv(path, index=False)
    return path


@pytest.fixture(params=[64, 1000, 3072])
def block(request, monkeypatch):
    """Rows that are read at a time, and how many count as many."""
    monkeypatch.setattr(blocks, "BLOCK", request.param)
    monkeypatch.setattr(find, "SAMPLE", 700)
    monkeypatch.setattr(few_kinks, "KEPT", 300)


def near(found, want, scale=0.0, tolerance=1e-12):
    if want is None or found is None:
        assert found == want
    else:
        assert found == pytest.approx(want, rel=tolerance, abs=tolerance * scale)


def compare(path, formula, *, unique=True, warned=True, **settings):
    at_once = sightline.solve(path, formula, **settings)
    by_piece = sightline.solve(path, formula, memory=1, **settings)
    for a, b in zip(at_once.coefficients, by_piece.coefficients, strict=True):
        assert a.term == b.term
        for name in ("estimate", "std_error", "low", "high") if unique else ():
            near(getattr(b, name), getattr(a, name), a.std_error or 1.0)
    for name, value in at_once.result["fit"].items():
        if isinstance(value, float) and not name.endswith(
            "_p"
        ):  # the tail of a huge statistic has its rounding, magnified
            near(by_piece.result["fit"][name], value, 0.01 if "r2" in name or name == "mcfadden" else 0.0, 1e-11)
    near(by_piece.result["loss"], at_once.result["loss"])
    for name, value in at_once.result["curvature"].items():
        near(by_piece.result["curvature"][name], value)
    for name, value in (at_once.result.get("metrics") or {}).items():
        if isinstance(value, float) and unique:  # rows with equal predictions are equal but for rounding
            near(by_piece.result["metrics"][name], value, 1.0, 1e-11 if name != "auc" else 1e-5)
    if warned:
        assert [w.code for w in at_once.verdict.warnings] == [w.code for w in by_piece.verdict.warnings]
    assert at_once.source == by_piece.source
    return by_piece


SQUARED = [
    {"robust": "hc0"}, {"robust": "hc1"}, {"robust": "hc2"}, {"robust": "hc3"}, {"cluster": "c"}, {"l1": 0.05},
    {"weights": "w", "robust": "hc3"}, {"weights": "w", "cluster": "c", "l2": 0.1}, {"l2": 0.1, "robust": "hc2"},
]  # fmt: skip
CLASSES = [{}, {"weights": "w"}, {"l2": 0.1}, {"robust": "hc1"}, {"cluster": "c"}, {"l1": 0.01}]


@pytest.mark.parametrize("settings", SQUARED)
def test_least_squares(block, data, settings):
    compare(data, f"y {FORMULA}", **settings)


@pytest.mark.parametrize(
    "settings", [*CLASSES, {"robust": "hc3"}, {"class_weight": "balanced"}, {"loss": "bce-probability"}]
)
def test_two_classes(block, data, settings):
    compare(data, f"b {FORMULA}", **settings)


@pytest.mark.parametrize(
    "settings", [*CLASSES, {"class_weight": {"p": 2.0}}, {"weights": "w", "loss_opt": {"label_smoothing": 0.1}}]
)
def test_three_classes(block, data, settings):
    compare(data, f"kind {FORMULA}", **settings)


@pytest.mark.parametrize("loss", ["poisson-nll", "huber", "smooth-l1", "gaussian-nll"])
@pytest.mark.parametrize(
    "settings", [{}, {"weights": "w"}, {"l2": 0.1}, {"cluster": "c"}, {"robust": "hc0"}, {"l1": 0.02}]
)
def test_other_losses(block, data, loss, settings):
    compare(data, f"{'k' if loss == 'poisson-nll' else 'y'} {FORMULA}", loss=loss, **settings)


@pytest.mark.parametrize("settings", [{"weights": "w"}, {"l2": 0.1}, {"l1": 0.02}, {}])
@pytest.mark.parametrize("loss", ["l1", "hinge"])
def test_losses_with_sharp_kinks(block, data, loss, settings):
    """Without a penalty more than one set of coefficients may have the smallest loss."""
    unique = "l2" in settings or "l1" in settings or (loss == "l1" and "weights" in settings)
    compare(data, f"{'y' if loss == 'l1' else 'b'} {FORMULA}", loss=loss, unique=unique, **settings)


def matrix():
    table = frame()
    dummies = pd.get_dummies(table["g"], drop_first=True, dtype=float)
    return table, np.column_stack([np.ones(ROWS), table["x"], table["z"], dummies])


def same(run, params, errors, tolerance=1e-7):
    np.testing.assert_allclose([c.estimate for c in run.coefficients], params, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose([c.std_error for c in run.coefficients], errors, rtol=tolerance)


@pytest.mark.parametrize("kind", ["hc0", "hc1", "hc2", "hc3"])
def test_robust_standard_errors_are_those_of_statsmodels(block, data, kind):
    table, X = matrix()
    want = sm.OLS(table["y"].to_numpy(), X).fit(cov_type=kind.upper())
    same(sightline.solve(data, f"y {FORMULA}", memory=1, robust=kind), want.params, want.bse, 1e-9)


def test_clusters_are_those_of_statsmodels(block, data):
    table, X = matrix()
    want = sm.OLS(table["y"].to_numpy(), X).fit(cov_type="cluster", cov_kwds={"groups": table["c"].to_numpy()})
    same(sightline.solve(data, f"y {FORMULA}", memory=1, cluster="c"), want.params, want.bse, 1e-9)


def test_classes_and_counts_are_those_of_statsmodels(block, data):
    table, X = matrix()
    tight = {"disp": False, "method": "newton", "tol": 1e-14}
    want = sm.Logit((table["b"] == "yes").to_numpy(float), X).fit(**tight)
    run = sightline.solve(data, f"b {FORMULA}", memory=1)
    same(run, want.params, want.bse)
    assert run.result["fit"]["log_likelihood"] == pytest.approx(want.llf, rel=1e-12)
    want = sm.MNLogit(table["kind"].map({"p": 0, "q": 1, "r": 2}).to_numpy(), X).fit(**tight)
    same(sightline.solve(data, f"kind {FORMULA}", memory=1), want.params.T.ravel(), want.bse.T.ravel())
    want = sm.GLM(table["k"].to_numpy(float), X, family=sm.families.Poisson()).fit(tol=1e-14)
    run = sightline.solve(data, f"k {FORMULA}", memory=1, loss="poisson-nll")
    same(run, want.params, want.bse)
    assert run.result["fit"]["deviance"] == pytest.approx(want.deviance, rel=1e-10)
    want = sm.QuantReg(table["y"].to_numpy(), X).fit(q=0.5, max_iter=5000, p_tol=1e-10)
    found = [c.estimate for c in sightline.solve(data, f"y {FORMULA}", memory=1, loss="l1").coefficients]
    off = np.abs(table["y"].to_numpy() - X @ found).sum(), np.abs(table["y"].to_numpy() - X @ want.params).sum()
    assert off[0] <= off[1] * (1.0 + 1e-12)


class Counted(CodedRows):
    """Rows of which only blocks can be had: how many were read, and at most at a time."""

    def __init__(self, X):
        super().__init__(
            *X.shape, X.parts, X.places, X.dense, center=X.center, scale=X.scale, folder=X.folder
        )  # fmt: skip
        self.read = self.most = 0

    def seen(self, count):
        self.read, self.most = self.read + count, max(self.most, count)

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        assert rows.step in (None, 1)
        found = super().__getitem__(rows)
        self.seen(len(found))
        return found

    def placed_block(self, first, last):
        self.seen(last - first)
        return super().placed_block(first, last)


def counted(path, formula, **settings):
    chosen = RunSettings.of(by_name({**settings, "memory": 1}))
    prepared = prepare_for(chosen, str(path), formula, target=None)
    X = Counted(prepared.rows.X)
    return replace(prepared, rows=replace(prepared.rows, X=X)), chosen, X


# moments, and a residual pass that measures the gradient; robust errors read the rows once more
PASSES = {"": 2, "l2": 3, "hc0": 3, "hc3": 3, "cluster": 3}


@pytest.mark.parametrize("what", PASSES)
def test_passes_of_least_squares(data, what):
    named = {"l2": {"l2": 0.1}, "cluster": {"cluster": "c"}, "": {}}.get(what, {"robust": what})
    prepared, chosen, X = counted(data, f"y {FORMULA}", **named)
    run = solved(prepared, chosen, None)
    assert run.coefficients[1].std_error > 0
    assert X.read == PASSES[what] * ROWS


def test_passes_of_classes(data, monkeypatch):
    """The columns' factor, thresholds, a sample and a start; one for each Newton step; two of the proof that classes overlap, one
    for rounding; the curvature, and two for the metrics. Robust errors read the rows once more.
    """
    monkeypatch.setattr(blocks, "BLOCK", 256)
    for formula in (f"b {FORMULA}", f"kind {FORMULA}"):
        prepared, chosen, X = counted(data, formula)
        truth = truth_of(prepared, chosen)
        assert X.read == (4 + truth.fit.steps + 3) * ROWS
        assert X.most == 256
        before, _ = X.read, truth.curvature
        assert X.read - before == ROWS
        prepared, chosen, X = counted(data, formula)
        assert solved(prepared, chosen, None).result["metrics"]["log_loss"] > 0
        assert X.read == before + 3 * ROWS
        prepared, chosen, X = counted(data, formula, cluster="c")
        assert truth_of(prepared, chosen).std_errors.hi.all()
        assert X.read == before + ROWS


@pytest.mark.parametrize(
    ("target", "loss", "before"), [("k", "poisson-nll", 3), ("y", "huber", 2), ("y", "gaussian-nll", 2)]
)
def test_passes_of_newton_steps(data, monkeypatch, target, loss, before):
    """Before them whether groups of zeros have no minimum, the factor of the columns, a sample; then two for each."""
    monkeypatch.setattr(find, "SAMPLE", 700)
    prepared, chosen, X = counted(data, f"{target} {FORMULA}", loss=loss)
    descended, seen = newton._descended, []

    def watched(objective, frame, theta):
        first = X.read
        found = descended(objective, frame, theta)
        seen.append((first, X.read - first, found[1]))
        return found

    monkeypatch.setattr(newton, "_descended", watched)
    truth_of(prepared, chosen)
    (_, of_sample, _), (first, read, steps) = seen
    assert of_sample == 0  # whose rows are in memory
    assert first == before * ROWS
    assert read == 2 * steps * ROWS


@pytest.mark.parametrize("loss", ["mse", "huber", "l1", "hinge", "gaussian-nll", "poisson-nll", "bce", "cross-entropy"])
def test_only_slices_are_read(data, monkeypatch, loss):
    monkeypatch.setattr(few_kinks, "KEPT", 300)
    monkeypatch.setattr(find, "SAMPLE", 700)
    target = {"poisson-nll": "k", "bce": "b", "hinge": "b", "cross-entropy": "kind"}.get(loss, "y")
    for more in ({}, {"l1": 0.01}, {"l2": 0.1}, {"cluster": "c"}):
        if loss == "l1" and "cluster" in more:
            continue
        prepared, chosen, X = counted(data, f"{target} {FORMULA}", loss=loss, **more)
        run = solved(prepared, chosen, None)
        assert np.isfinite(run.result["loss"])
        assert X.most <= 3072


def test_a_row_that_alone_decides_a_coefficient(block, tmp_path):
    table = frame()
    table.loc[1700, "g"] = "alone"
    path = tmp_path / "d.csv"
    table.to_csv(path, index=False)
    for kind in ("hc2", "hc3"):
        with pytest.raises(DataError, match=r"row 1,701 has leverage 1") as caught:
            sightline.solve(path, f"y {FORMULA}", memory=1, robust=kind)
        with pytest.raises(DataError) as other:
            sightline.solve(path, f"y {FORMULA}", robust=kind)
        assert str(caught.value) == str(other.value)
    compare(path, f"y {FORMULA}", robust="hc1")
    table.loc[[1700, 44], "g"] = "two"
    table.loc[1700, "x"] = 300.0
    table.to_csv(path, index=False)
    run = sightline.solve(path, f"y {FORMULA}", memory=1, robust="hc3")
    dummies = pd.get_dummies(table["g"], drop_first=True, dtype=float)
    Z = np.column_stack([np.ones(ROWS), table["x"], table["z"], dummies])
    y = table["y"].to_numpy()
    residual = y - Z @ np.linalg.lstsq(Z, y, rcond=None)[0]
    want = np.sqrt(np.diag(robust_covariance(Z, residual, kind="hc3", combinations=np.eye(Z.shape[1]))))
    np.testing.assert_allclose([c.std_error for c in run.coefficients], want, rtol=1e-8)


@pytest.mark.parametrize("kind", ["complete", "quasi", "three"])
def test_separated_classes(block, tmp_path, kind):
    table = frame()
    table.loc[table["g"] == "d", "b"] = "yes"
    table.loc[table["g"] == "d", "kind"] = "p"
    if kind == "complete":
        table["b"] = np.where(table["x"] + 2.0 * table["z"] > 6.0, "yes", "no")
    path = tmp_path / "d.csv"
    table.to_csv(path, index=False)
    formula = f"{'kind' if kind == 'three' else 'b'} {FORMULA}"
    at_once, by_piece = sightline.solve(path, formula), sightline.solve(path, formula, memory=1)
    assert [w.code for w in by_piece.verdict.warnings] == [w.code for w in at_once.verdict.warnings] == ["SL-SEPARABLE"]
    assert by_piece.result["fit"]["log_likelihood"] == pytest.approx(at_once.result["fit"]["log_likelihood"], abs=1e-9)
    for a, b in zip(at_once.coefficients, by_piece.coefficients, strict=True):
        if a.estimate is None or np.isinf(a.estimate):
            assert b.estimate == a.estimate or kind == "complete"  # whose direction is one of many
        else:
            near(b.estimate, a.estimate, a.std_error, 1e-10)
            near(b.std_error, a.std_error, 0.0, 1e-9)
    compare(path, formula, l2=0.1, warned=False)  # with a penalty separation is only noted, in few rows


def test_counts_that_are_all_zero(block, tmp_path):
    table = frame()
    table.loc[table["g"] == "d", "k"] = 0
    path = tmp_path / "d.csv"
    table.to_csv(path, index=False)
    by_piece = compare(path, f"k {FORMULA}", loss="poisson-nll")
    assert [w.code for w in by_piece.verdict.warnings] == ["SL-INFINITE"]
    assert by_piece.coefficients[-1].estimate == -np.inf


@pytest.mark.parametrize("formula", ["b ~ x + twice + g", "kind ~ x + twice", "k ~ x + twice"])
def test_columns_that_repeat_each_other(block, tmp_path, formula):
    table = frame().assign(twice=lambda t: 2.0 * t["x"], same=7)
    path = tmp_path / "d.csv"
    table.to_csv(path, index=False)
    loss = {"loss": "poisson-nll"} if formula.startswith("k ") else {}
    by_piece = compare(path, formula, **loss)
    assert "SL-COLLINEAR" in [w.code for w in by_piece.verdict.warnings]
    compare(path, formula.replace("twice", "same"), **loss)


def test_labels_are_learned_from_all_rows(tmp_path, data):
    table = frame()
    table.loc[ROWS - 1, "kind"] = "late"
    path = tmp_path / "d.csv"
    table.to_csv(path, index=False)
    run = sightline.solve(path, f"kind {FORMULA}", memory=1, l2=0.1)
    assert run.design.classes == ("late", "p", "q", "r")
    for target, loss in (("b", "mse"), ("y", "bce"), ("kind", "bce"), ("y", "poisson-nll")):
        said = []
        for memory in (None, 1):
            with pytest.raises((UsageError, DataError)) as caught:
                sightline.solve(data, f"{target} {FORMULA}", loss=loss, memory=memory)
            said.append(str(caught.value).split(": ")[-1])
        assert said[0] == said[1]


def test_clusters_need_two_labels(tmp_path):
    table = frame().assign(one="a", text=lambda t: "c" + t["c"].astype(str))
    path = tmp_path / "d.csv"
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"column 'one' of d\.csv names one cluster only"):
        sightline.solve(path, f"y {FORMULA}", memory=1, cluster="one")
    compare(path, f"y {FORMULA}", cluster="text", weights="w")
    table.loc[2000, "text"] = None
    table.to_csv(path, index=False)
    said = []
    for memory in (None, 1):
        with pytest.raises(DataError) as caught:
            sightline.solve(path, f"y {FORMULA}", memory=memory, cluster="text")
        said.append(str(caught.value))
    assert said[0] == said[1]


CHILD = """
import sys, json
from sightline.data import slices
slices.PIECE = 2**21  # of which both files have many
import numpy, torch, duckdb, sightline, sightline.solution, scipy.special, scipy.linalg
def own():
    return {k: int(v.split()[0]) for k, v in (line.split(':') for line in open('/proc/self/status')) if k == 'VmHWM'}['VmHWM']
before = own()
run = sightline.solve(sys.argv[1], target='b', memory=sys.argv[2])
print(json.dumps([own() - before, [c.estimate for c in run.coefficients]]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the largest size of a process")
def test_memory_of_a_logistic_fit(tmp_path):
    """750,000 rows of 20 columns more, 120 MB, take a few numbers for each row: classes, weights, ranks."""
    rng = np.random.default_rng(0)
    taken, found = [], []
    for n in (250_000, 1_000_000):
        columns = {f"x{j}": rng.normal(size=n).round(4) for j in range(20)}
        columns["b"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-0.2 * sum(columns.values())))).astype(int)
        path = tmp_path / f"{n}.csv"
        duckdb.sql(f"COPY (SELECT * FROM columns) TO '{path}' (FORMAT csv)")
        out = subprocess.run([sys.executable, "-c", CHILD, path, "1MB"], capture_output=True, text=True, check=True)
        size, estimates = json.loads(out.stdout)
        taken.append(size * 1024)
        found.append(estimates)
    assert taken[1] - taken[0] < 750_000 * 80
    np.testing.assert_allclose(found[1][1:], 0.2, atol=0.02)


def test_rows_that_are_mostly_on_their_kink(tmp_path, monkeypatch):
    table = frame()
    table.loc[::3, "y"] = 0.0
    table.loc[1::3, "y"] = 0.0
    path = tmp_path / "d.csv"
    table.to_csv(path, index=False)
    monkeypatch.setattr(few_kinks, "KEPT", 50)
    with pytest.raises(
        DataError, match=r"rows of 2,500 lie on the kink of the l1 loss, too many to be solved together"
    ):
        sightline.solve(path, "y ~ x", loss="l1", memory=1)
    monkeypatch.setattr(few_kinks, "KEPT", 500)
    compare(path, "y ~ x", loss="l1", unique=False)


def test_rows_that_are_the_same_tie_in_every_class(tmp_path):
    """Few rows, many times each: areas count ties as half, which the last bit of a product of matrices would break."""
    rng = np.random.default_rng(6)
    few = rng.normal(size=(7, 3))
    pick = rng.integers(7, size=5003)
    X, k = few[pick], np.array(["red", "green", "blue"])[rng.integers(3, size=5003)]
    lines = [f"{a!r},{b!r},{c!r},{label}" for (a, b, c), label in zip(X.tolist(), k, strict=True)]
    (tmp_path / "d.csv").write_text("a,b,c,k\n" + "\n".join(lines) + "\n")
    at_once = sightline.solve(tmp_path / "d.csv", "k ~ a + b + c")
    by_piece = sightline.solve(tmp_path / "d.csv", "k ~ a + b + c", memory=1)
    classes = sorted(set(k))
    fitted = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(few[pick], k).predict_proba(few)[pick]
    for run in (at_once, by_piece):
        for found, label in zip(run.result["metrics"]["classes"], classes, strict=True):
            want = roc_auc_score(k == label, np.round(fitted[:, classes.index(label)], 9))
            assert found["auc"] == pytest.approx(want, rel=1e-12)
