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
