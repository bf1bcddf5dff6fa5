"""Logistic regression of many rows against statsmodels, scikit-learn and sums in longer arithmetic."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

from sightline.double_double import Pair
from sightline.linear import blocks
from sightline.linear.classes import many, passes
from sightline.linear.classes.basis import precise_size
from sightline.linear.classes.many import fit_of_many
from sightline.linear.classes.softmax import logistic_optimum

N, P = 30_000, 40


def table(kind="plain", n=N, p=P):
    """Columns and classes of that kind."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, p))
    slopes, bias = rng.normal(size=p) * 0.3, 0.5
    if kind == "ill-conditioned":
        X[:, 1] = X[:, 0] + 1e-5 * X[:, 1]
    if kind == "far":
        X = 1e4 + X
        bias = -1e4 * slopes.sum()
    if kind == "of all sizes":
        size = np.logspace(-6, 6, p)
        X, slopes = X * size, slopes / size
    if kind == "unbalanced":
        bias = -6.5
    if kind == "heavy tails":
        X = rng.standard_t(2.5, size=(n, p))
    chance = 1.0 / (1.0 + np.exp(-(X @ slopes + bias)))
    y = (rng.random(n) < chance).astype(np.int64)
    order = np.arange(n)
    if kind == "sorted by class":
        order = np.argsort(y, kind="stable")
    if kind == "sorted by a column":
        order = np.argsort(X[:, 0])
    X, y = X[order], y[order]
    if kind == "periodic":  # every 61st row and every 11th are of one class
        one, rest = X[y == 1], X[y == 0]
        at = np.flatnonzero((np.arange(n) % 61 == 0) | (np.arange(n) % 11 == 0))[: len(one)]
        others = np.setdiff1d(np.arange(n), at)
        y = np.zeros(n, np.int64)
        y[at] = 1
        X = np.empty_like(X)
        X[at], X[others] = one[: len(at)], np.concatenate([rest, one[len(at) :]])
        y[others[len(rest) :]] = 1
    return X, y


KINDS = [
    "plain", "ill-conditioned", "far", "of all sizes", "unbalanced", "heavy tails", "sorted by class",
    "sorted by a column", "periodic",
]  # fmt: skip


def gradient(X, y, coefficients, weight=None, l2=0.0):
    """Of the objective per row in long doubles, divided by the sizes of its terms."""
    Z = np.column_stack([X, np.ones(len(y))]).astype(np.longdouble)
    theta = coefficients.hi[:, 0].astype(np.longdouble) + coefficients.lo[:, 0]
    w = np.ones(len(y)) if weight is None else weight
    r = w * (1 / (1 + np.exp(-(Z @ theta))) - y)
    pull = np.append(l2 * w.sum() * theta[:-1], 0.0)
    return np.abs(Z.T @ r + pull) / (np.abs(Z).T @ np.abs(r))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_rows_has_the_maximum_of_statsmodels(kind):
    X, y = table(kind)
    fit = fit_of_many(X, y, intercept=True, weight=None, l2=0.0)
    assert fit is not None
    assert not precise_size(*X.shape)
    Q, R = np.linalg.qr(np.column_stack([(X - X.mean(0)) / X.std(0), np.ones(N)]))
    Q, R = Q * np.sqrt(N), R / np.sqrt(N)
    reference = sm.Logit(y, Q).fit(method="newton", maxiter=100, tol=1e-12, disp=0)
    back = np.linalg.inv(R)
    back[:-1] /= X.std(0)[:, None]
    back[-1] -= X.mean(0) @ back[:-1]
    want = back @ np.asarray(reference.params)
    off = np.abs(fit.coefficients.hi[:, 0] - want)
    assert (off <= 1e-9 * np.abs(want) + 1e-7 * fit.std_errors.hi[:, 0]).all()
    errors = np.sqrt(np.diag(back @ np.asarray(reference.cov_params()) @ back.T))
    assert fit.std_errors.hi[:, 0] == pytest.approx(errors, rel=1e-5)
    assert fit.log_likelihood == pytest.approx(reference.llf, rel=1e-12)
    count = np.bincount(y)
    assert fit.null_log_likelihood == pytest.approx(float(count @ np.log(count / N)), rel=1e-13)
    chance = 1.0 / (1.0 + np.exp(-(Q @ np.asarray(reference.params))))
    assert fit.probabilities[:, 1] == pytest.approx(chance, rel=1e-6, abs=1e-12)
    assert fit.probabilities.sum(axis=1) == pytest.approx(np.ones(N), abs=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_its_gradient_vanishes_to_the_last_digits(kind):
    X, y = table(kind)
    fit = fit_of_many(X, y, intercept=True, weight=None, l2=0.0)
    assert gradient(X, y, fit.coefficients).max() < 1e-13 * (1e4 if kind == "far" else 1.0)
    assert fit.digits > (7.0 if kind == "ill-conditioned" else 9.0)


def test_its_digits_are_there_in_the_answer_of_double_double():
    """Few enough rows for 31 digits beside the passes in float64."""
    for kind in ("plain", "ill-conditioned", "unbalanced", "of all sizes"):
        X, y = table(kind, n=15_000, p=20)
        fit = fit_of_many(X, y, intercept=True, weight=None, l2=0.0)
        exact = logistic_optimum(Pair.of(X), y)
        assert exact.digits > 20
        off = np.abs((exact.coefficients - fit.coefficients).hi)
        assert (off <= fit.error).all()
        assert (fit.error <= 1e-4 * fit.std_errors.hi).all()
        assert fit.std_errors.hi == pytest.approx(exact.std_errors.hi, rel=1e-8)
        assert fit.condition == pytest.approx(exact.condition, rel=0.05)


def test_case_weights_and_a_penalty_are_those_of_scikit_learn():
    X, y = table()
    weight, l2 = np.random.default_rng(1).integers(1, 5, N).astype(float), 0.02
    fit = fit_of_many(X, y, intercept=True, weight=weight, l2=l2)
    reference = LogisticRegression(C=1.0 / (l2 * weight.sum()), solver="newton-cholesky", tol=1e-13, max_iter=100)
    reference.fit(X, y, sample_weight=weight)
    assert fit.coefficients.hi[:, 0] == pytest.approx(np.append(reference.coef_[0], reference.intercept_), rel=1e-8)
    assert gradient(X, y, fit.coefficients, weight, l2).max() < 1e-13


@pytest.mark.parametrize("l2", [1e-14, 1e-8])
def test_a_small_penalty_on_nearly_dependent_columns_keeps_its_digits(l2):
    X, y = table("ill-conditioned", n=15_000, p=20)
    assert fit_of_many(X, y, intercept=True, weight=None, l2=l2) is None
    assert fit_of_many(X, y, intercept=True, weight=None, l2=0.1) is not None


def test_repeated_rows_are_their_weights_and_there_may_be_no_intercept():
    X, y = table()
    weight = np.random.default_rng(1).integers(1, 3, N)
    for intercept in (True, False):
        fit = fit_of_many(X, y, intercept=intercept, weight=weight.astype(float), l2=0.0)
        again = fit_of_many(X.repeat(weight, axis=0), y.repeat(weight), intercept=intercept, weight=None, l2=0.0)
        assert fit.coefficients.hi == pytest.approx(again.coefficients.hi, rel=1e-11)
        assert fit.std_errors.hi == pytest.approx(again.std_errors.hi, rel=1e-11)
        assert fit.log_likelihood == pytest.approx(again.log_likelihood, rel=1e-12)
        assert len(fit.coefficients) == P + intercept


def test_separated_rows_and_dependent_columns_are_left_to_the_careful_way():
    X, y = table()
    assert fit_of_many(X, (X[:, 0] > 0.0).astype(np.int64), intercept=True, weight=None, l2=0.0) is None
    assert logistic_optimum(Pair.of(X), (X[:, 0] > 0.0).astype(np.int64)).separation.kind == "complete"
    doubled = np.column_stack([X, X[:, 0]])
    assert fit_of_many(doubled, y, intercept=True, weight=None, l2=0.0) is None


def test_one_row_on_the_wrong_side_is_enough_for_a_maximum_and_is_not_missed():
    """All but a few rows are separated, so samples have no maximum."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(N, P))
    y = (X[:, 0] + 0.02 * rng.normal(size=N) > 0.0).astype(np.int64)
    fit = fit_of_many(X, y, intercept=True, weight=None, l2=0.0)
    assert fit is not None
    assert gradient(X, y, fit.coefficients).max() < 1e-12


@pytest.mark.parametrize("kind", ["plain", "unbalanced", "ill-conditioned", "sorted by class"])
def test_passes_over_the_rows_do_not_grow_with_them(monkeypatch, kind):
    """About eight: one or two for the Hessian, four to six for the gradient, two at the end."""
    seen, plain = [], passes.summed

    def counting(leaf, space, **about):
        seen.append(about["rows"])
        return plain(leaf, space, **about)

    monkeypatch.setattr(passes, "summed", counting)
    for n in (N, 8 * N):
        seen.clear()
        X, y = table(kind, n=n)
        assert fit_of_many(X, y, intercept=True, weight=None, l2=0.0) is not None
        assert sum(seen) <= 14 * n


def test_the_bits_do_not_depend_on_threads(monkeypatch):
    X, y = table()
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(blocks, "workers", lambda count=count: count)
        fit = fit_of_many(X, y, intercept=True, weight=None, l2=0.0)
        found.append((fit.coefficients.hi.tobytes(), fit.std_errors.hi.tobytes(), fit.log_likelihood))
    assert found[0] == found[1] == found[2]


def test_rows_are_not_copied():
    X, y = table(n=4 * N)
    fit_of_many(X[:N], y[:N], intercept=True, weight=None, l2=0.0)  # what is loaded on the first call
    tracemalloc.start()
    fit_of_many(X, y, intercept=True, weight=None, l2=0.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 3


def test_the_correction_of_an_older_hessian_is_exact_on_a_quadratic():
    """q pairs of steps and changes of a quadratic give its own inverse, as BFGS does."""
    rng = np.random.default_rng(3)
    A = rng.normal(size=(6, 6))
    H = A @ A.T + np.eye(6)
    theta, descent = rng.normal(size=6), many._Descent(np.linalg.cholesky(np.diag(np.diag(H))))
    for _ in range(40):
        delta = descent.step(H @ theta)
        delta *= float(delta @ H @ theta) / float(delta @ H @ delta)  # the exact minimum along it
        descent, theta = descent.knowing(-delta, -H @ delta), theta - delta
        if math.sqrt(theta @ theta) < 1e-12:
            break
    assert len(descent.pairs) <= 8
    g = rng.normal(size=6)
    assert descent.step(g) == pytest.approx(np.linalg.solve(H, g), rel=1e-5)
