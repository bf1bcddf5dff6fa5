"""Heteroscedasticity- and cluster-robust inference on every data set, against statsmodels.

statsmodels' p values and intervals are normal unless `use_t` is asked for; here, as in Stata and R's coeftest, they are
Student's with n - rank degrees of freedom, or one less than the clusters there are. With weights its HC covariances are
those of the rows times √w, as here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sightline.comparisons import wald_test
from tests.real_data.reference import by_term, close, model, solved
from tests.real_data.tables import CASES, CLUSTERED, SMALL

KINDS = ("hc0", "hc1", "hc2", "hc3")
REL = 1e-8


def check(run, m, theirs, df):
    """The whole table against a covariance of statsmodels; where theirs is rounding alone, ours has none."""
    error = m.errors(theirs.cov_params())
    known = error > 1e-10 * m.errors(m.fit.cov_params())
    t = m.params / error
    half = error * stats.t.ppf(0.975, df)
    expected = {
        "std_error": error, "t": t, "p": 2 * stats.t.sf(np.abs(t), df), "low": m.params - half, "high": m.params + half,
    }  # fmt: skip
    for field, values in expected.items():
        found = by_term(run, field)
        ours = np.array([found[term] for term in m.names], dtype=float)
        assert (np.isnan(ours) == ~known).all(), field
        floor = {"p": 1e-300, "t": REL}.get(field, REL * error)
        assert (np.abs(ours - values) <= REL * np.abs(values) + floor)[known].all(), (field, ours, values)
    # nothing but the inference changes
    plain = by_term(solved(m.name), "exact")
    assert by_term(run, "exact") == plain


def groups(name):
    """The cluster of each row that is used, as whole numbers."""
    case = CASES[name]
    return pd.factorize(case.load().loc[model(name).rows, case.cluster])[0]


@pytest.mark.parametrize("name", SMALL)
def test_heteroscedasticity(name):
    m = model(name)
    step = 2 if len(m.y) < 120 else 4
    for kind in KINDS[SMALL.index(name) % step :: step]:  # for time, some of them on each data set
        theirs = m.fit.get_robustcov_results(kind.upper(), use_t=True)
        check(solved(name, robust=kind), m, theirs, m.fit.df_resid)


def clustered(name):
    return model(name).fit.get_robustcov_results("cluster", groups=groups(name), use_t=True)


@pytest.mark.parametrize("name", CLUSTERED)
def test_clusters(name):
    """Stata's factor G / (G - 1) · (n - 1) / (n - q), which is statsmodels' default correction too."""
    check(solved(name, cluster=True), model(name), clustered(name), len(set(groups(name))) - 1)


# name: coefficients that are tested together, and the values they are tested for
HYPOTHESES = {
    "swiss": {"Education": -1.0, "Catholic": 0.1},
    "savings": {"pop15": 0.0, "pop75": 0.0, "dpi": 0.0},
    "mtcars": {"C(cyl)[T.6]": 0.0, "C(cyl)[T.8]": 0.0},
    "wine": {"hue": 1.0},
    "grunfeld": {"value": 0.1, "capital": 0.2},
    "air quality": {"Wind": 0.0, "C(Month)[T.6]": 0.0, "C(Month)[T.9]": 3.0},
    "credit cards, weighted": {"AGE": 0.0, "INCOME": 100.0},
    "tooth growth": {"supp[T.VC]": 0.0, "C(dose)[T.1]": 9.0},
}


@pytest.mark.parametrize("robust", [None, "hc2"])
@pytest.mark.parametrize("name", HYPOTHESES)
def test_joint_hypotheses(name, robust):
    m, wanted = model(name), HYPOTHESES[name]
    assert not m.centered
    L = np.array([[float(term == wanted_term) for term in m.names] for wanted_term in wanted])
    theirs = m.fit if robust is None else m.fit.get_robustcov_results(robust.upper(), use_t=True)
    expected = theirs.f_test((L, np.array(list(wanted.values()))))
    _, ours = wald_test(solved(name, robust=robust), ", ".join(f"{k} = {v}" for k, v in wanted.items()))
    assert (ours.df, ours.df_resid) == (len(wanted), m.fit.df_resid)
    close(ours.statistic, expected.fvalue, REL)
    close(ours.p, expected.pvalue, REL)


@pytest.mark.parametrize("name", ["wine", "grunfeld", "credit cards, weighted"])
def test_joint_hypotheses_by_cluster(name):
    m, wanted = model(name), HYPOTHESES[name]
    L = np.array([[float(term == wanted_term) for term in m.names] for wanted_term in wanted])
    expected = clustered(name).f_test((L, np.array(list(wanted.values()))))
    _, ours = wald_test(solved(name, cluster=True), ", ".join(f"{k} = {v}" for k, v in wanted.items()))
    assert ours.df_resid == len(set(groups(name))) - 1
    close(ours.statistic, expected.fvalue, REL)
    close(ours.p, stats.f.sf(expected.fvalue, len(wanted), ours.df_resid), REL)


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("swiss", "Agriculture + 2*Education = Catholic", {"Agriculture": 1, "Education": 2, "Catholic": -1}),
        ("mtcars", "C(cyl)[T.6] = C(cyl)[T.8]", {"C(cyl)[T.6]": 1, "C(cyl)[T.8]": -1}),
        ("plant growth", "group[T.trt1] = group[T.trt2]", {"group[T.trt1]": 1, "group[T.trt2]": -1}),
        ("chickwts", "feed[T.linseed] - feed[T.soybean] = 0", {"feed[T.linseed]": 1, "feed[T.soybean]": -1}),
    ],
)
def test_combinations(name, text, row):
    m = model(name)
    expected = m.fit.f_test(np.array([[float(row.get(term, 0)) for term in m.names]]))
    _, ours = wald_test(solved(name), text)
    close(ours.statistic, expected.fvalue, REL)
    close(ours.p, expected.pvalue, REL)
