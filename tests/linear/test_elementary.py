"""Elementary functions and triangular factors of double-double numbers against 50-digit arithmetic."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from tests.linear.high_precision import pairs

from sightline.double_double import Pair
from sightline.linear.classes import elementary
from sightline.linear.classes.elementary import cholesky, exp, factored, log, solve_lower, solve_upper, solved


def drawn(values, *, seed=0):
    """Pairs with low parts, so that all 31 digits count."""
    values = np.asarray(values, dtype=float)
    low = np.random.default_rng(seed).uniform(-0.5, 0.5, values.shape) * np.spacing(values)
    return Pair.of(values, low)


def matrix(pair):
    """A `Pair` as an exact matrix."""
    rows = zip(pair.hi.tolist(), pair.lo.tolist(), strict=True)
    return mp.matrix([[mp.mpf(h) + mp.mpf(low) for h, low in zip(*row, strict=True)] for row in rows])


def worst(ours, theirs):
    return max(float(abs(a / b - 1)) for a, b in zip(pairs(ours), theirs, strict=True))


@pytest.mark.parametrize(("low", "high"), [(-1e-25, 1e-25), (-1e-3, 1e-3), (-1.0, 1.0), (-50.0, 50.0), (-640.0, 700.0)])
def test_exp(low, high):
    """The argument is right to 2^-104 of itself, so the result to that times |x|."""
    x = drawn(np.random.default_rng(1).uniform(low, high, 300))
    assert worst(exp(x), [mp.exp(v) for v in pairs(x)]) < 1e-31 * max(1.0, abs(high) / 4)


def test_exp_at_the_edges():
    x = Pair.of([0.0, -651.0, -1e5, -np.inf, 709.0, np.log(2.0)])
    found = exp(x).hi.tolist()
    assert found[:4] == [1.0, 0.0, 0.0, 0.0]
    assert found[4:] == pytest.approx([float(mp.exp(709)), 2.0], rel=1e-15)


@pytest.mark.parametrize("power", [-279, -30, -1, 0, 1, 30, 279])
def test_log(power):
    """To 4e-31 of the larger of ln x and 1: near one its digits are absolute, as those of ln(1 + P) there."""
    x = drawn(10.0**power * np.random.default_rng(2).uniform(0.5, 2.0, 200))
    for ours, v in zip(pairs(log(x)), pairs(x), strict=True):
        assert abs(ours - mp.log(v)) < 4e-31 * max(1, abs(mp.log(v)))


def test_log_undoes_exp():
    x = drawn(np.linspace(-600.0, 600.0, 241))
    back = log(exp(x)) - x
    assert (np.abs(back.hi) < 4e-31 * np.maximum(np.abs(x.hi), 1.0)).all()


def positive(d, *, seed=3):
    """A well conditioned positive definite matrix with low parts, symmetric in both."""
    B = np.random.default_rng(seed).standard_normal((3 * d + 3, d))
    low = np.random.default_rng(seed + 1).uniform(-1e-17, 1e-17, (d, d))
    return Pair.of(B.T @ B, low + low.T)


@pytest.mark.parametrize("d", [1, 2, 7, 15])
def test_cholesky(d):
    A = positive(d)
    L, exact = cholesky(A), mp.cholesky(matrix(A))
    assert not np.triu(L.hi, 1).any()
    off = matrix(L) - exact
    assert max(abs(v) for v in off) < 1e-30 * max(abs(v) for v in exact)


def test_cholesky_of_what_is_not_positive_definite():
    assert cholesky(Pair.of([[1.0, 2.0], [2.0, 1.0]])) is None
    assert cholesky(Pair.of([[1.0, 1.0], [1.0, 1.0]])) is None
    assert cholesky(Pair.of([[np.nan]])) is None
    # singular in double precision, positive definite by a low part
    L = cholesky(Pair.of([[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1e-20]]))
    assert L.hi[1, 1] == pytest.approx(1e-10, rel=1e-12)


def test_hilbert():
    """Condition 1e13 of order 10 leaves 31 - 13 digits of the inverse of its factor."""
    H = np.array([[mp.mpf(1) / (i + j + 1) for j in range(10)] for i in range(10)], dtype=object)
    hi = H.astype(float)
    A = Pair.of(hi, (H - hi).astype(float))
    exact = mp.cholesky(mp.matrix(H.tolist()))
    last = pairs(cholesky(A)[9:, 9:])[0]
    assert abs(last / exact[9, 9] - 1) < 1e-17


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("d", [1, 6])
def test_triangular_systems(d, lower):
    L = cholesky(positive(d))
    T = L if lower else Pair(L.hi.T, L.lo.T)
    B = drawn(np.random.default_rng(5).standard_normal((d, 3)), seed=6)
    X = (solve_lower if lower else solve_upper)(T, B)
    exact = mp.inverse(matrix(T)) * matrix(B)
    assert max(abs(v) for v in matrix(X) - exact) < 1e-30 * max(abs(v) for v in exact)
    np.testing.assert_array_equal(solved(T, B, lower=lower).lo, X.lo)


def test_float64_where_the_system_is_large(monkeypatch):
    A, B = positive(6), drawn(np.random.default_rng(5).standard_normal((6, 3)))
    L = cholesky(A)
    precise = solved(L, B, lower=True)
    monkeypatch.setattr(elementary, "MOST_WORK", 8)
    np.testing.assert_allclose(factored(A).hi, L.hi, rtol=1e-13, atol=1e-14)
    assert factored(Pair.of([[1.0, 2.0], [2.0, 1.0]])) is None
    plain = solved(L, B, lower=True)
    np.testing.assert_allclose(plain.hi, precise.hi, rtol=1e-12)
    assert not plain.lo.any()
    upper = Pair(L.hi.T, L.lo.T)
    np.testing.assert_allclose(solved(upper, B, lower=False).hi, solve_upper(upper, B).hi, rtol=1e-12)
