"""The geometry of many columns, kept in one triangle, against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.linear.exact import least_squares
from sightline.linear.moments import Moments, residual_pass
from sightline.linear.wide import least_squares_by_eigenvalues, least_squares_of_many_columns

N, P = 400, 300  # more than one part of the inverse


def rows(weighted, scale=1.0):
    """Rows whose columns have means and are not independent."""
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(N, P)) + 0.5 * rng.normal(size=(N, 1)) + 0.3) * scale
    y = X[:, :5].sum(axis=1) + rng.normal(size=N)
    return X, y, rng.uniform(0.2, 3.0, N) if weighted else None


def solved(X, y, w, penalty, intercept, solve=least_squares_of_many_columns):
    """By the moments of the rows."""
    found = solve(
        Moments.of(X, y, w), lambda slopes, bias: residual_pass(X, y[:, None], slopes, bias, w), rows=len(y),
        intercept=intercept, weight=w, penalty=np.broadcast_to(penalty, X.shape[1] + intercept),
    )  # fmt: skip
    assert found is not None
    return found[0]


CASES = pytest.mark.parametrize(
    ("weighted", "intercept", "penalty"),
    [(False, True, 0.0), (True, True, 0.0), (False, False, 0.0), (True, False, 0.0), (True, False, 0.3)],
)


@CASES
def test_all_that_is_asked_of_the_geometry(weighted, intercept, penalty):
    X, y, w = rows(weighted)
    exact = solved(X, y, w, penalty, intercept)
    Z = np.column_stack([X, np.ones(N)]) if intercept else X
    shares = np.ones(N) if w is None else w * N / w.sum()
    H = Z.T @ (Z * shares[:, None]) + np.eye(len(Z.T)) * penalty * N / 2.0  # R'R
    geometry = exact.geometry
    np.testing.assert_allclose(exact.factor.T @ exact.factor, H, rtol=0, atol=1e-11 * np.abs(H).max())
    np.testing.assert_allclose(exact.scale, np.sqrt(np.diag(H)), rtol=1e-12)
    alike = H / exact.scale / exact.scale[:, None]
    assert exact.condition == pytest.approx(np.sqrt(np.linalg.cond(alike)), rel=1e-5)
    ends = np.linalg.eigvalsh(H * (2.0 / N))[[-1, 0]]
    np.testing.assert_allclose(geometry.curvature(N), ends, rtol=1e-5)
    v = np.random.default_rng(0).normal(size=len(H))
    np.testing.assert_allclose(geometry.stretched(v), exact.factor @ v, rtol=0, atol=1e-11 * np.abs(H).max())
    np.testing.assert_allclose(geometry.solve(v), np.linalg.solve(H, v), rtol=1e-9, atol=1e-13)
    p = X.shape[1]
    inner = H[:p, :p] - np.outer(H[:p, p], H[p, :p]) / H[p, p] if intercept else H
    np.testing.assert_allclose(geometry.slope_variances, np.diag(np.linalg.inv(inner)), rtol=1e-10)
    np.testing.assert_allclose(exact.singular, np.linalg.svd(exact.factor / exact.scale)[1], rtol=1e-10)


@CASES
def test_the_answer_is_that_of_qr(weighted, intercept, penalty):
    X, y, w = rows(weighted)
    ours = solved(X, y, w, penalty, intercept)
    theirs = least_squares(X, y, weight=w, intercept=intercept, weight_decay=penalty)
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-9, atol=1e-11)
    other = theirs.theta + 0.1
    assert ours.objective_excess(other) == pytest.approx(theirs.objective_excess(other), rel=1e-9)
    for c in np.eye(len(ours.theta))[:3]:
        assert ours.variance(c) == pytest.approx(theirs.variance(c), rel=1e-9)


def test_columns_of_all_sizes():
    X, y, _ = rows(False, scale=np.logspace(-8, 8, P))
    ours, theirs = solved(X, y, None, 0.0, True), least_squares(X, y)
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-8)
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-12)


def test_columns_that_repeat_have_no_triangle_and_the_answer_of_least_norm():
    X, y, _ = rows(False)
    X = np.column_stack([X[:, :20], X[:, :20]])
    found = least_squares_of_many_columns(
        Moments.of(X, y), lambda slopes, bias: residual_pass(X, y[:, None], slopes, bias), rows=N, intercept=True,
        weight=None, penalty=np.zeros(41),
    )  # fmt: skip
    assert found is None
    exact = solved(X, y, None, 0.0, True, least_squares_by_eigenvalues)
    theirs = least_squares(X, y)
    assert exact.rank == theirs.rank == 21
    np.testing.assert_allclose(exact.theta, theirs.theta, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(exact.factor.T @ exact.factor, theirs.factor.T @ theirs.factor, rtol=0, atol=1e-9)
