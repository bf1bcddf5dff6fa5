"""`solve` for classes: the public answer against statsmodels and scikit-learn on real data, and what it says."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
import sklearn.metrics as skm
import statsmodels.api as sm
import statsmodels.formula.api as smf
import torch

import sightline
from sightline import UsageError

TIGHT = {"method": "newton", "tol": 1e-13, "maxiter": 100, "disp": False}


@cache
def iris():
    frame = sklearn.datasets.load_iris(as_frame=True).frame.rename(
        columns=lambda c: c.replace(" (cm)", "").replace(" ", "_")
    )
    names = np.array(["setosa", "versicolor", "virginica"])
    return frame.assign(species=names[frame.target], late=(frame.target == 2).astype(int))


def two():
    return iris()[iris().species != "setosa"].reset_index(drop=True)


def spector():
    return sm.datasets.spector.load_pandas().data.astype({"GRADE": int})


def election():
    frame = sm.datasets.anes96.load_pandas().data
    return frame.assign(party=np.array(["left", "middle", "right"])[(frame.PID.to_numpy() // 2.5).astype(int)])


def table(run):
    return pd.DataFrame([[c.exact, c.std_error, c.t, c.p, c.low, c.high] for c in run.coefficients], dtype=float)


def expected(fit, level=0.95):
    parts = [fit.params, fit.bse, fit.tvalues, fit.pvalues, *np.moveaxis(np.asarray(fit.conf_int(1 - level)), -1, 0)]
    return np.column_stack([np.ravel(np.asarray(v), order="F") for v in parts[:4]] + [np.ravel(v) for v in parts[4:]])


TWO = {
    "spector": (spector, "GRADE ~ GPA + TUCE + PSI", "GRADE ~ GPA + TUCE + PSI"),
    "iris": (two, "late ~ sepal_length + sepal_width", "late ~ sepal_length + sepal_width"),
    "election": (election, "vote ~ C(educ) + selfLR + age", "vote ~ C(educ) + selfLR + age"),
    "no intercept": (two, "late ~ 0 + sepal_length + sepal_width", "late ~ 0 + sepal_length + sepal_width"),
}


@pytest.mark.parametrize("name", TWO)
def test_two_classes_against_statsmodels(name):
    load, ours, theirs = TWO[name]
    run, fit = sightline.solve(load(), ours, loss="bce", level=0.9), smf.logit(theirs, load()).fit(**TIGHT)
    # a tail of p is the density away, about z times as far off relative to it as the statistic
    np.testing.assert_allclose(table(run), expected(fit, 0.9), rtol=1e-8)
    assert run.result["loss_name"] == "bce"
    assert run.result["exact_loss"] == pytest.approx(-fit.llf / fit.nobs, rel=1e-12)
    assert (run.verdict.name, run.verdict.warnings) == ("CONVERGED", ())


def test_three_classes_against_statsmodels():
    frame = election()
    run = sightline.solve(frame, "party ~ selfLR + age", loss="cross-entropy")
    fit = sm.MNLogit(
        frame.party.map({"left": 0, "middle": 1, "right": 2}), sm.add_constant(frame[["selfLR", "age"]])
    ).fit(**TIGHT)
    np.testing.assert_allclose(table(run), expected(fit), rtol=1e-8)
    names = [f"{label}: {term}" for label in ("middle", "right") for term in ("Intercept", "selfLR", "age")]
    assert [c.term for c in run.coefficients] == names
    assert run.result["df"] == fit.df_resid
    np.testing.assert_allclose(run.probabilities(frame), fit.predict(), rtol=1e-9)


@pytest.mark.parametrize("options", [{"robust": "HC0"}, {"robust": "HC1"}, {"cluster": "educ"}, {"weights": "w"}])
def test_options_against_statsmodels(options):
    frame = election().assign(w=lambda d: 1.0 + d.age % 3)
    Z, n = sm.add_constant(frame[["selfLR", "age"]]), len(frame)
    run = sightline.solve(frame, "vote ~ selfLR + age", loss="bce", **options)
    scale = 1.0
    if "weights" in options:
        fit = sm.GLM(frame.vote, Z, sm.families.Binomial(), freq_weights=frame.w).fit(tol=1e-14)
    elif "cluster" in options:
        fit = sm.Logit(frame.vote, Z).fit(**TIGHT, cov_type="cluster", cov_kwds={"groups": frame.educ.astype(int)})
    else:
        fit = sm.Logit(frame.vote, Z).fit(**TIGHT, cov_type="HC0")
        scale = np.sqrt(n / (n - 3)) if options["robust"] == "HC1" else 1.0
    np.testing.assert_allclose(table(run)[0], fit.params, rtol=1e-8)
    np.testing.assert_allclose(table(run)[1], scale * fit.bse, rtol=1e-8)


def test_predictions_and_metrics_against_scikit_learn():
    frame = election()
    run = sightline.solve(frame, "party ~ selfLR + age + educ", loss="cross-entropy")
    P, labels = run.probabilities(frame), np.array(run.design.classes)
    assert run.predict(frame).tolist() == labels[P.argmax(axis=1)].tolist()
    found = run.evaluate(frame)
    assert found["log_loss"] == pytest.approx(skm.log_loss(frame.party, P, labels=labels), rel=1e-12)
    assert found["log_loss"] == pytest.approx(run.result["exact_loss"], rel=1e-12)
    assert found["accuracy"] == skm.accuracy_score(frame.party, run.predict(frame))
    assert found["auc"] == pytest.approx(skm.roc_auc_score(frame.party, P, multi_class="ovo", labels=labels), rel=1e-12)
    binary = sightline.solve(frame, "vote ~ selfLR + age", loss="bce")
    P, found = binary.probabilities(frame)[:, 1], binary.evaluate(frame)
    assert found["brier"] == pytest.approx(skm.brier_score_loss(frame.vote, P), rel=1e-12)
    assert found["auc"] == pytest.approx(skm.roc_auc_score(frame.vote, P), rel=1e-12)
    assert found["log_loss"] == pytest.approx(skm.log_loss(frame.vote, P), rel=1e-12)


@pytest.mark.parametrize(
    ("formula", "loss", "outputs"), [("vote ~ selfLR + age", "bce", 1), ("party ~ selfLR + age", "cross-entropy", 3)]
)
def test_model_gives_the_scores(formula, loss, outputs):
    frame = election()
    run = sightline.solve(frame, formula, loss=loss)
    scores = run.model(torch.tensor(frame[["selfLR", "age"]].to_numpy())).detach()
    assert scores.shape == (len(frame), outputs)
    P = scores.softmax(dim=1) if outputs > 1 else torch.cat([1 - scores.sigmoid(), scores.sigmoid()], dim=1)
    np.testing.assert_allclose(P.numpy(), run.probabilities(frame), rtol=1e-12)


def test_a_penalty_is_that_of_training_coordinates():
    """Standardized columns, (l2 / 2) ‖w‖² beside the mean loss: scikit-learn's C = 1 / (n l2)."""
    from sklearn.linear_model import LogisticRegression

    frame, columns = iris(), ["sepal_length", "petal_width"]
    run = sightline.solve(frame, "species ~ sepal_length + petal_width", l2=0.1)
    X = frame[columns].to_numpy()
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    fit = LogisticRegression(C=1 / (0.1 * len(X)), tol=1e-12, solver="newton-cholesky").fit(Z, frame.target)
    np.testing.assert_allclose(run.probabilities(frame), fit.predict_proba(Z), atol=1e-9)
    (warning,) = run.verdict.warnings
    assert warning.code == "SL-SEPARATED"
    assert run.predict(frame)[0] == "setosa"


@pytest.mark.parametrize("labels", [(1, 2), ("no", "yes"), (0, 1), (-1, 1)])
def test_labels(labels):
    """The second in order is the class whose log odds are modeled, whatever it is called."""
    frame = spector().assign(GRADE=lambda d: np.array(labels)[d.GRADE])
    run, plain = (
        sightline.solve(frame, "GRADE ~ GPA", loss="bce"),
        sightline.solve(spector(), "GRADE ~ GPA", loss="bce"),
    )
    assert [c.exact for c in run.coefficients] == [c.exact for c in plain.coefficients]
    assert run.design.classes == tuple(map(str, labels))
    assert set(run.predict(frame)) == set(map(str, labels))
    if isinstance(labels[0], str):
        assert sightline.solve(frame, "GRADE ~ GPA").result["loss_name"] == "bce"


def test_columns_that_say_nothing_are_left_out_and_named():
    frame = two().assign(k=3.0, double=lambda d: 2 * d.petal_width + d.sepal_length)
    run = sightline.solve(frame, "late ~ petal_width + k + sepal_length + double", loss="bce")
    plain = sightline.solve(frame, "late ~ petal_width + sepal_length", loss="bce")
    found = {c.term: c.exact for c in run.coefficients}
    assert found["k"] is None
    assert found["double"] is None
    assert [v for v in found.values() if v is not None] == pytest.approx(
        [c.exact for c in plain.coefficients], rel=1e-14
    )
    assert [w.code for w in run.verdict.warnings] == ["SL-CONSTANT", "SL-COLLINEAR"]
    assert run.verdict.warnings[1].text == (
        "columns petal_width, sepal_length, double are collinear: one is a combination of the others, and those without "
        "a coefficient were left out"
    )
    np.testing.assert_allclose(run.probabilities(frame), plain.probabilities(frame), rtol=1e-12)
    lines = run.summary().splitlines()
    assert [" ".join(line.split()) for line in lines if "estimable" in line] == [
        "k constant column, not estimable",
        "double not estimable",
    ]


SEPARATED = {"x": [0, 1, 2, 3, 3, 3, 4, 5], "z": [1, 2, 1, 2, 1, 2, 2, 1], "y": [1, 1, 1, 1, 2, 1, 2, 2]}


def test_separation_is_said():
    run = sightline.solve(SEPARATED, "y ~ x", loss="bce")
    (warning,) = run.verdict.warnings
    assert warning.code == "SL-SEPARABLE"
    assert warning.text == (
        "x separates the classes at x = 3 but for 3 rows on the boundary itself, so the likelihood grows for ever along "
        "it and coefficients go to infinity: the limit is shown"
    )
    assert warning.fix == ("--l2 0.01  # a penalty keeps them finite", "remove x from the formula")
    assert [(c.exact, c.std_error) for c in run.coefficients] == [(-np.inf, None), (np.inf, None)]
    for ask in (
        lambda: run.predict(SEPARATED),
        lambda: run.probabilities(SEPARATED),
        lambda: run.evaluate(SEPARATED),
        lambda: run.model,
    ):
        with pytest.raises(UsageError, match=r"coefficients are at infinity.*: fit with a penalty, such as --l2 0.01$"):
            ask()
    with pytest.raises(UsageError, match=r"^the coefficient x has no finite value or standard error to test: compare"):
        sightline.wald_test(run, "x = 0")


def test_separation_of_one_class_of_three_is_said():
    (warning,) = sightline.solve(iris(), "species ~ petal_length").verdict.warnings
    assert warning.text.startswith(
        "petal_length separates some of the classes (setosa from versicolor, setosa from virginica) completely, so the"
    )
    (warning,) = sightline.solve(iris(), "species ~ petal_length", l2=0.01).verdict.warnings
    assert warning.text.endswith("completely; only the penalty keeps the coefficients finite")


def test_tests_of_hypotheses_against_statsmodels():
    frame = election()
    small, large = (sightline.solve(frame, f, loss="bce") for f in ("vote ~ selfLR", "vote ~ selfLR + age + educ"))
    fit = smf.logit("vote ~ selfLR + age + educ", frame).fit(**TIGHT)
    theirs = fit.wald_test("age = 0.01, educ = 0", use_f=False, scalar=True)
    ours = sightline.wald_test(large, "age = 0.01, educ = 0")[1]
    assert (ours.statistic, ours.p) == (
        pytest.approx(theirs.statistic, rel=1e-8),
        pytest.approx(theirs.pvalue, rel=1e-8),
    )
    lr = 2 * (fit.llf - smf.logit("vote ~ selfLR", frame).fit(**TIGHT).llf)
    compared = sightline.nested_test(small, large)
    assert compared.statistic == pytest.approx(lr, rel=1e-9)
    three = sightline.solve(frame, "party ~ selfLR + age", loss="cross-entropy", cluster="educ")
    Z = sm.add_constant(frame[["selfLR", "age"]])
    fit = sm.MNLogit(frame.party.map({"left": 0, "middle": 1, "right": 2}), Z).fit(
        **TIGHT, cov_type="cluster", cov_kwds={"groups": frame.educ.astype(int).to_numpy()}
    )
    L = np.zeros((2, 6))
    L[0, 2], L[1, 5] = 1.0, 1.0
    distance = L @ np.ravel(np.asarray(fit.params), order="F")
    statistic = distance @ np.linalg.solve(L @ np.asarray(fit.cov_params()) @ L.T, distance)
    assert sightline.wald_test(three, "middle: age = 0, right: age = 0")[1].statistic == pytest.approx(
        statistic, rel=1e-7
    )


@pytest.mark.parametrize("formula", ["GRADE ~ GPA + PSI", "GRADE ~ GPA"])
def test_a_loaded_run_is_the_same(formula, tmp_path):
    run = sightline.solve(spector(), formula, loss="bce", output=tmp_path / "run")
    loaded = sightline.load(run.folder)
    assert json.loads(json.dumps(run.to_dict(), allow_nan=False)) == loaded.to_dict()
    assert repr(loaded) == repr(run)
    assert loaded.predict(spector()).tolist() == run.predict(spector()).tolist()


def test_infinity_is_null_in_json_and_comes_back_when_loaded(tmp_path):
    run = sightline.solve(SEPARATED, "y ~ x", loss="bce", output=tmp_path / "run")
    assert [c["exact"] for c in json.loads(json.dumps(run.to_dict(), allow_nan=False))["coef"]] == [None, None]
    loaded = sightline.load(run.folder)
    assert [c.exact for c in loaded.coefficients] == [-np.inf, np.inf]
    assert repr(loaded) == repr(run)


def test_the_command_predicts_labels_with_probabilities(tmp_path, capsys):
    from sightline.cli import main

    path = tmp_path / "k.csv"
    path.write_text("x,c\n1,a\n2,b\n3,a\n4,b\n5,b\n6,a\n,b\n8,b\n")
    run = sightline.solve(path, "c ~ x", output=tmp_path / "r")
    for options, code in (([], 0), (["--interval", "0.9"], 2)):
        with pytest.raises(SystemExit) as stop:
            main(["predict", str(run.folder), str(path), *options])
        assert int(stop.value.code or 0) == code
    done = capsys.readouterr()
    lines = done.out.splitlines()
    assert lines[0] == "prediction,p(a),p(b)"
    assert lines[7] == ",,"
    assert float(lines[1].split(",")[1]) == pytest.approx(run.probabilities({"x": [1.0]})[0, 0], rel=1e-12)
    assert "--interval is for predictions of a number" in done.err


def test_the_hyperplane_is_named_as_an_equation():
    """a + b = 5 between the classes, in columns with odd names."""
    data = {"odd 1 name": [1, 2, 3, 1, 3, 5, 4, 2], "b": [1, 2, 1, 3, 3, 1, 2, 4], "c": list("uuuuvvvv")}
    run = sightline.solve(data, "c ~ `odd 1 name` + b")
    (warning,) = run.verdict.warnings
    assert warning.code == "SL-SEPARABLE"
    assert "separate the classes at odd 1 name + b = 5 completely" in warning.text


def test_robust_errors_are_printed_as_the_doubles_that_they_are():
    from sightline.views.tables import digits_table

    data = {"x": [1, 2, 3, 4, 5, 6, 7, 8], "c": list("aabababb")}
    for robust, digits in ((None, 25), ("hc0", 15)):
        run = sightline.solve(data, "c ~ x", robust=robust)
        line = next(x for x in digits_table(run.coefficients, 25, run.result["accuracy"]["digits"]) if " x " in x)
        assert len(line.split()[-1].replace(".", "").lstrip("0")) == digits
