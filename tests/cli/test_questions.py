"""What `solve` and `show` are asked beyond the table, and questions that have no answer."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction

import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

TRUCK = """wt,hp,cyl,mpg,w
2.62,110,6,21,1
2.875,110,6,21,2
2.32,93,4,22.8,1
3.215,110,6,21.4,3
3.44,175,8,18.7,1
3.46,105,6,18.1,1
3.57,245,8,14.3,2
3.19,62,4,24.4,1
3.15,95,4,22.8,1
3.44,123,6,19.2,2
4.07,180,8,16.4,1
5.25,205,8,10.4,1
2.2,66,4,32.4,4
1.615,52,4,30.4,1
"""  # from Henderson and Velleman 1981, mtcars


@pytest.fixture
def cars(tmp_path):
    path = tmp_path / "cars.csv"
    path.write_text(TRUCK)
    return path


@pytest.fixture
def frame(cars):
    import pandas as pd

    return pd.read_csv(cars)


def ask(cli, path, formula, *options):
    done = cli("solve", path, formula, *options, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_hypotheses_by_f(cli, cars, frame):
    found = ask(cli, cars, "mpg ~ wt + hp", "--test", "wt = hp", "--test", "wt = 0, hp = 0")["tests"]
    fit = smf.ols("mpg ~ wt + hp", frame).fit()
    for one, hypothesis in zip(found, ("wt = hp", "wt = 0, hp = 0"), strict=True):
        expected = fit.f_test(hypothesis)
        assert one["statistic"] == pytest.approx(float(expected.fvalue), rel=1e-9)
        assert one["p"] == pytest.approx(float(expected.pvalue), rel=1e-8)
        assert (one["df"], one["df_resid"]) == (int(expected.df_num), 11)


def test_hypotheses_take_the_standard_errors_of_the_run(cli, cars, frame):
    found = ask(cli, cars, "mpg ~ wt + hp", "--robust", "hc3", "--test", "wt + hp = -4")["tests"][0]
    expected = smf.ols("mpg ~ wt + hp", frame).fit(cov_type="HC3", use_t=True).f_test("wt + hp = -4")
    assert found["statistic"] == pytest.approx(float(expected.fvalue), rel=1e-9)
    assert found["p"] == pytest.approx(float(expected.pvalue), rel=1e-8)
    grouped = ask(cli, cars, "mpg ~ wt", "--cluster", "cyl", "--test", "wt = -5")["tests"][0]
    expected = smf.ols("mpg ~ wt", frame).fit(cov_type="cluster", cov_kwds={"groups": frame.cyl}, use_t=True)
    assert grouped["statistic"] == pytest.approx(float(expected.f_test("wt = -5").fvalue), rel=1e-9)
    assert grouped["df_resid"] == 2


@pytest.mark.parametrize(("kind", "number"), [("I", 1), ("II", 2), ("III", 3)])
def test_analysis_of_variance(cli, cars, frame, kind, number):
    formula = "mpg ~ C(cyl) + wt * hp"  # patsy takes categories first, so written first
    found = ask(cli, cars, formula, "--anova", kind)["anova"]
    expected = sm.stats.anova_lm(smf.ols(formula, frame).fit(), typ=number)
    for row in [*found["terms"], found["residuals"]]:
        name = {"Residuals": "Residual"}.get(row["term"], row["term"])
        assert row["sum_squares"] == pytest.approx(expected.loc[name, "sum_sq"], rel=1e-8, abs=1e-8), name
        if row["f"] is not None:
            assert row["p"] == pytest.approx(expected.loc[name, "PR(>F)"], rel=1e-7)


@pytest.mark.parametrize("other", ["mpg ~ wt", "mpg ~ wt + hp + C(cyl)"])
def test_a_smaller_or_larger_model(cli, cars, frame, other):
    found = ask(cli, cars, "mpg ~ wt + hp", "--versus", other, "--weights", "w")["versus"]
    fits = [smf.wls(f, frame, weights=frame.w).fit() for f in ("mpg ~ wt + hp", other)]
    small, large = sorted(fits, key=lambda fit: fit.df_model)
    statistic, p, df = large.compare_f_test(small)
    assert (found["statistic"], found["p"]) == pytest.approx((statistic, p), rel=1e-8)
    assert found["df"] == df


def test_tests_of_a_saved_run(cli, cars, tmp_path):
    cli("solve", cars, "mpg ~ wt", "--output", tmp_path / "r", "--diagnose")
    cli("solve", cars, "mpg ~ wt + hp", "--output", tmp_path / "s")
    (small,), (large,) = (list((tmp_path / name).iterdir()) for name in "rs")
    shown = json.loads(cli("show", small, "--versus", large, "--test", "wt", "--json").out)
    solved = ask(cli, cars, "mpg ~ wt", "--versus", "mpg ~ wt + hp", "--test", "wt")
    assert shown["versus"] == pytest.approx(solved["versus"])
    assert shown["tests"][0]["p"] == pytest.approx(solved["tests"][0]["p"], rel=1e-12)
    assert (small / "figures" / "diagnostics.png").stat().st_size > 20_000
    cars.unlink()
    assert "put the data file back" in cli("show", small, "--vif").err


def test_collinearity_and_cross_validation(cli, cars, frame):
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    found = ask(cli, cars, "mpg ~ wt + hp", "--vif", "--cross-validate", "loo")
    X = sm.add_constant(frame[["wt", "hp"]]).to_numpy()
    assert [one["gvif"] for one in found["collinearity"]["inflation"]] == pytest.approx(
        [variance_inflation_factor(X, 1), variance_inflation_factor(X, 2)], rel=1e-9
    )
    press = smf.ols("mpg ~ wt + hp", frame).fit().get_influence().resid_press
    assert found["cross_validation"]["rmse"] == pytest.approx(math.sqrt((press**2).mean()), rel=1e-9)


def test_digits_are_those_of_the_rational_answer(cli, heights_csv):
    done = cli("solve", heights_csv, "weight ~ height", "--digits", "28", "--prove")
    exact = Fraction(413, 730)
    n, sx, sy = 5, 150 + 160 + 170 + 175 + 185, 55 + 70 + 64 + 80 + 75
    sxx = sum(x * x for x in (150, 160, 170, 175, 185))
    sxy = sum(x * y for x, y in zip((150, 160, 170, 175, 185), (55, 70, 64, 80, 75), strict=True))
    assert Fraction(n * sxy - sx * sy, n * sxx - sx * sx) == exact
    table = done.out.split("to 28 digits")[1]
    told = Decimal(next(line for line in table.splitlines() if line.startswith(" height")).split()[1])
    assert abs(Fraction(told) - exact) < Fraction(1, 10**28)
    assert "proved: exact rational arithmetic gives the same" in done.out
    proof = ask(cli, heights_csv, "weight ~ height", "--prove")["proof"]
    assert proof["coefficients"][1] == "413/730"
    assert proof["digits"] > 28


def test_everything_fits_the_screen(cli, cars):
    done = cli("solve", cars, "mpg ~ wt * hp + C(cyl)", "--digits", "31", "--test", "wt = hp, wt:hp = 0", "--anova", "II",
               "--vif", "--diagnose", "--cross-validate", "7", "--robust", "hc1", "--versus", "mpg ~ 1")  # fmt: skip
    assert done.code == 0
    assert max(map(len, (done.out + done.err).splitlines())) <= 80
    for title in ("to ", "test of", "analysis of variance", "variance inflation", "A small p says", "cross-validation"):
        assert any(line.strip().startswith(title) for line in done.out.splitlines()), title


@pytest.mark.parametrize(("options", "code", "sentence"), [
    (["--test", "weight = 1"], 2, "no coefficient is named 'weight'"),
    (["--test", "wt = 1, wt = 2"], 2, "leave one of them out"),
    (["--anova", "IV"], 2, "give I, II or III"),
    (["--cross-validate", "99"], 2, "99 folds of 14 rows"),
    (["--cross-validate", "few"], 2, "give a number of folds such as 10, or loo"),
    (["--versus", "mpg ~ hp"], 2, "is not nested in"),
    (["--l2", "0.1", "--anova", "I"], 2, "without a penalty"),
    (["--l2", "0.1", "--prove"], 2, "leave --l2 out"),
    (["--robust", "hc3", "--cluster", "cyl"], 2, "two kinds of standard errors"),
    (["--robust", "hc9"], 2, "did you mean 'hc3'"),
    (["--level", "1"], 2, "give a number above 0 and below 1"),
    (["--digits", "0"], 2, "--digits"),
    (["--weights", "nothing"], 3, "no column 'nothing'"),
])  # fmt: skip
def test_questions_without_an_answer(cli, cars, options, code, sentence):
    done = cli("solve", cars, "mpg ~ wt", *options)
    assert done.code == code
    assert sentence in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("text", "options", "sentence"), [
    ("x,w,y\n1,1,3\n2,-1,5\n3,2,4\n", ["--weights", "w"], "line 3, column w: -1 is no weight"),
    ("x,w,y\n1,0,3\n2,0,5\n3,0,4\n", ["--weights", "w"], "every weight in column 'w'"),
    ("x,w,y\n1,1,3\n2,,5\n3,2,4\n", ["--weights", "w"], "line 3, column w: the weight is missing"),
    ("x,g,y\n1,a,3\n2,b,5\n3,c,4\n", ["--cluster", "g"], "is a cluster of its own, which is hc1"),
    ("x,g,y\n1,a,3\n2,a,5\n3,a,4\n", ["--cluster", "g"], "cluster"),
    ("x,y\n1,3\n2,5\n", ["--test", "x = 1"], "no residual degrees of freedom"),
    ("x,z,y\n1,2,3\n2,4,5\n3,6,4\n4,8,9\n", ["--test", "z = 1", "y ~ x + z"], "do not determine"),
    ("x,y\n1,3\n2,5\n3,7\n", ["--test", "x = 1"], "the fit is perfect there"),
])  # fmt: skip
def test_data_that_cannot_answer(cli, tmp_path, text, options, sentence):
    path = tmp_path / "d.csv"
    path.write_text(text)
    formula = options.pop() if options[-1].startswith("y ~") else "y ~ x"
    done = cli("solve", path, formula, *options)
    assert done.code in (2, 3)
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_one_cluster_may_have_one_member(cli, cars, frame):
    groups = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7]
    frame = frame.assign(g=groups)
    path = cars.with_name("g.csv")
    frame.to_csv(path, index=False)
    found = ask(cli, path, "mpg ~ wt", "--cluster", "g")["coef"][1]
    expected = smf.ols("mpg ~ wt", frame).fit(cov_type="cluster", cov_kwds={"groups": frame.g}, use_t=True)
    assert found["std_error"] == pytest.approx(expected.bse["wt"], rel=1e-9)
    assert found["p"] == pytest.approx(expected.pvalues["wt"], rel=1e-8)


def test_a_perfect_fit_makes_no_theatre(cli, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("x,y\n1,0.3\n2,0.5\n3,0.7\n4,0.9\n")
    found = ask(cli, path, "y ~ x")
    assert [c["estimate"] for c in found["coef"]] == [0.1, 0.2]
    assert [(c["std_error"], c["t"], c["p"]) for c in found["coef"]] == [(0.0, None, None)] * 2
    done = cli("solve", path, "y ~ x", "--diagnose", "--anova", "I")
    assert "a perfect fit: no residuals are left to measure chance by" in done.out
    assert done.code == 0


def test_rows_left_out_are_told(cli, tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("x,w,y\n1,1,3\n2,1,\n3,0,4\n4,2,9\n5,1,8\n")
    done = cli("solve", path, "y ~ x", "--weights", "w")
    assert "1 row left out for missing values (1 in y), 1 row of weight 0 left out" in done.err


def test_standard_input_answers_as_a_file_does(cli, cars, monkeypatch):
    import io
    import sys
    from types import SimpleNamespace

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(cars.read_bytes())))
    found = ask(cli, "-", "mpg ~ wt", "--versus", "mpg ~ wt + hp", "--test", "wt")
    expected = ask(cli, cars, "mpg ~ wt", "--versus", "mpg ~ wt + hp", "--test", "wt")
    assert (found["versus"], found["tests"]) == (expected["versus"], expected["tests"])


def test_digits_of_a_double_are_those_of_a_double(cli, cars):
    done = cli("solve", cars, "mpg ~ wt", "--robust", "hc1", "--digits", "25")
    line = next(line for line in done.out.split("to 25 digits")[1].splitlines() if line.startswith(" wt"))
    exact, error = line.split()[1:]
    assert len(exact.strip("-").replace(".", "")) == 25
    assert len(error.replace(".", "").lstrip("0")) == 15
