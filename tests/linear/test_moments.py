"""Centred moments against exact rational arithmetic; merging."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.linear.blocks import BLOCK
from sightline.linear.moments import Moments

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: float(np.float64(v)))


def rational(X, y):
    """n, means and centred sums of products, exactly, then rounded once."""
    columns = [[Fraction(v) for v in column] for column in np.column_stack([X, y]).T.tolist()]
    means = [sum(c) / len(c) for c in columns]
    centred = [[v - m for v in c] for c, m in zip(columns, means, strict=True)]
    products = [[float(sum(a * b for a, b in zip(u, v, strict=True))) for v in centred] for u in centred]
    return np.array([float(m) for m in means]), np.array(products)


def assert_close(m, X, y, *, rtol):
    """Within rtol of the lengths of the centred columns, plus the rounding of the means."""
    means, products = rational(X, y)
    p, n = X.shape[1], len(X)
    got = np.block([[m.xx, m.xy], [m.xy.T, np.diag(m.yy)]])
    np.fill_diagonal(got[p:, p:], m.yy)
    size = np.abs(np.column_stack([X, y])).max(axis=0, initial=0.0)
    ours = np.append(m.x_mean, m.y_mean)
    assert (np.abs(ours - means) <= 1e-15 * size).all()
    lengths = np.sqrt(np.diag(products))
    bound = rtol * np.outer(lengths, lengths) + n * np.outer(1e-15 * size, 1e-15 * size)
    assert (np.abs(got - products) <= bound + rtol * n * np.outer(1e-15 * size, lengths) + 1e-300).all()


def test_against_rational_arithmetic():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)) * [1.0, 1e5, 1e-5], rng.normal(size=40)
    m = Moments.of(X, y)
    assert m.n == 40
    assert_close(m, X, y, rtol=1e-14)


def test_far_from_zero_no_digit_is_lost():
    """Values 1e9 + u with u of size one: raw sums of squares would keep no digit of the spread at all."""
    rng = np.random.default_rng(1)
    X, y = 1e9 + rng.normal(size=(60, 2)), -3e8 + rng.normal(size=60)
    assert_close(Moments.of(X, y), X, y, rtol=1e-13)
    raw = float(X[:, 0] @ X[:, 0]) - 60 * float(X[:, 0].mean()) ** 2
    assert abs(raw - rational(X, y)[1][0, 0]) > 10.0  # what is avoided


def test_more_rows_than_a_block():
    rng = np.random.default_rng(2)
    X, y = 100.0 + rng.normal(size=(2 * BLOCK + 17, 2)), rng.normal(size=2 * BLOCK + 17)
    m = Moments.of(X, y)
    cov = np.cov(np.column_stack([X, y]).T, bias=True) * len(X)
    np.testing.assert_allclose(m.xx, cov[:2, :2], rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(m.xy[:, 0], cov[:2, 2], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(m.yy, [cov[2, 2]], rtol=1e-11)
    np.testing.assert_allclose(m.x_mean, X.mean(axis=0), rtol=1e-14)
    assert m.n == len(X)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=2, max_size=20), st.data())
@settings(max_examples=30)
def test_merging_any_split_in_any_order_gives_the_moments_of_all_rows(rows, data):
    table = np.array(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(rows) - 1), max_size=4, unique=True)))
    parts = [Moments.of(table[part, :2], table[part, 2:]) for part in np.split(order, cuts)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged + part
    assert merged.n == len(rows)
    # every merge rounds each sum a few times: 6 parts, a few eps each
    assert_close_merged(merged, table[:, :2], table[:, 2])


def assert_close_merged(m, X, y):
    means, products = rational(X, y)
    size = np.abs(np.column_stack([X, y])).max(axis=0, initial=0.0)
    assert (np.abs(np.append(m.x_mean, m.y_mean) - means) <= 2e-15 * size).all()
    lengths = np.sqrt(np.diag(products)) + 4e-15 * size * len(X) ** 0.5
    got = np.array([[m.xx[0, 0], m.xx[0, 1], m.xy[0, 0]], [m.xx[1, 0], m.xx[1, 1], m.xy[1, 0]]])
    assert (np.abs(got - products[:2]) <= 2e-14 * np.outer(lengths, lengths)[:2] + 1e-300).all()
    assert abs(m.yy[0] - products[2, 2]) <= 2e-14 * lengths[2] ** 2 + 1e-300


def test_no_rows_is_the_neutral_element():
    X, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([1.0, 0.0])
    m, none = Moments.of(X, y), Moments.of(np.empty((0, 2)), np.empty(0))
    for merged in (m + none, none + m):
        assert merged.n == 2
        assert merged.xx.tolist() == [[2.0, 3.0], [3.0, 4.5]]
        assert merged.xy.tolist() == [[-1.0], [-1.5]]
        assert merged.yy.tolist() == [0.5]


def test_float32_rows_are_summed_in_float64():
    rng = np.random.default_rng(3)
    X, y = (1000.0 + rng.normal(size=(50, 2))).astype(np.float32), rng.normal(size=50).astype(np.float32)
    assert_close(Moments.of(X, y), X.astype(np.float64), y.astype(np.float64), rtol=1e-13)


def test_integers_and_lists():
    m = Moments.of([[1], [2], [6]], [3, 4, 5])
    assert (m.n, m.x_mean.tolist(), m.xx.tolist(), m.xy.tolist(), m.yy.tolist()) == (3, [3.0], [[14.0]], [[5.0]], [2.0])


@pytest.mark.parametrize("k", [1, 3])
def test_several_targets(k):
    rng = np.random.default_rng(4)
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(30, k))
    m = Moments.of(X, Y)
    for j in range(k):
        one = rational(X, Y[:, j])[1]
        np.testing.assert_allclose(m.xy[:, j], one[:2, 2], rtol=1e-12, atol=1e-13)
        assert m.yy[j] == pytest.approx(one[2, 2], rel=1e-13)
