"""Training of rows read piece by piece: every loss, rows held out, validation files, folds; all as in memory."""

from __future__ import annotations

import numpy as np
import pytest

import sightline
from sightline import coded_rows, filed, streaming
from sightline.analysis import conditioning, cross_validate, vif
from sightline.comparisons import nested_test, wald_test
from sightline.data import chosen
from sightline.errors import DataError, UsageError

from .test_by_pieces_losses import FORMULA, ROWS, data, frame, near  # noqa: F401

LOSSES = [("b", {}), ("kind", {}), ("k", {"loss": "poisson-nll"}), ("y", {"loss": "huber"}), ("y", {"loss": "l1"})]


@pytest.fixture(params=[97, 65_536])
def block(request, monkeypatch):
    """Rows that are read at a time."""
    monkeypatch.setattr(coded_rows, "UNIT", request.param)
    for module in (chosen, filed, streaming):
        monkeypatch.setattr(module, "BLOCK", request.param)


def both(path, formula, **settings):
    return [sightline.fit(path, formula, output=False, memory=memory, **settings) for memory in (None, 1)]


def same_records(a, b):
    assert len(a.epochs) == len(b.epochs)
    for one, other in zip(a.epochs, b.epochs, strict=True):
        for name in ("train_loss", "valid_loss", "running_loss"):
            near(getattr(other, name), getattr(one, name))
        assert list(other.parameters.values()) == pytest.approx(list(one.parameters.values()), rel=1e-9, abs=1e-10)
    assert a.verdict.name == b.verdict.name


@pytest.mark.parametrize(("target", "settings"), LOSSES)
@pytest.mark.parametrize("how", [{"engine": "autograd"}, {"engine": "kernel"}, {"batch_size": 64, "dtype": "float32"}])
def test_the_records_are_the_same(data, target, settings, how):  # noqa: F811
    if target == "k" and how.get("engine") == "kernel":  # whose steps are not known in closed form
        how = {"engine": "auto"}
    same_records(*both(data, f"{target} {FORMULA}", epochs=4, lr=0.05, **settings, **how))


@pytest.mark.parametrize("settings", [{}, {"weights": "w"}, {"loss": "huber"}])
def test_rows_that_are_held_out(block, data, settings):  # noqa: F811
    a, b = both(data, f"y {FORMULA}", epochs=5, validation=0.2, seed=3, **settings)
    same_records(a, b)
    assert a.source == b.source
    assert (a.design.center.tolist(), a.design.scale.tolist()) == (b.design.center.tolist(), b.design.scale.tolist())
    for name in ("valid_loss", "valid_rows", "kept_epoch"):
        assert b.result[name] == pytest.approx(a.result[name], rel=1e-12)
    same_records(*both(data, f"kind {FORMULA}", epochs=3, validation=0.3, class_weight="balanced"))


def test_a_category_that_only_the_rows_held_out_have(block, tmp_path):
    table = frame()
    path = tmp_path / "d.csv"
    said = []
    for row in range(ROWS):  # until one is held out
        table["g"] = frame()["g"]
        table.loc[row, "g"] = "late"
        table.to_csv(path, index=False)
        try:
            both(path, f"y {FORMULA}", epochs=1, validation=0.2)
        except DataError as error:
            said.append(str(error))
            break
    with pytest.raises(DataError) as caught:
        sightline.fit(path, f"y {FORMULA}", epochs=1, validation=0.2, output=False, memory=1)
    assert said == [str(caught.value)]
    assert "'late' is no category that the model was trained on" in said[0]


def test_a_validation_file(block, data, tmp_path):  # noqa: F811
    other = tmp_path / "other.csv"
    frame().iloc[:700].assign(x=lambda t: t["x"] + 0.5).to_csv(other, index=False)
    for target in ("y", "b"):
        a, b = both(data, f"{target} {FORMULA}", epochs=4, validation=str(other))
        same_records(a, b)
        assert b.result["valid_rows"] == 700
    frame().query("b == 'yes'").to_csv(other, index=False)
    for memory in (None, 1):
        with pytest.raises(UsageError, match="validation rows are all of the class 'yes'"):
            sightline.fit(data, f"b {FORMULA}", validation=str(other), memory=memory, output=False, epochs=1)


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("y", {}),
        ("y", {"weights": "w", "validation": 0.1}),
        ("b", {"cluster": "c"}),
        ("kind", {"class_weight": "balanced"}),
    ],
)
def test_folds(block, data, target, settings):  # noqa: F811
    """The same folds, and in each the same training."""
    found = [
        sightline.k_fold(data, f"{target} {FORMULA}", folds=3, fold_seed=1, epochs=5, memory=m, **settings)
        for m in (None, 1)
    ]
    a, b = found
    np.testing.assert_array_equal(a.fold, b.fold)
    np.testing.assert_allclose(b.predictions, a.predictions, rtol=1e-10, atol=1e-10)
    assert b.pooled == pytest.approx(a.pooled, rel=1e-11)
    for one, other in zip(a.folds, b.folds, strict=True):
        assert (one.trained, one.held_out, one.validation, one.epochs) == (
            other.trained, other.held_out, other.validation, other.epochs
        )  # fmt: skip
        assert other.metrics == pytest.approx(one.metrics, rel=1e-11)
        assert other.trained_metrics == pytest.approx(one.trained_metrics, rel=1e-11)


def test_a_label_that_one_fold_has_alone(block, tmp_path):
    table = frame()
    table.loc[1234, "g"] = "alone"
    path = tmp_path / "d.csv"
    table.to_csv(path, index=False)
    said = []
    for memory in (None, 1):
        with pytest.raises(DataError) as caught:
            sightline.k_fold(path, f"y {FORMULA}", folds=3, memory=memory)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "line 1236, column g: 'alone' is in fold" in said[0]


@pytest.mark.parametrize("settings", [{}, {"weights": "w"}, {"cluster": "c"}])
def test_cross_validation(block, data, settings):  # noqa: F811
    a, b = (sightline.solve(data, f"y {FORMULA}", memory=memory, **settings) for memory in (None, 1))
    want, found = (cross_validate(run, 7, seed=2) for run in (a, b))
    assert (found.rmse, found.r2) == pytest.approx((want.rmse, want.r2), rel=1e-12)
    np.testing.assert_allclose(found.residual, want.residual, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("settings", [{}, {"weights": "w"}, {"robust": "hc3"}, {"cluster": "c"}])
def test_questions_that_are_answered_by_blocks(block, data, settings):  # noqa: F811
    a, b = (sightline.solve(data, f"y {FORMULA}", memory=memory, **settings) for memory in (None, 1))
    for one, other in zip(vif(a), vif(b), strict=True):
        assert (one.group, one.df) == (other.group, other.df)
        assert (other.gvif, other.scaled) == pytest.approx((one.gvif, one.scaled), rel=1e-12)
    want, found = conditioning(a), conditioning(b)
    np.testing.assert_allclose(found.indices, want.indices, rtol=1e-12)
    np.testing.assert_allclose(found.proportions, want.proportions, rtol=1e-10, atol=1e-12)
    for hypothesis in ("x = 0.4", "x + z = 0, g[T.b] = g[T.c]"):
        want, found = (wald_test(run, hypothesis)[1] for run in (a, b))
        assert (found.statistic, found.df) == pytest.approx((want.statistic, want.df), rel=1e-10)
    smaller = [sightline.solve(data, "y ~ x + z", memory=memory, **settings) for memory in (None, 1)]
    if not settings or "weights" in settings:
        want, found = (nested_test(small, large) for small, large in zip(smaller, (a, b), strict=True))
        assert found.statistic == pytest.approx(want.statistic, rel=1e-10)
    other = sightline.solve(data, "y ~ x + z + c", memory=1, **settings)
    with pytest.raises(UsageError, match="is not nested in"):
        nested_test(other, b)


@pytest.mark.parametrize("settings", [{}, {"cluster": "c"}])
def test_hypotheses_of_classes(block, data, settings):  # noqa: F811
    a, b = (sightline.solve(data, f"b {FORMULA}", memory=memory, **settings) for memory in (None, 1))
    want, found = (wald_test(run, "x = 0.4, z = -0.5")[1] for run in (a, b))
    assert found.statistic == pytest.approx(want.statistic, rel=1e-10)


def test_pictures_of_rows_on_the_disk(data, monkeypatch):  # noqa: F811
    """Every so many rows, where there are more than a picture tells apart."""
    run = sightline.fit(data, f"b {FORMULA}", memory=1, epochs=2, weights="w", cluster="c", output=False)
    rows = run.training_rows()
    whole = rows.pictured()
    assert type(whole.X) is np.ndarray
    np.testing.assert_array_equal(whole.X, rows.X[:])
    monkeypatch.setattr(sightline.rows, "MOST_PICTURED", 100)
    some = rows.pictured()
    step = -(-len(rows) // 100)
    np.testing.assert_array_equal(some.X, whole.X[::step])
    np.testing.assert_array_equal(some.y, whole.y[::step])
    np.testing.assert_array_equal(some.weight, whole.weight[::step])
    np.testing.assert_array_equal(some.cluster, whole.cluster[::step])
    assert some.place(7) == rows.place(7 * step)
    more = rows.pictured(np.array([1, step, 2 * step + 3]))
    assert len(more) == len(some) + 2
    for place, row in ((1, 1), (2, step), (4, 2 * step + 3)):
        np.testing.assert_array_equal(more.X[place], whole.X[row])
        assert (more.y[place], more.place(place)) == (whole.y[row], rows.place(row))
    assert len(run.figure().axes) > 1


def test_a_run_that_is_loaded_reads_its_rows_as_it_did(block, data, tmp_path):  # noqa: F811
    settings = {"epochs": 2, "weights": "w", "cluster": "c", "validation": 0.2, "class_weight": "balanced"}
    run = sightline.fit(data, f"b {FORMULA}", memory=1, output=tmp_path, **settings)
    rows, again = run.training_rows(), sightline.load(run.folder).training_rows()
    assert again.on_disk
    for name in ("X", "y", "weight", "cluster"):
        found, want = getattr(again, name), getattr(rows, name)
        np.testing.assert_array_equal(found[0 : len(rows)], want[0 : len(rows)])
    assert again.clusters == rows.clusters
    assert again.place(17) == rows.place(17)
    copy = tmp_path / "other.csv"
    copy.write_bytes(data.read_bytes())
    run = sightline.solve(copy, f"y {FORMULA}", memory=1, output=tmp_path)
    assert len(vif(sightline.load(run.folder))) == 3
    copy.write_bytes(data.read_bytes() + b"1,1,a,1,1,1,yes,1,p\n")
    assert sightline.load(run.folder).training_rows() is None
