"""Refined least squares against exact rational arithmetic: digits reached, digits promised."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.double_double import Pair
from sightline.linear.exact import least_squares
from sightline.linear.rational import rational_least_squares
from sightline.linear.refined import refined_least_squares


def fractions(values):
    return np.array([[Fraction(v) for v in row] for row in np.asarray(values).tolist()], dtype=object)


def digits(found, exact):
    """The fewest significant digits in which numbers agree, at most 31."""
    errors = [abs(f - e) / abs(e) if e else abs(f) for f, e in zip(found, exact, strict=True)]
    return min(31.0, -math.log10(max(max(errors), Fraction(1, 10**31))))


def compare(X, y, *, intercept=True, weight=None):
    """Digits of coefficients and of their variances, and what was promised."""
    fit = refined_least_squares(Pair.of(X), Pair.of(np.reshape(y, (-1, 1))), intercept=intercept, weight=weight)
    w = None if weight is None else np.array([Fraction(v) for v in weight.tolist()], dtype=object)
    exact = rational_least_squares(fractions(X), fractions([y])[0], intercept=intercept, weight=w)
    assert fit is not None
    assert exact is not None
    ours = fit.coefficients.fractions()[:, 0]
    reached = digits(ours, exact.coefficients), digits(fit.variances.fractions(), exact.variances)
    sums = digits([fit.rss.fractions()[0], fit.tss.fractions()[0]], [exact.rss, exact.tss])
    return reached, fit, sums


@pytest.mark.parametrize("degree", [2, 5, 8, 10, 12, 14, 16, 18])
def test_polynomials_of_whole_numbers_to_a_condition_of_1e14(degree):
    """Column-scaled κ from 1e1 to 2e14: never below the 15 digits asked for, and never below the digits promised."""
    x = np.arange(max(21, degree + 4), dtype=float)
    y = np.random.default_rng(degree).integers(-1000, 1000, len(x)).astype(float)
    P = Pair.stack([Pair.of(x).power(k) for k in range(1, degree + 1)])
    fit = refined_least_squares(P, Pair.of(y[:, None]))
    exact = rational_least_squares(P.fractions(), fractions([y])[0])
    reached = digits(fit.coefficients.fractions()[:, 0], exact.coefficients)
    assert reached >= 15.0
    assert reached >= min(fit.digits, 31.0) - 0.5
    assert digits(fit.variances.fractions(), exact.variances) >= min(15.0, -math.log10(fit.variance_error))


@pytest.mark.parametrize("degree", [20, 23])
def test_beyond_float64_the_digits_that_can_be_trusted_are_told(degree):
    x = np.arange(degree + 4, dtype=float)
    y = np.random.default_rng(degree).integers(-1000, 1000, len(x)).astype(float)
    P = Pair.stack([Pair.of(x).power(k) for k in range(1, degree + 1)])
    fit = refined_least_squares(P, Pair.of(y[:, None]))
    exact = rational_least_squares(P.fractions(), fractions([y])[0])
    assert 5.0 < fit.digits <= digits(fit.coefficients.fractions()[:, 0], exact.coefficients)


@pytest.mark.parametrize("condition", [1e3, 1e7, 1e11, 1e13])
@pytest.mark.parametrize("intercept", [True, False])
def test_given_float64_matrices(condition, intercept):
    """Random matrices with that condition number, taken as the doubles that they hold."""
    rng = np.random.default_rng(int(math.log10(condition)))
    U, V = np.linalg.qr(rng.normal(size=(30, 6)))[0], np.linalg.qr(rng.normal(size=(6, 6)))[0]
    X = U * np.geomspace(1.0, 1.0 / condition, 6) @ V * 10.0 ** rng.integers(-6, 6, 6)
    reached, fit, sums = compare(X, X @ rng.normal(size=6) + rng.normal(size=30), intercept=intercept)
    assert min(*reached, sums) >= 15.0
    assert min(reached) >= min(fit.digits, -math.log10(fit.variance_error)) - 0.5


@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans(), st.booleans())
def test_whole_numbers_with_and_without_weights(seed, p, intercept, weighted):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(p + 2, 16))
    X = rng.integers(-50, 50, (n, p)).astype(float)
    if np.linalg.matrix_rank(np.column_stack([X, np.ones(n)])) < p + 1:
        return
    weight = rng.integers(1, 9, n).astype(float) if weighted else None
    reached, fit, _ = compare(X, rng.integers(-99, 99, n).astype(float), intercept=intercept, weight=weight)
    assert min(reached) >= 20.0
    assert min(reached) >= fit.digits - 1.0


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
def test_columns_far_from_zero(offset):
    rng = np.random.default_rng(5)
    reached, _, _ = compare(offset + rng.normal(size=(25, 2)), rng.normal(size=25) + offset)
    assert min(reached) >= 15.0


def test_several_targets_at_once():
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    both = refined_least_squares(Pair.of(X), Pair.of(Y))
    for k in range(2):
        one = refined_least_squares(Pair.of(X), Pair.of(Y[:, k : k + 1]))
        np.testing.assert_allclose(both.coefficients.hi[:, k], one.coefficients.hi[:, 0], rtol=1e-15)
        np.testing.assert_allclose(both.rss.hi[k], one.rss.hi[0], rtol=1e-15)


def test_repeated_columns_have_no_answer():
    x = np.arange(9.0)
    assert refined_least_squares(Pair.of(np.column_stack([x, x])), Pair.of((x**2)[:, None])) is None
    assert rational_least_squares(fractions(np.column_stack([x, x])), fractions([x])[0]) is None


def test_more_columns_than_rows_have_no_answer():
    assert refined_least_squares(Pair.of(np.eye(3)), Pair.of(np.ones((3, 1)))) is None


def test_rational_arithmetic_against_float64():
    """The judge is judged by least squares in float64, on well-conditioned rows."""
    rng = np.random.default_rng(3)
    X, y, w = rng.normal(size=(25, 3)), rng.normal(size=25), rng.integers(1, 6, 25).astype(float)
    exact = rational_least_squares(fractions(X), fractions([y])[0], weight=fractions([w])[0])
    theirs = least_squares(X, y, weight=w)
    np.testing.assert_allclose([float(v) for v in exact.coefficients], theirs.theta, rtol=1e-12)
    np.testing.assert_allclose(float(exact.rss), theirs.rss, rtol=1e-12)
    np.testing.assert_allclose(float(exact.tss), theirs.tss, rtol=1e-12)
    variances = [theirs.variance(row) for row in np.eye(4)]
    np.testing.assert_allclose([float(v) for v in exact.variances], variances, rtol=1e-12)
