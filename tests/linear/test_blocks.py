"""Sums over blocks of rows: the same bits with any number of threads, little memory, and any array that numpy has."""

from __future__ import annotations

import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pytest

import sightline
from sightline.linear import blocks, moments
from sightline.linear.blocks import block_rows, largest_size, one_blas_thread, pairwise
from sightline.linear.from_moments import least_squares_from_moments
from sightline.linear.moments import Moments, residual_pass

NAMES = ("x_mean", "y_mean", "xx", "xy", "yy")


@pytest.fixture
def threads(monkeypatch):
    """Any amount of work is worth threads, of which there are as many as asked for."""
    monkeypatch.setattr(blocks, "WORTH", 0)
    return lambda count: monkeypatch.setattr(blocks, "workers", lambda: count)


def many_rows(p=3, k=2, blocks_of_rows=21):
    rng = np.random.default_rng(0)
    n = blocks_of_rows * block_rows(p) + 17
    X = rng.normal(size=(n, p)) * np.geomspace(1.0, 1e3, p) + 7.0
    return X, rng.normal(size=(n, k)), rng.uniform(0.5, 2.0, n)


def bits(moments):
    return [np.float64(moments.n).tobytes(), *(getattr(moments, name).tobytes() for name in NAMES)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_bits_of_moments_do_not_depend_on_threads(threads, weighted, order):
    X, Y, w = many_rows()
    X, w, size = np.asarray(X, order=order), w if weighted else None, block_rows(3)
    parts = [slice(i, i + size) for i in range(0, len(X), size)]
    streamed = bits(Moments.merged(Moments.leaf(X[c], Y[c], None if w is None else w[c]) for c in parts))
    for count in (1, 2, 3, 5):
        threads(count)
        assert bits(Moments.of(X, Y, w)) == streamed


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_bits_of_residuals_do_not_depend_on_threads(threads, dtype):
    X, Y, w = many_rows()
    X, slopes = X.astype(dtype), np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]])
    found = []
    for count in (1, 2, 3, 5):
        threads(count)
        found.append([part.tobytes() for part in residual_pass(X, Y, slopes, np.array([0.1, 0.2]), w)])
    assert found.count(found[0]) == 4
    D = X.astype(np.float64)
    r = Y - D @ slopes.T - [0.1, 0.2]
    squares, gradient, ones = residual_pass(X, Y, slopes, np.array([0.1, 0.2]), w)
    np.testing.assert_allclose(squares, (w[:, None] * r * r).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(gradient, (w[:, None] * r).T @ D, rtol=1e-9)
    np.testing.assert_allclose(ones, w @ r, rtol=1e-10)


@pytest.mark.parametrize("count", range(1, 70))
def test_a_run_of_blocks_is_a_branch_of_the_tree_of_all(count):
    leaves = [chr(64 + i) for i in range(count)]
    for run in (1, 2, 4, 8):
        branches = (pairwise(leaves[i : i + run], "({}{})".format) for i in range(0, count, run))
        assert pairwise(branches, "({}{})".format) == pairwise(leaves, "({}{})".format)


BASE = np.random.default_rng(1).integers(-50, 100, (5_003, 4))
HOSTILE = {
    "every other row and column": np.repeat(np.repeat(BASE.astype(float), 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": BASE.astype(float)[::-1, ::-1],
    "columns in one piece": np.asfortranarray(BASE.astype(float)),
    "one row for all": np.broadcast_to(BASE[:1].astype(float), (5_003, 4)),
    "float16": BASE.astype(np.float16),
    "float32": BASE.astype(np.float32),
    "int8": BASE.astype(np.int8),
    "uint64": np.abs(BASE).astype(np.uint64),
    "bool": BASE > 0,
    "byte-swapped": BASE.astype(">f8"),
    "byte-swapped integers": BASE.astype(">i4"),
    "one row": BASE[:1].astype(float),
    "no columns": BASE[:, :0].astype(float),
    "fewer rows than columns": BASE[:3].astype(float),
    "objects": BASE[:40].astype(object),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", HOSTILE)
def test_any_array_gives_what_plain_float64_gives(threads, name, count):
    X = HOSTILE[name]
    X.flags.writeable = False
    threads(count)
    y, D = np.arange(float(len(X))) % 7, X.astype(np.float64)
    y.flags.writeable = False
    m, whole = Moments.of(X, y), [[int(v) for v in row] for row in D.tolist()]
    means = [Fraction(sum(column), len(X)) for column in zip(*whole, strict=True)]
    np.testing.assert_allclose(m.x_mean, [float(v) for v in means], rtol=1e-14, atol=1e-14)
    raw = D.T @ D  # whole numbers below 2**53: exact
    exact = [
        [float(Fraction(raw[i, j]) - len(X) * means[i] * means[j]) for j in range(len(means))]
        for i in range(len(means))
    ]
    size = float(np.abs(exact).max(initial=0.0)) if exact else 0.0
    np.testing.assert_allclose(m.xx, np.reshape(exact, m.xx.shape), rtol=1e-12, atol=1e-13 * size + 1e-9)
    assert m.yy[0] == pytest.approx(float(((y - y.mean()) ** 2).sum()), rel=1e-12)
    if X.dtype != object:
        assert largest_size(X) == np.abs(D).max(initial=0.0)
        slopes = np.full((1, X.shape[1]), 0.5)
        squares, gradient, _ = residual_pass(X, y[:, None], slopes, None)
        r = y - D @ slopes[0]
        assert squares[0] == pytest.approx(float(r @ r), rel=1e-12)
        np.testing.assert_allclose(gradient[0], r @ D, rtol=1e-11, atol=1e-9)


def test_denormal_numbers_keep_their_means():
    X = np.full((9, 1), 5e-324) * np.arange(9)[:, None]
    m = Moments.of(X, X)
    assert m.x_mean.tolist() == [2e-323]  # 4 of the smallest number
    assert m.xx.tolist() == [[0.0]]


def test_memory_is_that_of_blocks_not_of_the_rows(threads):
    """32 MB of float32 rows; two threads hold a buffer each."""
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(400_000, 20)).astype(np.float32), np.zeros((400_000, 1), dtype=np.float32)
    buffer = block_rows(20) * 22 * 8
    threads(2)
    for array in (X, np.asfortranarray(X)):
        for work in (
            lambda array=array: Moments.of(array, y),
            lambda array=array: residual_pass(array, y, np.ones((1, 20)), None),
            lambda array=array: largest_size(array),
        ):
            tracemalloc.start()
            work()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 4 * buffer < array.nbytes / 10


def test_the_exact_answer_reads_the_rows_twice(monkeypatch):
    """Once for the moments, once for the residuals."""
    read, plain = [], blocks.summed

    def counting(leaf, space, **about):
        def counted(part, room):
            read.append(part.stop - part.start)
            return leaf(part, room)

        return plain(counted, space, **about)

    monkeypatch.setattr(moments, "summed", counting)
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200_000, 6))
    y = X @ np.arange(6.0) + rng.normal(size=200_000)
    assert least_squares_from_moments(X, y, Moments.of(X, y)) is not None
    assert sum(read) == 2 * 200_000


def test_many_rows_are_neither_copied_nor_converted_whole():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(120_000, 20)).astype(np.float32)
    y = X @ np.arange(20.0) + rng.normal(size=120_000)
    sightline.least_squares(X[:60_000], y[:60_000])  # what is loaded on the first call
    tracemalloc.start()
    found = sightline.least_squares(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.path == "moments"
    assert peak < X.nbytes / 2
    A = np.column_stack([X.astype(np.float64), np.ones(len(X))])
    np.testing.assert_allclose(found.coefficients[:, 0], np.linalg.lstsq(A, y)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_none_is_found_in_any_block(threads, bad):
    threads(3)
    X = np.zeros((50_000, 3))
    X[49_990, 1] = bad
    assert not np.isfinite(largest_size(X))
    with pytest.raises(sightline.DataError, match=r"row 49991, column 2"):
        sightline.least_squares(X, np.zeros(50_000))


def test_blas_has_its_threads_back_even_after_an_error():
    def held_and_broken():
        with one_blas_thread(), one_blas_thread():
            assert blocks.workers() == before  # what BLAS had, whatever it is held to
            assert all(library.num_threads == 1 for library in blocks._blas())
            raise ZeroDivisionError

    before = blocks.workers()
    with pytest.raises(ZeroDivisionError):
        held_and_broken()
    assert max(library.num_threads for library in blocks._blas()) == before


def test_what_numpy_may_say_is_the_same_in_threads(threads):
    X = np.full((50_000, 2), 1e300)
    X[::2] = -1e300
    threads(2)
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("error")
        Moments.of(X, X[:, 0])
    with pytest.raises(RuntimeWarning):
        Moments.of(X, X[:, 0])
