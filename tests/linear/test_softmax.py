"""The maximum of the likelihood against 50-digit arithmetic, statsmodels and scikit-learn, and its own error bound."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from tests.linear.high_precision import digits, maximum_likelihood, pairs
from tests.linear.real_data import MTCARS, learning, shipped

from sightline.double_double import Pair
from sightline.errors import DataError
from sightline.linear.classes import basis
from sightline.linear.classes.softmax import logistic_optimum, softmax_optimum


def table(frame, columns, target):
    return frame[columns].to_numpy(dtype=float), frame[target].to_numpy().astype(int)


def drawn(n, classes, p, *, seed=1):
    """Columns N(0, 1), classes by the multinomial logit of random coefficients."""
    rng = np.random.default_rng(seed)
    X, B = rng.standard_normal((n, p)), 0.8 * rng.standard_normal((p, classes))
    return X, (X @ B + rng.gumbel(size=(n, classes))).argmax(axis=1)


def nearly_collinear():
    """The second column is the first to seven digits."""
    U, y = drawn(80, 2, 2, seed=3)
    return np.column_stack([U[:, 0], U[:, 0] + 1e-7 * U[:, 1]]), y


def case(data, classes, **settings):
    return (*data, classes, settings)


def cases():
    iris, cancer, wine = learning("iris"), learning("breast_cancer"), learning("wine")
    two = iris[iris.target > 0].assign(target=lambda d: d.target - 1)
    X, y = drawn(60, 3, 2)
    w = np.random.default_rng(0).uniform(0.1, 9.0, 60)
    cars = np.column_stack([MTCARS["wt"], MTCARS["hp"]]), np.array(MTCARS["am"])
    return {
        "iris, two classes": case(table(two, ["sepal_length", "sepal_width"], "target"), 2),
        "iris, two classes, all columns": case(table(two, [c for c in two if c != "target"], "target"), 2),
        "iris, one column": case(table(iris, ["sepal_width"], "target"), 3),
        "iris, penalty": case(table(iris, ["sepal_width", "petal_length"], "target"), 3, l2=0.01),
        "wine": case(table(wine, ["malic_acid", "hue"], "target"), 3),
        "breast cancer": case(table(cancer, ["mean_radius", "mean_texture", "mean_smoothness"], "target"), 2),
        "spector": case(table(shipped("spector"), ["GPA", "TUCE", "PSI"], "GRADE"), 2),
        "mtcars": case(cars, 2),
        "mean 1e6": case((1e6 + X, y), 3),
        "mean 1e6, sd 0.001": case((1e6 + 1e-3 * X, y), 3),
        "sizes 1e-7 and 1e7": case((X * [1e-7, 1e7] + [0.0, 5e7], y), 3),
        "weights": case((X, y), 3, weight=w),
        "weights from 1e-8 to 1e8": case((X, y), 3, weight=10.0 ** np.random.default_rng(2).uniform(-8, 8, 60)),
        "penalty, two classes": case(drawn(60, 2, 2), 2, l2=0.3),
        "penalty and weights": case((7.0 + X, y), 3, l2=0.02, weight=w),
        "penalty of 1e-12": case((X, y), 3, l2=1e-12),
        "penalty of 1e6": case((X, y), 3, l2=1e6),
        "no intercept": case((X, y), 3, intercept=False),
        "no intercept, far columns": case((100.0 + X, y), 3, intercept=False),
        "four classes": case(drawn(60, 4, 1), 4),
        "nearly collinear": case(nearly_collinear(), 2),
    }


CASES = cases()


def compared(X, y, classes, options):
    fit = softmax_optimum(Pair.of(X), y, classes, **options)
    truth = maximum_likelihood(X, y, classes, start=fit.coefficients.hi.T.ravel(), **options)
    return fit, truth


@pytest.mark.parametrize("name", CASES)
def test_against_fifty_digits(name):
    """Double-double has 31 digits; of two columns that are equal in seven of them the difference has 24."""
    X, y, classes, options = CASES[name]
    fit, truth = compared(X, y, classes, options)
    right = min(digits(fit.coefficients, truth.coefficients))
    least = 24 if name == "nearly collinear" else 26
    assert right >= least
    assert min(digits(fit.std_errors, truth.std_errors)) >= least
    assert least - 5 < fit.digits <= right
    assert fit.log_likelihood == pytest.approx(float(truth.log_likelihood), rel=2e-15)


@pytest.mark.parametrize(
    "name", ["iris, two classes, all columns", "wine", "mean 1e6", "weights", "penalty and weights"]
)
def test_float64_where_the_rows_are_many(name, monkeypatch):
    """The arithmetic of more than one million entries, on few: 16 digits less what the sums of n rows lose."""
    monkeypatch.setattr(basis, "MOST_ENTRIES", 10)
    X, y, classes, options = CASES[name]
    fit, truth = compared(X, y, classes, options)
    right = min(digits(fit.coefficients, truth.coefficients))
    assert right >= 14
    assert min(digits(fit.std_errors, truth.std_errors)) >= 13
    assert 11 < fit.digits <= right


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_error_is_a_bound(seed):
    rng = np.random.default_rng(seed)
    n, classes, p = rng.integers(8, 25), rng.integers(2, 4), rng.integers(1, 3)
    X = rng.standard_normal((n, p)) * 10.0 ** rng.integers(-3, 4) + 10.0 ** rng.integers(0, 5)
    y = rng.permutation(np.append(np.arange(classes), rng.integers(0, classes, n - classes)))
    options = {
        "intercept": bool(rng.integers(2)),
        "l2": float(rng.choice([0.0, 0.1])),
        "weight": rng.uniform(0.1, 5.0, n) if rng.integers(2) else None,
    }
    fit = softmax_optimum(Pair.of(X), y, classes, **options)
    if fit.separation is not None and not options["l2"]:
        return
    truth = maximum_likelihood(X, y, classes, start=fit.coefficients.hi.T.ravel(), **options)
    for ours, exact, bound in zip(pairs(fit.coefficients), truth.coefficients, fit.error.T.ravel(), strict=True):
        assert abs(ours - exact) <= mp.mpf(float(bound))


def test_twenty_thousand_rows_against_statsmodels_and_scikit_learn():
    X, y = drawn(20_000, 3, 10)
    two = (y > 0).astype(int)
    fit = logistic_optimum(Pair.of(X), two)
    reference = sm.Logit(two, np.column_stack([X, np.ones(len(X))])).fit(method="newton", tol=1e-12, disp=False)
    np.testing.assert_allclose(fit.coefficients.hi.ravel(), reference.params, rtol=1e-9)
    np.testing.assert_allclose(fit.std_errors.hi.ravel(), reference.bse, rtol=1e-9)
    assert fit.log_likelihood == pytest.approx(reference.llf, rel=1e-12)
    X, y = X[:5000], y[:5000]
    penalized = softmax_optimum(Pair.of(X), y, 3, l2=0.05)
    theirs = LogisticRegression(C=1 / (0.05 * len(X)), tol=1e-10, solver="newton-cholesky").fit(X, y)
    differences = theirs.coef_[1:] - theirs.coef_[0]
    # it stops at a gradient of 1e-10 of the mean loss, whose curvature is at least the penalty
    np.testing.assert_allclose(penalized.coefficients.hi[:-1].T, differences, atol=1e-8)
    np.testing.assert_allclose(penalized.probabilities, theirs.predict_proba(X), atol=1e-8)


def test_weights_are_counts_and_scale():
    """A row of weight three is three rows; weights times a constant move standard errors only."""
    X, y, _, _ = CASES["wine"]
    count = 1 + np.arange(len(y)) % 3
    fit = softmax_optimum(Pair.of(X), y, 3, weight=count.astype(float))
    rows = softmax_optimum(Pair.of(np.repeat(X, count, axis=0)), np.repeat(y, count), 3)
    np.testing.assert_allclose(fit.coefficients.hi, rows.coefficients.hi, rtol=1e-14)
    np.testing.assert_allclose(fit.std_errors.hi, rows.std_errors.hi, rtol=1e-14)
    four = softmax_optimum(Pair.of(X), y, 3, weight=4.0 * count)
    np.testing.assert_allclose(four.coefficients.hi, fit.coefficients.hi, rtol=1e-14)
    np.testing.assert_allclose(2.0 * four.std_errors.hi, fit.std_errors.hi, rtol=1e-14)


def test_low_parts_of_columns_count():
    """Columns of pairs: 1e9 and what double precision would have rounded away."""
    X, y = drawn(50, 2, 1)
    fit = logistic_optimum(Pair.of(np.full_like(X, 1e9), 1e-9 * X), y)
    plain = logistic_optimum(Pair.of(1e-9 * X), y)
    np.testing.assert_allclose(fit.coefficients.hi[0], plain.coefficients.hi[0], rtol=1e-10)


def test_combinations_and_covariances():
    """The second class against the third is the difference of the two against the first."""
    X, y, _, _ = CASES["wine"]
    fit = softmax_optimum(Pair.of(X), y, 3)
    renamed = softmax_optimum(Pair.of(X), (y + 2) % 3, 3)  # class 1 is the first now, then 2, then 0
    c = np.zeros((3, 3, 2))
    c[range(3), range(3), 1], c[range(3), range(3), 0] = 1.0, -1.0
    np.testing.assert_allclose(fit.estimate(c).hi, renamed.coefficients.hi[:, 0], rtol=1e-13)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance(c))), renamed.std_errors.hi[:, 0], rtol=1e-13)
    everything = fit.covariance(np.eye(6).reshape(6, 3, 2))
    reference = sm.MNLogit(y, np.column_stack([X, np.ones(len(X))])).fit(method="newton", tol=1e-12, disp=False)
    ours = everything.reshape(3, 2, 3, 2).transpose(1, 0, 3, 2).reshape(6, 6)
    np.testing.assert_allclose(ours, reference.cov_params(), rtol=1e-8)


def test_a_constant_column_under_a_penalty_has_the_coefficient_zero():
    X, y = drawn(17, 3, 1)
    fit = softmax_optimum(Pair.of(np.column_stack([np.full(17, 100.0), X])), y, 3, l2=0.1)
    np.testing.assert_allclose(fit.coefficients.hi[0], 0.0, atol=1e-30)
    np.testing.assert_allclose(fit.std_errors.hi[0], 0.0, atol=1e-15)


def test_null_model():
    """With intercepts alone they are the log odds of the shares."""
    y = np.repeat([0, 1, 2], [10, 20, 50])
    fit = softmax_optimum(Pair.of(np.zeros((80, 0))), y, 3)
    np.testing.assert_allclose(fit.coefficients.hi, [np.log([2.0, 5.0])], rtol=1e-15)
    np.testing.assert_allclose(fit.std_errors.hi, [np.sqrt([1 / 10 + 1 / 20, 1 / 10 + 1 / 50])], rtol=1e-15)
    assert fit.log_likelihood == pytest.approx(fit.null_log_likelihood, rel=1e-15)


def test_errors_say_what_to_do():
    X, y = drawn(20, 2, 1)
    with pytest.raises(DataError, match=r"^class 2 has no rows: leave it out$"):
        softmax_optimum(Pair.of(X), y, 3)
    with pytest.raises(
        DataError, match=r"^only 2 of the 3 columns of the design are linearly independent on its 20 rows: leave"
    ):
        logistic_optimum(Pair.of(np.column_stack([X, np.ones(20)])), y)
