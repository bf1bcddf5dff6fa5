"""Optima of every loss against statsmodels, scikit-learn, scipy and mpmath, and against what an optimum must satisfy."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import ElasticNet, LogisticRegression
from tests.linear.all_losses import LOSSES

from sightline.errors import DataError
from sightline.linear.objective import Objective
from sightline.linear.optimum import optimum
from sightline.linear.piecewise import Piecewise
from sightline.linear.row_losses import (
    Absolute,
    CrossEntropy,
    GaussianNLL,
    Hinge,
    Huber,
    Logistic,
    PoissonNLL,
    SmoothL1,
    SquaredLoss,
)

NAMES = sorted(set(LOSSES) - {"gaussian-nll-limited"})  # at its limit the slope that torch has is not that of the loss
each_loss = pytest.mark.parametrize("name", NAMES)


def penalized(loss, ridge=0.0, lasso=0.0):
    """Penalties on the slopes alone."""
    k, p = loss.outputs, loss.X.shape[1]
    slopes = np.append(np.ones(k * p), np.zeros(k * loss.intercept))
    return Objective(loss, ridge * slopes, lasso * slopes)


def standardized(load):
    X, y = load(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), y.astype(float)


# what every optimum satisfies


@each_loss
@pytest.mark.parametrize(("ridge", "lasso"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (0.2, 0.05)])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_subgradient_vanishes_and_nothing_near_is_lower(name, ridge, lasso, weighted):
    objective = penalized(LOSSES[name].problem(n=80, weighted=weighted), ridge, lasso)
    found = optimum(objective)
    assert objective.subgradient_norm(found.theta) < 1e-13
    assert found.value == objective.value(found.theta)
    assert found.loss == objective.loss.value(found.theta)
    assert 0.0 <= found.gap < 1e-12
    assert found.unique
    assert found.finite
    assert found.digits > 10
    rng = np.random.default_rng(0)
    for size in (1e-6, 1e-3, 0.3):
        for _ in range(10):
            assert objective.excess(found.theta + size * rng.normal(size=len(found.theta)), found.theta) > 0


@given(
    st.sampled_from(NAMES),
    st.integers(0, 10**6),
    st.integers(1, 30),
    st.integers(0, 4),
    st.sampled_from([(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (0.3, 0.03)]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_rows_no_method_of_scipy_goes_lower(name, seed, n, p, penalty, intercept):
    loss = LOSSES[name].problem(n=n, p=p, seed=seed, intercept=intercept, weighted=True)
    loss = replace(loss, X=np.round(loss.X), y=np.round(loss.y))  # ties and collinear columns
    objective = penalized(loss, *penalty)
    try:
        found = optimum(objective)
    except DataError:
        assert isinstance(loss, CrossEntropy)
        return
    assert np.isfinite(found.value)
    assert np.isfinite(found.limit).all()
    assert found.gap >= 0.0
    if found.finite and not isinstance(loss, GaussianNLL):
        assert objective.subgradient_norm(found.theta) < 1e-9 * (1.0 + np.abs(loss.X).max(initial=0.0))
        assert found.gap <= 1e-9 * (1.0 + abs(found.value))
    start = np.zeros(len(objective.ridge))
    if len(start) and "below the limit" not in found.reason:
        rival = minimize(lambda t: objective.value(t), start, method="Nelder-Mead", options={"maxiter": 400})
        assert found.value <= rival.fun + 1e-9 * (1.0 + abs(rival.fun))


# independent references


def test_counts_are_statsmodels():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 3))
    y = rng.poisson(np.exp(X @ [0.5, -1.0, 0.2] + 1.0)).astype(float)
    v = rng.uniform(0.2, 2.0, 200)
    v /= v.mean()
    reference = sm.GLM(y, np.column_stack([X, np.ones(200)]), sm.families.Poisson(), var_weights=v).fit(tol=1e-15)
    found = optimum(Objective.plain(PoissonNLL(X, y, True, v)))
    assert found.theta == pytest.approx(reference.params, rel=1e-12)
    assert found.digits > 14


def test_a_group_of_zeros_has_its_limit():
    group = np.repeat(np.eye(3), 4, axis=0)[:, 1:]
    y = np.array([1.0, 2, 3, 2, 0, 0, 0, 0, 4, 5, 6, 5])
    found = optimum(Objective.plain(PoissonNLL(group, y)))
    assert found.at_infinity.tolist() == [[-1.0, 0.0, 0.0]]
    assert found.theta[0] == -np.inf
    assert found.theta[[1, 2]] == pytest.approx([np.log(2.5), np.log(2.0)], rel=1e-14)
    assert not found.finite
    assert "moves 4 counts of zero" in found.reason
    away = PoissonNLL(group, y).value(np.array([-60.0, np.log(2.5), np.log(2.0)]))
    assert found.value == pytest.approx(away, rel=1e-14)


def test_counts_of_nothing_but_zeros():
    found = optimum(Objective.plain(PoissonNLL(np.array([[1.0], [2.0]]), np.zeros(2))))
    assert found.value == 0.0
    assert not found.finite


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_lasso_of_squares_is_scikit_learns(share):
    X, y = standardized(load_diabetes)
    alpha = 2.0
    reference = ElasticNet(alpha=alpha, l1_ratio=share, tol=1e-15, max_iter=1_000_000).fit(X, y)
    found = optimum(penalized(SquaredLoss(X, y), 2.0 * alpha * (1.0 - share), 2.0 * alpha * share))
    assert found.theta == pytest.approx(np.append(reference.coef_, reference.intercept_), rel=1e-9)
    assert ((found.theta == 0)[:-1] == (reference.coef_ == 0)).all()
    assert (share < 1.0) or (found.theta == 0).sum() > 1


def test_the_lasso_of_two_classes_is_scikit_learns():
    X, y = standardized(load_breast_cancer)
    lasso = 0.02
    reference = LogisticRegression(
        l1_ratio=1.0, C=1.0 / (lasso * len(y)), solver="saga", tol=1e-12, max_iter=100_000
    ).fit(X, y)
    found = optimum(penalized(Logistic(X, y), 0.0, lasso))
    assert found.theta == pytest.approx(np.append(reference.coef_, reference.intercept_), abs=1e-7)
    assert ((found.theta[:-1] == 0) == (np.abs(reference.coef_[0]) < 1e-8)).all()
    assert 15 < (found.theta == 0).sum() < 30


def lasso_of_classes(X, y, lasso, theta):
    """The mean cross-entropy of three classes and the penalty of their slopes, in fifty digits."""
    with mpmath.workdps(50):
        W, b = mpmath.matrix(theta[:12].reshape(3, 4).tolist()), theta[12:].tolist()
        scores = mpmath.matrix(X.tolist()) * W.T
        loss = mpmath.mpf(0)
        for i, label in enumerate(y.astype(int).tolist()):
            z = [scores[i, k] + b[k] for k in range(3)]
            loss += mpmath.log(sum(mpmath.exp(v) for v in z)) - z[label]
        return loss / len(y) + mpmath.mpf(lasso) * sum(abs(v) for v in W)


def test_the_lasso_of_three_classes_is_scikit_learns():
    X, y = standardized(load_iris)
    lasso = 0.02
    reference = LogisticRegression(
        l1_ratio=1.0, C=1.0 / (lasso * len(y)), solver="saga", tol=1e-12, max_iter=100_000
    ).fit(X, y)
    objective = penalized(CrossEntropy(X, y, outputs=3), 0.0, lasso)
    found = optimum(objective)
    rival = np.append(reference.coef_.ravel(), reference.intercept_)
    ours, theirs = (lasso_of_classes(X, y, lasso, theta) for theta in (found.theta, rival))
    assert ours <= theirs  # which in float64 are one number, or differ by the last bit of a sum
    assert found.value == pytest.approx(float(ours), rel=1e-15)
    assert found.theta == pytest.approx(rival - np.append(np.zeros(12), np.full(3, rival[12:].mean())), abs=1e-6)


def test_cross_entropy_has_weights_of_mean_zero():
    X, y = standardized(load_iris)
    found = optimum(Objective.plain(CrossEntropy(X[:, :2], y, outputs=3, smoothing=0.1)))
    assert found.theta[:6].reshape(3, 2).mean(axis=0) == pytest.approx(np.zeros(2), abs=1e-14)
    assert found.theta[6:].mean() == pytest.approx(0.0, abs=1e-14)
    assert found.unique


def least_absolute(X, y, weight):
    """By scipy's linear program."""
    Z, n = np.column_stack([X, np.ones(len(y))]), len(y)
    A = np.vstack([np.hstack([Z, -np.eye(n)]), np.hstack([-Z, -np.eye(n)])])
    bounds = [(None, None)] * Z.shape[1] + [(0, None)] * n
    return linprog(np.append(np.zeros(Z.shape[1]), weight / n), A, np.append(y, -y), bounds=bounds, method="highs")


def least_hinge(X, y, weight):
    Z, n, s = np.column_stack([X, np.ones(len(y))]), len(y), 2.0 * y - 1.0
    bounds = [(None, None)] * Z.shape[1] + [(0, None)] * n
    A = np.hstack([-s[:, None] * Z, -np.eye(n)])
    return linprog(np.append(np.zeros(Z.shape[1]), weight / n), A, -np.ones(n), bounds=bounds, method="highs")


@pytest.mark.parametrize(("kind", "program"), [(Absolute, least_absolute), (Hinge, least_hinge)])
@pytest.mark.parametrize("n", [9, 60, 400])
def test_linear_programs_are_scipys(kind, program, n):
    rows = LOSSES[kind.name].problem(n=n, weighted=True)
    reference = program(rows.X, rows.y, rows.weight)
    found = optimum(Objective.plain(rows))
    assert found.value == pytest.approx(reference.fun, rel=1e-10, abs=1e-13)
    if found.unique:
        assert found.theta == pytest.approx(reference.x[: len(found.theta)], rel=1e-8)
        assert found.digits > 14


def test_the_vertex_is_exact():
    """Four of ten digits behind the point: the line through two points is a rational number."""
    x, y = np.array([[0.0], [1.0], [3.0], [4.0], [7.0]]), np.array([1.0, 2.0, 2.0, 9.0, 4.0])
    found = optimum(Objective.plain(Absolute(x, y)))
    assert found.theta.tolist() == [3.0 / 7.0, 1.0]
    assert found.value == pytest.approx((4.0 / 7.0 + 2.0 / 7.0 + 44.0 / 7.0) / 5.0, rel=1e-15)


def test_a_median_between_two_numbers_is_not_unique():
    found = optimum(Objective.plain(Absolute(np.zeros((4, 0)), np.array([0.0, 3.0, 4.0, 10.0]))))
    assert 3.0 <= found.theta[0] <= 4.0
    assert found.value == 2.75
    assert not found.unique
    assert "other coefficients have the same loss" in found.reason


def test_classes_with_a_gap_have_many_separating_lines():
    found = optimum(Objective.plain(Hinge(np.array([[0.0], [1.0], [4.0], [5.0]]), np.array([0.0, 0.0, 1.0, 1.0]))))
    assert found.value == pytest.approx(0.0, abs=1e-15)
    assert not found.unique


@pytest.mark.parametrize("kind", [Absolute, Hinge, Huber, SmoothL1])
def test_the_gap_is_proved_by_a_dual_value(kind):
    """F(θ') >= F(θ) - gap, and the gap is small only where θ is the answer."""
    objective = penalized(LOSSES[kind.name].problem(n=100), 0.05, 0.02)
    found = optimum(objective)
    result = minimize(objective.value, found.theta + 0.01, method="Powell", options={"xtol": 1e-10, "ftol": 1e-15})
    assert result.fun >= found.value - found.gap


@pytest.mark.parametrize("name", ["huber", "smooth-l1"])
def test_the_equations_of_hubers_loss_hold_to_fifty_digits(name):
    loss = LOSSES[name].problem(n=60)
    found = optimum(Objective.plain(loss))
    edge = loss.delta if name == "huber" else loss.beta
    r = loss.predictor(found.theta)[:, 0] - loss.y
    inside = np.abs(r) < edge
    with mpmath.workdps(50):
        Z = mpmath.matrix(np.column_stack([loss.X, np.ones(60)])[inside].tolist())
        right = Z.T * mpmath.matrix(loss.y[inside].tolist())
        rest = np.column_stack([loss.X, np.ones(60)])[~inside]
        for row, side in zip(rest.tolist(), np.sign(r[~inside]).tolist(), strict=True):
            right -= mpmath.mpf(edge) * mpmath.mpf(side) * mpmath.matrix(row)
        exact = mpmath.lu_solve(Z.T * Z, right)
    exact = np.array([float(v) for v in exact])
    assert np.abs(found.theta - exact).max() <= 10.0**-found.digits * np.abs(exact).max()
    assert found.theta == pytest.approx(exact, rel=1e-13)
    assert found.digits > 13


def test_huber_with_no_row_inside_is_flat():
    found = optimum(Objective.plain(Huber(np.zeros((2, 0)), np.array([0.0, 10.0]))))
    assert found.value == pytest.approx(4.5, rel=1e-15)
    assert not found.unique


def test_outliers_and_a_narrow_width_are_no_trouble():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(500, 4)) * [1.0, 1e3, 1e-3, 1.0] + [0.0, 1e5, 0.0, 0.0]
    y = 1e6 * rng.standard_cauchy(500)
    objective = Objective.plain(Huber(X, y, delta=1.0))
    found = optimum(objective)
    assert "settle" not in found.reason
    assert found.gap <= 1e-12 * found.value
    rival = optimum(Objective.plain(Absolute(X, y)))
    assert objective.excess(rival.theta, found.theta) > 0


def test_mean_and_variance_are_maximum_likelihood():
    """With a column for the mean alone of two groups, each has its own mean and variance."""
    group = np.repeat([0.0, 1.0], [5, 7])
    y = np.array([1.0, 2.0, 4.0, 4.5, 3.0, 10.0, 14.0, 8.0, 9.5, 12.0, 11.0, 7.0])
    found = optimum(Objective.plain(GaussianNLL(group[:, None], y)))
    means = [y[group == g].mean() for g in (0, 1)]
    logs = [np.log(y[group == g].var()) for g in (0, 1)]
    exact = [means[1] - means[0], logs[1] - logs[0], means[0], logs[0]]
    assert found.theta == pytest.approx(exact, rel=1e-13)
    assert "not convex" in found.reason


def test_an_exact_fit_has_a_variance_that_falls_to_its_limit():
    x = np.arange(6.0)[:, None]
    found = optimum(Objective.plain(GaussianNLL(x, 2.0 * x[:, 0] + 1.0)))
    assert found.value == pytest.approx(0.5 * np.log(1e-6), rel=1e-9)
    assert not found.finite
    assert not found.unique
    assert found.theta[3] == -np.inf
    assert found.theta[[0, 2]] == pytest.approx([2.0, 1.0], rel=1e-12)


# rank, coordinates, size


@pytest.mark.parametrize("name", ["huber", "poisson-nll", "cross-entropy-smoothed", "gaussian-nll"])
def test_collinear_columns_share_as_descent_from_zero_would(name):
    loss = LOSSES[name].problem(n=50, p=2)
    twice = replace(loss, X=np.column_stack([loss.X, 2.0 * loss.X[:, 0], np.zeros(50)]))
    found, single = optimum(Objective.plain(twice)), optimum(Objective.plain(loss))
    assert not found.unique
    assert found.value == pytest.approx(single.value, rel=1e-13)
    W = found.theta[: 4 * loss.outputs].reshape(loss.outputs, 4)
    assert W[:, 2] == pytest.approx(2.0 * W[:, 0], rel=1e-10)  # in the row space
    assert np.abs(W[:, 3]).max() <= 1e-14
    assert found.digits > 9


def test_units_do_not_matter():
    loss = LOSSES["poisson-nll"].problem(n=60, p=2)
    raw = replace(loss, X=loss.X * [1e6, 1e-4] + [1e7, 3.0])
    found, small = optimum(Objective.plain(raw)), optimum(Objective.plain(loss))
    assert found.theta[:2] * [1e6, 1e-4] == pytest.approx(small.theta[:2], rel=1e-8)
    assert found.value == pytest.approx(small.value, rel=1e-9)


@pytest.mark.parametrize(("seed", "lasso"), [(0, 0.0), (1, 0.0), (1, 0.1)])
def test_a_hinge_where_few_rows_are_near_their_margin(seed, lasso):
    objective = penalized(LOSSES["hinge"].problem(n=20_000, p=20, seed=seed), 0.0, lasso)
    found = optimum(objective)
    assert "settle" not in found.reason
    assert objective.subgradient_norm(found.theta) < 1e-12


@pytest.mark.parametrize("name", ["l1", "hinge", "huber", "poisson-nll"])
def test_many_rows(name):
    rows = LOSSES[name].problem(n=20_000, p=8)
    found = optimum(penalized(rows, 0.01, 0.0))
    assert penalized(rows, 0.01, 0.0).subgradient_norm(found.theta) < 1e-12
    assert found.gap < 1e-11 * (1.0 + abs(found.value))


def test_nothing_to_choose():
    found = optimum(Objective.plain(Huber(np.zeros((3, 0)), np.ones(3), False)))
    assert found.value == 0.5
    assert len(found.theta) == 0


def test_separated_classes_with_a_penalty_elsewhere_are_told():
    X = np.array([[0.0, 1.0], [1.0, -1.0], [2.0, 1.0], [3.0, -1.0]])
    y = np.array([0.0, 0.0, 1.0, 1.0])
    found = optimum(Objective(Logistic(X, y), np.array([0.0, 0.1, 0.0]), np.zeros(3)))
    assert not found.finite
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.theta[0] == np.inf
    with pytest.raises(DataError, match="classes are separated along columns without a penalty"):
        optimum(Objective(CrossEntropy(X, y, outputs=2), np.array([0.0, 0.1, 0.0, 0.1, 0.0, 0.0]), np.zeros(6)))


def test_a_ridge_that_rounding_alone_adds_to_an_open_direction_moves_nothing():
    """One row, its slope held at zero by the lasso: any intercept below -1 will do."""
    objective = penalized(Hinge(np.array([[-1.0]]), np.zeros(1)), 0.3, 0.03)
    found = optimum(objective)
    assert found.theta[0] == 0.0
    assert found.theta[1] <= -1.0
    assert found.value == 0.0
    assert "settle" not in found.reason


def test_the_interior_point_does_not_go_round_in_circles():
    """Here Mehrotra's corrector alone comes back to where it was every four steps."""
    loss = LOSSES["cross-entropy-smoothed"].problem(n=4, p=4, seed=561, weighted=True)
    objective = penalized(replace(loss, X=np.round(loss.X)), 0.3, 0.03)
    assert objective.subgradient_norm(optimum(objective).theta) < 1e-14


def test_a_degenerate_corner_of_the_piecewise_program():
    """All rows on their kink: more equations than unknowns, all of them true."""
    A = np.column_stack([np.arange(6.0), np.ones(6)])
    found = Piecewise(A, A @ [2.0, 1.0], -np.ones(6), np.ones(6), np.zeros(6), np.zeros((2, 2)), np.zeros(2)).corner()
    assert found.settled
    assert found.x == pytest.approx([2.0, 1.0], rel=1e-14)


def medians(x, y):
    """Least mean absolute error of a line: through two of the points."""
    return min(
        (np.abs(y - (a := (y[i] - (b := (y[i] - y[j]) / (x[i] - x[j])) * x[i])) - b * x).mean(), a, b)
        for i in range(len(x))
        for j in range(i)
        if x[i] != x[j]
    )


@pytest.mark.parametrize("shift", [0.0, 1e6, 1e12])
def test_targets_far_from_zero_keep_their_slope(shift):
    g = np.random.default_rng(0)
    x = g.normal(size=20)
    y = shift + np.round(1.0 + 2.0 * x + g.normal(size=20), 2)
    found = optimum(Objective.plain(Absolute(x[:, None], y)))
    loss, _, slope = medians(x, y)
    assert found.theta[0] == pytest.approx(slope, rel=1e-9)
    assert found.value == pytest.approx(loss, abs=1e-15 * shift + 1e-12)


def test_an_outlier_takes_no_digits():
    g = np.random.default_rng(0)
    x = g.normal(size=20)
    y = 1.0 + 2.0 * x + g.normal(size=20)
    y[3] = 1e9
    found = optimum(Objective.plain(Absolute(x[:, None], y)))
    loss, at, slope = medians(x, y)
    assert found.theta == pytest.approx([slope, at], rel=1e-12)
    assert (found.value, found.digits > 14) == (pytest.approx(loss, rel=1e-14), True)
