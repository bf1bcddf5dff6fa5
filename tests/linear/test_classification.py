"""Metrics of classes against scikit-learn and statsmodels, on real data and on whatever hypothesis finds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sklearn.datasets
import sklearn.metrics as skm
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.proportion import proportion_confint

from sightline.linear.classification import (
    areas,
    calibration,
    calibration_error,
    confusion_matrix,
    per_class,
    roc_curve,
    stated,
    wilson_interval,
)
from sightline.linear.metrics import classification_metrics

SETS = ("breast_cancer", "iris", "wine", "digits")


@cache
def fitted(name):
    """Codes, probabilities of a weak model (few columns, so that it errs), and weights that differ."""
    X, codes = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    keep = X.std(axis=0) > 0
    X = X[:, keep][:, :12] if name == "digits" else X[:, keep][:, :2]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    P = LogisticRegression(max_iter=1000).fit(X, codes).predict_proba(X)
    return codes, P, 1.0 + np.arange(len(codes)) % 3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_metrics_against_scikit_learn(name, weighted):
    codes, P, w = fitted(name)
    w = w if weighted else None
    found, predicted = classification_metrics(codes, P, w).values, P.argmax(axis=1)
    near = {"rel": 1e-12}
    assert found["log_loss"] == pytest.approx(skm.log_loss(codes, P, sample_weight=w), **near)
    assert found["accuracy"] == pytest.approx(skm.accuracy_score(codes, predicted, sample_weight=w), **near)
    balanced = skm.balanced_accuracy_score(codes, predicted, sample_weight=w)
    assert found["balanced_accuracy"] == pytest.approx(balanced, **near)
    shares = np.bincount(codes, weights=w) / (len(codes) if w is None else w.sum())
    assert found["baseline_accuracy"] == pytest.approx(shares.max(), **near)
    constant = skm.log_loss(codes, np.tile(shares, (len(codes), 1)), sample_weight=w)
    assert found["baseline_log_loss"] == pytest.approx(constant, **near)
    if P.shape[1] == 2:
        brier, auc = (
            skm.brier_score_loss(codes, P[:, 1], sample_weight=w),
            skm.roc_auc_score(codes, P[:, 1], sample_weight=w),
        )
    else:
        brier = np.average(((P - np.eye(P.shape[1])[codes]) ** 2).sum(axis=1), weights=w)
        times = np.ones(len(codes), dtype=int) if w is None else w.astype(int)  # scikit-learn has no weights here
        auc = skm.roc_auc_score(codes.repeat(times), P.repeat(times, axis=0), multi_class="ovo")
    assert found["brier"] == pytest.approx(brier, **near)
    assert found["auc"] == pytest.approx(auc, **near)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_each_class_against_scikit_learn(name, weighted):
    codes, P, w = fitted(name)
    w, K, predicted = w if weighted else None, P.shape[1], P.argmax(axis=1)
    counts = confusion_matrix(codes, predicted, K, w)
    np.testing.assert_array_equal(counts, skm.confusion_matrix(codes, predicted, sample_weight=w))
    theirs = skm.precision_recall_fscore_support(codes, predicted, sample_weight=w, zero_division=np.nan)
    for name, expected in zip(("precision", "recall", "f1"), theirs, strict=False):
        np.testing.assert_allclose(per_class(counts)[name], expected, rtol=1e-13)
    for k in range(K):
        ours = roc_curve(codes == k, P[:, k], w)
        fpr, tpr, thresholds = skm.roc_curve(codes == k, P[:, k], sample_weight=w, drop_intermediate=False)
        np.testing.assert_allclose(ours.false_positive, fpr, atol=1e-14)
        np.testing.assert_allclose(ours.true_positive, tpr, atol=1e-14)
        np.testing.assert_array_equal(ours.threshold, thresholds)
        assert ours.area == pytest.approx(skm.roc_auc_score(codes == k, P[:, k], sample_weight=w), rel=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_calibration_against_scikit_learn(name):
    codes, P, _ = fitted(name)
    happened, said = stated(codes, P)
    bins = calibration(happened, said)
    observed, predicted = calibration_curve(happened, said, n_bins=10)
    np.testing.assert_allclose([b.observed for b in bins], observed, rtol=1e-13)
    np.testing.assert_allclose([b.predicted for b in bins], predicted, rtol=1e-13)
    assert sum(b.rows for b in bins) == len(codes)
    for b in bins:
        low, high = proportion_confint(round(b.observed * b.rows), b.rows, method="wilson")
        assert (b.low, b.high) == (pytest.approx(low, abs=1e-14), pytest.approx(high, rel=1e-13))
    rows = np.array([b.rows for b in bins])
    assert calibration_error(bins) == pytest.approx(np.abs(observed - predicted) @ rows / len(codes), rel=1e-13)
    assert classification_metrics(codes, P).values["expected_calibration_error"] == calibration_error(bins)


@given(st.integers(0, 500), st.integers(1, 500), st.floats(0.5, 0.999))
def test_wilson_against_statsmodels(seen, more, level):
    n = seen + more
    low, high = wilson_interval(np.array(seen / n), np.array(float(n)), level)
    expected = proportion_confint(seen, n, alpha=1 - level, method="wilson")
    assert (float(low), float(high)) == (pytest.approx(expected[0], abs=1e-12), pytest.approx(expected[1], abs=1e-12))
    assert low <= seen / n + 1e-15


ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(1, 5)), min_size=2, max_size=40)


@given(ROWS)
def test_two_classes_with_ties_against_scikit_learn(rows):
    codes, eighths, w = np.array(rows).T
    P = np.column_stack([1 - eighths / 8, eighths / 8])
    area = areas(codes, P, w.astype(float))[0, 1]
    if len(set(codes)) < 2:
        assert np.isnan(area)
        assert classification_metrics(codes, P).values["auc"] is None
        return
    assert area == pytest.approx(skm.roc_auc_score(codes, P[:, 1], sample_weight=w), abs=1e-14)
    assert roc_curve(codes == 1, P[:, 1], w.astype(float)).area == pytest.approx(area, abs=1e-14)


@given(ROWS)
def test_a_weight_counts_as_that_many_rows(rows):
    codes, eighths, w = np.array(rows).T
    P = np.column_stack([1 - eighths / 8, eighths / 8])
    weighted, repeated = (
        classification_metrics(codes, P, w.astype(float)).values,
        classification_metrics(codes.repeat(w), P.repeat(w, axis=0)).values,
    )
    for name, value in repeated.items():
        assert weighted[name] == (None if value is None else pytest.approx(value, rel=1e-12, abs=1e-13))


def test_a_class_that_is_never_predicted_or_never_seen():
    counts = np.array([[3.0, 0.0, 1.0], [0.0, 0.0, 0.0], [2.0, 0.0, 4.0]])
    found = per_class(counts)
    assert np.isnan(found["precision"][1])
    assert np.isnan(found["recall"][1])
    assert np.isnan(found["f1"][1])
    assert found["recall"][[0, 2]] == pytest.approx([0.75, 2 / 3])
