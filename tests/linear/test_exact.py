"""Least squares against exact rational arithmetic, numpy and scikit-learn; rank, least norm, weight decay."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge

from sightline.linear.exact import least_squares


def rational(Z, y, penalty=Fraction(0)):
    """The normal equations (Z'Z + penalty I) θ = Z'y by elimination in rational numbers."""
    q = len(Z[0])
    rows = [[sum(Fraction(r[i]) * Fraction(r[j]) for r in Z) for j in range(q)] for i in range(q)]
    for i in range(q):
        rows[i][i] += penalty
        rows[i].append(sum(Fraction(r[i]) * Fraction(t) for r, t in zip(Z, y, strict=True)))
    for i in range(q):
        pivot = next(k for k in range(i, q) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(q):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def random(seed, n, p):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ rng.normal(size=p) + 0.4 + rng.normal(size=n)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_against_rational_arithmetic(intercept, weight_decay):
    """Well-conditioned (κ < 10), so a few units of 1e-16 are lost: 1e-14."""
    X, y = random(0, 12, 3)
    exact = least_squares(X, y, intercept=intercept, weight_decay=weight_decay)
    Z = [[*row, 1.0] if intercept else row for row in X.tolist()]
    theta = rational(Z, y.tolist(), Fraction(weight_decay) * len(y) / 2)
    np.testing.assert_allclose(exact.theta, [float(v) for v in theta], rtol=1e-14)
    residuals = [
        Fraction(t) - sum(Fraction(a) * b for a, b in zip(r, theta, strict=True)) for r, t in zip(Z, y, strict=True)
    ]
    assert exact.rss == pytest.approx(float(sum(r * r for r in residuals)), rel=1e-13)
    mean = sum(map(Fraction, y)) / len(y) if intercept else Fraction(0)
    assert exact.tss == pytest.approx(float(sum((Fraction(t) - mean) ** 2 for t in y)), rel=1e-14)


@pytest.mark.parametrize("degree", [3, 5])
def test_a_vandermonde_matrix_against_rational_arithmetic(degree):
    """Columns t, t², ... are nearly collinear; what is lost is κ of the columns scaled to one length, times eps."""
    t = np.arange(1.0, 22.0)
    X = np.column_stack([t**k for k in range(1, degree + 1)])
    y = np.sin(t)
    exact = least_squares(X, y)
    theta = np.array([float(v) for v in rational([[*row, 1.0] for row in X.tolist()], y.tolist())])
    lengths = np.linalg.norm(np.column_stack([X, np.ones(len(t))]), axis=0)
    condition = np.linalg.cond(np.column_stack([X, np.ones(len(t))]) / lengths)
    error = np.linalg.norm(lengths * (exact.theta - theta))
    assert error <= 10 * condition * 2.3e-16 * np.linalg.norm(lengths * theta)


def test_bias_weight_and_loss():
    X, y = random(1, 30, 4)
    exact = least_squares(X, y)
    theirs = LinearRegression().fit(X, y)
    np.testing.assert_allclose(exact.weight, theirs.coef_, rtol=1e-12)
    assert exact.bias == pytest.approx(theirs.intercept_, rel=1e-12)
    assert exact.loss == pytest.approx(float(np.mean((y - theirs.predict(X)) ** 2)), rel=1e-12)
    assert exact.baseline == pytest.approx(float(y.var()), rel=1e-12)
    assert least_squares(X, y, intercept=False).bias is None
    assert least_squares(X, y, intercept=False).baseline == pytest.approx(float(y.var()), rel=1e-12)


@pytest.mark.parametrize("weight_decay", [1e-3, 0.3, 10.0])
def test_weight_decay_is_ridge_on_all_parameters(weight_decay):
    """mean(r²) + (wd / 2)‖θ‖² is ridge with alpha = n wd / 2 on a design with its column of ones."""
    X, y = random(2, 40, 3)
    Z = np.column_stack([X, np.ones(len(y))])
    theirs = Ridge(alpha=len(y) * weight_decay / 2.0, fit_intercept=False, solver="svd").fit(Z, y)
    np.testing.assert_allclose(least_squares(X, y, weight_decay=weight_decay).theta, theirs.coef_, rtol=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.7])
def test_objective_excess_is_the_difference_of_two_objectives(weight_decay):
    X, y = random(3, 25, 3)
    exact = least_squares(X, y, weight_decay=weight_decay)

    def objective(theta):
        r = y - X @ theta[:-1] - theta[-1]
        return float(r @ r) / len(y) + weight_decay / 2.0 * float(theta @ theta)

    for seed in range(5):
        theta = np.random.default_rng(seed).normal(size=4)
        assert exact.objective_excess(theta) == pytest.approx(objective(theta) - objective(exact.theta), rel=1e-12)
    assert exact.objective_excess(exact.theta) == 0.0


@pytest.mark.parametrize("weight_decay", [0.0, 0.4])
def test_variance_of_a_combination(weight_decay):
    """c'(A + λ)⁻¹A(A + λ)⁻¹c with A = Z'Z, λ = n wd / 2: the covariance of the (penalized) estimate over σ²."""
    X, y = random(4, 30, 3)
    Z = np.column_stack([X, np.ones(len(y))])
    inverse = np.linalg.inv(Z.T @ Z + len(y) * weight_decay / 2.0 * np.eye(4))
    exact = least_squares(X, y, weight_decay=weight_decay)
    for c in np.random.default_rng(0).normal(size=(4, 4)):
        assert exact.variance(c) == pytest.approx(float(c @ inverse @ Z.T @ Z @ inverse @ c), rel=1e-11)


def test_hessian_is_two_over_n_times_r_transposed_r():
    X, y = random(5, 30, 3)
    exact = least_squares(X, y)
    Z = np.column_stack([X, np.ones(len(y))])
    np.testing.assert_allclose(2.0 * exact.factor.T @ exact.factor / 30, 2.0 * Z.T @ Z / 30, rtol=1e-12, atol=1e-13)


def test_collinear_columns_have_the_fits_of_the_pseudoinverse():
    X, y = random(6, 30, 3)
    X = np.column_stack([X, X[:, 0] - 2.0 * X[:, 1]])
    exact = least_squares(X, y)
    Z = np.column_stack([X, np.ones(len(y))])
    assert exact.rank == np.linalg.matrix_rank(Z) == 4
    np.testing.assert_allclose(Z @ exact.theta, Z @ np.linalg.pinv(Z) @ y, rtol=1e-10, atol=1e-12)


def test_fewer_rows_than_columns_is_the_interpolant_of_least_norm_for_equal_lengths():
    """Least norm in columns of one length, which is plain least norm where the columns have one length already."""
    rng = np.random.default_rng(7)
    X = rng.choice([-1.0, 1.0], size=(4, 9))
    y = rng.normal(size=4)
    exact = least_squares(X, y)
    Z = np.column_stack([X, np.ones(4)])
    assert exact.rank == np.linalg.matrix_rank(Z)
    np.testing.assert_allclose(exact.theta, np.linalg.pinv(Z) @ y, rtol=1e-12, atol=1e-14)
    assert exact.rss < 1e-27


def test_a_column_of_zeros_stays_at_zero():
    X, y = random(8, 20, 2)
    exact = least_squares(np.column_stack([X[:, 0], np.zeros(20), X[:, 1]]), y)
    assert abs(exact.theta[1]) < 1e-13  # nothing but the rounding of the others, which are of size one
    assert exact.rank == 3
    np.testing.assert_allclose(
        exact.theta[[0, 2, 3]], np.linalg.lstsq(np.column_stack([X, np.ones(20)]), y)[0], rtol=1e-12
    )


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=12, unique=True), st.integers(-40, 40), st.integers(-40, 40))
def test_points_on_a_line_give_the_line(xs, slope, intercept):
    """Small integers are exact; the error is that of the solve, far below 1e-11 of the largest value in it."""
    X = np.array(xs, dtype=float)[:, None]
    exact = least_squares(X, slope * X[:, 0] + intercept)
    size = max(1, abs(slope), abs(intercept)) * max(map(abs, xs))
    np.testing.assert_allclose(exact.theta, [slope, intercept], rtol=0, atol=1e-11 * size)


@given(st.integers(0, 10_000), st.integers(5, 25), st.integers(1, 4), st.booleans())
def test_residuals_are_orthogonal_to_the_columns(seed, n, p, intercept):
    X, y = random(seed, n, p)
    exact = least_squares(X, y, intercept=intercept)
    r = y - X @ exact.weight - (exact.bias or 0.0)
    columns = np.column_stack([X, np.ones(n)]) if intercept else X
    # each of the n products of a sum is rounded: n eps times the lengths, with room for the rounding of θ
    lengths = np.linalg.norm(columns, axis=0) * np.linalg.norm(y)
    assert (np.abs(columns.T @ r) <= 50 * n * 2.3e-16 * lengths).all()


@pytest.mark.parametrize("offset", [1e13, 9007199254740992.0])
def test_a_column_far_from_zero_does_not_cost_the_others_their_rank(offset):
    """Whole numbers far from zero are exact, and their differences too: nothing here is rounding."""
    from sightline.data.design import Design
    from sightline.data.formula import parse
    from sightline.data.sources import open_source

    rng = np.random.default_rng(4)
    b = rng.normal(size=40)
    columns = {"t": offset + 2.0 * np.arange(40), "b": b, "c": b + 1e-3 * rng.normal(size=40)}
    table = open_source({**columns, "y": rng.normal(size=40)}).read()
    design = Design.learn(parse("y ~ t + b + c", list(table.columns)), table)
    rows = design.rows(table)
    exact = least_squares(rows.X, rows.y, noise=design.noise)
    assert exact.rank == 4
    Z = np.column_stack([np.arange(40.0), columns["b"], columns["c"], np.ones(40)])
    theirs = sm.OLS(table["y"].values, Z).fit()
    # t counts in twos, so its slope is half of theirs; b - c is good to 1e-3, which costs three digits of 1e-16
    np.testing.assert_allclose(design.in_units(exact.theta)[2:], theirs.params[1:3], rtol=1e-9)
