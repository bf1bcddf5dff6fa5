"""Cross-validation against the fits that it does without: scikit-learn's, our own QR, rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import LeaveOneOut as TheirLeaveOneOut
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from tests.real_data import cases, design, dummies, standardized

from sightline.errors import DataError, UsageError
from sightline.linear.crossval import cross_validate, leave_one_out
from sightline.linear.folds import assign_folds
from sightline.linear.projection import Projection

ENOUGH = [  # two rows for each coefficient in the rest of a fold
    (name, folds)
    for name, case in cases().items()
    for folds in (2, 5, 10)
    if len(case.y) * (folds - 1) // folds >= 2 * case.Z.shape[1]
]
PLAIN = [name for name, case in cases().items() if case.weight is None]


def theta(Z, y, weight=None):
    """Weighted least squares by QR with one step of refinement."""
    root = np.sqrt(np.ones(len(y)) if weight is None else weight)
    Q, R = np.linalg.qr(Z * root[:, None])
    found = np.linalg.solve(R, Q.T @ (y * root))
    return found + np.linalg.solve(R, Q.T @ ((y - Z @ found) * root))


def held_out(Z, y, fold, weight=None):
    """The residuals of each fold in a fit of all others."""
    residual = np.empty(len(y))
    for k in np.unique(fold):
        held = fold == k
        residual[held] = y[held] - Z[held] @ theta(Z[~held], y[~held], None if weight is None else weight[~held])
    return residual


# --- folds


@pytest.mark.parametrize(("name", "folds"), ENOUGH)
def test_every_fold_fitted_anew(name, folds):
    """To 1e-11 of the spread of y, weights or not: predictions lose κ eps, κ up to 350 of standardized columns here."""
    Z, y, weight = cases()[name]
    S = standardized(Z)[0]
    fold = assign_folds(len(y), folds, seed=1)
    found = cross_validate(S[:, :-1], y, fold, weight=weight)
    assert found.undetermined == 0
    expected = held_out(S, y, fold, weight)
    np.testing.assert_allclose(found.residual, expected, rtol=0, atol=1e-11 * y.std())
    w = np.ones(len(y)) if weight is None else weight
    assert found.mse == pytest.approx(mean_squared_error(y, y - expected, sample_weight=w), rel=1e-10)
    assert found.rmse == pytest.approx(math.sqrt(found.mse), rel=1e-15)
    assert found.r2 == pytest.approx(r2_score(y, y - expected, sample_weight=w), rel=1e-10, abs=1e-10)
    for k in range(folds):
        held = fold == k
        mse = np.average(expected[held] ** 2, weights=w[held]) if w[held].any() else np.nan
        assert found.fold_mse[k] == pytest.approx(mse, rel=1e-9, nan_ok=True)
    assert found.sizes.tolist() == np.bincount(fold).tolist()


@pytest.mark.parametrize("name", PLAIN)
def test_against_scikit_learn(name):
    Z, y, _ = cases()[name]
    X = standardized(Z)[0][:, :-1]
    fold = assign_folds(len(y), 5, seed=3)
    found = cross_validate(X, y, fold)
    theirs = cross_val_predict(LinearRegression(), X, y, cv=PredefinedSplit(fold))
    np.testing.assert_allclose(found.residual, y - theirs, rtol=0, atol=1e-10 * y.std())


def test_well_conditioned_folds_are_not_fitted_anew():
    Z, y, _ = cases()["diabetes"]
    fold = assign_folds(len(y), 10)
    assert cross_validate(Z[:, :-1], y, fold).refitted == ()


@pytest.mark.parametrize("far", [1e3, 1e8])
def test_columns_far_from_zero_lose_nothing(far):
    """Whole numbers far from zero are exact, and so are their differences from the common mean, to eps of those."""
    Z, y, _ = cases()["cars"]
    fold = assign_folds(50, 7)
    near, there = cross_validate(Z[:, :1], y, fold), cross_validate(Z[:, :1] + far, y, fold)
    np.testing.assert_allclose(there.residual, near.residual, rtol=0, atol=1e-15 * far * np.ptp(y) / np.ptp(Z[:, 0]))
    assert there.refitted == ()


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9])
def test_nearly_collinear_columns_are_fitted_anew(gap):
    """Products would keep κ² eps; QR keeps κ eps, and predictions far more than coefficients."""
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(2, 60))
    X, y = np.column_stack([x, x + gap * d]), x + rng.normal(size=60)
    fold = assign_folds(60, 6)
    found = cross_validate(X, y, fold)
    assert found.refitted == tuple(range(6))
    clean = np.column_stack([x, d, np.ones(60)])  # the same span, without the loss
    # x + gap d is rounded by eps x, which is eps / gap of d
    np.testing.assert_allclose(found.residual, held_out(clean, y, fold), rtol=0, atol=1e-14 / gap)


def test_a_category_in_one_fold_only_has_no_prediction():
    rng = np.random.default_rng(1)
    group = np.array(["a", "b"] * 14 + ["c", "c"])
    x, fold = rng.normal(size=30), np.arange(30) % 5
    fold[-2:] = 4
    X, y = np.column_stack([x, dummies(group)]), rng.normal(size=30)
    for columns in (X, (X - X.mean(axis=0)) / X.std(axis=0)):
        found = cross_validate(columns, y, fold)
        assert np.flatnonzero(np.isnan(found.residual)).tolist() == [28, 29]
        assert found.undetermined == 2
        assert 4 in found.refitted
        known = np.arange(28)
        expected = held_out(np.column_stack([x, group == "b", np.ones(30)])[known], y[known], fold[known])
        np.testing.assert_allclose(found.residual[fold == 4][:-2], expected[fold[known] == 4], atol=1e-12)
        assert found.mse == pytest.approx(float(np.mean(found.residual[known] ** 2)), rel=1e-12)
        assert found.fold_mse[4] == pytest.approx(float(np.mean(found.residual[fold == 4][:-2] ** 2)), rel=1e-12)


def test_columns_that_say_the_same_predict_what_one_does():
    """In all rows alike, so that every prediction is determined."""
    Z, y, _ = cases()["cars"]
    fold = assign_folds(50, 5)
    x = Z[:, 0]
    for X in (
        np.column_stack([x, 2.0 * x - 1.0]),
        np.column_stack([x, np.full(50, 0.1)]),
        np.column_stack([x, 0.0 * x]),
    ):
        found = cross_validate(X, y, fold)
        assert found.refitted == (0, 1, 2, 3, 4)
        assert found.undetermined == 0
        np.testing.assert_allclose(found.residual, held_out(Z, y, fold), rtol=0, atol=1e-11)


def test_rounding_of_a_column_is_not_a_direction():
    """b = a, but both were typed with few digits: along b - a there is only what `noise` explains."""
    rng = np.random.default_rng(2)
    a, y = rng.normal(size=40), rng.normal(size=40)
    X = np.column_stack([a, a + 1e-9 * rng.normal(size=40)])
    fold = assign_folds(40, 4)
    found = cross_validate(X, y, fold, noise=np.array([1e-8, 1e-8, 1e-16]))
    np.testing.assert_allclose(found.residual, held_out(design(a), y, fold), atol=1e-7)
    assert found.undetermined == 0
    assert np.abs(cross_validate(X, y, fold).residual - found.residual).max() > 1e-3


def test_without_an_intercept():
    Z, y, _ = cases()["cars"]
    fold = assign_folds(50, 5)
    found = cross_validate(Z[:, :1], y, fold, intercept=False)
    expected = held_out(Z[:, :1], y, fold)
    np.testing.assert_allclose(found.residual, expected, rtol=1e-11, atol=1e-12)
    assert found.r2 == pytest.approx(1.0 - float(expected @ expected / (y @ y)), rel=1e-12)


def test_as_many_folds_as_rows_is_leave_one_out():
    Z, y, weight = cases()["cars, weighted"]
    residual = y - Z @ theta(Z, y, weight)
    closed = leave_one_out(Projection.of(Z, residual, weight=weight), weight=weight)
    folds = cross_validate(Z[:, :1], y, np.arange(50), weight=weight)
    np.testing.assert_allclose(folds.residual, closed.residual, rtol=1e-10)
    assert folds.mse * weight.sum() == pytest.approx(closed.press, rel=1e-10)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.booleans())
def test_order_of_rows_and_names_of_folds_do_not_matter(seed, folds, weighted):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 50))
    X, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    w = np.exp(rng.normal(size=n)) if weighted else None
    fold = assign_folds(n, folds, seed=seed)
    order, names = rng.permutation(n), rng.permutation(folds)
    found = cross_validate(X, y, fold, weight=w)
    other = cross_validate(X[order], y[order], names[fold[order]], weight=None if w is None else 7.0 * w[order])
    np.testing.assert_allclose(other.residual, found.residual[order], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(other.fold_mse[names], found.fold_mse, rtol=1e-9)
    assert (other.mse, other.r2) == pytest.approx((found.mse, found.r2), rel=1e-9, abs=1e-9)


def test_rows_of_weight_zero_are_predicted_but_teach_nothing():
    Z, y, _ = cases()["cars"]
    fold = assign_folds(50, 5)
    w = np.where(np.arange(50) % 7 == 0, 0.0, 1.0)
    found = cross_validate(Z[:, :1], y, fold, weight=w)
    np.testing.assert_allclose(found.residual, held_out(Z, y, fold, w), rtol=1e-11, atol=1e-11)
    assert found.mse == pytest.approx(float(np.mean(found.residual[w > 0] ** 2)), rel=1e-12)


def test_folds_without_weight():
    """All weight in one fold: nothing predicts its rows, and it predicts rows that do not count."""
    Z, y, _ = cases()["cars"]
    fold = np.arange(50) // 25
    found = cross_validate(Z[:, :1], y, fold, weight=np.where(fold == 0, 1.0, 0.0))
    assert np.isnan(found.residual).tolist() == (fold == 0).tolist()
    assert found.mse is found.rmse is found.r2 is None
    assert np.isnan(found.fold_mse).all()
    np.testing.assert_allclose(found.residual[25:], y[25:] - Z[25:] @ theta(Z[:25], y[:25]), rtol=1e-11)


def test_a_constant_target_has_no_r_squared():
    Z, _, _ = cases()["cars"]
    found = cross_validate(Z[:, :1], np.full(50, 0.1), assign_folds(50, 5))
    assert found.r2 is None
    assert found.mse == 0.0


# --- leave-one-out


@pytest.mark.parametrize("name", cases())
def test_leave_one_out_is_n_fits(name):
    Z, y, weight = cases()[name]
    S = standardized(Z)[0]
    residual = y - S @ theta(S, y, weight)
    w = np.ones(len(y)) if weight is None else weight
    tss = float(w @ (y - np.average(y, weights=w)) ** 2)
    found = leave_one_out(Projection.of(S, residual, weight=weight), tss=tss, weight=weight)
    expected = held_out(S, y, np.arange(len(y)), weight)
    np.testing.assert_allclose(found.residual, expected, rtol=1e-10, atol=1e-11 * y.std())
    assert found.press == pytest.approx(float(w @ expected**2), rel=1e-10)
    assert found.r2 == pytest.approx(1.0 - float(w @ expected**2) / tss, rel=1e-9)


@pytest.mark.parametrize("name", PLAIN)
def test_press_against_statsmodels_and_scikit_learn(name):
    Z, y, _ = cases()[name]
    S = standardized(Z)[0]
    found = leave_one_out(Projection.of(S, y - S @ theta(S, y)))
    theirs = cross_val_predict(LinearRegression(), S[:, :-1], y, cv=TheirLeaveOneOut())
    np.testing.assert_allclose(found.residual, y - theirs, rtol=1e-9, atol=1e-10 * y.std())
    np.testing.assert_allclose(
        found.residual, sm.OLS(y, S).fit().get_influence().resid_press, rtol=1e-9, atol=1e-10 * y.std()
    )
    assert found.r2 is None


def test_in_rational_arithmetic():
    """Twelve braking distances of whole numbers: each line through the other eleven is exact."""
    Z, y, _ = cases()["cars"]
    x, y = [Fraction(v) for v in Z[::4, 0].tolist()], [Fraction(v) for v in y[::4].tolist()]

    def line(xs, ys):
        mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
        slope = sum((a - mx) * (b - my) for a, b in zip(xs, ys, strict=True)) / sum((a - mx) ** 2 for a in xs)
        return slope, my - slope * mx

    slope, bias = line(x, y)
    residual = np.array([float(b - slope * a - bias) for a, b in zip(x, y, strict=True)])
    expected = []
    for i in range(len(x)):
        slope, bias = line(x[:i] + x[i + 1 :], y[:i] + y[i + 1 :])
        expected.append(y[i] - slope * x[i] - bias)
    found = leave_one_out(Projection.of(Z[::4], residual))
    np.testing.assert_allclose(found.residual, [float(v) for v in expected], rtol=1e-14)
    assert found.press == pytest.approx(float(sum(v * v for v in expected)), rel=1e-14)
    folds = cross_validate(Z[::4, :1], np.array([float(v) for v in y]), np.arange(len(x)))
    np.testing.assert_allclose(folds.residual, [float(v) for v in expected], rtol=1e-12)


def test_a_row_that_stands_alone_cannot_be_predicted():
    rng = np.random.default_rng(4)
    Z = design(rng.normal(size=20), np.arange(20) == 7)
    y = rng.normal(size=20)
    found = leave_one_out(Projection.of(Z, y - Z @ theta(Z, y)), tss=1.0)
    assert np.flatnonzero(np.isnan(found.residual)).tolist() == [7]
    assert found.press is found.r2 is None


def test_rows_of_weight_zero_keep_their_residual():
    Z, y, _ = cases()["cars"]
    w = np.where(np.arange(50) % 5 == 0, 0.0, 2.0)
    residual = y - Z @ theta(Z, y, w)
    found = leave_one_out(Projection.of(Z, residual, weight=w), weight=w)
    np.testing.assert_array_equal(found.residual[::5], residual[::5])
    assert found.press == pytest.approx(2.0 * float(np.sum(found.residual[w > 0] ** 2)), rel=1e-13)


# --- which fold


@given(st.integers(2, 200), st.data())
def test_folds_are_even_and_reproducible(rows, data):
    folds, seed = data.draw(st.integers(2, rows)), data.draw(st.integers(0, 2**32))
    fold = assign_folds(rows, folds, seed=seed)
    sizes = np.bincount(fold, minlength=folds)
    assert len(sizes) == folds
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(fold, assign_folds(rows, folds, seed=seed))


def test_folds_are_shuffled_by_the_seed():
    orders = {tuple(assign_folds(40, 4, seed=seed)) for seed in range(20)}
    assert len(orders) == 20


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60), st.data())
def test_groups_stay_together(groups, data):
    number = len(set(groups))
    if number < 2:
        return
    folds = data.draw(st.integers(2, number))
    fold = assign_folds(len(groups), folds, groups=groups)
    for group in set(groups):
        assert len({int(f) for f, g in zip(fold, groups, strict=True) if g == group}) == 1
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.min() > 0
    # the largest group goes first, each to the emptiest fold: no fold is ahead by more than one group
    assert sizes.max() - sizes.min() <= max(groups.count(g) for g in groups)


@pytest.mark.parametrize(("call", "error", "sentence"), [
    (lambda: assign_folds(5, 1), UsageError, "1 folds of 5 rows: ask for 2 to as many as there are rows"),
    (lambda: assign_folds(5, 6), UsageError, "6 folds of 5 rows: ask for 2 to as many as there are rows"),
    (lambda: assign_folds(4, 3, groups="abab"), UsageError, "3 folds of 2 groups: ask for 2 to as many as there are groups"),
    (lambda: assign_folds(4, 2, groups="aba"), UsageError, "3 groups for 4 rows: give one for each row"),
    (lambda: cross_validate(np.zeros((4, 1)), np.zeros(3), [0, 1, 0]), UsageError,
     "columns of shape (4, 1) do not go with targets of shape (3,): give (n, p) and (n,)"),
    (lambda: cross_validate(np.zeros((3, 1)), np.zeros(3), [0, 1]), UsageError,
     "folds of shape (2,) for 3 rows: give each row the number of its fold, from 0"),
    (lambda: cross_validate(np.zeros((3, 1)), np.zeros(3), [0, -1, 1]), UsageError, "the number of its fold, from 0"),
    (lambda: cross_validate(np.zeros((3, 1)), np.zeros(3), [0.0, 1.0, 1.0]), UsageError, "the number of its fold, from 0"),
    (lambda: cross_validate(np.zeros((3, 1)), np.zeros(3), [0, 2, 2]), UsageError, "2 of 3 folds have rows"),
    (lambda: cross_validate(np.zeros((3, 1)), np.zeros(3), [0, 0, 0]), UsageError, "1 of 1 folds have rows"),
    (lambda: cross_validate(np.zeros((3, 1)), np.zeros(3), [0, 1, 0], weight=[1, -1, 1]), DataError,
     "the weight of row 2 is -1: weights must be numbers of zero or more"),
])  # fmt: skip
def test_errors_say_what_and_where(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert sentence in str(caught.value)
