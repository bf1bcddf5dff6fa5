"""Classes that thresholds of single columns tell apart, against linear programs."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.double_double import Pair
from sightline.linear.classes import problem
from sightline.linear.classes.problem import Problem
from sightline.linear.classes.softmax import softmax_optimum
from sightline.linear.classes.thresholds import threshold_direction
from sightline.linear.gram import gram_factor


def small(seed):
    """Rows of a few whole numbers, of which some tell classes apart, in one round or in several."""
    rng = np.random.default_rng(seed)
    n, p, K = int(rng.integers(20, 60)), int(rng.integers(1, 5)), int(rng.integers(2, 4))
    X = rng.integers(0, int(rng.integers(2, 5)), size=(n, p)).astype(float)
    codes = rng.integers(K, size=n)
    for _ in range(int(rng.integers(0, 4))):
        j, k, at = rng.integers(p), rng.integers(K), rng.integers(0, 3)
        codes[(X[:, j] > at) & (codes != k)] = k if rng.random() < 0.5 else codes[0]
    return X, codes, K


def is_fit(X, codes, K):
    Z = np.column_stack([X, np.ones(len(X))])
    return len(np.unique(codes)) == K and np.linalg.matrix_rank(Z) == Z.shape[1]


@pytest.mark.parametrize("seed", range(120))
def test_what_thresholds_find_is_what_linear_programs_find(seed, monkeypatch):
    X, codes, K = small(seed)
    if not is_fit(X, codes, K):
        codes[:K] = np.arange(K)
    if not is_fit(X, codes, K):
        X = np.column_stack([np.arange(len(X)) % 7.0, (np.arange(len(X)) * 3) % 5.0])
    want = softmax_optimum(Pair.of(X), codes, K)
    found = []
    monkeypatch.setattr(problem, "MOST_SEARCHED", 0)
    by_thresholds = Problem.by_thresholds
    monkeypatch.setattr(Problem, "by_thresholds", lambda self: found.append(by_thresholds(self)) or found[-1])
    fit = softmax_optimum(Pair.of(X), codes, K)
    assert (fit.separation is None) == (want.separation is None)
    assert fit.log_likelihood == pytest.approx(want.log_likelihood, abs=1e-9)
    np.testing.assert_array_equal(np.isnan(fit.std_errors.hi), np.isnan(want.std_errors.hi))
    known = np.isfinite(want.coefficients.hi)
    np.testing.assert_array_equal(np.isfinite(fit.coefficients.hi), known)
    np.testing.assert_allclose(fit.coefficients.hi[known], want.coefficients.hi[known], rtol=1e-9, atol=1e-9)
    if found[0] is not None:
        assert fit.separation.kind == want.separation.kind
        assert fit.separation.overlap == want.separation.overlap
        assert fit.separation.pairs == want.separation.pairs
        D, Z = fit.separation.direction, np.column_stack([X, np.ones(len(X))])
        eta = np.column_stack([np.zeros(len(Z)), Z @ D])
        margin = np.take_along_axis(eta, codes[:, None], axis=1) - eta
        assert margin.min() > -1e-9
        assert (margin > 1e-9).any()


def test_there_are_cases_of_each_kind(monkeypatch):
    """Some that no threshold separates, some that thresholds separate, and of these some that they solve."""
    kinds, solved = [], []
    monkeypatch.setattr(problem, "MOST_SEARCHED", 0)
    by_thresholds = Problem.by_thresholds
    monkeypatch.setattr(Problem, "by_thresholds", lambda self: solved.append(by_thresholds(self)) or solved[-1])
    for seed in range(120):
        X, codes, K = small(seed)
        if is_fit(X, codes, K):
            Z = np.column_stack([X, np.ones(len(X))])
            kinds.append(threshold_direction(Z, codes, K, intercept=True))
            softmax_optimum(Pair.of(X), codes, K)
    assert sum(kind is None for kind in kinds) > 10
    assert sum(kind is not None for kind in kinds) > 30
    assert sum(fit is not None for fit in solved) > 25


def test_rounds_count_less_the_later_they_are():
    """The second column tells apart what the first leaves at zero, against what that has told apart."""
    Z = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 5.0, 1.0], [1.0, -5.0, 1.0]])
    codes = np.array([0, 1, 0, 1, 1])
    direction, apart = threshold_direction(Z, codes, 2, intercept=True)
    assert apart[np.arange(5), 1 - codes].all()
    margin = (Z @ direction).ravel() * np.where(codes == 1, 1.0, -1.0)
    assert (margin > 0.0).all()


def test_without_ones_a_threshold_is_zero():
    Z = np.array([[1.0], [2.0], [3.0]])
    codes = np.array([0, 1, 1])
    assert threshold_direction(Z, codes, 2, intercept=False) is None
    direction, apart = threshold_direction(Z - 2.0, codes, 2, intercept=False)
    assert direction.ravel().tolist() == [2.0]
    assert apart.tolist() == [[False, True], [False, False], [True, False]]


class Squared(np.ndarray):
    """An array that adds up its own products."""

    leaf = 100

    def squares(self, weights, count):
        Z = np.column_stack([self, np.ones(len(self))])
        each = weights(slice(0, len(self)), self)
        return np.array([(Z * each[:, [k]]).T @ Z for k in range(count)])


def test_a_factor_of_products_where_they_tell_the_rank():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4)) * [1.0, 100.0, 1e-3, 1.0] + [0.0, 50.0, 0.0, 3.0]
    Z = np.column_stack([X, np.ones(500)])
    w = rng.uniform(0.5, 2.0, 500)
    R = gram_factor(X.view(Squared), w, intercept=True)
    np.testing.assert_allclose(R.T @ R, (Z * w[:, None]).T @ Z, rtol=1e-10, atol=1e-12)
    again = np.column_stack([X, X[:, 0] + 2.0 * X[:, 3] - 1.0])
    R = gram_factor(again.view(Squared), None, intercept=True)
    assert (np.abs(R).max(axis=1) > 0).sum() == 5
    null = np.array([1.0, 0.0, 0.0, 2.0, -1.0, -1.0])
    assert np.abs(R @ null).max() < 1e-6
    near = np.column_stack([X, X[:, 0] + 1e-6 * rng.normal(size=500)])
    assert gram_factor(near.view(Squared), None, intercept=True) is None
    nearer = np.column_stack([X, X[:, 0] + 1e-8 * rng.normal(size=500)])
    assert gram_factor(nearer.view(Squared), None, intercept=True) is None
    few = np.where(np.arange(500) % 2 == 0, 1.0, 0.0)
    X[:, 0] = few
    R = gram_factor(X.view(Squared), 1.0 - few, intercept=True)  # zero on every row that counts
    assert (np.abs(R).max(axis=1) > 0).sum() == 4


def fitted(X, codes, weight=None):
    return softmax_optimum(Pair.of(X), codes, 2, weight=weight)


def test_columns_that_are_zero_on_the_rows_that_are_left(monkeypatch):
    """Every row with a one in it is of class 1, so the intercept is that of the rows without: ln 2."""
    monkeypatch.setattr(problem, "MOST_SEARCHED", 0)
    X = np.array([[0, 0], [1, 1], [0, 0], [0, 0], [1, 1], [1, 1], [1, 0], [1, 1.0]])
    fit = fitted(X, np.array([0, 1, 1, 1, 1, 1, 1, 1]))
    assert fit.coefficients.hi[2, 0] == pytest.approx(np.log(2.0), rel=1e-12)
    assert fit.std_errors.hi[2, 0] == pytest.approx(np.sqrt(1.5), rel=1e-12)
    assert not np.isfinite(fit.coefficients.hi[:2]).any()


def separated_by_a_group(n=200):
    rng = np.random.default_rng(0)
    group, x = np.arange(n) % 4 == 0, rng.normal(size=n).round(1)
    codes = np.where(group, 1, rng.random(n) < 1 / (1 + np.exp(-x))).astype(np.int64)
    return np.column_stack([group, x]), codes


@pytest.mark.parametrize("scale", [1e-20, 1e-16, 1e16, 1e20])
def test_the_scale_of_weights_does_not_matter(monkeypatch, scale):
    monkeypatch.setattr(problem, "MOST_SEARCHED", 0)
    X, codes = separated_by_a_group()
    plain, scaled = fitted(X, codes), fitted(X, codes, np.full(len(X), scale))
    assert plain.coefficients.hi[0, 0] == scaled.coefficients.hi[0, 0] == np.inf
    np.testing.assert_allclose(scaled.coefficients.hi[1:], plain.coefficients.hi[1:], rtol=1e-12)
    np.testing.assert_allclose(scaled.std_errors.hi[1:], plain.std_errors.hi[1:] / np.sqrt(scale), rtol=1e-12)


@pytest.mark.parametrize("mean", [1e3, 1e9, 1e10])
def test_an_infinite_intercept_stays_so_however_far_a_column_is(monkeypatch, mean):
    monkeypatch.setattr(problem, "MOST_SEARCHED", 0)
    X, codes = separated_by_a_group()
    other = np.column_stack([1.0 - X[:, 0], X[:, 1] + mean])
    fit = fitted(other, codes)
    assert fit.coefficients.hi[2, 0] == np.inf
    assert fit.coefficients.hi[0, 0] == -np.inf
    assert fit.coefficients.hi[1, 0] == pytest.approx(fitted(X, codes).coefficients.hi[1, 0], rel=1e-5)
