"""Metrics of runs of classes: in the result, on other data, in the terminal, and labels as they were written."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as skm

import sightline
from sightline.cli import main
from tests.test_class_solve import SEPARATED, election, iris, spector, two
from tests.views.class_runs import trained

KEYS = [
    "rows", "missing", "unseen", "weights", "log_loss", "accuracy", "brier", "auc", "balanced_accuracy", "baseline_accuracy",
    "baseline_log_loss", "expected_calibration_error", "confusion", "classes", "calibration",
]  # fmt: skip


def run_command(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


def halves():
    return election()[::2].reset_index(drop=True), election()[1::2].reset_index(drop=True)


def test_evaluation_on_other_rows_against_scikit_learn():
    train, test = halves()
    run = sightline.solve(train, "party ~ selfLR + age + educ", loss="cross-entropy")
    found, P = run.evaluate(test), run.probabilities(test)
    labels = list(run.design.classes)
    predicted = np.array(labels)[P.argmax(axis=1)]
    assert list(found) == KEYS
    assert found["confusion"] == {
        "labels": labels,
        "counts": skm.confusion_matrix(test.party, predicted, labels=labels).tolist(),
    }
    theirs = skm.precision_recall_fscore_support(test.party, predicted, labels=labels, zero_division=np.nan)
    for k, one in enumerate(found["classes"]):
        assert (one["label"], one["rows"]) == (labels[k], theirs[3][k])
        assert one["predicted"] == int((predicted == labels[k]).sum())
        for name, values in zip(("precision", "recall", "f1"), theirs, strict=False):
            assert one[name] == (None if np.isnan(values[k]) else pytest.approx(values[k], rel=1e-13))
        assert one["auc"] == pytest.approx(skm.roc_auc_score(test.party == labels[k], P[:, k]), rel=1e-12)
    assert sum(b["rows"] for b in found["calibration"]) == found["rows"] == len(test)
    assert found["accuracy"] == pytest.approx(np.mean(predicted == test.party))


def test_weights_count_where_the_data_have_them():
    frame = election().assign(w=lambda d: 1.0 + d.age % 3)
    run = sightline.solve(frame, "vote ~ selfLR + age", loss="bce", weights="w")
    P, found = run.probabilities(frame)[:, 1], run.evaluate(frame)
    assert found["weights"] == "w"
    assert found["log_loss"] == pytest.approx(run.result["exact_loss"], rel=1e-12)
    assert found["log_loss"] == pytest.approx(skm.log_loss(frame.vote, P, sample_weight=frame.w), rel=1e-12)
    assert found["auc"] == pytest.approx(skm.roc_auc_score(frame.vote, P, sample_weight=frame.w), rel=1e-12)
    assert np.sum(found["confusion"]["counts"]) == frame.w.sum()
    plain = run.evaluate(frame.drop(columns="w"))
    assert plain["weights"] is None
    assert plain["log_loss"] == pytest.approx(skm.log_loss(frame.vote, P), rel=1e-12)


def test_the_result_keeps_the_metrics_of_the_training_rows(tmp_path):
    run = sightline.solve(two(), "species ~ petal_width", output=tmp_path)
    kept, measured = run.result["metrics"], run.evaluate(two())
    assert list(kept) == [name for name in KEYS if name not in ("rows", "missing", "unseen", "weights")]
    for name in ("log_loss", "accuracy", "brier", "auc", "balanced_accuracy", "baseline_accuracy", "baseline_log_loss"):
        assert kept[name] == pytest.approx(measured[name], rel=1e-9)
    assert kept["confusion"] == measured["confusion"]
    assert sightline.load(run.folder).result["metrics"] == json.loads(json.dumps(dict(kept)))
    assert sightline.load(run.folder).summary() == run.summary()
    assert "metrics" not in sightline.solve(two(), "petal_width ~ sepal_width").result


def test_larger_confusion_matrices_are_left_to_evaluate():
    run = sightline.solve(election(), "selfLR ~ age", loss="cross-entropy")
    assert "confusion" not in run.result["metrics"]
    assert len(run.evaluate(election())["confusion"]["counts"]) == 7


def test_separated_classes_have_the_metrics_of_the_limit():
    kept = sightline.solve(SEPARATED, "y ~ x", loss="bce").result["metrics"]
    assert kept["log_loss"] == pytest.approx(-(np.log(1 / 3) + 2 * np.log(2 / 3)) / 8, rel=1e-9)
    assert kept["confusion"]["counts"] == [[5, 0], [1, 2]]


def test_the_summary_tells_them_in_a_line_of_the_estimates():
    run = trained(two(), "species ~ petal_width", epochs=3)
    b, w = (c.estimate for c in run.coefficients)
    P, y = 1 / (1 + np.exp(-(b + w * two().petal_width))), two().late
    text = " ".join(run.summary().split())
    assert (
        f"on the training rows: log-loss {skm.log_loss(y, P):.4g} (shares of the classes alone 0.6931), accuracy "
        f"{100 * np.mean((P > 0.5) == y):.1f} % (most frequent class alone 50.0 %), AUC "
        f"{skm.roc_auc_score(y, P):.4g}, Brier {skm.brier_score_loss(y, P):.4g}"
    ) in text
    assert max(map(len, run.summary().splitlines())) <= 80


@pytest.mark.parametrize(
    ("frame", "formula"),
    [(two, "species ~ petal_width"), (election, "selfLR ~ age + educ"), (iris, "species ~ sepal_length")],
)
def test_the_command_prints_a_block_of_80_columns(frame, formula, tmp_path, capsys):
    path = tmp_path / "data.csv"
    frame().to_csv(path, index=False)
    run = sightline.solve(path, formula, loss="cross-entropy", output=tmp_path / "runs")
    assert run_command("evaluate", run.folder, path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    found = run.evaluate(path)
    cells = [line.split() for line in lines]
    for label, counts in zip(found["confusion"]["labels"], found["confusion"]["counts"], strict=True):
        assert [label, *map(str, counts)] in [line[: len(counts) + 1] for line in cells]
    assert any(line.startswith(" accuracy") and "always guessing" in line for line in lines)
    assert run_command("evaluate", run.folder, path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found))


def test_many_classes_with_long_names_fit_too(tmp_path, capsys):
    rng = np.random.default_rng(0)
    names = np.array([f"the class number {i}, whose name is long" for i in range(40)])
    path = tmp_path / "data.csv"
    pd.DataFrame({"x": rng.normal(size=400), "c": names[np.arange(400) % 40]}).to_csv(path, index=False)
    run = sightline.solve(path, "c ~ x", output=tmp_path / "runs")
    assert run_command("evaluate", run.folder, path) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "the 30 classes of the lowest recall; the other 10: --json" in out


def test_a_label_that_training_did_not_have_is_named(tmp_path, capsys):
    path = tmp_path / "two.csv"
    two().to_csv(path, index=False)
    run = sightline.solve(path, "species ~ petal_width", output=tmp_path / "runs")
    other = tmp_path / "other.csv"
    two().assign(species=lambda d: d.species.where(d.index != 3, "lupus")).to_csv(other, index=False)
    assert run_command("evaluate", run.folder, other) == 3
    assert capsys.readouterr().err.startswith(
        "error: other.csv line 5, column species: 'lupus' is no category that the model was trained on, there are: "
        "versicolor, virginica"
    )


def test_an_infinite_log_loss_is_null_in_json(tmp_path, capsys):
    """A row that the model is certain about, and wrong: its probability vanishes in float64."""
    run = sightline.solve(spector(), "GRADE ~ GPA", loss="bce", output=tmp_path)
    path = tmp_path / "far.csv"
    path.write_text("GPA,GRADE\n-1e6,1\n3.0,0\n")
    assert run_command("evaluate", run.folder, path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["log_loss"] is None


@pytest.mark.parametrize(
    "labels",
    [("a,b", 'say "no"'), ("1", "2"), ("-1", "1"), ("0", "5", "9"), ("False", "True"), ("no", "yes"), ("é", "ß"), (" a", "p(b)")],
)  # fmt: skip
def test_labels_come_back_as_they_were_written(labels, tmp_path, capsys):
    path, K = tmp_path / "labels.csv", len(labels)
    codes = [i % K if i % 4 else 0 for i in range(24)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["x", "c"], *([i + 5 * c, labels[c]] for i, c in enumerate(codes))])
    run = sightline.solve(path, "c ~ x", loss="cross-entropy", output=tmp_path / "runs")
    assert run_command("predict", run.folder, path) == 0
    header, *rows = csv.reader(capsys.readouterr().out.splitlines())
    written = [label.strip() for label in labels]
    assert sorted(header[1:]) == sorted(f"p({label})" for label in written)
    for row in rows:
        assert row[0] == header[1:][int(np.argmax([float(v) for v in row[1:]]))][2:-1]
    assert {row[0] for row in rows} <= set(written)
    assert len({row[0] for row in rows}) > 1


@pytest.mark.parametrize("values", [[True, False], [0, 5, 9], [-1, 1], [1.0, 2.0]])
def test_labels_of_arrays(values):
    c = [values[i % len(values)] if i % 4 else values[0] for i in range(24)]
    x = [i + 9 * values.index(v) for i, v in enumerate(c)]
    run = sightline.solve({"x": x, "c": c}, "c ~ x", loss="cross-entropy")
    expected = {str(int(v)) if isinstance(v, float) else str(v) for v in values}
    assert set(run.design.classes) == expected
    assert set(run.predict({"x": x})) <= expected
