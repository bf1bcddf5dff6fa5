"""Metrics against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from sightline.linear.metrics import regression_metrics

PAIRS = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), min_size=2, max_size=40)


@given(PAIRS)
def test_against_scikit_learn(pairs):
    """Integers up to 1000: sums are exact, so only the divisions round."""
    observed, predicted = np.array(pairs, dtype=float).T
    ours = regression_metrics(observed, predicted)
    assert ours["mse"] == pytest.approx(metrics.mean_squared_error(observed, predicted), rel=1e-14)
    assert ours["rmse"] == pytest.approx(metrics.root_mean_squared_error(observed, predicted), rel=1e-14)
    assert ours["mae"] == pytest.approx(metrics.mean_absolute_error(observed, predicted), rel=1e-14)
    assert ours["max_error"] == metrics.max_error(observed, predicted)
    assert ours["mean_residual"] == pytest.approx(math.fsum(observed - predicted) / len(pairs), abs=1e-12)
    if len(set(observed)) > 1:
        assert ours["r2"] == pytest.approx(metrics.r2_score(observed, predicted), rel=1e-12, abs=1e-12)
    else:
        assert ours["r2"] is None


def test_perfect_prediction():
    ours = regression_metrics(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0]))
    assert ours == {"mse": 0.0, "rmse": 0.0, "mae": 0.0, "max_error": 0.0, "r2": 1.0, "mean_residual": 0.0}
