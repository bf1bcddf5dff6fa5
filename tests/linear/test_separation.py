"""Separated classes: the direction is checked by hand, the limit against small penalties and the rows that remain."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from tests.linear.real_data import learning

from sightline.double_double import Pair
from sightline.linear.classes.softmax import softmax_optimum

INF, NAN = float("inf"), float("nan")
GRID = np.random.default_rng(0).integers(-5, 6, (40, 3)).astype(float)


def columns(*values):
    return np.column_stack(values).astype(float)


def separated(X, codes, classes=2, *, intercept=True):
    """The fit, after a look at its direction: no row on the wrong side, `overlap` rows with a margin of zero."""
    fit = softmax_optimum(Pair.of(X), codes, classes, intercept=intercept)
    s, p = fit.separation, X.shape[1]
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X
    eta = np.column_stack([np.zeros(len(Z)), Z @ s.direction])
    rounding = 8 * np.finfo(float).eps * (np.abs(Z) @ np.abs(s.direction)).max()
    own, others = np.asarray(codes)[:, None], np.arange(classes) != np.asarray(codes)[:, None]
    lead = (np.take_along_axis(eta, own, axis=1) - eta)[others].reshape(len(Z), -1)
    assert lead.min() >= -rounding
    assert lead.max() > rounding
    assert s.overlap == (lead <= rounding).any(axis=1).sum()
    assert s.kind == ("quasi" if s.overlap else "complete")
    assert np.abs(s.direction[:p]).max() == 1.0
    assert s.columns == tuple(np.flatnonzero(s.direction[:p].any(axis=1)).tolist())
    assert fit.log_likelihood == s.log_likelihood
    return fit


def test_one_column_completely():
    x = columns(np.arange(8))
    fit = separated(x, [0] * 4 + [1] * 4)
    assert fit.separation.kind == "complete"
    np.testing.assert_array_equal(fit.separation.direction, [[1.0], [-3.5]])
    np.testing.assert_array_equal(fit.coefficients.hi, [[INF], [-INF]])
    assert np.isnan(fit.std_errors.hi).all()
    assert fit.log_likelihood == 0.0
    np.testing.assert_array_equal(fit.probabilities, np.eye(2)[[0] * 4 + [1] * 4])


def test_one_column_with_ties():
    """Three rows of the same x = 3, one of them of class 1: the limit gives them 1/3 each."""
    x, y = columns([0, 1, 2, 3, 3, 3, 4, 5]), [0, 0, 0, 0, 1, 0, 1, 1]
    fit = separated(x, y)
    assert (fit.separation.kind, fit.separation.overlap) == ("quasi", 3)
    np.testing.assert_allclose(fit.separation.direction, [[1.0], [-3.0]], rtol=1e-14)
    assert fit.log_likelihood == pytest.approx(2 * np.log(2 / 3) + np.log(1 / 3), rel=1e-14)
    np.testing.assert_allclose(fit.probabilities[3:6, 1], 1 / 3, rtol=1e-14)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1e6, 1e-3), (-7.0, 1e9)])
def test_a_sum_of_two_columns(shift, scale):
    """Neither column separates alone; the third takes no part, and any value of it has the same limit."""
    X, y = shift + scale * GRID, (GRID[:, 0] + GRID[:, 1] > 0.5).astype(int)
    fit = separated(X, y)
    assert (fit.separation.kind, fit.separation.columns) == ("complete", (0, 1))
    np.testing.assert_array_equal(fit.coefficients.hi[:2].ravel(), [INF, INF])
    assert np.isnan(fit.coefficients.hi[2, 0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_dummy_of_one_class_only(sign):
    """All rows with the dummy are of class 1: its coefficient is infinite, the others are those of the other rows."""
    d = sign * np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    z, y = np.arange(1.0, 11.0), np.array([0, 1, 0, 1, 1, 1, 1, 1, 0, 1])
    fit = separated(columns(d, z), y)
    rest = sm.Logit(y[d == 0], columns(z, np.ones(10))[d == 0]).fit(method="newton", tol=1e-13, disp=False)
    assert (fit.separation.kind, fit.separation.overlap, fit.separation.columns) == ("quasi", 7, (0,))
    assert fit.coefficients.hi[0, 0] == sign * INF
    np.testing.assert_allclose(fit.coefficients.hi[1:, 0], rest.params, rtol=1e-12)
    np.testing.assert_allclose(fit.std_errors.hi[:, 0], [NAN, *rest.bse], rtol=1e-12)
    assert fit.log_likelihood == pytest.approx(rest.llf, rel=1e-13)
    assert fit.digits > 25


def test_one_class_of_three():
    """Setosa is apart from the other two, which are fitted against each other as if it were not there."""
    iris = learning("iris")
    X, y = iris[["petal_length"]].to_numpy(), iris.target.to_numpy()
    fit = separated(X, y, 3)
    rest = sm.Logit(y[y > 0] - 1, columns(X, np.ones(150))[y > 0]).fit(method="newton", tol=1e-13, disp=False)
    assert fit.separation.pairs == fit.separation.whole_pairs == ((0, 1), (0, 2))
    assert fit.log_likelihood == pytest.approx(rest.llf, rel=1e-13)
    contrast = np.zeros((2, 2, 2))
    contrast[[0, 1], [0, 1], 1], contrast[[0, 1], [0, 1], 0] = 1.0, -1.0
    np.testing.assert_allclose(fit.estimate(contrast).hi, rest.params, rtol=1e-11)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance(contrast))), rest.bse, rtol=1e-11)


def test_one_pair_of_three_in_part():
    """Only classes 0 and 1 have rows on either side of a dummy; class 2 has both values."""
    rng = np.random.default_rng(5)
    d, y = np.repeat([0, 1], 45), np.concatenate([np.repeat([0, 2], [30, 15]), np.repeat([1, 2], [25, 20])])
    X = columns(d, rng.standard_normal(90))
    fit = separated(X, y, 3)
    assert (0, 1) in fit.separation.whole_pairs
    # where d = 0 only classes 0 and 2 are left, where d = 1 only 1 and 2; both have a slope and an intercept
    limits = [
        sm.Logit(y[d == v] == 2, columns(X[:, 1], np.ones(90))[d == v]).fit(tol=1e-13, disp=False) for v in (0, 1)
    ]
    assert fit.log_likelihood == pytest.approx(sum(f.llf for f in limits), rel=1e-12)


@pytest.mark.parametrize("name", ["sum of two", "ties", "three classes"])
def test_the_limit_is_that_of_small_penalties(name):
    """The penalized likelihood comes to the limit from below, as 1e-12 times the squared size of the coefficients."""
    iris = learning("iris")
    X, y, classes = {
        "sum of two": (GRID, (GRID[:, 0] + GRID[:, 1] > 0.5).astype(int), 2),
        "ties": (GRID[:, :2], np.where(GRID[:, 0] == 0, GRID[:, 1] > GRID[:, 2], GRID[:, 0] > 0).astype(int), 2),
        "three classes": (iris[["sepal_length", "sepal_width"]].to_numpy(), iris.target.to_numpy(), 3),
    }[name]
    limit, near = separated(X, y, classes), softmax_optimum(Pair.of(X), y, classes, l2=1e-12)
    assert near.separation.kind == limit.separation.kind
    assert near.log_likelihood < limit.log_likelihood
    assert near.log_likelihood == pytest.approx(limit.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(near.probabilities, limit.probabilities, atol=1e-6)
    assert np.isfinite(near.coefficients.hi).all()


def test_no_intercept():
    """A hyperplane through the origin: -x and x apart, while 1 + x would need an intercept."""
    x = columns([-3, -2, -1, 1, 2, 3])
    y = [0, 0, 0, 1, 1, 1]
    assert separated(x, y, intercept=False).separation.kind == "complete"
    assert softmax_optimum(Pair.of(x + 10), y, 2, intercept=False).separation is None
    assert separated(x + 10, y).separation.kind == "complete"


def test_nearly_separated_is_not():
    """One row a millionth on the wrong side: a large finite slope, at which the two rows' pull of 1e-6 balances."""
    x = np.arange(20.0)
    x[9] = 10 + 1e-6
    y = (np.arange(20) > 9.5).astype(int)
    fit = softmax_optimum(Pair.of(x[:, None]), y, 2)
    assert fit.separation is None
    slope, bias = fit.coefficients.hi.ravel().tolist()
    P = 1 / (1 + np.exp(-(slope * (x - 10) + (bias + 10 * slope))))
    assert 14 < slope < 15
    np.testing.assert_allclose([(y - P) @ (x - 10), (y - P).sum()], 0.0, atol=1e-11)
    assert fit.digits > 20
    x[9] = 10.0
    assert separated(x[:, None], y).separation.kind == "quasi"
    x[9] = 10 - 1e-9
    assert separated(x[:, None], y).separation.kind == "complete"


def test_low_parts_decide():
    """In double precision the columns are ties; their low parts overlap, are equal, or separate."""
    low = 1e-20 * np.arange(6.0)
    y = np.array([0, 0, 0, 1, 1, 1])
    kinds = []
    for order in ([0, 1, 2, 3, 4, 5], [0, 1, 3, 2, 4, 5], [0, 1, 2, 2, 4, 5]):
        fit = softmax_optimum(Pair.of(np.ones((6, 1)), low[order][:, None]), y, 2)
        kinds.append(None if fit.separation is None else fit.separation.kind)
    assert kinds == ["complete", None, "quasi"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_separation_is_found_exactly_where_a_linear_program_finds_it(seed):
    """Small whole numbers: max Σ c'd over 0 <= c'd <= 1 is zero if and only if the classes overlap (Konis 2007)."""
    rng = np.random.default_rng(seed)
    n, classes, p = rng.integers(6, 20), rng.integers(2, 4), rng.integers(1, 3)
    X = rng.integers(-2, 3, (n, p)).astype(float)
    y = rng.permutation(np.append(np.arange(classes), rng.integers(0, classes, n - classes)))
    Z = np.column_stack([X, np.ones(n)])
    if np.linalg.matrix_rank(Z) < p + 1:
        return
    C = np.array(
        [
            np.kron(np.eye(classes)[y[i]] - np.eye(classes)[k], Z[i])[p + 1 :]
            for i in range(n)
            for k in range(classes)
            if k != y[i]
        ]
    )
    found = linprog(-C.sum(axis=0), A_ub=np.vstack([C, -C]), b_ub=np.repeat([1.0, 0.0], len(C)), bounds=(None, None))
    fit = softmax_optimum(Pair.of(X), y, classes)
    assert (fit.separation is not None) == (-found.fun > 1e-7)
    if fit.separation is not None:
        separated(X, y, classes)
