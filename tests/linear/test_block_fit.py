"""Diagnostics of rows that are read block by block: those of rows in memory, to rounding, on any size of blocks."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from sightline.linear import blocks, specification_blocks
from sightline.linear.block_fit import BlockFit
from sightline.linear.crossval import leave_one_out
from sightline.linear.exact import least_squares
from sightline.linear.influence import influence_of
from sightline.linear.influence_blocks import influence_of_blocks, left_out_of_blocks
from sightline.linear.projection import Projection
from sightline.linear.residual_sums import ResidualSums
from sightline.linear.specification import specification_tests
from sightline.linear.specification_blocks import specification_tests_of_blocks
from sightline.linear.triangle import rows_factor

N = 700


@pytest.fixture(params=[1, 7, 64, 3072], autouse=True)
def block(request, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", request.param)
    return request.param


def columns(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 4))
    X[:, 3] = rng.integers(3, size=N)
    y = X @ [1.0, -2.0, 0.5, 0.0] + (1.0 + np.abs(X[:, 0])) * rng.standard_t(5, size=N)
    return X, y, rng.uniform(0.2, 3.0, N)


def shift(X):
    X[:, 0] += 30.0


def far(X):
    X[17, 1] = 900.0  # a leverage near 1


def alone(X):
    X[:, 2] = 0.0
    X[60, 2] = 3.0  # a column of one row


def repeated(X):
    X[:, 3] = X[:, 0] - 2.0 * X[:, 1]


CASES = {"plain": lambda _: None, "shift": shift, "far": far, "alone": alone, "repeated": repeated}


def fits(X, y, weight=None, *, intercept=True, factor=False):
    """The projection of rows in memory, its fitted values, and the fit by blocks."""
    exact = least_squares(X, y, intercept=intercept, weight=weight)
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X
    fitted = Z @ exact.theta
    projection = Projection.of(Z, y - fitted, rank=exact.rank, weight=weight)
    R = None
    if factor:
        R = np.roll(rows_factor(X, None if weight is None else weight / weight.mean()), -1, axis=1)
    by_block = BlockFit.of(X, y, exact.theta, rank=exact.rank, weight=weight, R=R)
    return projection, fitted, by_block


def same_tests(found, want):
    for one, other in zip(found, want, strict=True):
        assert (one.name, one.df, one.reason) == (other.name, other.df, other.reason)
        if other.statistic is None:
            assert one.statistic is one.p is None
            continue
        assert one.statistic == pytest.approx(other.statistic, rel=1e-9)
        assert one.p == pytest.approx(other.p, rel=1e-8, abs=1e-300)
        assert one.details == pytest.approx(other.details, rel=1e-9, abs=1e-12)


def same_influence(found, want):
    np.testing.assert_array_equal(found.row, want.row)
    for name, values in vars(want).items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-8, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_blocks_are_as_rows_in_memory(case, weighted, intercept):
    X, y, weight = columns()
    CASES[case](X)
    C = np.eye(4 + intercept)[:3]
    projection, fitted, fit = fits(X, y, weight if weighted else None, intercept=intercept)
    assert (fit.rank, fit.df, fit.rows) == (projection.rank, projection.df, projection.rows)
    assert fit.has_constant == projection.has_constant
    same_tests(specification_tests_of_blocks(fit), specification_tests(projection, fitted))
    same_influence(influence_of_blocks(fit, C, most=25), influence_of(projection, C).largest(25))
    want = leave_one_out(projection, weight=weight if weighted else None).residual
    np.testing.assert_allclose(left_out_of_blocks(fit), want, rtol=1e-9, atol=1e-11)


def test_a_factor_that_is_known_saves_none_of_the_digits():
    X, y, weight = columns(1)
    for w in (None, weight):
        projection, fitted, fit = fits(X, y, w, factor=True)
        same_tests(specification_tests_of_blocks(fit), specification_tests(projection, fitted))
        same_influence(influence_of_blocks(fit, most=9), influence_of(projection).largest(9))


def test_rows_that_fix_coefficients_and_residuals_in_one_row():
    """Several rows with leverage 1 or nearly so, and one row that holds nearly all of Σ r²."""
    X, y, _ = columns(2)
    X[:, 2:] = 0.0
    X[5, 2], X[300, 2], X[640, 3] = 1.0, 1e-4, 2.0
    y[450] = 1e6
    projection, fitted, fit = fits(X, y)
    same_influence(influence_of_blocks(fit, most=N), influence_of(projection).largest(N))
    found = left_out_of_blocks(fit)
    assert np.flatnonzero(np.isnan(found)).tolist() == [640]
    np.testing.assert_allclose(found, leave_one_out(projection).residual, rtol=1e-8)
    same_tests(specification_tests_of_blocks(fit), specification_tests(projection, fitted))


def test_what_says_nothing_about_errors():
    X, y, _ = columns(3)
    for rows, target in ((X[:5], y[:5]), (X, X @ [1.0, 2.0, 3.0, 4.0]), (X[:, :0], np.full(N, 3.0))):
        projection, fitted, fit = fits(rows, target)
        tests = specification_tests_of_blocks(fit)
        same_tests(tests, specification_tests(projection, fitted))
        assert all(test.reason for test in tests)
    projection, fitted, fit = fits(X[:, :0], y)  # the mean alone
    same_tests(specification_tests_of_blocks(fit), specification_tests(projection, fitted))
    same_influence(influence_of_blocks(fit, most=5), influence_of(projection).largest(5))


def test_products_that_are_too_many_are_left_out(monkeypatch):
    X, y, _ = columns(4)
    projection, fitted, fit = fits(X, y)
    monkeypatch.setattr(specification_blocks, "MOST_PRODUCTS", 14)
    tests, want = specification_tests_of_blocks(fit), specification_tests(projection, fitted)
    assert tests[2].reason == "5 columns have 15 squares and products, too many for rows read in blocks"
    same_tests(tests[:2] + tests[3:], want[:2] + want[3:])


def test_sums_of_residuals_are_those_of_exact_arithmetic(block):
    rng = np.random.default_rng(5)
    e, q = rng.normal(size=90) + 1e3, rng.normal(size=(90, 2))
    size = min(block, 64)
    sums = ResidualSums.of(q[:size], e[:size])
    for i in range(size, 90, size):
        sums = sums + ResidualSums.of(q[i : i + size], e[i : i + size])
    exact = [Fraction(v) for v in e.tolist()]
    mean = sum(exact) / 90
    for power, found in zip((2, 3, 4), sums.powers, strict=True):
        assert found == pytest.approx(float(sum((v - mean) ** power for v in exact)), rel=1e-11, abs=1e-9)
    steps = [b - a for a, b in pairwise(exact)]
    assert sums.steps == pytest.approx(float(sum(s * s for s in steps)), rel=1e-13)
    assert sums.lagged == pytest.approx(float(sum(a * b for a, b in pairwise(exact))), rel=1e-14)
    A = np.diag([1.0, *[2.0] * 88, 1.0]) - np.eye(90, k=1) - np.eye(90, k=-1)
    np.testing.assert_allclose(sums.gram, q.T @ A @ q, rtol=1e-12, atol=1e-12)
    assert sums.all_bends == pytest.approx(float(np.trace(q.T @ A @ A @ q)), rel=1e-12)
