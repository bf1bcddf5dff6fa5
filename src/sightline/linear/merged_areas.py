"""Areas under ROC curves of more rows than fit into memory: sorted runs of scores are merged, and added up on the way.

The same sums as `classification.areas`, over the different scores in rising order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Run", "merged", "one_against_each"]

Array = NDArray[np.float64]
Block = NDArray[Any]  # rows with the fields `score`, `code` and, where rows have weights, `weight`


class Run(Protocol):
    """Rows that are sorted by `score`, read from the first to the last."""

    def __call__(self, count: int) -> Block:
        """The next of them, at most so many; none after the last."""


class _Head:
    """A run with those of its rows that have been read and not yet been taken."""

    def __init__(self, run: Run, count: int) -> None:
        self._run, self._count = run, count
        self.rows = run(count)

    @property
    def last(self) -> float:
        """Every row that has not been read has at least this score."""
        return float(self.rows["score"][-1])

    def take(self, bound: float) -> Block:
        """The rows up to this score."""
        end = int(np.searchsorted(self.rows["score"], bound, side="right"))
        taken, self.rows = self.rows[:end], self.rows[end:]
        if 2 * len(self.rows) < self._count:  # where one run alone is filled up, the next bound takes next to nothing
            self.rows = np.concatenate([self.rows, self._run(self._count - len(self.rows))])
        return taken


def merged(runs: Sequence[Run], size: int) -> Iterator[Block]:
    """The rows of all runs in rising order of their score, in blocks; some `size` of them are in memory at a time.

    A score that is not a number comes after all others.
    """
    heads = [head for head in (_Head(run, max(1, size // len(runs))) for run in runs) if len(head.rows)]
    while heads:
        bound = float(np.fmin.reduce([head.last for head in heads]))
        rows = np.concatenate([head.take(bound) for head in heads])
        yield rows[np.argsort(rows["score"], kind="stable")]
        heads = [head for head in heads if len(head.rows)]


def one_against_each(blocks: Iterable[Block], positive: int, size: Array) -> Array:
    """The chance that a row of the `positive` class has a larger score than one of each class (ties half), `(K,)`.

    `blocks` have the rows in rising order of their scores; `size (K,)` is how much of each class there is. As column
    `positive` of `classification.areas`.

    >>> rows = np.array([(0.2, 0), (0.4, 1), (0.4, 0), (0.6, 1)], dtype=[("score", float), ("code", int)])
    >>> one_against_each([rows[:2], rows[2:]], 1, np.array([2.0, 2.0])).tolist()
    [0.875, 0.5]
    """
    sums = _Sums(positive, size)
    for block in blocks:
        sums.add(block)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums.end() / size


class _Sums:
    """Σ w above for each class `(K,)`, of rows in rising order; those of the last score are `open (K,)` by class, as
    the next block may have more of them.
    """

    def __init__(self, positive: int, size: Array) -> None:
        self._positive, self._size, self._up_to = positive, size, 0.0
        self._found, self._open, self._score = np.zeros(len(size)), np.zeros(len(size)), np.array([-np.inf])

    def add(self, rows: Block) -> None:
        """The next rows, at least one."""
        more = int(np.searchsorted(rows["score"], self._score, side="right")[0])
        self._open += self._by_class(rows[:more])
        if more == len(rows):
            return
        self._close()
        self._score = rows["score"][-1:]
        last = int(np.searchsorted(rows["score"], self._score, side="left")[0])
        self._groups(rows[more:last])
        self._open = self._by_class(rows[last:])

    def end(self) -> Array:
        """All of them."""
        self._close()
        return self._found

    def _close(self) -> None:
        at = self._open[self._positive]
        self._found += self._open * self._above(self._up_to + at, at)
        self._up_to += float(at)

    def _groups(self, rows: Block) -> None:
        """Rows of scores that neither came before nor come again."""
        if not len(rows):
            return
        w = _weight(rows)
        _, place = np.unique(rows["score"], return_inverse=True)
        at = np.bincount(place, weights=w * (rows["code"] == self._positive))
        up_to = self._up_to + np.cumsum(at)
        above = self._above(up_to, at)[place]
        self._found += np.bincount(rows["code"], weights=w * above, minlength=len(self._size))
        self._up_to = float(up_to[-1])

    def _above(self, up_to: Any, at: Any) -> Any:
        """The share of the positive class above a score: `up_to` of it are at most there, `at` of these right there."""
        total = self._size[self._positive]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (total - up_to + at / 2.0) / total

    def _by_class(self, rows: Block) -> Array:
        return np.asarray(np.bincount(rows["code"], weights=_weight(rows), minlength=len(self._size)), dtype=np.float64)


def _weight(rows: Block) -> Array:
    return np.asarray(rows["weight"], dtype=np.float64) if "weight" in (rows.dtype.names or ()) else np.ones(len(rows))
