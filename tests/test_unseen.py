"""Categories at prediction that training did not have: an error, the reference, or no prediction; said either way."""

import csv
import io
import json

import numpy as np
import pytest

import sightline as sl
from sightline.errors import DataError, UsageError

TRAIN = {"y": [1.0, 2, 4, 3, 7, 6.5], "x": [1, 2, 3, 4, 5, 6], "g": list("abcabc"), "h": list("uuvvuv")}
NEW = {"x": [1.0, 2, None, 4, 5], "g": ["a", "new", "b", "c", None], "h": ["u", "v", "w", "w", "u"]}
AS_REFERENCE = {"x": [1.0, 2, None, 4, 5], "g": ["a", "a", "b", "c", None], "h": ["u", "v", "w", "u", "u"]}


@pytest.fixture(scope="module")
def run():
    return sl.solve(TRAIN, "y ~ x + g*h")


def test_an_error_by_default(run):
    with pytest.raises(
        DataError, match=r"row 1, column g: 'new' is no category that the model was trained on, there are"
    ):
        run.predict(NEW)
    with pytest.raises(DataError, match="is no category"):
        run.predict(NEW, unseen="error")


def test_taken_as_the_reference(run):
    found = run.predict(NEW, unseen="reference")
    np.testing.assert_array_equal(found, run.predict(AS_REFERENCE, unseen="error"))
    assert np.isnan(found).tolist() == [False, False, True, False, True]


def test_the_reference_is_the_one_that_the_formula_names():
    run = sl.solve(TRAIN, 'y ~ x + C(g, reference="c")')
    new, c = {"x": [2.0], "g": ["new"]}, {"x": [2.0], "g": ["c"]}
    assert run.predict(new, unseen="reference") == run.predict(c)


def test_left_without_a_prediction(run):
    found = run.predict(NEW, unseen="other")
    assert np.isnan(found).tolist() == [False, True, True, True, True]
    assert found[0] == run.predict(TRAIN)[0]
    assert np.isnan(run.predict({"x": [1.0], "g": ["q"], "h": ["u"]}, unseen="other")).all()
    assert np.isnan(run.predict({"x": [None], "g": ["a"], "h": ["u"]}, unseen="other")).all()


def test_intervals_and_no_surprise_in_known_rows():
    run = sl.solve(TRAIN, "y ~ x + h")
    for unseen, known in (("reference", AS_REFERENCE), ("other", {**NEW, "h": ["u", "v", None, None, "u"]})):
        ours, plain = run.predict(NEW, 0.9, unseen=unseen), run.predict(known, 0.9, unseen="reference")
        for name in ("prediction", "low", "high"):
            np.testing.assert_array_equal(ours[name], plain[name])


def test_classes():
    train = {"k": ["p", "q", "p", "q", "q", "p"], "x": [1, 2, 3, 4, 5, 6], "g": list("aabbab")}
    run = sl.solve(train, "k ~ x + g")
    new = {"x": [1, 2], "g": ["a", "z"]}
    with pytest.raises(DataError, match="'z' is no category"):
        run.probabilities(new)
    as_reference = run.probabilities({"x": [1, 2], "g": ["a", "a"]})
    np.testing.assert_array_equal(run.probabilities(new, unseen="reference"), as_reference)
    assert np.isnan(run.probabilities(new, unseen="other")[1]).all()
    assert run.predict(new, unseen="other").tolist()[1] is None


def test_another_word(run):
    with pytest.raises(UsageError, match="unseen categories cannot be taken as 'refrence': did you mean 'reference'"):
        run.predict(NEW, unseen="refrence")


def test_the_command_line_says_how_many(run, tmp_path, capsys):
    from sightline.cli import main

    folder = sl.solve(TRAIN, "y ~ x + g", output=tmp_path / "runs").folder
    new = tmp_path / "new.csv"
    new.write_text("x,g\n1,a\n2,new\n3,newer\n,new\n")

    def predict(*options):
        with pytest.raises(SystemExit) as stop:
            main(["predict", str(folder), str(new), *options])
        done = capsys.readouterr()
        return int(stop.value.code or 0), [r["prediction"] for r in csv.DictReader(io.StringIO(done.out))], done.err

    code, rows, said = predict()
    assert (code, rows) == (3, [])
    assert "new.csv line 3, column g: 'new' is no category that the model was trained on" in said
    code, rows, said = predict("--unseen", "other")
    assert (code, rows[1:]) == (0, ["", "", ""])
    assert said == "column 'g' of new.csv: 2 rows with a category not trained on, left without a prediction\n"
    code, rows, said = predict("--unseen", "reference")
    assert code == 0
    assert all(rows[:3])
    assert said == "column 'g' of new.csv: 2 rows with a category not trained on, taken as the reference category\n"
    assert predict("--unseen", "nothing")[0] == 2


TEST = {"y": [1.5, 2.5, 9.0, None, 5.0], "x": [1, 2, 3, 4, None], "g": ["a", "new", "newer", "new", "a"]}


@pytest.mark.parametrize(("unseen", "like", "rows"), [("reference", ["a", "a", "a"], 3), ("other", ["a"], 1)])
def test_metrics_are_those_of_the_rows_taken_so(unseen, like, rows):
    run = sl.solve(TRAIN, "y ~ x + g")
    found = run.evaluate(TEST, unseen=unseen)
    predicted = run.predict({"x": TEST["x"][:rows], "g": like})
    assert found["mse"] == pytest.approx(float(np.mean((predicted - TEST["y"][:rows]) ** 2)), rel=1e-14)
    assert (found["rows"], found["missing"], found["unseen"]) == (rows, 2, 2)


def test_metrics_of_classes():
    train = {"k": ["p", "q", "p", "q", "q", "p"], "x": [1, 2, 3, 4, 5, 6], "g": list("aabbab")}
    run = sl.solve(train, "k ~ x + g")
    test, as_reference = {**train, "g": list("abzbaz")}, {**train, "g": list("ababaa")}
    assert run.evaluate(test, unseen="reference") == {**run.evaluate(as_reference), "unseen": 2}
    kept = {
        name: [v for v, label in zip(values, test["g"], strict=True) if label != "z"] for name, values in test.items()
    }
    assert run.evaluate(test, unseen="other") == {**run.evaluate(kept), "unseen": 2}


def test_metrics_refuse_an_unseen_category_by_default():
    run = sl.solve(TRAIN, "y ~ x + g")
    with pytest.raises(DataError, match=r"row 1, column g: 'new' is no category that the model was trained on"):
        run.evaluate(TEST)
    assert run.evaluate(TRAIN)["unseen"] == 0
    with pytest.raises(UsageError, match="unseen categories cannot be taken as 'othr': did you mean 'other'"):
        run.evaluate(TEST, unseen="othr")
    with pytest.raises(
        DataError, match=r"every row of .* has a category that the model was not trained on, so none is"
    ):
        run.evaluate({"y": [1.0], "x": [1], "g": ["new"]}, unseen="other")
    with pytest.raises(DataError, match=r"the model needs column 'y', and .* has none"):
        run.evaluate({"x": [1], "g": ["a"]})


def test_evaluate_on_the_command_line_says_how_many(tmp_path, capsys):
    from sightline.cli import main

    folder = sl.solve(TRAIN, "y ~ x + g", output=tmp_path / "runs").folder
    (tmp_path / "new.csv").write_text("y,x,g\n1.5,1,a\n2.5,2,new\n9,3,newer\n,4,new\n5,,a\n")

    def evaluate(*options):
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", str(folder), str(tmp_path / "new.csv"), *options])
        done = capsys.readouterr()
        return int(stop.value.code or 0), done.out, done.err

    code, out, said = evaluate()
    assert (code, out) == (3, "")
    assert "new.csv line 3, column g: 'new' is no category that the model was trained on" in said
    code, out, said = evaluate("--unseen", "other", "--json")
    assert (code, json.loads(out)["rows"]) == (0, 1)
    assert said == "column 'g' of new.csv: 2 rows with a category not trained on, left out\n"
    code, out, said = evaluate("--unseen", "reference")
    assert (code, out.splitlines()[0].split()[:2]) == (0, ["3", "rows,"])
    assert said == "column 'g' of new.csv: 2 rows with a category not trained on, taken as the reference category\n"
    assert evaluate("--unseen", "nothing")[0] == 2
