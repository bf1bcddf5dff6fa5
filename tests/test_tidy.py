"""tidy, glance and augment against statsmodels and the definitions of broom; compare."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.stats.outliers_influence import OLSInfluence

import sightline
from sightline.errors import RunError, UsageError
from tests.linear.real_data import MTCARS

CARS = pd.DataFrame(MTCARS)


@pytest.mark.parametrize("weights", [None, "hp"])
def test_tidy_glance_augment_of_numbers(weights):
    run = sightline.solve(CARS, "mpg ~ wt + C(cyl)", weights=weights)
    w = np.ones(len(CARS)) if weights is None else CARS[weights]
    fit = smf.wls("mpg ~ wt + C(cyl)", CARS, weights=w).fit()
    tidy = run.tidy("pandas").set_index("term")
    theirs = {"estimate": fit.params, "std_error": fit.bse, "statistic": fit.tvalues, "p_value": fit.pvalues,
              "conf_low": np.asarray(fit.conf_int())[:, 0], "conf_high": np.asarray(fit.conf_int())[:, 1]}  # fmt: skip
    for name, values in theirs.items():
        ours = tidy.loc[fit.model.exog_names, name].astype(float)
        np.testing.assert_allclose(ours, np.asarray(values), rtol=1e-9, err_msg=name)
    glance = {name: values[0] for name, values in run.glance().items()}
    assert glance["deviance"] == pytest.approx(fit.ssr, rel=1e-10)
    assert glance["log_lik"] == pytest.approx(fit.llf, rel=1e-10)
    assert glance["r_squared"] == pytest.approx(fit.rsquared, rel=1e-10)
    assert (glance["df"], glance["df_residual"], glance["nobs"]) == (3, 28, 32)
    augment, influence = run.augment(), OLSInfluence(fit)
    np.testing.assert_allclose(augment["fitted"], fit.fittedvalues, rtol=1e-10)
    np.testing.assert_allclose(augment["residual"], fit.resid, rtol=1e-9, atol=1e-11)
    if weights is None:
        np.testing.assert_allclose(augment["leverage"], influence.hat_matrix_diag, rtol=1e-9)
        np.testing.assert_allclose(augment["cooks_distance"], influence.cooks_distance[0], rtol=1e-8)
        np.testing.assert_allclose(augment["sigma"], np.sqrt(influence.sigma2_not_obsi), rtol=1e-8)
        np.testing.assert_allclose(augment["studentized_residual"], influence.resid_studentized_external, rtol=1e-8)


def test_what_broom_prints_of_a_classic():
    """augment(lm(mpg ~ wt, mtcars)) in the manual of broom, first row."""
    augment = sightline.solve(CARS, "mpg ~ wt").augment()
    first = {name: values[0] for name, values in augment.items()}
    assert first["fitted"] == pytest.approx(23.3, abs=0.05)
    assert first["residual"] == pytest.approx(-2.28, abs=0.005)
    assert first["leverage"] == pytest.approx(0.0433, abs=5e-5)
    assert first["sigma"] == pytest.approx(3.07, abs=0.005)
    assert first["cooks_distance"] == pytest.approx(0.0133, abs=5e-5)
    assert first["standardized_residual"] == pytest.approx(-0.766, abs=5e-4)


@pytest.mark.parametrize(("formula", "loss"), [("am ~ wt", "bce"), ("cyl ~ am", "cross-entropy")])
def test_of_classes(formula, loss):
    run = sightline.solve(CARS, formula, loss=loss)
    target = formula.split(" ")[0]
    X = sm.add_constant(CARS[[formula.split(" ~ ")[1]]])
    codes = pd.Categorical(CARS[target]).codes
    fit = (sm.Logit if loss == "bce" else sm.MNLogit)(codes, X).fit(disp=0, method="newton", maxiter=100, tol=1e-14)
    glance = {name: values[0] for name, values in run.glance().items()}
    assert glance["deviance"] == pytest.approx(-2.0 * fit.llf, rel=1e-8)
    assert glance["null_deviance"] == pytest.approx(-2.0 * fit.llnull, rel=1e-8)
    assert glance["df_null"] == 32 - (1 if loss == "bce" else 2)
    augment = run.augment("pandas")
    P = np.asarray(fit.predict(X))
    P = np.column_stack([1.0 - P, P]) if P.ndim == 1 else P
    np.testing.assert_allclose(augment[[f"p({label})" for label in run.design.classes]], P, rtol=1e-6, atol=1e-9)
    assert augment["deviance"].sum() == pytest.approx(glance["deviance"], rel=1e-10)


@pytest.mark.parametrize("weights", [None, "mpg"])
def test_influence_on_two_classes_is_that_of_statsmodels(weights):
    """R's definitions for a glm; statsmodels takes weights as counts of equal rows, which is the same likelihood."""
    run = sightline.solve(CARS, "am ~ wt + hp", loss="bce", weights=weights)
    w = np.ones(len(CARS)) if weights is None else np.asarray(CARS[weights], dtype=float)
    X = sm.add_constant(CARS[["wt", "hp"]])
    fit = sm.GLM(CARS.am, X, family=sm.families.Binomial(), freq_weights=w).fit(tol=1e-14, maxiter=100)
    v = fit.mu * (1.0 - fit.mu)
    half = np.sqrt(w * v)[:, None] * X.to_numpy()
    h = np.diag(half @ np.linalg.solve(half.T @ half, half.T))
    d = fit.resid_deviance * np.sqrt(w)
    augment = run.augment()
    expected = {
        "fitted": np.log(fit.mu / (1.0 - fit.mu)),
        "residual": d,
        "deviance": d**2,
        "leverage": h,
        "sigma": np.sqrt((d @ d - d**2 / (1.0 - h)) / (32 - 3 - 1)),
        "cooks_distance": w * (CARS.am - fit.mu) ** 2 / v * h / (1.0 - h) ** 2 / 3,
        "standardized_residual": d / np.sqrt(1.0 - h),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(augment[name], values, rtol=1e-6, atol=1e-12, err_msg=name)
    if weights is None:
        np.testing.assert_allclose(augment["cooks_distance"], fit.get_influence().cooks_distance[0], rtol=1e-6)
        np.testing.assert_allclose(augment["leverage"], fit.get_influence().hat_matrix_diag, rtol=1e-6)
    assert sum(augment["deviance"]) == pytest.approx(run.glance()["deviance"][0], rel=1e-10)


def rounds_to(value, text):
    """Whether the value rounds to the number that is printed."""
    return float(f"{value:.{len(text.lstrip('-0.').replace('.', ''))}g}") == float(text)


def test_what_broom_prints_of_a_logistic_regression():
    """tidy, glance and augment of glm(am ~ wt, mtcars, family = "binomial") in the manual of broom."""
    run = sightline.solve(CARS, "am ~ wt", loss="bce")
    tidy, glance, augment = run.tidy(), run.glance(), run.augment()
    printed = [("12.0", "4.51", "2.67", "0.00759"), ("-4.02", "1.44", "-2.80", "0.00509")]
    for i, row in enumerate(printed):
        for name, text in zip(("estimate", "std_error", "statistic", "p_value"), row, strict=True):
            assert rounds_to(tidy[name][i], text), (name, tidy[name][i], text)
    for name, text in {"null_deviance": "43.2", "df_null": "31", "log_lik": "-9.59", "aic": "23.2", "bic": "26.1",
                       "deviance": "19.2", "df_residual": "30", "nobs": "32"}.items():  # fmt: skip
        assert rounds_to(glance[name][0], text), (name, glance[name][0])
    for name, text in {"fitted": "1.50", "residual": "0.635", "leverage": "0.126", "sigma": "0.803",
                       "cooks_distance": "0.0184", "standardized_residual": "0.680"}.items():  # fmt: skip
        assert rounds_to(augment[name][0], text), (name, augment[name][0])


def test_what_broom_prints_of_a_linear_fit():
    """tidy and glance of lm(mpg ~ wt, mtcars) in the manual of broom."""
    run = sightline.solve(CARS, "mpg ~ wt")
    tidy, glance = run.tidy(), {name: values[0] for name, values in run.glance().items()}
    printed = [("37.3", "1.88", "19.9", "8.24e-19"), ("-5.34", "0.559", "-9.56", "1.29e-10")]
    for i, row in enumerate(printed):
        for name, text in zip(("estimate", "std_error", "statistic", "p_value"), row, strict=True):
            assert f"{tidy[name][i]:.3g}" == text
    printed = {"r_squared": "0.753", "adj_r_squared": "0.745", "sigma": "3.05", "statistic": "91.4", "p_value": "1.29e-10",
               "df": "1", "log_lik": "-80", "aic": "166", "bic": "170", "deviance": "278", "df_residual": "30",
               "nobs": "32"}  # fmt: skip
    for name, text in printed.items():
        assert f"{glance[name]:.3g}" == text, name


def test_columns_are_those_of_broom_in_its_order():
    run = sightline.solve(CARS, "mpg ~ wt")
    broom = "r.squared adj.r.squared sigma statistic p.value df logLik AIC BIC deviance df.residual nobs"
    ours = [name.replace("_", ".").replace("log.lik", "logLik") for name in run.glance()][:12]
    assert ours == [n.lower() if n in ("AIC", "BIC") else n for n in broom.split()]
    assert list(run.tidy())[:7] == ["term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]
    assert list(run.augment()) == [
        "row", "mpg", "fitted", "residual", "leverage", "sigma", "cooks_distance", "standardized_residual",
        "studentized_residual",
    ]  # fmt: skip


def test_the_mean_alone_has_no_f_as_in_broom():
    run = sightline.solve(CARS, "mpg ~ 1")
    glance = run.glance()
    assert glance["statistic"] == glance["p_value"] == glance["df"] == [None]
    assert glance["r_squared"] == glance["adj_r_squared"] == [0.0]


def test_a_row_without_a_residual_and_one_that_stands_alone():
    """σ without a row on the line is √(rss / (df - 1)); the row that alone has x = 1 has no σ without it."""
    run = sightline.solve({"y": [1.0, 2, 3, 9], "x": [0, 0, 0, 1]}, "y ~ x")
    sigma = run.augment()["sigma"]
    assert sigma[1] == pytest.approx(2.0**0.5, rel=1e-12)
    assert np.isnan(sigma[3])
    run = sightline.solve({"y": [-1.0, 1, 0, 1, -1], "x": [-1, -1, 0, 1, 1]}, "y ~ x")
    augment = run.augment()
    assert augment["residual"][2] == 0.0
    assert augment["sigma"][2] == pytest.approx((4 / 2) ** 0.5, rel=1e-14)


def test_a_penalty_has_fitted_values_but_no_leverage():
    run = sightline.solve(CARS, "mpg ~ wt", l2=0.5)
    augment = run.augment()
    assert list(augment) == ["row", "mpg", "fitted", "residual"]
    np.testing.assert_allclose(augment["fitted"], run.predict(CARS), rtol=1e-12)
    assert "leverage" not in sightline.solve(CARS, "am ~ wt", loss="bce", l2=0.1).augment()


def test_three_ways_to_have_a_summary():
    """As text, as plain values, as a DataFrame: the same numbers."""
    run = sightline.solve(CARS, "mpg ~ wt")
    frame, values, text = run.tidy("pandas"), run.to_dict(), run.summary()
    assert (
        frame["estimate"].tolist() == [c["estimate"] for c in values["coef"]] == [c.estimate for c in run.coefficients]
    )
    assert frame["term"].tolist() == [c["term"] for c in values["coef"]] == ["Intercept", "wt"]
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    for word in ("Intercept", "37.285", "-5.344", "0.7528"):
        assert word in text


def test_frames_of_other_libraries_and_of_none():
    run = sightline.solve(CARS, "mpg ~ wt")
    assert run.tidy("pyarrow").column_names[:2] == ["term", "estimate"]
    with pytest.raises(UsageError, match="no DataFrame of 'nothing'"):
        run.tidy("nothing")


def test_augment_says_when_the_rows_are_gone(tmp_path):
    path = tmp_path / "cars.csv"
    CARS.to_csv(path, index=False)
    run = sightline.load(sightline.solve(path, "mpg ~ wt", output=tmp_path / "r").folder)
    assert run.augment()["row"][0] == "line 2"
    path.unlink()
    with pytest.raises(RunError, match="put the data file back"):
        run.augment()


def test_compare(tmp_path):
    from click.testing import CliRunner

    from sightline.cli.compare import compare_command

    runs = [
        sightline.solve(CARS, "mpg ~ wt", output=tmp_path),
        sightline.fit(CARS, "mpg ~ wt + hp", lr=0.01, epochs=9, output=tmp_path, figures="none"),
    ]
    folders = [str(run.folder) for run in runs]
    values = json.loads(CliRunner().invoke(compare_command, [*folders, "--json"]).output)
    assert values["coefficients"]["hp"][0] is None
    assert values["coefficients"]["wt"][0]["estimate"] == runs[0].coefficients[1].estimate
    assert values["settings"]["lr"] == [None, 0.01]
    text = CliRunner().invoke(compare_command, folders).output
    assert max(map(len, text.splitlines())) <= 80
    assert "NOT_CONVERGED" in text
    assert "-5.3445 (0.559)" in text
    done = CliRunner().invoke(compare_command, folders[:1])
    assert "takes 2 to 5 runs" in str(done.exception)


def test_rows_of_separated_classes_have_no_predictions():
    run = sightline.solve({"x": [1, 2, 3, 4], "c": list("aabb")}, "c ~ x")
    with pytest.raises(UsageError, match="coefficients are at infinity"):
        run.augment()
    assert run.glance()["deviance"] == [0.0]
    assert run.tidy()["std_error"] == [None, None]


@pytest.mark.parametrize("penalty", [{}, {"l2": 0.5}])
def test_deviance_is_the_residual_sum_of_squares(penalty):
    run = sightline.solve(CARS, "mpg ~ wt", weights="hp", **penalty)
    residual, w = np.array(run.augment()["residual"]) if not penalty else None, CARS.hp
    if residual is None:
        residual = CARS.mpg - run.predict(CARS)
    assert run.glance()["deviance"][0] == pytest.approx(float(w @ residual**2), rel=1e-12)
