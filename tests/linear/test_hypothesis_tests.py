"""Wald, likelihood ratio and F against statsmodels on real data, rational arithmetic, R's printed results, and laws."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from tests.linear.rational import Fit, floats, fractions, inverse, product, transposed
from tests.linear.real_data import CASES, DUNCAN, MTCARS, model

from sightline.errors import DataError, UsageError
from sightline.linear.hypotheses import linear_hypotheses
from sightline.linear.hypothesis_tests import likelihood_ratio, nested_f, wald
from sightline.linear.robust import KINDS, robust_covariance, robust_df


def some_rows(q, seed):
    """Three restrictions (as many as there are coefficients, if fewer): one coefficient, a difference, a mixture."""
    rng = np.random.default_rng(seed)
    L = np.zeros((3, q))
    L[0, -1] = 1.0
    L[1, [0, 1]] = 1.0, -1.0
    L[2] = rng.normal(size=q)
    return L[:q], rng.normal(size=3)[:q]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("use_f", [True, False])
def test_wald_against_statsmodels(case, use_f):
    """The same covariance handed to both; statsmodels inverts L V L', which loses its condition number, below 1e5."""
    fit = model(case).fit
    L, c = some_rows(len(fit.params), seed=1)
    L = L / fit.bse.to_numpy()  # restrictions in the units of the coefficients
    theirs = fit.wald_test((L, c), use_f=use_f, scalar=True)
    ours = wald(fit.params.to_numpy(), fit.cov_params().to_numpy(), L, c, df=fit.df_resid if use_f else None)
    assert ours.statistic == pytest.approx(float(theirs.statistic), rel=1e-10)
    assert (ours.df, ours.df_resid) == (len(L), fit.df_resid if use_f else None)
    # dp / p is at most about the statistic's relative error times the statistic, or the degrees of freedom
    assert ours.p == pytest.approx(
        float(theirs.pvalue), rel=1e-10 * max(1.0, min(3.0 * ours.statistic, fit.df_resid)), abs=1e-300
    )


@pytest.mark.parametrize("kind", KINDS)
def test_robust_wald_against_statsmodels(kind):
    m = model("schools")
    keywords = {"clusters": m.clusters} if kind == "cluster" else {}
    groups = {"groups": m.clusters} if kind == "cluster" else {}
    Z, units, _ = m.standardized()
    V = robust_covariance(Z, m.residual, kind=kind, combinations=units, weight=m.weight, **keywords)
    theirs = m.fit.get_robustcov_results(kind if groups else kind.upper(), use_t=True, **groups)
    hypothesis = "LOWINC = PERASIAN, PTRATIO = 1"
    read = linear_hypotheses(hypothesis, list(m.fit.params.index))
    df = robust_df(len(Z), len(units), clusters=len(set(m.clusters)) if groups else None)
    ours = wald(m.fit.params.to_numpy(), V, read.L, read.c, df=df)
    expected = theirs.f_test(hypothesis)
    assert ours.df_resid == expected.df_denom
    assert ours.statistic == pytest.approx(float(expected.fvalue), rel=1e-9)
    assert ours.p == pytest.approx(float(expected.pvalue), rel=1e-8)


def test_printed_result_of_r():
    """`linearHypothesis(lm(prestige ~ income + education, Duncan), "income = education")`: F 0.0682 on 1 and 42, p 0.7952."""
    fit = smf.ols("prestige ~ income + education", pd.DataFrame(DUNCAN)).fit()
    read = linear_hypotheses("income = education", list(fit.params.index))
    ours = wald(fit.params.to_numpy(), fit.cov_params().to_numpy(), read.L, read.c, df=42)
    assert (round(ours.statistic, 4), round(ours.p, 4)) == (0.0682, 0.7952)


def test_longley_against_rational_arithmetic():
    """Through combinations from standardized coordinates κ = 110 costs 1e-13; through L V L' of raw ones far more."""
    frame = sm.datasets.longley.load_pandas().data
    X = frame.drop(columns="TOTEMP").to_numpy()
    exact = Fit(np.column_stack([np.ones(16), X]), frame["TOTEMP"])
    L = fractions([[1, 0, 0, 0, 0, 0, 1950], [0, 0, 1, 0, 0, 1, 0], [0, 0, 0, 1, -1, 0, 0]])
    c = fractions([[100_000], [0], [0]])
    sigma2 = exact.rss / 9
    M = [[sigma2 * v for v in row] for row in product(product(L, exact.inverse), transposed(L))]
    d = [[a[0] - b[0]] for a, b in zip(product(L, exact.theta), c, strict=True)]
    expected = float(product(product(transposed(d), inverse(M)), d)[0][0] / 3)
    distance = wald(floats(d)[:, 0], floats(M), np.eye(3), np.zeros(3), df=9)
    assert distance.statistic == pytest.approx(expected, rel=1e-11)
    assert distance.p == pytest.approx(stats.f.sf(expected, 3, 9), rel=1e-10)


@pytest.mark.parametrize("factor", [1e-10, 1e10])
def test_estimates_of_very_different_size(factor):
    """Units of one coefficient scale out: inverting L V L' as it is would find a condition number of 1e20 and more."""
    fit = model("stackloss").fit
    theta, V = fit.params.to_numpy(), fit.cov_params().to_numpy()
    L, c = some_rows(4, seed=3)
    expected = wald(theta, V, L, c, df=17)
    D = np.array([factor, 1.0, factor**-1.0, factor**2.0])
    ours = wald(theta * D, V * np.multiply.outer(D, D), L / D, c, df=17)
    assert ours.statistic == pytest.approx(expected.statistic, rel=1e-9)
    rows = np.array([factor, 1.0, 1.0 / factor])
    assert wald(theta, V, L * rows[:, None], c * rows, df=17).statistic == pytest.approx(expected.statistic, rel=1e-9)


def test_one_restriction_is_t_squared():
    fit = model("mtcars").fit
    for j, t in enumerate(fit.tvalues):
        ours = wald(fit.params.to_numpy(), fit.cov_params().to_numpy(), np.eye(7)[[j]], np.zeros(1), df=fit.df_resid)
        assert ours.statistic == pytest.approx(t * t, rel=1e-12)
        assert ours.p == pytest.approx(fit.pvalues.iloc[j], rel=1e-10)


def test_many_degrees_of_freedom_are_chi_squared():
    theta, V = np.array([1.0, 2.0, -1.0]), np.diag([0.5, 2.0, 1.0])
    exact = wald(theta, V, np.eye(3), np.zeros(3), df=None)
    assert exact.statistic == pytest.approx(5.0, rel=1e-15)
    assert exact.p == pytest.approx(stats.chi2.sf(5.0, 3), rel=1e-13)
    # F(3, ν) tends to chi-squared(3) / 3 with an error of order 1 / ν
    assert wald(theta, V, np.eye(3), np.zeros(3), df=1e9).p == pytest.approx(exact.p, rel=1e-7)


def test_small_p_values_are_not_rounded_to_zero():
    ours = wald(np.array([40.0]), np.eye(1), np.eye(1), np.zeros(1), df=None)
    # erfc(z / √2) for z = 40, by its continued fraction's first terms within 1e-3
    assert ours.p == pytest.approx(math.exp(-800.0) * math.sqrt(2.0 / math.pi) / 40.0, rel=1e-3)


def test_restrictions_that_any_rotation_leaves_alone():
    """W depends on the row space of L only."""
    fit = model("iris").fit
    theta, V = fit.params.to_numpy(), fit.cov_params().to_numpy()
    L, c = some_rows(6, seed=4)
    T = np.random.default_rng(5).normal(size=(3, 3))
    assert wald(theta, V, T @ L, T @ c, df=144).statistic == pytest.approx(
        wald(theta, V, L, c, df=144).statistic, rel=1e-10
    )


def test_a_classical_wald_test_is_the_f_test_of_nested_fits():
    frame = pd.DataFrame(MTCARS)
    small, large = smf.ols("mpg ~ wt", frame).fit(), smf.ols("mpg ~ wt + hp + C(cyl)", frame).fit()
    read = linear_hypotheses("hp, C(cyl)[T.6], C(cyl)[T.8]", list(large.params.index))
    from_one = wald(large.params.to_numpy(), large.cov_params().to_numpy(), read.L, read.c, df=large.df_resid)
    from_two = nested_f(small.ssr, int(small.df_resid), large.ssr, int(large.df_resid))
    assert from_one.statistic == pytest.approx(from_two.statistic, rel=1e-11)
    assert (from_one.df, from_one.df_resid) == (from_two.df, from_two.df_resid) == (3, 27)


PAIRS = [
    ("mtcars", "mpg ~ wt"),
    ("diabetes", "target ~ bmi + bp"),
    ("grunfeld", "invest ~ value + capital"),
    ("credit cards", "AVGEXP ~ AGE"),
    ("crime, missing", "murder ~ 1"),
    ("duncan", "prestige ~ income"),
]


@pytest.mark.parametrize(("case", "formula"), PAIRS)
def test_nested_fits_against_statsmodels(case, formula):
    m = model(case)
    large = m.fit
    keywords = {} if m.weight is None else {"weights": m.weight}
    small = (smf.wls if keywords else smf.ols)(formula, m.frame, **keywords).fit()
    ours = nested_f(small.ssr, int(small.df_resid), large.ssr, int(large.df_resid))
    f, p, df = large.compare_f_test(small)
    assert (ours.statistic, ours.p, ours.df) == pytest.approx((f, p, df), rel=1e-10, abs=1e-300)
    ours = likelihood_ratio(small.llf, int(small.df_model) + 2, large.llf, int(large.df_model) + 2)
    chi2, p, df = large.compare_lr_test(small)
    assert (ours.statistic, ours.df, ours.df_resid) == (pytest.approx(chi2, rel=1e-10), df, None)
    assert ours.p == pytest.approx(p, rel=1e-9, abs=1e-300)


def test_equal_fits_and_their_rounding():
    assert likelihood_ratio(-10.0, 2, -10.0 - 1e-12, 3) == likelihood_ratio(-10.0, 2, -10.0, 3)
    assert likelihood_ratio(-10.0, 2, -10.0, 3).p == 1.0
    assert nested_f(20.0, 10, 20.0 + 1e-12, 9).statistic == 0.0
    assert nested_f(20.0, 10, 20.0, 9).p == 1.0


def test_perfect_and_saturated_fits_have_no_f():
    for rss, df in ((0.0, 4), (0.0, 0), (1e-30, 0)):
        test = nested_f(20.0, 10, rss, df)
        assert test.statistic is test.p is None
        assert (test.df, test.df_resid) == (10 - df, df)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((-10.0, 3, -9.0, 3), "the two models have 3 and 3 parameters, so neither contains the other"),
        ((-10.0, 4, -9.0, 3), "the models have 4 and 3 parameters, so the first is the larger one: give the smaller model first"),
        ((-10.0, 2, -12.0, 3), "the larger model has the lower log-likelihood, -12 after -10, so the models are not nested"),
        ((-10.0, 2, math.nan, 3), "a log-likelihood is nan: compare fits that have a finite one"),
        ((math.inf, 2, -1.0, 3), "a log-likelihood is inf"),
    ],
)  # fmt: skip
def test_likelihoods_that_cannot_be_compared(arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        likelihood_ratio(*arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((20.0, 8, 10.0, 8), "the two models have 8 and 8 residual degrees of freedom, so neither contains the other"),
        ((20.0, 7, 10.0, 8), "so the first is the larger one: give the smaller model first"),
        ((20.0, 9, 21.0, 8), "the larger model has the larger residual sum of squares, 21 after 20, so the models are not nested"),
        ((math.inf, 9, 21.0, 8), "a residual sum of squares is inf"),
    ],
)  # fmt: skip
def test_sums_of_squares_that_cannot_be_compared(arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        nested_f(*arguments)


def test_a_covariance_that_fewer_clusters_than_hypotheses_make():
    """Three clusters: the scores add up to zero, so the covariance has rank 2 at most."""
    m = model("warpbreaks")
    V = robust_covariance(m.raw[:, [0, 1, 2]], np.random.default_rng(0).normal(size=54), kind="cluster",
                          combinations=np.eye(3), clusters=np.arange(54) % 2)  # fmt: skip
    with pytest.raises(
        DataError, match="the covariance of these 3 hypotheses has rank 2, as where there are fewer clusters"
    ):
        wald(np.ones(3), V, np.eye(3), np.zeros(3), df=1)


@pytest.mark.parametrize("scale", [1.0, 1e10, 1e-10])
def test_singular_covariances(scale):
    D = np.array([1.0, scale, 1.0])
    V = np.array([[2.0, 1.0, 3.0], [1.0, 2.0, 3.0], [3.0, 3.0, 6.0]]) * np.multiply.outer(
        D, D
    )  # third = first + second
    assert wald(np.ones(3), V, np.eye(3)[:2], np.zeros(2), df=5).df == 2
    with pytest.raises(DataError, match="the covariance of these 3 hypotheses has rank 2"):
        wald(np.ones(3), V, np.eye(3), np.zeros(3), df=5)
    with pytest.raises(DataError, match="a hypothesis has no variance: the fit is perfect there, or what it compares"):
        wald(np.ones(3), V, np.array([[1.0, 1.0 / scale, -1.0]]), np.zeros(1), df=5)
    with pytest.raises(DataError, match="a hypothesis has no variance"):
        wald(np.ones(3), np.zeros((3, 3)), np.eye(3), np.zeros(3), df=5)


def test_unknown_variances_matter_only_where_they_are_used():
    V = np.array([[1.0, math.nan], [math.nan, math.nan]])
    assert wald(np.array([2.0, 1.0]), V, np.array([[1.0, 0.0]]), np.zeros(1), df=None).statistic == 4.0
    with pytest.raises(
        DataError, match="a coefficient in the hypothesis has no variance, as the data do not determine it"
    ):
        wald(np.array([2.0, 1.0]), V, np.array([[1.0, 1.0]]), np.zeros(1), df=None)
    with pytest.raises(DataError, match="the covariance has 0 degrees of freedom, nothing to test with"):
        wald(np.array([2.0]), np.eye(1), np.eye(1), np.zeros(1), df=0)


def test_small_integers_against_rational_arithmetic():
    rng = np.random.default_rng(7)
    for _ in range(20):
        A, L = rng.integers(-3, 4, size=(5, 4)), rng.integers(-3, 4, size=(2, 4))
        V = A.T @ A + np.eye(4, dtype=int)
        if np.linalg.matrix_rank(L) < 2:
            continue
        d = fractions(rng.integers(-5, 6, size=(2, 1)))
        M = product(product(fractions(L), fractions(V)), transposed(fractions(L)))
        W = product(product(transposed(d), inverse(M)), d)[0][0]
        ours = wald(np.zeros(4), V.astype(float), L.astype(float), -floats(d)[:, 0], df=None)
        assert isinstance(W, Fraction)
        assert ours.statistic == pytest.approx(float(W), rel=1e-12, abs=1e-300)
