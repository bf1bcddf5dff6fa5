"""Vectors within numba against the same sums written out."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

pytest.importorskip("numba", reason="machine code needs numba")

from sightline.compiled import memory as m
from sightline.compiled import vectors as v
from sightline.compiled.ahead import JUMP, read
from sightline.compiled.jit import compiled
from sightline.compiled.permutation import permutation

DTYPES = [np.float32, np.float64]


@compiled
def inner(a, b, count):
    x, y = m.address(a), m.address(b)
    wide, sums = v.lanes(x), v.spread(x, 0.0)
    whole = count - count % wide
    for i in range(0, whole, wide):
        sums = v.fma(v.load(x, i), v.load(y, i), sums)
    if whole < count:
        sums = v.fma(v.load_some(x, whole, count - whole), v.load_some(y, whole, count - whole), sums)
    return v.total(sums)


@compiled
def elementary(a, out):
    x, to = m.address(a), m.address(out)
    w = v.lanes(x)
    one = v.load(x, 0)
    v.store(to, 0, v.add(one, v.broadcast(x, 1)))
    v.store(to, w, v.subtract(one, v.spread(x, 0.1)))
    v.store(to, 2 * w, v.divide(one, v.multiply(one, one)))
    v.store(to, 3 * w, v.square_root(one))
    m.prefetch(x, 1 << 40)  # a hint only, wherever that is


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 33, 1000])
def test_a_sum_has_the_order_that_is_written_down(dtype, count):
    rng, wide = np.random.default_rng(0), 64 // np.dtype(dtype).itemsize
    a, b = rng.normal(size=(2, count)).astype(dtype)
    lanes = np.zeros(wide, dtype)
    for i in range(count):  # one rounding of each product and sum
        exact = np.longdouble(a[i]) * np.longdouble(b[i]) + np.longdouble(lanes[i % wide])
        lanes[i % wide] = dtype(exact)
    while len(lanes) > 1:
        lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
    got = inner(a, b, count)
    if dtype is np.float32:
        assert dtype(got) == lanes[0]
    else:  # a long double holds no exact product of two doubles
        assert got == pytest.approx(lanes[0], rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_elementary_operations_are_those_of_numpy(dtype):
    wide = 64 // np.dtype(dtype).itemsize
    a = np.random.default_rng(1).uniform(0.5, 2.0, wide).astype(dtype)
    out = np.zeros(4 * wide, dtype)
    elementary(a, out)
    want = np.concatenate([a + a[1], a - dtype(0.1), a / (a * a), np.sqrt(a)])
    assert out.tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_behind_the_last_row_is_not_read(dtype):
    """The last page before one that nobody may read."""
    import ctypes
    import mmap

    size = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * size)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address + size), ctypes.c_size_t(size), 0):
        pytest.skip("pages cannot be protected here")
    count = 5
    a = np.frombuffer(memory, dtype, count, size - count * np.dtype(dtype).itemsize)
    assert inner(a, a, count) == 0.0
    libc.mprotect(ctypes.c_void_p(address + size), ctypes.c_size_t(size), 3)


def test_code_is_made_where_no_cache_can_be_written(tmp_path):
    """A copy of the package that nobody may write to, and no home."""
    code = (
        "import numba.core.caching as c\n"
        "c.CacheImpl._locator_classes = []\n"
        "from sightline.compiled.warm import warm\n"
        "print(warm())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no folder for it can be written, so each process makes its own" in done.stdout


@compiled
def eight_sums(a, out):
    x, to, wide = m.address(a), m.address(out), v.lanes(m.address(a))
    v.store_totals(
        to, 1, v.load(x, 0), v.load(x, wide), v.load(x, 2 * wide), v.load(x, 3 * wide), v.load(x, 4 * wide),
        v.load(x, 5 * wide), v.load(x, 6 * wide), v.load(x, 7 * wide),
    )  # fmt: skip
    for k in range(8):
        m.put(to, 9 + k, v.total(v.load(m.behind(x, k * wide), 0)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_eight_sums_side_by_side_are_those_of_each(dtype):
    wide = 64 // np.dtype(dtype).itemsize
    rows, out = np.random.default_rng(1).normal(size=(8, wide)).astype(dtype), np.full(18, 7.0, dtype)
    eight_sums(rows.reshape(-1), out)
    halves = rows
    while halves.shape[1] > 1:
        halves = halves[:, : halves.shape[1] // 2] + halves[:, halves.shape[1] // 2 :]
    assert out.tolist() == [7.0, *(2 * halves[:, 0].tolist()), 7.0]  # and nothing beside them is touched


@pytest.mark.parametrize("n", [1, 2, 7, 624, 625, 100_003])
@pytest.mark.parametrize("seed", [0, 5, 2**32 - 1])
def test_an_order_is_the_one_that_torch_draws(n, seed):
    order = np.empty(n, np.int64)
    permutation(np.uint32(seed), order)
    want = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert np.array_equal(order, want.numpy())


@pytest.mark.parametrize("d", [1, 5, 16, 100])
def test_reading_ahead_ends_with_the_rows_or_when_they_are_done(d):
    rows, order = np.ones(3000 * d, np.float32), np.random.default_rng(0).permutation(3000)
    of_a_row = d // 16 * 16 + 1  # its whole vectors, and the last number once more
    assert read(rows, order, d, np.array([3000])) == 0.0
    assert read(rows, order, d, np.array([0])) == (3000 - JUMP) * of_a_row  # far from done: it reads to the end
    with ThreadPoolExecutor(1) as pool:
        done = np.zeros(1, np.int64)
        reading = pool.submit(read, rows, order, d, done)
        for done[0] in range(0, 3001, 60):
            pass
        assert 0.0 <= reading.result(timeout=60) <= (3000 - JUMP) * of_a_row
