"""Least squares from moments against QR, statsmodels and rational arithmetic; weights; when it refuses."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import Ridge

from sightline.linear.exact import least_squares
from sightline.linear.from_moments import least_squares_from_moments
from sightline.linear.moments import Moments
from sightline.linear.rational import rational_least_squares


def rows(seed, n, p, *, scales=1.0, offset=0.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * scales + offset
    return X, X @ rng.normal(size=p) + 0.4 + rng.normal(size=n), rng.uniform(0.2, 3.0, n)


def solve(X, y, weight=None, **options):
    found = least_squares_from_moments(X, y, Moments.of(X, y, weight), weight=weight, **options)
    assert found is not None
    return found


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_it_is_the_answer_of_qr(intercept, weighted, penalty):
    X, y, w = rows(0, 20_000, 7, scales=np.geomspace(0.01, 100.0, 7))
    w = w if weighted else None
    ours, digits = solve(X, y, w, intercept=intercept, weight_decay=penalty)
    theirs = least_squares(X, y, weight=w, intercept=intercept, weight_decay=penalty)
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-12)
    for name in ("rss", "tss", "spread", "squares", "mass", "log_weights", "loss", "baseline"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12), name
    np.testing.assert_allclose(ours.factor.T @ ours.factor, theirs.factor.T @ theirs.factor, rtol=1e-11, atol=1e-8)
    for c in np.eye(len(ours.theta)):
        assert ours.variance(c) == pytest.approx(theirs.variance(c), rel=1e-10)
    assert digits >= 11.0


def test_the_digits_promised_are_reached():
    """Against exact rational arithmetic on whole numbers, where nothing is rounded on the way in."""
    rng = np.random.default_rng(1)
    X, y = rng.integers(-99, 99, (3_000, 3)).astype(float) + 500.0, rng.integers(-99, 99, 3_000).astype(float)
    found, digits = solve(X, y)
    A = np.array([[Fraction(v) for v in row] for row in X.tolist()], dtype=object)
    exact = rational_least_squares(A, np.array([Fraction(v) for v in y.tolist()], dtype=object))
    scale = np.append(np.linalg.norm(X - X.mean(axis=0), axis=0), math.sqrt(len(y)))
    error = np.array([float(Fraction(t) - e) for t, e in zip(found.theta.tolist(), exact.coefficients, strict=True)])
    assert np.abs(error * scale).max() <= 10.0**-digits * np.abs(found.theta * scale).max()
    assert digits > 12.0


def test_weights_against_statsmodels():
    X, y, w = rows(2, 500, 3)
    ours, _ = solve(X, y, w)
    theirs = sm.WLS(y, np.column_stack([X, np.ones(500)]), weights=w).fit()
    np.testing.assert_allclose(ours.theta, theirs.params, rtol=1e-12)
    assert ours.rss == pytest.approx(theirs.ssr, rel=1e-12)
    assert ours.tss == pytest.approx(theirs.centered_tss, rel=1e-12)
    errors = [math.sqrt(ours.variance(c) * theirs.scale) for c in np.eye(4)]
    np.testing.assert_allclose(errors, theirs.bse, rtol=1e-12)


def test_ridge_with_a_free_intercept_against_scikit_learn():
    """Their penalty is alpha ‖w‖² on the sum of squares: alpha = n l2 / 2."""
    X, y, _ = rows(3, 2_000, 5, offset=3.0)
    penalty = np.append(np.full(5, 0.8), 0.0)
    theirs = Ridge(alpha=2_000 * 0.8 / 2, tol=0.0).fit(X, y)
    for ours in (solve(X, y, weight_decay=penalty)[0], least_squares(X, y, weight_decay=penalty)):
        np.testing.assert_allclose(ours.weight, theirs.coef_, rtol=1e-11)
        assert ours.bias == pytest.approx(theirs.intercept_, rel=1e-11)


def test_nearly_collinear_and_constant_columns_are_left_to_qr():
    X, y, _ = rows(4, 3_000, 3)
    near = np.column_stack([X, X[:, 0] + 1e-6 * X[:, 1]])
    assert least_squares_from_moments(near, y, Moments.of(near, y)) is None
    flat = np.column_stack([X, np.ones(3_000)])
    assert least_squares_from_moments(flat, y, Moments.of(flat, y)) is None


def test_blocks_in_any_order_of_merging():
    """`merged` holds few moments at a time and adds them pairwise; the sum over all rows is the judge."""
    X, y, w = rows(5, 5_000, 4, offset=1e6)
    cuts = [slice(i, i + 37) for i in range(0, 5_000, 37)]
    merged = Moments.merged(Moments.leaf(X[c], y[c, None], w[c]) for c in cuts)
    mean = np.average(X, axis=0, weights=w)
    np.testing.assert_allclose(merged.x_mean, mean, rtol=1e-14)
    np.testing.assert_allclose(merged.xx, ((X - mean) * w[:, None]).T @ (X - mean), rtol=1e-7, atol=1e-5)
    assert merged.n == pytest.approx(w.sum(), rel=1e-13)
