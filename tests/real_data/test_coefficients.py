"""The table of coefficients and the line below it, on every data set, against exact arithmetic and statsmodels.

Agreement of 1e-10 relative is asked of estimates, standard errors and t; p holds to 1e-8 relative down to 1e-300, below
which doubles run out. The exact reference needs no other tolerance. statsmodels gets `abs` of 1e-10 standard errors
beside it: where a coefficient is near zero, that is what its own rounding leaves (economy: 3e-10 relative).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

import sightline
from tests.real_data.reference import by_term, close, model, solved, upper
from tests.real_data.tables import CASES, DATA

TIGHT, LOOSE, TINY = 1e-10, 1e-8, 1e-300


def column(name, field, **kind):
    """A column of our table in the reference's order."""
    found = by_term(solved(name, **kind), field)
    return np.array([found[term] for term in model(name).names])


@pytest.mark.parametrize("name", CASES)
def test_table_and_fit(name):
    """All in one test, so that a data set is fitted once."""
    same_rows_and_terms(name)
    table_against_exact_arithmetic(name)
    table_against_statsmodels(name)
    fit_statistics_against_exact_arithmetic(name)
    likelihood_against_statsmodels(name)


def same_rows_and_terms(name):
    run, m = solved(name), model(name)
    assert sorted(by_term(run, "exact")) == sorted(m.names)
    assert run.result["rows"] == len(m.y)
    assert run.result["df"] == m.fit.df_resid
    assert run.verdict.warnings == ()


def table_against_exact_arithmetic(name):
    beta, error, t, p, _, _ = model(name).moments.solution
    close(column(name, "estimate"), beta, TIGHT)
    close(column(name, "exact"), beta, TIGHT)
    close(column(name, "std_error"), error, TIGHT)
    close(column(name, "t"), t, TIGHT)
    close(column(name, "p"), p, LOOSE, TINY)
    half = np.array(error, dtype=float) * stats.t.ppf(0.975, model(name).fit.df_resid)
    close(column(name, "low"), beta - half, LOOSE, LOOSE * half.min())
    close(column(name, "high"), beta + half, LOOSE, LOOSE * half.min())


def table_against_statsmodels(name):
    m = model(name)
    error = m.errors(m.fit.cov_params())
    for one, theirs, unit in zip(column(name, "exact"), m.params, error, strict=True):
        assert one == pytest.approx(theirs, rel=TIGHT, abs=TIGHT * unit)
    close(column(name, "std_error"), error, TIGHT)
    close(column(name, "t"), m.params / error, TIGHT, TIGHT)
    close(column(name, "p"), 2 * stats.t.sf(np.abs(m.params / error), m.fit.df_resid), LOOSE, TINY)


def fit_statistics_against_exact_arithmetic(name):
    m, fit = model(name), solved(name).result["fit"]
    *_, rss, tss = m.moments.solution
    n, q = len(m.y), len(m.names)
    df, slopes = n - q, q - m.intercept
    assert (fit["df_model"], fit["df_resid"]) == (slopes, df)
    close(fit["sigma"], (rss / df) ** 0.5, TIGHT)
    if not slopes:
        assert fit["f"] is fit["f_p"] is None
        assert fit["r2"] == fit["adj_r2"] == 0.0
        return
    f = (tss - rss) / slopes / (rss / df)
    close(fit["r2"], 1 - rss / tss, TIGHT)
    close(fit["adj_r2"], 1 - (rss / df) / (tss / (n - m.intercept)), TIGHT)
    close(fit["f"], f, TIGHT)
    close(fit["f_p"], upper(f, slopes, df), LOOSE, TINY)


def likelihood_against_statsmodels(name):
    """R counts σ as a parameter, statsmodels does not: AIC is 2 more here, BIC log n."""
    m, fit = model(name), solved(name).result["fit"]
    theirs = sm.WLS(m.y, m.Z, weights=m.weight).fit()
    close(fit["aic"], theirs.aic + 2.0, TIGHT)
    close(fit["bic"], theirs.bic + math.log(len(m.y)), TIGHT)
    rank = len(m.names) + 1
    # a log-likelihood may be near zero while its parts, of the size of n, are not
    assert rank - fit["aic"] / 2.0 == pytest.approx(theirs.llf, rel=TIGHT, abs=TIGHT * len(m.y))


@pytest.mark.parametrize("level", [0.5, 0.9999])
@pytest.mark.parametrize("name", ["swiss", "mtcars", "air quality", "star98, weighted"])
def test_level_of_confidence_intervals(name, level):
    case, m = CASES[name], model(name)
    run = sightline.solve(case.load(), case.formula, weights=case.weights, level=level)
    bounds = m.fit.conf_int(1.0 - level)
    assert not m.centered
    for ours, theirs in (("low", bounds[:, 0]), ("high", bounds[:, 1])):
        found = by_term(run, ours)
        close([found[term] for term in m.names], theirs, LOOSE, LOOSE * m.fit.bse.min())


@pytest.mark.parametrize("name", ["swiss", "mtcars", "air quality", "warp breaks"])
def test_a_file_gives_the_same_answer(name):
    """A file holds the decimals that were typed, a data frame the doubles next to them."""
    case = CASES[name]
    file = DATA / (name.replace(" ", "") + ".csv")
    run, frame = sightline.solve(file, case.formula), solved(name)
    assert [c.term for c in run.coefficients] == [c.term for c in frame.coefficients]
    for field in ("exact", "std_error", "t"):
        close([getattr(c, field) for c in run.coefficients], [getattr(c, field) for c in frame.coefficients], 1e-12)


def test_missing_values_are_left_out_and_counted():
    """Of 153 days 42 miss ozone or sunshine; predictions are missing for those that miss a column of the right side."""
    run, frame = solved("air quality"), CASES["air quality"].load()
    missing = run.source["missing"]
    assert (run.result["rows"], missing["rows"]) == (111, 42)
    assert missing["by_column"] == {"Ozone": 37, "Solar.R": 7}
    assert np.isnan(run.predict(frame)).sum() == 7
    close(run.predict(frame.loc[model("air quality").rows]), model("air quality").fit.fittedvalues, TIGHT)
