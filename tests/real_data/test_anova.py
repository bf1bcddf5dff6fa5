"""Analysis of variance of all three types, nested models: against exact arithmetic and statsmodels, 1e-8.

A sum of squares is the difference of two residual sums of squares, which `Moments.rss` has to 60 digits. statsmodels'
`anova_lm` has type I of unweighted fits only, and puts categories before numbers there.
"""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

import sightline
from sightline.comparisons import anova, nested_test
from tests.real_data.reference import close, exp, for_patsy, log, log2, model, plain, solved, sqrt, upper
from tests.real_data.tables import CASES, SMALL

__all__ = ["exp", "log", "log2", "sqrt"]  # what formulas find here

REL = 1e-8
TABLES = [name for name in SMALL if name not in ("nile, mean", "breast cancer, weighted")]  # those with several terms


def others(kind, term, m):
    """The terms that are in the model before `term` comes in."""
    terms = list(m.order)
    sets = {one: frozenset(one.split(":")) for one in terms}
    always = ["Intercept"] if m.intercept else []
    if kind == 1:
        return always + terms[: terms.index(term)]
    if kind == 2:
        return always + [one for one in terms if one != term and not sets[term] < sets[one]]
    return [one for one in [*always, *terms] if one != term]


@pytest.mark.parametrize("name", TABLES)
def test_against_exact_arithmetic(name):
    m = model(name)
    q, df = len(m.names), len(m.y) - len(m.names)
    rss, known = m.moments.rss(m.terms), {}

    def left(terms):
        key = frozenset(terms)
        if key not in known:
            known[key] = m.moments.rss(key)
        return known[key]

    for kind in (1, 2, 3):
        table = anova(solved(name), kind)
        assert (table.residuals.df, len(m.names)) == (df, q)
        close(table.residuals.sum_squares, rss, 1e-10)
        rows = {plain(row.term): row for row in table.terms}
        assert [one for one in rows if one != "Intercept"] == [one for one in m.order if one != "Intercept"]
        for term, row in rows.items():
            without = others(kind, term, m)
            squares = left(without) - left([*without, term])
            f = squares / row.df / (rss / df)
            assert row.df == m.terms.count(term)
            close([row.sum_squares, row.f], [squares, f], REL)
            close(row.p, upper(f, row.df, df), REL, 1e-300)


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize(
    "name", ["warp breaks", "tooth growth", "insect sprays", "iris, text", "swiss", "grunfeld, by firm"]
)
def test_against_statsmodels(name, kind):
    """Type III in both is that of treatment coding; type I where both have one order."""
    case = CASES[name]
    if (name, kind) == ("iris, text", 1):
        return
    fit = smf.ols(for_patsy(case.formula), case.load()).fit()
    theirs = anova_lm(fit, typ=kind)
    ours = {plain(row.term): row for row in anova(solved(name), kind).terms}
    for term, row in theirs.iloc[:-1].iterrows():
        one = ours[plain(term)]
        assert one.df == row["df"]
        close([one.sum_squares, one.f], [row["sum_sq"], row["F"]], REL)
        close(one.p, row["PR(>F)"], REL, 1e-300)


# a case, and what of its formula the smaller model keeps
NESTED = {
    "swiss": "Fertility ~ Education",
    "savings": "sr ~ pop15",
    "mtcars": "mpg ~ wt",
    "wine": "alcohol ~ C(target)",
    "grunfeld": "invest ~ value + capital",
    "warp breaks": "log(breaks) ~ wool + tension",
    "rock": "log(perm) ~ I(area/1000) + I(peri/1000)",
    "longley": "TOTEMP ~ YEAR",
    "star98, weighted": "share ~ LOWINC + PERASIAN",
    "crime, weights of zero": "violent ~ 1",
    "iris, no intercept": "petal_width ~ 0 + sepal_width",
}


@pytest.mark.parametrize("name", NESTED)
def test_nested_models(name):
    case, m = CASES[name], model(name)
    small = sightline.solve(case.load(), NESTED[name], weights=case.weights)
    kept = {plain(c.term) for c in small.coefficients}
    columns = [j for j, term in enumerate(m.names) if term in kept]
    q, k, n = len(m.names), len(columns), len(m.y)
    rss = [m.moments.left_by(part) for part in (columns, range(q))]
    f = (rss[0] - rss[1]) / (q - k) / (rss[1] / (n - q))
    test = nested_test(small, solved(name))
    assert (test.df, test.df_resid) == (q - k, n - q)
    close(test.statistic, f, REL)
    close(test.p, upper(f, q - k, n - q), REL, 1e-300)
    if not m.centered:
        fit = m.fit.model.__class__(m.fit.model.endog, m.fit.model.exog[:, columns]).fit()
        close(test.statistic, m.fit.compare_f_test(fit)[0], REL)


def test_one_term_is_one_t():
    """F of type III of a single column is the square of its t."""
    for name in ("swiss", "attitude", "stackloss"):
        run = solved(name)
        rows = {row.term: row for row in anova(run, 3).terms}
        for c in run.coefficients:
            if c.term in rows:
                assert np.isclose(rows[c.term].f, c.t**2, rtol=1e-10)
