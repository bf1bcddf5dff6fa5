"""`solve` and `fit` against statsmodels on real data: estimates, inference, fit statistics, prediction intervals.

Where a data set is so nearly collinear that float64 normal work loses digits (Longley), the reference is exact rational
arithmetic and the certified values of the National Institute of Standards and Technology.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import sklearn.datasets
import statsmodels.api as sm
import statsmodels.formula.api as smf

import sightline

# Both sides are backward stable solves in float64; with a condition number κ of the column-scaled design they agree to
# about κ · 2e-16 relative to a coefficient's standard error. κ is below 1e6 for every case here but Longley's.
RTOL = 1e-8


@cache
def sm_table(name):
    return getattr(sm.datasets, name).load_pandas().data.copy()


def sk_table(name, target="target"):
    bunch = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
    frame = bunch.frame.rename(columns=lambda c: c.replace(" (cm)", "").replace(" ", "_").replace("/", "_per_"))
    return frame.rename(columns={"target": target})


def iris():
    frame = sk_table("iris", "species")
    return frame.assign(species=np.array(["setosa", "versicolor", "virginica"])[frame["species"]])


def with_holes(frame, columns, *, seed):
    """Every eleventh value or so missing, at different rows of each column."""
    frame = frame.copy()
    rng = np.random.default_rng(seed)
    for name in columns:
        frame.loc[rng.random(len(frame)) < 0.09, name] = np.nan
    return frame


def integers(frame, *columns):
    return frame.astype(dict.fromkeys(columns, int))


# name: (table, formula for sightline, the same for statsmodels or None where it is the same text)
CASES = {
    "diabetes": (lambda: sk_table("diabetes"), "target ~ .", "target ~ age+sex+bmi+bp+s1+s2+s3+s4+s5+s6"),
    "diabetes, interaction and square": (
        lambda: sk_table("diabetes"), "target ~ bmi * bp + I(s5^2) + s5", "target ~ bmi * bp + I(s5**2) + s5",
    ),
    "iris, text category": (iris, "petal_width ~ petal_length + species", None),
    "iris, category by number": (iris, "petal_width ~ species * sepal_length", None),
    "iris, no intercept": (iris, "petal_width ~ 0 + petal_length + sepal_width", None),
    "iris, no intercept, all indicators": (iris, "petal_width ~ 0 + species + sepal_width", None),
    "breast cancer": (
        lambda: sk_table("breast_cancer"), "mean_concavity ~ mean_radius + mean_texture + log(mean_area)",
        "mean_concavity ~ mean_radius + mean_texture + np.log(mean_area)",
    ),
    "wine": (
        lambda: sk_table("wine", "cultivar"), "alcohol ~ malic_acid + ash + C(cultivar) + log(proline)",
        "alcohol ~ malic_acid + ash + C(cultivar) + np.log(proline)",
    ),
    "linnerud": (lambda: sk_table("linnerud"), "Weight ~ Chins + Situps + Jumps", None),
    "stackloss": (lambda: sm_table("stackloss"), "STACKLOSS ~ AIRFLOW + WATERTEMP + ACIDCONC", None),
    "engel, logarithms": (lambda: sm_table("engel"), "log(foodexp) ~ log(income)", "np.log(foodexp) ~ np.log(income)"),
    "engel, square root": (
        lambda: sm_table("engel"), "foodexp ~ sqrt(income) + income", "foodexp ~ np.sqrt(income) + income",
    ),
    "grunfeld, text category": (lambda: sm_table("grunfeld"), "invest ~ value + capital + firm", None),
    "grunfeld, year as category": (
        lambda: integers(sm_table("grunfeld"), "year"), "invest ~ value + capital + C(year)", None,
    ),
    "scotland": (lambda: sm_table("scotland"), "YES ~ COUTAX + UNEMPF + MOR + ACT + GDP + AGE", None),
    "star98, first 120": (
        lambda: sm_table("star98").head(120), "NABOVE ~ LOWINC + PERASIAN + PERBLACK + PERHISP + PTRATIO", None,
    ),
    "ccard": (
        lambda: sm_table("ccard"), "AVGEXP ~ AGE + INCOME + I(INCOME^2) + OWNRENT",
        "AVGEXP ~ AGE + INCOME + I(INCOME**2) + OWNRENT",
    ),
    "copper": (
        lambda: sm_table("copper"), "WORLDCONSUMPTION ~ COPPERPRICE + INCOMEINDEX + ALUMPRICE + INVENTORYINDEX", None,
    ),
    "fair": (
        lambda: integers(sm_table("fair"), "occupation"),
        "affairs ~ rate_marriage + age + yrs_married + C(occupation)", None,
    ),
    "cpunish": (
        lambda: sm_table("cpunish"), "EXECUTIONS ~ INCOME + PERPOVERTY + PERBLACK + log(VC100k96) + SOUTH + DEGREE",
        "EXECUTIONS ~ INCOME + PERPOVERTY + PERBLACK + np.log(VC100k96) + SOUTH + DEGREE",
    ),
    "committee": (lambda: sm_table("committee"), "BILLS104 ~ SIZE + SUBS + STAFF + PRESTIGE + BILLS103", None),
    "spector": (lambda: sm_table("spector"), "TUCE ~ GPA + PSI", None),
    "anes96": (lambda: sm_table("anes96"), "popul ~ TVnews + selfLR + age + educ + income", None),
    "macrodata, missing": (
        lambda: with_holes(sm_table("macrodata"), ["infl", "unemp", "tbilrate"], seed=3),
        "infl ~ unemp + tbilrate + m1", None,
    ),
    "statecrime, missing": (
        lambda: with_holes(sm_table("statecrime"), ["poverty", "single", "murder"], seed=5),
        "murder ~ poverty + single + urban + I(urban*single)", None,
    ),
    "randhie, 3000 rows": (
        lambda: sm_table("randhie").head(3000), "mdvis ~ lncoins + idp + lpi + fmde + physlm + disea", None,
    ),
    "danish data": (lambda: sm_table("danish_data"), "lrm ~ lry + lpy + ibo + ide", None),
    "one group mean": (lambda: sm_table("nile"), "volume ~ 1", None),
}  # fmt: skip
INTERCEPT = {name for name, (_, formula, _) in CASES.items() if "~ 0" not in formula}


@cache
def reference(case):
    load, formula, theirs = CASES[case]
    # statsmodels takes a full set of indicators for an intercept; R, and so sightline, looks at the formula only
    keywords = {} if case in INTERCEPT else {"hasconst": False}
    return load(), formula, smf.ols(theirs or formula, load(), **keywords).fit()


def names_of(model):
    """statsmodels' names as sightline writes them."""
    return [
        name.replace("np.", "").replace(" ** ", "^").replace("**", "^").replace(" ", "") for name in model.params.index
    ]


def by_term(run, field):
    return {c.term.replace(" ", ""): getattr(c, field) for c in run.coefficients}


@pytest.mark.parametrize("case", CASES)
def test_solve_coefficients_and_their_inference(case):
    frame, formula, model = reference(case)
    run = sightline.solve(frame, formula)
    assert sorted(by_term(run, "exact")) == sorted(names_of(model))
    intervals = model.conf_int()
    columns = {
        "estimate": model.params, "exact": model.params, "std_error": model.bse, "t": model.tvalues,
        "low": intervals[0], "high": intervals[1],
    }  # fmt: skip
    for field, theirs in columns.items():
        ours = by_term(run, field)
        for name, value, error in zip(names_of(model), theirs, model.bse, strict=True):
            # near zero a coefficient (or a bound) is only as good as its distance in standard errors
            unit = 1.0 if field == "t" else error
            assert ours[name] == pytest.approx(value, rel=RTOL, abs=RTOL * unit), (field, name)
    for name, value, t in zip(names_of(model), model.pvalues, model.tvalues, strict=True):
        # dp/p = -t (df + 1) / (df + t²) dt: a rounding of t is magnified at most by min(t², df + 1)
        magnified = max(1.0, min(t * t, model.df_resid + 1.0))
        assert by_term(run, "p")[name] == pytest.approx(value, rel=1e-10 * magnified + RTOL, abs=1e-300), name


@pytest.mark.parametrize("case", CASES)
def test_solve_fit_statistics(case):
    frame, formula, model = reference(case)
    result = sightline.solve(frame, formula).to_dict()
    fit = result["fit"]
    assert result["rows"] == model.nobs
    assert result["df"] == fit["df_resid"] == model.df_resid
    assert fit["df_model"] == model.df_model
    assert fit["sigma"] == pytest.approx(math.sqrt(model.mse_resid), rel=RTOL)
    assert fit["r2"] == pytest.approx(model.rsquared, rel=RTOL, abs=1e-12)
    assert fit["adj_r2"] == pytest.approx(model.rsquared_adj, rel=RTOL, abs=1e-12)
    # R counts sigma as a parameter, statsmodels does not
    assert fit["aic"] == pytest.approx(model.aic + 2.0, rel=1e-11)
    assert fit["bic"] == pytest.approx(model.bic + math.log(model.nobs), rel=1e-11)
    assert result["exact_loss"] == pytest.approx(model.ssr / model.nobs, rel=RTOL)
    assert fit["baseline_loss"] == pytest.approx(float(np.var(model.model.endog)), rel=1e-12)
    assert fit["log_likelihood"] == pytest.approx(model.llf, rel=1e-10)
    if model.df_model:
        assert fit["f"] == pytest.approx(model.fvalue, rel=RTOL)
        assert fit["f_p"] == pytest.approx(model.f_pvalue, rel=1e-6 if model.f_pvalue < 1e-30 else RTOL, abs=1e-300)
    else:
        assert fit["f"] is fit["f_p"] is None


@pytest.mark.parametrize("case", CASES)
def test_prediction_and_prediction_intervals(case):
    frame, formula, model = reference(case)
    rows = frame.dropna().iloc[::7]
    theirs = model.get_prediction(rows).summary_frame(alpha=0.1)
    ours = sightline.solve(frame, formula).predict(rows, interval=0.9)
    spread = math.sqrt(model.mse_resid)
    for field, column in (("prediction", "mean"), ("low", "obs_ci_lower"), ("high", "obs_ci_upper")):
        np.testing.assert_allclose(ours[field], theirs[column].to_numpy(), rtol=RTOL, atol=RTOL * spread)


@pytest.mark.parametrize("case", CASES)
def test_fit_reaches_statsmodels_answer(case):
    """From excess ≤ e it follows that |estimate - exact| ≤ std_error √(n e) / σ, for every coefficient."""
    frame, formula, model = reference(case)
    run = sightline.fit(frame, formula, output=False)
    assert run.verdict.name == "CONVERGED"
    tss = model.centered_tss if case in INTERCEPT else model.uncentered_tss
    distance = math.sqrt(1e-10 * tss / model.mse_resid)
    for name, value, error in zip(names_of(model), model.params, model.bse, strict=True):
        assert abs(by_term(run, "estimate")[name] - value) <= error * (distance + RTOL) + RTOL * abs(value), name
        assert by_term(run, "std_error")[name] == pytest.approx(error, rel=RTOL)
    rows = frame.dropna()
    fitted = model.predict(rows).to_numpy()
    moved = run.predict(rows) - fitted
    assert float(moved @ moved) <= 1.01e-10 * tss + RTOL**2 * model.mse_resid * len(rows)
    assert run.to_dict()["loss"] == pytest.approx(model.ssr / model.nobs, rel=RTOL, abs=1.01e-10 * tss / model.nobs)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_level_of_the_intervals(level):
    frame, formula, model = reference("diabetes")
    run = sightline.solve(frame, formula, level=level)
    np.testing.assert_allclose(
        [(c.low, c.high) for c in run.coefficients], model.conf_int(1.0 - level).to_numpy(), rtol=RTOL
    )


def test_r_squared_without_an_intercept_is_the_uncentred_one():
    frame, formula, model = reference("iris, no intercept")
    fit = sightline.solve(frame, formula).to_dict()["fit"]
    y = frame["petal_width"].to_numpy()
    assert fit["r2"] == pytest.approx(1.0 - model.ssr / float(y @ y), rel=1e-12)
    assert abs(fit["r2"] - (1.0 - model.ssr / float(((y - y.mean()) ** 2).sum()))) > 1e-3  # the two do differ here


def test_missing_values_are_dropped_and_counted():
    frame, formula, model = reference("macrodata, missing")
    used = frame[["infl", "unemp", "tbilrate", "m1"]]
    run = sightline.solve(frame, formula)
    assert run.to_dict()["rows"] == model.nobs == len(used.dropna())
    assert run.source["missing"]["rows"] == len(used) - len(used.dropna()) > 0
    assert run.source["missing"]["by_column"] == {n: int(k) for n, k in used.isna().sum().items() if k}
    missing = used[["unemp", "tbilrate", "m1"]].isna().any(axis=1).to_numpy()
    np.testing.assert_array_equal(np.isnan(run.predict(frame)), missing)


# Longley: condition number of the raw design about 5e9, of the column-scaled one about 4e4

LONGLEY = "TOTEMP ~ GNPDEFL + GNP + UNEMP + ARMED + POP + YEAR"
CERTIFIED = {  # https://www.itl.nist.gov/div898/strd/lls/data/Longley.shtml: estimate, standard deviation
    "Intercept": (-3482258.63459582, 890420.383607373),
    "GNPDEFL": (15.0618722713733, 84.9149257747669),
    "GNP": (-0.358191792925910e-01, 0.334910077722432e-01),
    "UNEMP": (-2.02022980381683, 0.488399681651699),
    "ARMED": (-1.03322686717359, 0.214274163161675),
    "POP": (-0.511041056535807e-01, 0.226073200069370),
    "YEAR": (1829.15146461355, 455.478499142212),
}


def exact_solution(X, y):
    """Normal equations in exact rational arithmetic, for the decimals as typed."""
    columns = [[Fraction(repr(float(v))) for v in column] for column in np.asarray(X).T]
    target = [Fraction(repr(float(v))) for v in y]
    rows = [[sum(a * b for a, b in zip(u, v, strict=True)) for v in [*columns, target]] for u in columns]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(len(rows)):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def test_longley_against_certified_values_and_rational_arithmetic():
    """Centred and scaled columns have κ = 110 here, so 1e-10 is reached where raw normal work gives 1e-7."""
    frame = sm_table("longley")
    run = sightline.solve(frame, LONGLEY)
    X = np.column_stack([np.ones(len(frame)), frame[["GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR"]]])
    rational = [float(v) for v in exact_solution(X, frame["TOTEMP"])]
    for c, value in zip(run.coefficients, rational, strict=True):
        estimate, error = CERTIFIED[c.term]
        assert value == pytest.approx(estimate, rel=1e-13), c.term
        assert c.exact == pytest.approx(value, rel=1e-10), c.term
        assert c.std_error == pytest.approx(error, rel=1e-10), c.term
    fit = run.to_dict()["fit"]
    assert fit["sigma"] == pytest.approx(304.854073561965, rel=1e-12)
    assert fit["r2"] == pytest.approx(0.995479004577296, rel=1e-13)
    assert fit["f"] == pytest.approx(330.285339234588, rel=1e-11)


def test_longley_trains_to_its_answer():
    run = sightline.fit(sm_table("longley"), LONGLEY, output=False)
    assert run.verdict.name == "CONVERGED"
    sigma2, tss = 304.854073561965**2, 185008826.0  # residual and total sum of squares are NIST's too
    for c in run.coefficients:
        estimate, error = CERTIFIED[c.term]
        assert abs(c.estimate - estimate) <= error * math.sqrt(1e-10 * tss / sigma2)


def test_formula_with_a_name_in_backticks():
    bunch = sklearn.datasets.load_iris(as_frame=True).frame
    run = sightline.solve(bunch, "`petal width (cm)` ~ `petal length (cm)`")
    model = smf.ols("Q('petal width (cm)') ~ Q('petal length (cm)')", bunch).fit()
    np.testing.assert_allclose([c.exact for c in run.coefficients], model.params, rtol=RTOL)
    np.testing.assert_allclose(run.predict(bunch), model.fittedvalues, rtol=RTOL)


def test_target_of_all_other_columns():
    frame = sm_table("stackloss")
    model = smf.ols("STACKLOSS ~ AIRFLOW + WATERTEMP + ACIDCONC", frame).fit()
    run = sightline.solve(frame, target="STACKLOSS")
    np.testing.assert_allclose([c.exact for c in run.coefficients], model.params, rtol=RTOL)
    assert run.to_dict()["formula"].startswith("STACKLOSS ~")


def test_kinds_of_table_give_the_same_answer(tmp_path):
    """A DataFrame of pandas or polars, a dict, CSV and Parquet hold the same doubles, and give the same bits."""
    import polars

    frame = sm_table("stackloss")
    frame.to_csv(tmp_path / "s.csv", index=False)
    frame.to_parquet(tmp_path / "s.parquet")
    kinds = [
        frame, polars.from_pandas(frame), {n: c.to_numpy() for n, c in frame.items()},
        {n: c.tolist() for n, c in frame.items()},
        tmp_path / "s.csv", str(tmp_path / "s.parquet"),
    ]  # fmt: skip
    answers = [[c.exact for c in sightline.solve(data, target="STACKLOSS").coefficients] for data in kinds]
    assert all(answer == answers[0] for answer in answers)
