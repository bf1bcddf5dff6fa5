"""Inference against statsmodels' OLS on arrays, and on the edges where numbers are not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from sightline.linear.exact import least_squares
from sightline.linear.inference import fit_statistics, infer, sigma, standard_errors, t_interval, z_interval


def data(seed=0, n=30, p=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ rng.normal(size=p) + 0.5 + rng.normal(size=n)


def inferred(exact, combinations, estimates, level=0.95):
    """A line of the table for each combination."""
    df = exact.rows - exact.rank
    errors = standard_errors(exact, combinations)
    return [infer(e, s, df=df, level=level) for e, s in zip(estimates, errors, strict=True)]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_combinations_of_coefficients(intercept, level):
    """Well-conditioned (κ < 5): both lose a few units of 1e-16, t and p a few more."""
    X, y = data()
    exact = least_squares(X, y, intercept=intercept)
    Z = np.column_stack([X, np.ones(len(y))]) if intercept else X
    model = sm.OLS(y, Z, hasconst=intercept).fit()
    C = np.vstack([np.eye(Z.shape[1]), np.random.default_rng(1).normal(size=(3, Z.shape[1]))])
    ours = inferred(exact, list(C), (C @ exact.theta).tolist(), level=level)
    theirs = model.t_test(C)
    low, high = theirs.conf_int(1.0 - level).T
    for field, values in {
        "estimate": theirs.effect, "std_error": theirs.sd, "t": theirs.tvalue, "p": theirs.pvalue,
        "low": low, "high": high,
    }.items():  # fmt: skip
        np.testing.assert_allclose([getattr(i, field) for i in ours], np.ravel(values), rtol=1e-10, err_msg=field)


@pytest.mark.parametrize("intercept", [True, False])
def test_fit_statistics(intercept):
    X, y = data(2)
    s = fit_statistics(least_squares(X, y, intercept=intercept))
    model = sm.OLS(y, np.column_stack([X, np.ones(len(y))]) if intercept else X, hasconst=intercept).fit()
    ours = (s.sigma, s.r2, s.adj_r2, s.f, s.f_p, s.aic - 2.0, s.bic - math.log(30), s.df_model, s.df_resid)
    theirs = (
        math.sqrt(model.mse_resid), model.rsquared, model.rsquared_adj, model.fvalue, model.f_pvalue, model.aic,
        model.bic, model.df_model, model.df_resid,
    )  # fmt: skip
    assert ours == pytest.approx(theirs, rel=1e-11)


@pytest.mark.parametrize("df", [1, 2, 3, 30, 1000, 10**6])
@pytest.mark.parametrize("level", [0.1, 0.95, 0.9999])
def test_quantile_of_students_t(df, level):
    assert t_interval(level, df) == pytest.approx(stats.t.ppf(0.5 + level / 2.0, df), rel=1e-9)


def test_without_degrees_of_freedom_the_normal_distribution_is_used():
    row = infer(1.2, 0.5, df=None, level=0.9)
    assert z_interval(0.9) == pytest.approx(stats.norm.ppf(0.95), rel=1e-12)
    assert row.p == pytest.approx(2.0 * stats.norm.sf(2.4), rel=1e-12)
    assert (row.low, row.high) == pytest.approx(stats.norm.interval(0.9, 1.2, 0.5), rel=1e-12)


def test_a_perfect_fit_has_no_t():
    row = infer(2.0, 0.0, df=3)
    assert (row.std_error, row.t, row.p, row.low, row.high) == (0.0, None, None, 2.0, 2.0)


def test_quantiles_of_students_t_that_are_known_in_closed_form():
    """One degree of freedom is Cauchy: tan(π level / 2); two: 2 a / √(2 (1 - a²)) with a = level."""
    assert t_interval(0.95, 1) == pytest.approx(math.tan(math.pi * 0.95 / 2.0), rel=1e-12)
    assert t_interval(0.95, 2) == pytest.approx(0.95 * math.sqrt(2.0 / (1.0 - 0.95**2)), rel=1e-12)


def test_small_p_values_are_not_rounded_to_zero():
    """p of t = -50 with 30 degrees of freedom is about 1e-30, far below 1 - cdf's resolution of 1e-16."""
    X, y = data(3)
    y = 50.0 * X[:, 0] + 0.1 * y
    exact = least_squares(X, y)
    row = inferred(exact, [np.array([1.0, 0.0, 0.0, 0.0])], [float(exact.theta[0])])[0]
    assert 0.0 < row.p < 1e-40
    assert row.p == pytest.approx(2.0 * stats.t.sf(abs(row.t), 26), rel=1e-9)
    assert fit_statistics(exact).f_p == pytest.approx(stats.f.sf(fit_statistics(exact).f, 3, 26), rel=1e-9)


def test_without_residual_degrees_of_freedom_nothing_is_estimated():
    X, y = data(4, n=4)
    exact = least_squares(X, y)
    s = fit_statistics(exact)
    assert s.df_resid == 0
    assert s.sigma is s.adj_r2 is s.f is s.f_p is sigma(exact) is None
    row = inferred(exact, [np.eye(4)[0]], [1.5])[0]
    assert row.estimate == 1.5
    assert row.std_error is row.t is row.p is row.low is row.high is None


def test_constant_target_has_no_r_squared():
    """A target that float64 holds exactly, so that no rounding looks like variation."""
    X, _ = data(5)
    s = fit_statistics(least_squares(X, np.full(30, 4.0)))
    assert s.r2 is s.adj_r2 is s.f is s.f_p is None
    assert s.baseline_loss == 0.0


def test_intercept_only_has_no_f_test():
    _, y = data(6)
    s = fit_statistics(least_squares(np.empty((30, 0)), y))
    assert s.f is s.f_p is None
    assert s.r2 == pytest.approx(0.0, abs=1e-14)
    assert s.sigma == pytest.approx(float(y.std(ddof=1)), rel=1e-13)
    assert (s.df_model, s.df_resid) == (0, 29)


def test_collinear_columns_count_once():
    X, y = data(7)
    s = fit_statistics(least_squares(np.column_stack([X, X[:, 0] + X[:, 1]]), y))
    model = sm.OLS(y, np.column_stack([X, np.ones(30)])).fit()
    assert (s.df_model, s.df_resid) == (3, 26)
    assert (s.sigma, s.f, s.aic) == pytest.approx(
        (math.sqrt(model.mse_resid), model.fvalue, model.aic + 2.0), rel=1e-10
    )
