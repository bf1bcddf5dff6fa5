"""The smoother against statsmodels' lowess, which is R's algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.nonparametric.smoothers_lowess import lowess as theirs

from sightline.linear.smooth import lowess


@pytest.mark.parametrize("share", [0.3, 2.0 / 3.0, 1.0])
@pytest.mark.parametrize("rounds", [0, 3])
def test_against_statsmodels(share, rounds):
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 10, 60))
    y = np.sin(x) + rng.normal(scale=0.2, size=60)
    y[10] += 5.0
    expected = theirs(y, x, frac=share, it=rounds, return_sorted=False)
    np.testing.assert_allclose(lowess(x, y, share=share, rounds=rounds), expected, atol=1e-8)


def test_a_straight_line_stays_one():
    x = np.array([3.0, 1.0, 2.0, 9.0, 4.0, 4.0, 5.0, 7.0, 8.0, 6.0, 6.5, 0.0])
    np.testing.assert_allclose(lowess(x, 2.0 * x - 1.0), 2.0 * x - 1.0, atol=1e-12)


def test_equal_x_give_the_mean():
    np.testing.assert_allclose(lowess(np.ones(4), np.array([1.0, 2.0, 3.0, 6.0]), rounds=0), 3.0)
