"""Tests of assumptions against R's lmtest, statsmodels, and their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
import statsmodels.stats.api as sms
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from statsmodels.stats.diagnostic import het_breuschpagan, het_white, linear_reset
from statsmodels.stats.stattools import durbin_watson as their_durbin_watson
from tests.real_data import cases, design, standardized, statsmodels_frame

from sightline.errors import UsageError
from sightline.linear.projection import Projection
from sightline.linear.specification import (
    breusch_pagan,
    durbin_watson,
    jarque_bera,
    reset,
    specification_tests,
    white,
)

PLAIN = [name for name, case in cases().items() if case.weight is None]
WEIGHTED = [name for name, case in cases().items() if case.weight is not None]


def fitted(Z, y, weight=None, *, rank=None):
    """The projection of a weighted fit, and its fitted values."""
    root = np.sqrt(np.ones(len(y)) if weight is None else weight)
    theta = np.linalg.lstsq(Z * root[:, None], y * root)[0]
    theta = theta + np.linalg.lstsq(Z * root[:, None], (y - Z @ theta) * root)[0]
    return Projection.of(Z, y - Z @ theta, weight=weight, rank=rank), Z @ theta


def case(name):
    """In standardized columns, as they are fitted."""
    Z, y, weight = cases()[name]
    return (*fitted(standardized(Z)[0], y, weight), Z, y, weight)


def investment():
    d = statsmodels_frame("macrodata")
    y = 400.0 * np.diff(np.log(d["realinv"]))
    return np.column_stack([400.0 * np.diff(np.log(d["realgdp"])), d["realint"][:-1], np.ones(202)]), y


# --- values of R and EViews


def test_against_lmtest():
    """lm(dist ~ speed, cars) and lm(mpg ~ wt, mtcars), as R prints them; ncvTest is the Breusch-Pagan that is not
    studentized.
    """
    fit, at = fitted(*cases()["cars"][:2])
    bp, plain, ramsey = breusch_pagan(fit), breusch_pagan(fit, studentize=False), reset(fit, at)
    assert (round(bp.statistic, 4), bp.df, round(bp.p, 5)) == (3.2149, (1,), 0.07297)
    assert (round(plain.statistic, 6), round(plain.p, 6)) == (4.650233, 0.031049)
    assert (round(ramsey.statistic, 4), ramsey.df, round(ramsey.p, 3)) == (1.5554, (2, 46), 0.222)
    assert round(durbin_watson(fit).statistic, 4) == 1.6762
    fit, _ = fitted(*cases()["mtcars"][:2])
    assert (round(breusch_pagan(fit).statistic, 6), round(breusch_pagan(fit).p, 4)) == (0.040438, 0.8406)


def test_against_lmtest_to_all_digits():
    """bptest of real investment on growth and interest, with and without studentize; White's as EViews has it."""
    fit, _ = fitted(*investment())
    bp = breusch_pagan(fit)
    assert (bp.statistic, bp.p) == pytest.approx((0.709924388395087, 0.701199952134347), rel=1e-11)
    bp = breusch_pagan(fit, studentize=False)
    assert (bp.statistic, bp.p) == pytest.approx((1.302014063483341, 0.5215203247110649), rel=1e-11)
    w = white(fit)
    assert (w.statistic, w.p) == pytest.approx((33.503722896538441, 2.9887960597830259e-06), rel=1e-11)
    assert w.df == (5,)


# --- statsmodels


REDUNDANT = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")  # products in their White's test


@REDUNDANT
@pytest.mark.parametrize("name", PLAIN)
def test_against_statsmodels(name):
    """They are given standardized columns: their pseudoinverse of raw ones loses κ, 5e9 for Longley."""
    fit, _, Z, y, _ = case(name)
    S = standardized(Z)[0]
    model = sm.OLS(y, S).fit()
    assert durbin_watson(fit).statistic == pytest.approx(their_durbin_watson(model.resid), rel=1e-9)
    for studentize in (True, False):
        ours, theirs = breusch_pagan(fit, studentize=studentize), het_breuschpagan(model.resid, S, robust=studentize)
        assert (ours.statistic, ours.p) == pytest.approx(theirs[:2], rel=1e-8)
        assert ours.df == (S.shape[1] - 1,)
    ours, theirs = jarque_bera(fit), sms.jarque_bera(model.resid)
    assert (ours.statistic, ours.p, ours.details["skewness"], ours.details["kurtosis"]) == pytest.approx(
        tuple(float(v) for v in theirs), rel=1e-8
    )
    assert_white(white(fit), model.resid, S)


def assert_white(ours, residual, S):
    """Undefined where there are as many products as rows, as for Longley's 16 years."""
    products = (S[:, :, None] * S[:, None, :]).reshape(len(S), -1)
    rank = np.linalg.matrix_rank(products)
    if rank == len(S):
        assert ours.statistic is None
        assert ours.reason == f"{rank} columns explain whatever {rank} rows hold"
    else:
        assert ours.df == (rank - 1,)
        assert (ours.statistic, ours.p) == pytest.approx(het_white(residual, S)[:2], rel=1e-8)


@pytest.mark.parametrize("name", PLAIN)
def test_reset_against_statsmodels(name):
    """Their Wald test of powers of raw fitted values loses κ of [Z ŷ² ŷ³]; the fits compared here are those."""
    fit, at, Z, y, _ = case(name)
    ours = reset(fit, at)
    if ours.statistic is None:
        assert name == "warpbreaks, two-way"  # one fitted value for each cell: every power is a line in the columns
        return
    f = (at - at.mean()) / np.abs(at - at.mean()).max()
    S = standardized(Z)[0]
    theirs = sm.OLS(y, np.column_stack([S, f**2, f**3])).fit().compare_f_test(sm.OLS(y, S).fit())
    assert (ours.statistic, ours.p) == pytest.approx(theirs[:2], rel=1e-7)
    assert ours.df == (2, len(y) - S.shape[1] - 2)
    if np.linalg.cond(np.column_stack([S, at**2, at**3])) < 1e7:  # their test squares it, and loses twice its digits
        raw = linear_reset(sm.OLS(y, S).fit(), power=3, use_f=True)
        assert ours.statistic == pytest.approx(float(raw.fvalue), rel=1e-6)


@REDUNDANT
@pytest.mark.parametrize("name", WEIGHTED)
def test_weighted_fits_by_definition(name):
    """On the weighted residuals √w r: Durbin-Watson, Jarque-Bera; w r² on the columns; F of two weighted fits."""
    fit, at, Z, y, weight = case(name)
    used = weight > 0
    S, y, w, at_used = standardized(Z)[0][used], y[used], weight[used], at[used]
    model = sm.WLS(y, S, weights=w).fit()
    assert durbin_watson(fit).statistic == pytest.approx(their_durbin_watson(model.wresid), rel=1e-9)
    ours, theirs = jarque_bera(fit), sms.jarque_bera(model.wresid)
    assert (ours.statistic, ours.p) == pytest.approx(tuple(float(v) for v in theirs[:2]), rel=1e-8)
    for studentize in (True, False):
        ours, theirs = breusch_pagan(fit, studentize=studentize), het_breuschpagan(model.wresid, S, robust=studentize)
        assert (ours.statistic, ours.p) == pytest.approx(theirs[:2], rel=1e-8)
    assert_white(white(fit), model.wresid, S)
    ours = reset(fit, at)
    f = (at_used - at_used.mean()) / at_used.std()
    theirs = sm.WLS(y, np.column_stack([S, f**2, f**3]), weights=w).fit().compare_f_test(model)
    assert (ours.statistic, ours.p) == pytest.approx(theirs[:2], rel=1e-7)


# --- the distribution of Durbin-Watson


def eigenvalues(fit):
    """Those of MA, M = I - H, that are not zero of necessity."""
    n = fit.rows
    A = 2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    A[0, 0] = A[-1, -1] = 1.0
    rest = np.linalg.svd(fit.basis, full_matrices=True)[0][:, fit.rank :]
    return np.linalg.eigvalsh(rest.T @ A @ rest)


def exact_p(fit, d):
    """Two-sided, P(Σ (λ - d) z² < 0) by Imhof's integral (1961)."""
    shifted = eigenvalues(fit) - d

    def integrand(u):
        return math.sin(0.5 * np.arctan(shifted * u).sum()) / (u * math.exp(0.25 * np.log1p((shifted * u) ** 2).sum()))

    below = 0.5 - integrate.quad(integrand, 0.0, np.inf, limit=400)[0] / math.pi
    return 2.0 * min(below, 1.0 - below)


@pytest.mark.parametrize("name", ["mtcars", "cars", "cars, weighted", "stackloss, weighted", "longley", "copper"])
def test_mean_and_variance_of_d_are_exact(name):
    """Σ λ / df and 2 (Σ λ² - (Σ λ)² / df) / (df (df + 2)) of the eigenvalues; p from beta on (0, 4) with these."""
    fit, *_ = case(name)
    values, df = eigenvalues(fit), fit.df
    mean = values.sum() / df
    variance = 2.0 * ((values**2).sum() - df * mean**2) / (df * (df + 2))
    test = durbin_watson(fit)
    size = mean * (4.0 - mean) / variance - 1.0
    beta = stats.beta(size * mean / 4.0, size * (1.0 - mean / 4.0), scale=4.0)
    assert (beta.mean(), beta.var()) == pytest.approx((mean, variance), rel=1e-12)
    below, above = beta.cdf(test.statistic), beta.sf(test.statistic)
    assert test.p == pytest.approx(2.0 * min(below, above), rel=1e-9)
    # an approximation: for 10 degrees of freedom (Longley) it is off by 0.011, for 30 by 0.001
    assert test.p == pytest.approx(exact_p(fit, test.statistic), abs=0.12 / fit.df)


def test_exact_p_is_that_of_dwtest():
    """R: dwtest(dist ~ speed, data = cars) prints p = 0.09522, one-sided."""
    fit, *_ = case("cars")
    assert round(exact_p(fit, durbin_watson(fit).statistic) / 2.0, 5) == 0.09522


def test_simulated_d_has_that_mean_and_variance():
    """20,000 draws: the mean is known to 0.7 % of its standard deviation, the variance to 1 %; four times that."""
    fit, *_ = case("copper")
    draws = np.random.default_rng(0).normal(size=(fit.rows, 20_000))
    draws -= fit.basis @ (fit.basis.T @ draws)
    d = (np.diff(draws, axis=0) ** 2).sum(axis=0) / (draws**2).sum(axis=0)
    values = eigenvalues(fit)
    variance = 2.0 * ((values**2).mean() - values.mean() ** 2) / (fit.df + 2)
    assert d.mean() == pytest.approx(values.mean(), abs=0.03 * math.sqrt(variance))
    assert d.var() == pytest.approx(variance, rel=0.04)


def test_autocorrelation_of_the_residuals():
    fit, *_ = case("cars")
    e = fit.given
    test = durbin_watson(fit)
    assert test.details["autocorrelation"] == pytest.approx(float(e[1:] @ e[:-1] / (e @ e)), rel=1e-12)
    ends = (e[0] ** 2 + e[-1] ** 2) / (e @ e)
    assert test.statistic == pytest.approx(2.0 - 2.0 * test.details["autocorrelation"] - ends, rel=1e-12)


# --- laws


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_coordinates_and_units_do_not_matter(seed, weighted):
    """Any nonsingular change of columns (κ up to 100), any unit of target and weights: to 1e-8."""
    rng = np.random.default_rng(seed)
    n, q = int(rng.integers(20, 60)), int(rng.integers(2, 5))
    Z = np.column_stack([rng.normal(size=(n, q - 1)), np.ones(n)])
    y, w = rng.normal(size=n) + Z[:, 0], np.exp(rng.normal(size=n)) if weighted else None
    U, _, V = np.linalg.svd(rng.normal(size=(q, q)))
    fit, at = fitted(Z, y, w)
    other = Projection.of(
        Z @ (U * np.geomspace(1, 100, q) @ V), 1e-5 * fit.given, weight=None if w is None else 1e4 * w
    )
    ours, theirs = specification_tests(fit, at), specification_tests(other, 1e-5 * at + 3.0)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.statistic, a.p) == pytest.approx((b.statistic, b.p), rel=1e-8)
        assert a.df == b.df


@pytest.mark.parametrize("far", [1e3, 1e6, 1e8])
def test_fitted_values_far_from_zero_keep_the_power_of_reset(far):
    """Their cubes would be collinear with the columns to all digits; the level of y does not change F.

    What is lost is what y itself loses beside its level: eps · far of each residual.
    """
    Z, y, _ = cases()["cars"]
    near, at = fitted(standardized(Z)[0], y)
    there, at_there = fitted(standardized(Z)[0], y + far)
    expected = reset(near, at).statistic
    assert reset(there, at_there).statistic == pytest.approx(expected, rel=1e-13 * far)


def test_white_of_a_design_with_redundant_products():
    """Squares of 0/1 columns are themselves, products of two of them zero: 3 of 10 columns are left over."""
    fit, *_ = case("iris by species, weighted")
    # 1, x, A, B, x², x A, x B: seven
    assert white(fit).df == (6,)


def test_white_of_a_cubic_curve_has_six_degrees_of_freedom():
    """x · x³ and x² · x² are one column, and differ by the rounding of the basis, κ eps: 1e-12 here."""
    height = np.arange(58.0, 73.0)
    Z = design(*((height**k - (height**k).mean()) / (height**k).std() for k in (1, 2, 3)))
    fit, _ = fitted(Z, np.array([115, 117, 120, 123, 126, 129, 132, 135, 139, 142, 146, 150, 154, 159, 164.0]))
    powers = np.linalg.qr(np.vander((height - 65.0) / 7.0, 7))[0]
    u = fit.given**2 - np.mean(fit.given**2)
    expected = 15.0 * float((powers.T @ u) @ (powers.T @ u)) / float(u @ u)
    assert (white(fit).statistic, white(fit).df) == (pytest.approx(expected, rel=1e-8), (6,))


def test_white_in_more_than_one_block_of_rows():
    rng = np.random.default_rng(3)
    Z = design(*rng.normal(size=(3, 20_000)))
    fit, _ = fitted(Z, rng.normal(size=20_000) * (1.0 + 0.1 * np.abs(Z[:, 0])))
    theirs = het_white(fit.given, Z)
    assert (white(fit).statistic, white(fit).p) == pytest.approx(theirs[:2], rel=1e-9)


def test_weights_over_many_decades_leave_the_degrees_of_freedom():
    """Rows of weight 1e-20 beside others of 1: the columns themselves are looked at, not their weighted shadows."""
    rng = np.random.default_rng(5)
    Z = design(*rng.normal(size=(2, 60)))
    w = np.geomspace(1e-20, 1.0, 60)
    fit, _ = fitted(Z, rng.normal(size=60) / np.sqrt(w), w)
    assert breusch_pagan(fit).df == (2,)
    assert white(fit).df == (5,)


def test_without_a_constant_one_is_added_for_the_variance():
    """R's bptest would leave it out; χ² holds with it."""
    Z, y, _ = cases()["cars"]
    fit, _ = fitted(Z[:, :1], y)
    theirs = het_breuschpagan(fit.given, Z)
    assert (breusch_pagan(fit).statistic, breusch_pagan(fit).df) == (pytest.approx(theirs[0], rel=1e-10), (1,))
    assert white(fit).statistic == pytest.approx(het_white(fit.given, Z)[0], rel=1e-10)


def test_reset_without_a_constant_does_not_center():
    Z, y, _ = cases()["cars"]
    fit, at = fitted(Z[:, :1], y)
    theirs = linear_reset(sm.OLS(y, Z[:, :1]).fit(), power=3, use_f=True)
    assert reset(fit, at).statistic == pytest.approx(float(theirs.fvalue), rel=1e-8)
    theirs = linear_reset(sm.OLS(y, Z[:, :1]).fit(), power=[2], use_f=True)
    assert (reset(fit, at, powers=(2,)).statistic, reset(fit, at, powers=(2,)).df) == (
        pytest.approx(float(theirs.fvalue), rel=1e-8), (1, 48),
    )  # fmt: skip


# --- where nothing can be said


def test_a_perfect_fit_says_nothing():
    x = np.arange(10.0)
    fit, at = fitted(design(x), 0.1 * x + 0.7)
    for test in specification_tests(fit, at):
        assert test.statistic is test.p is None
        assert test.reason.startswith("residuals that are rounding")


def test_no_degrees_of_freedom():
    fit, at = fitted(design(np.array([1.0, 2.0])), np.array([3.0, 1.0]))
    for test in specification_tests(fit, at):
        assert (test.statistic, test.p, test.reason) == (None, None, "no residual degrees of freedom are left")


def test_a_constant_alone():
    """There is no variance to explain with it, and no power of it that is new; the others stand."""
    y = cases()["cars"].y
    fit, at = fitted(np.ones((50, 1)), y)
    found = {test.name: test for test in specification_tests(fit, at)}
    assert found["Breusch-Pagan, studentized"].reason == found["White"].reason == "the design is constant"
    assert found["RESET"].reason == "powers of the fitted values add nothing to the columns"
    variance = 4.0 * 48 / (49 * 51)  # 4 (n - 2) / ((n - 1)(n + 1)) about 2: von Neumann 1941
    size = 2.0 / variance - 0.5
    below = stats.beta(size, size, scale=4.0).cdf(found["Durbin-Watson"].statistic)
    assert found["Durbin-Watson"].p == pytest.approx(2.0 * below, rel=1e-9)
    assert found["Jarque-Bera"].statistic == pytest.approx(float(sms.jarque_bera(y - y.mean())[0]), rel=1e-12)


def test_residuals_of_one_size():
    fit = Projection.of(design(np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])), [1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    assert breusch_pagan(fit).reason == white(fit).reason == "all residuals have one size"
    assert breusch_pagan(fit, studentize=False).statistic == pytest.approx(0.0, abs=1e-20)
    alike = Projection.of(np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.ones(4))
    assert jarque_bera(alike).reason == "all residuals are the same"


def test_one_degree_of_freedom_leaves_one_value_of_d():
    fit, _ = fitted(design(np.array([0.0, 1.0, 3.0])), np.array([0.0, 2.0, 1.0]))
    assert durbin_watson(fit).p is None
    assert durbin_watson(fit).statistic == pytest.approx(float(eigenvalues(fit)[0]), rel=1e-12)


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"powers": (1, 2)}, "powers (1, 2) of the fitted values: give whole numbers above 1"),
    ({"powers": ()}, "powers () of the fitted values: give whole numbers above 1"),
    ({"powers": (2.5,)}, "powers (2.5,) of the fitted values: give whole numbers above 1"),
    ({"fitted": np.zeros(3)}, "fitted values of shape (3,) for 50 rows: give one for each row"),
])  # fmt: skip
def test_errors_say_what(arguments, sentence):
    fit, at = fitted(*cases()["cars"][:2])
    with pytest.raises(UsageError) as caught:
        reset(fit, **{"fitted": at, **arguments})
    assert str(caught.value) == sentence
