"""Sums over blocks of rows, in threads, whose bits do not depend on how many threads there are."""

from __future__ import annotations

import operator
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "adds_up", "block_rows", "every", "gathered", "in_memory", "largest_size", "leaf_rows", "one_blas_thread",
    "pairwise", "parts", "real", "row_lengths", "rows_at", "rows_of", "summed", "with_ones", "workers",
]  # fmt: skip

T = TypeVar("T")
S = TypeVar("S")
BLOCK = 3072  # rows at a time at most: it bounds the rounding of the sums; BLAS cuts it into equal parts
CACHED = 2**18  # numbers of a block, 2 MB in float64
RUN = 8  # blocks that a thread takes at a time at most, a power of two: one branch of the tree of sums
WORTH = 2**26  # work from which threads pay, about a million numbers that are read once


def block_rows(columns: int) -> int:
    """Rows at a time, so that a block stays in the processor's cache."""
    rows = BLOCK
    while rows > BLOCK // 4 and rows * columns > CACHED:
        rows //= 2
    return rows


def leaf_rows(X: Any) -> int:
    """Rows at a time: as many as rows that come in blocks of their own kind say, else as above."""
    return int(getattr(X, "leaf", None) or block_rows(X.shape[1]))


def parts(X: Any) -> Iterator[slice]:
    """The blocks of the rows, one after the other."""
    size = leaf_rows(X)
    return (slice(i, min(i + size, len(X))) for i in range(0, len(X), size))


def in_memory(X: Any) -> bool:
    """Whether all rows are there at once; of others only slices of neighboring rows can be had."""
    return isinstance(X, np.ndarray) and not isinstance(X, np.memmap)


def rows_of(X: Any) -> Any:
    """The rows as they are where slices of them can be had; lists as an array."""
    return X if hasattr(X, "shape") else np.asanyarray(X)


def gathered(X: Any, pick: Callable[[slice], Any]) -> NDArray[Any]:
    """The rows of X that `pick` names in each block, places in the block, in one pass and in their order."""

    def leaf(part: slice, _: None) -> list[NDArray[Any]]:
        return [np.array(np.asarray(X[part])[pick(part)])]  # a copy, as a view would keep the block

    n, p = X.shape
    return np.concatenate(summed(leaf, lambda _: None, rows=n, columns=p, work=n * p))


def adds_up(X: Any) -> bool:
    """Whether rows have `squares`: they add up their own products, as rows of which categories are codes."""
    return hasattr(X, "squares")


def row_lengths(X: Any) -> NDArray[np.float64]:
    """√x'x of each row of a block."""
    return np.asarray(X.lengths() if hasattr(X, "lengths") else np.linalg.norm(X, axis=1))


def with_ones(X: NDArray[np.float64], intercept: bool = True) -> NDArray[np.float64]:
    """[X 1]; X itself without an intercept."""
    if not intercept:
        return X
    Z = np.ones((len(X), X.shape[1] + 1))
    Z[:, :-1] = X
    return Z


def every(X: Any, step: int) -> NDArray[Any]:
    """Every so many rows, the first one first: `X[::step]` of rows on the disk too."""
    return X[::step] if in_memory(X) else gathered(X, lambda part: slice(-part.start % step, None, step))


def rows_at(X: Any, places: NDArray[np.intp]) -> NDArray[Any]:
    """`X[places]` of rows on the disk too, of which only the blocks are read that have some."""
    if in_memory(X):
        return np.asarray(X[places])
    size = block_rows(X.shape[1])
    order = np.argsort(places, kind="stable")
    found = np.empty((len(places), X.shape[1]))
    for at in np.split(order, np.flatnonzero(np.diff(places[order] // size)) + 1) if len(order) else ():
        first = int(places[at[0]])
        found[at] = np.asarray(X[first : int(places[at[-1]]) + 1])[places[at] - first]
    return found


def pairwise(leaves: Iterable[T], add: Callable[[T, T], T] = operator.add) -> T:
    """All of them together, added pairwise, of which only a few are held at a time.

    The tree depends on their number alone; a run of leaves that starts at a multiple of its own length, a power of
    two, is a branch of it, and so is a shorter last one.

    >>> pairwise("abcde", "({}{})".format)
    '(((ab)(cd))e)'
    """
    waiting: list[tuple[int, T]] = []  # sums of 1, 2, 4, 8 ... leaves, the largest first
    for leaf in leaves:
        count, total = 1, leaf
        while waiting and waiting[-1][0] == count:
            total, count = add(waiting.pop()[1], total), 2 * count
        waiting.append((count, total))
    total = waiting.pop()[1]
    while waiting:
        total = add(waiting.pop()[1], total)
    return total


def real(numbers: Any) -> NDArray[Any]:
    """The array as it is where its numbers are converted to float64 block by block; else, converted."""
    values: NDArray[Any] = np.asarray(numbers)
    return values if values.dtype.kind in "fiub" else np.asarray(values, dtype=np.float64)


def largest_size(values: NDArray[Any]) -> float:
    """The largest |x| of a table `(n, p)`, in one pass; not finite where one of them is not; 0 of none.

    >>> largest_size(np.array([[1, -3], [2, 0]])), largest_size(np.array([[1.0, np.nan]]))
    (3.0, nan)
    """

    def leaf(part: slice, _: None) -> Any:
        block = values[part]
        high, low = block.max(initial=0), block.min(initial=0)
        return np.maximum(float(high), -float(low))

    rows, columns = values.shape
    return float(summed(leaf, lambda _: None, rows=rows, columns=columns, work=64 * values.size, add=np.maximum))


def summed(
    leaf: Callable[[slice, S], T],
    space: Callable[[int], S],
    *,
    rows: int,
    columns: int,
    work: int,
    add: Callable[[T, T], T] = operator.add,
    leaf_rows: int | None = None,
) -> T:
    """Σ leaf(part, buffer) over the blocks of the rows, added pairwise, in threads where the `work` is worth it.

    Blocks have `leaf_rows` where that is given. `space(size)` makes the buffer for blocks of that many rows, one for
    each thread. Each thread's products are left to a single thread of BLAS.
    """
    size, count = leaf_rows or block_rows(columns), workers() if work >= WORTH else 1
    step = size * _run(rows, size, count)
    held, quiet = threading.local(), np.geterr()

    def branch(first: int) -> T:
        if not hasattr(held, "space"):
            held.space = space(min(size, rows))
        parts = (slice(i, min(i + size, rows)) for i in range(first, min(first + step, max(rows, 1)), size))
        with np.errstate(**quiet):
            return pairwise((leaf(part, held.space) for part in parts), add)

    starts = range(0, max(rows, 1), step)
    with one_blas_thread():
        if min(count, len(starts)) == 1:
            return pairwise(map(branch, starts), add)
        with ThreadPoolExecutor(min(count, len(starts)), initializer=_limit) as pool:
            return pairwise(pool.map(branch, starts), add)


def _run(rows: int, size: int, count: int) -> int:
    """Blocks that a thread takes at a time: fewer where the threads would not all have several turns."""
    run = RUN
    while run > 1 and run * size * count * 4 > rows:
        run //= 2
    return run


def _blas() -> list[Any]:
    """The BLAS libraries that are loaded: numpy's always, that of scipy's linear algebra once it is."""
    return _libraries(("scipy.linalg" in sys.modules,))


@cache
def _libraries(_loaded: tuple[bool, ...]) -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _limit() -> None:
    """In the thread itself too: where BLAS is built on OpenMP, the limit is the thread's own."""
    for library in _blas():
        library.set_num_threads(1)


class _Limit:
    """How many ask for one thread at this moment, and what BLAS had before the first of them."""

    lock = threading.Lock()
    depth = 0
    libraries: tuple[Any, ...] = ()
    before: tuple[int, ...] = ()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS uses one thread meanwhile, in the whole process; the last to leave puts back what the first found."""
    with _Limit.lock:
        if not _Limit.depth:
            _Limit.libraries = tuple(_blas())
            _Limit.before = tuple(library.num_threads for library in _Limit.libraries)
            _limit()
        _Limit.depth += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.depth -= 1
            if not _Limit.depth:
                for library, threads in zip(_Limit.libraries, _Limit.before, strict=True):
                    library.set_num_threads(threads)


def workers() -> int:
    """As many threads as BLAS would use by itself; one where it is not known how to hold BLAS to one."""
    with _Limit.lock:
        found = _Limit.before if _Limit.depth else [library.num_threads for library in _blas()]
        return max(found, default=1)
