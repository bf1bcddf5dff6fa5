"""Influence on a logistic fit: by groups it is arithmetic, and where nothing is left it is not a number."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.linear.classes.influence import logistic_influence


def groups(first, second):
    """Two groups with an indicator, each with its share as the fitted probability: 2 of `first` rows, 1 of `second`."""
    g = np.repeat([0.0, 1.0], [first, second])
    y = np.array([1, 1] + [0] * (first - 2) + [1] + [0] * (second - 1))
    p = np.repeat([2 / first, 1 / second], [first, second])
    return np.column_stack([g, np.ones(len(g))]), y, np.column_stack([1 - p, p])


def test_two_groups_by_hand():
    """Within a group of m rows of equal variance each has the leverage 1/m."""
    Z, y, P = groups(5, 3)
    found = logistic_influence(Z, y, P)
    h = np.repeat([1 / 5, 1 / 3], [5, 3])
    p = P[:, 1]
    d = np.where(y == 1, np.sqrt(-2 * np.log(p)), -np.sqrt(-2 * np.log(1 - p)))
    assert found.leverage == pytest.approx(h, rel=1e-12)
    assert found.deviance == pytest.approx(d, rel=1e-15)
    assert found.standardized == pytest.approx(d / np.sqrt(1 - h), rel=1e-12)
    assert found.sigma == pytest.approx(np.sqrt((d @ d - d**2 / (1 - h)) / 5), rel=1e-12)
    assert found.cook == pytest.approx((y - p) ** 2 / (p * (1 - p)) * h / (1 - h) ** 2 / 2, rel=1e-12)


def test_weights_count_as_rows():
    """A row of weight 3 has three times the leverage of each of three equal rows, and √3 times their deviance residual."""
    Z, y, P = groups(5, 3)
    whole = logistic_influence(Z, y, P)
    kept = np.array([0, 2, 5, 6])
    part = logistic_influence(Z[kept], y[kept], P[kept], np.array([2.0, 3.0, 1.0, 2.0]))
    assert part.leverage == pytest.approx(whole.leverage[kept] * [2, 3, 1, 2], rel=1e-12)
    assert part.deviance == pytest.approx(whole.deviance[kept] * np.sqrt([2, 3, 1, 2]), rel=1e-14)


def test_no_degrees_of_freedom_no_sigma():
    found = logistic_influence(np.ones((2, 1)), np.array([0, 1]), np.full((2, 2), 0.5))
    assert np.isnan(found.sigma).all()
    assert found.leverage == pytest.approx([0.5, 0.5])
    alone = logistic_influence(np.eye(3), np.array([0, 1, 1]), np.full((3, 2), 0.5))
    assert np.isnan(alone.standardized).all()
    assert np.isnan(alone.cook).all()
