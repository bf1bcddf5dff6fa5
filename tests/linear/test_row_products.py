"""Products of rows: right, and the same for a row whatever rows are beside it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from sightline.linear.row_products import row_products


@pytest.mark.parametrize("p", [0, 1, 2, 3, 7, 20, 33])
@pytest.mark.parametrize("m", [1, 2, 5])
def test_a_row_by_itself_has_the_bits_that_it_has_among_others(p, m):
    rng = np.random.default_rng(p)
    X, W = rng.normal(size=(203, p)), rng.normal(size=(m, p))
    found = row_products(X, W)
    assert found.shape == (203, m)
    for size in (1, 2, 3, 64):
        parts = [row_products(X[i : i + size], W) for i in range(0, len(X), size)]
        np.testing.assert_array_equal(np.concatenate(parts), found)
    exact = [[sum(Fraction(a) * Fraction(b) for a, b in zip(x, w, strict=True)) for w in W] for x in X[:20]]
    np.testing.assert_allclose(
        found[:20], np.array(exact, dtype=float).reshape(20, m), rtol=1e-13, atol=1e-14 * (p + 1)
    )


def test_infinite_numbers_are_no_warning():
    found = row_products(np.array([[1e308, 1.0], [np.inf, 0.0]]), np.array([[10.0, 1.0], [0.0, 1.0]]))
    assert found[0, 0] == np.inf
    assert np.isnan(found[1, 1])
