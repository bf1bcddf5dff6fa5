"""Least squares of plain arrays against rational arithmetic, statsmodels and numpy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sklearn.linear_model
import statsmodels.api as sm

import sightline
from sightline.double_double import Pair
from sightline.errors import DataError, UsageError
from sightline.linear.rational import rational_least_squares


def problem(n=40, p=3, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)) * 10.0 ** np.arange(p) + 5.0, rng.normal(size=(n, k))


@pytest.mark.parametrize("intercept", [True, False])
def test_several_targets_each_exact(intercept):
    X, Y = problem()
    fit = sightline.least_squares(X, Y, intercept=intercept)
    for k in range(3):
        exact = rational_least_squares(Pair.of(X).fractions(), Pair.of(Y[:, k]).fractions(), intercept=intercept)
        for j, theta in enumerate(exact.coefficients):
            found = Fraction(float(fit.exact[0][j, k])) + Fraction(float(fit.exact[1][j, k]))
            assert abs(found - theta) < abs(theta) * Fraction(1, 10**25)
    assert fit.digits > 25
    assert fit.path == "double-double"


def test_standard_errors_and_weights():
    X, Y = problem(seed=1)
    w = np.random.default_rng(2).integers(0, 4, len(X)).astype(float)
    fit = sightline.least_squares(X, Y, weight=w)
    for k in range(3):
        expected = sm.WLS(Y[w > 0, k], sm.add_constant(X[w > 0], prepend=False), weights=w[w > 0]).fit()
        np.testing.assert_allclose(fit.coefficients[:, k], expected.params, rtol=1e-11)
        np.testing.assert_allclose(fit.std_errors[:, k], expected.bse, rtol=1e-11)
        assert fit.sigma[k] == pytest.approx(np.sqrt(expected.scale), rel=1e-12)
    assert fit.df == int((w > 0).sum()) - 4


def test_ridge_leaves_the_intercept_free():
    X, Y = problem(seed=3)
    fit = sightline.least_squares(X, Y, l2=0.3)
    expected = sklearn.linear_model.Ridge(alpha=0.3 * len(X) / 2.0, solver="svd").fit(X, Y)
    np.testing.assert_allclose(fit.coefficients[:-1].T, expected.coef_, rtol=1e-10)
    np.testing.assert_allclose(fit.coefficients[-1], expected.intercept_, rtol=1e-10)


def test_columns_that_repeat_each_other_have_the_solution_of_least_norm():
    X, Y = problem(seed=4)
    X[:, 2] = X[:, 0]
    fit = sightline.least_squares(X, Y, intercept=False)
    np.testing.assert_allclose(X @ fit.coefficients, X @ np.linalg.lstsq(X, Y)[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.coefficients[0], fit.coefficients[2], rtol=1e-10)
    assert (fit.rank, fit.df) == (2, 38)
    assert np.isnan(fit.std_errors[[0, 2]]).all()
    assert np.isfinite(fit.std_errors[1]).all()


def test_many_rows_come_from_moments():
    X, Y = problem(n=60_000, p=20, k=2, seed=5)
    X = np.random.default_rng(6).normal(size=X.shape) + 3.0
    big = np.tile(X, (10, 1))
    fit = sightline.least_squares(big, np.tile(Y, (10, 1)))
    assert fit.path == "moments"
    expected = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), Y)[0]
    np.testing.assert_allclose(fit.coefficients, expected, rtol=1e-9, atol=1e-12)


def test_decimals_as_they_print():
    x = [[0.1], [0.2], [0.3], [0.7]]
    fit = sightline.least_squares(x, [0.3, 0.5, 0.7, 1.5], decimal=True)
    assert fit.coefficients[:, 0].tolist() == [2.0, 0.1]
    assert abs(fit.sigma[0]) < 1e-25


@pytest.mark.parametrize(("arguments", "error", "sentence"), [
    (([[1.0]], [1.0, 2.0]), UsageError, "give (n, p) and (n, k)"),
    (([[1.0], [np.inf]], [1.0, 2.0]), DataError, "X has inf in row 2, column 1"),
    (([[1.0], [2.0]], [np.nan, 2.0]), DataError, "Y has nan in row 1, column 1"),
])  # fmt: skip
def test_errors_say_where(arguments, error, sentence):
    with pytest.raises(error, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        sightline.least_squares(*arguments)
    with pytest.raises(DataError, match="all weights are zero"):
        sightline.least_squares([[1.0], [2.0]], [1.0, 2.0], weight=[0.0, 0.0])
    with pytest.raises(UsageError, match="l2 cannot be -1"):
        sightline.least_squares([[1.0], [2.0]], [1.0, 2.0], l2=-1.0)


@pytest.mark.parametrize("size", [1e160, 1e-160])
def test_sizes_near_the_ends_of_doubles(size):
    fit = sightline.least_squares(np.array([[1.0], [2.0], [4.0]]) * size, [1.0, 2.0, 5.0])
    plain = sightline.least_squares([[1.0], [2.0], [4.0]], [1.0, 2.0, 5.0])
    np.testing.assert_allclose(fit.coefficients[0] * size, plain.coefficients[0], rtol=1e-13)
    np.testing.assert_allclose(fit.coefficients[1], plain.coefficients[1], rtol=1e-12)
    np.testing.assert_allclose(fit.std_errors[0] * size, plain.std_errors[0], rtol=1e-12)
