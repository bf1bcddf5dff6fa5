"""Functions of vectors against arithmetic with 40 digits."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest

pytest.importorskip("numba", reason="machine code needs numba")

from sightline.compiled import functions as f
from sightline.compiled import memory as m
from sightline.compiled import vectors as v
from sightline.compiled.jit import compiled

DTYPES = [np.float32, np.float64]


@compiled
def exponentials(a, out):
    x, to = m.address(a), m.address(out)
    for i in range(0, len(a), v.lanes(x)):
        v.store(to, i, f.exp_negative(v.load(x, i)))


@compiled
def logarithms(a, out):
    x, to = m.address(a), m.address(out)
    for i in range(0, len(a), v.lanes(x)):
        v.store(to, i, f.log1p_unit(v.load(x, i)))


@compiled
def others(a, b, out, sums):
    x, y, to = m.address(a), m.address(b), m.address(out)
    w, one, two = v.lanes(x), v.load(x, 0), v.load(y, 0)
    v.store(to, 0, f.absolute(one))
    v.store(to, w, f.where_less(one, two, one, two))
    v.store(to, 2 * w, f.first_lanes(one, 3, -7.0))
    f.add_to(m.address(sums), 0, one)
    return f.peak(two)


def worst_ulps(got, want, dtype):
    return max(
        abs(Decimal(float(g)) - w) / Decimal(float(np.spacing(dtype(w)))) for g, w in zip(got, want, strict=True)
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_to_an_ulp(dtype):
    lowest = -87.3 if dtype is np.float32 else -708.3
    x = np.concatenate([np.linspace(lowest, 0.0, 2000), -np.geomspace(1e-30, 1.0, 1000), [-0.0] * 8]).astype(dtype)
    out = np.zeros_like(x)
    exponentials(x, out)
    with localcontext() as context:
        context.prec = 40
        assert worst_ulps(out, [Decimal(float(value)).exp() for value in x], dtype) < 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_of_what_is_far_below_and_of_no_number(dtype):
    x = np.array([-800.0, -1e30, -np.inf, np.nan] * 4, dtype)
    out = np.ones_like(x)
    exponentials(x, out)
    assert np.array_equal(out, np.array([0.0, 0.0, 0.0, np.nan] * 4, dtype), equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_logarithms_to_two_ulps(dtype):
    x = np.concatenate([np.linspace(0.0, 1.0, 2001), np.geomspace(1e-30, 1.0, 999), [0.0] * 8]).astype(dtype)
    out = np.ones_like(x)
    logarithms(x, out)
    assert not out[x == 0.0].any()
    with localcontext() as context:
        context.prec = 40
        positive = x[x > 0.0]
        want = [_log1p(Decimal(float(value))) for value in positive]
        assert worst_ulps(out[x > 0.0], want, dtype) < 2


def _log1p(x):
    """With the digits that 1 + x would lose."""
    with localcontext() as context:
        context.prec = 100
        return (1 + x).ln()


@pytest.mark.parametrize("dtype", DTYPES)
def test_comparisons_and_sums_of_lanes(dtype):
    wide = 64 // np.dtype(dtype).itemsize
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, wide)).astype(dtype)
    a[1] = np.nan
    out, sums = np.zeros(3 * wide, dtype), np.full(wide, 2.0)
    largest = others(a, b, out, sums)
    assert largest == b.max()
    want = [np.abs(a), np.where(a < b, a, b), np.where(np.arange(wide) < 3, a, dtype(-7.0))]
    assert np.array_equal(out, np.concatenate(want), equal_nan=True)
    assert np.array_equal(sums, 2.0 + a.astype(np.float64), equal_nan=True)
