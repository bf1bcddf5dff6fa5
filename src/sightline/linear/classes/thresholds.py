"""Classes that one column alone tells apart: a threshold of a number, or a category of which a class has no row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ..blocks import leaf_rows

__all__ = ["threshold_direction"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]
MOST_ROUNDS = 20


def threshold_direction(Z: Any, codes: Codes, classes: int, *, intercept: bool) -> tuple[Array, Flags] | None:
    """A direction D `(q, m)` with (e_y - e_k)'D'z >= 0 for every row z of class y and every other class k, made of
    thresholds of single columns, and for which rows and classes it is above zero, `(n, K)`; None where there is none.

    A threshold tells one class from all others: the column is at or below it in all rows of that class and at or above
    it in all others, or the reverse. Among the rows and classes that it leaves together others may be found, which then
    count less. `Z (n, q)` has the ones last; of categories that are codes one without a column is looked at too.

    >>> Z = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    >>> direction, apart = threshold_direction(Z, np.array([0, 1, 1]), 2, intercept=True)
    >>> direction.ravel().tolist(), apart.tolist()
    ([2.0, 0.0], [[False, False], [False, False], [True, False]])
    """
    rows = _Rows(Z, codes, classes, intercept, Z.levels if hasattr(Z, "levels") else np.eye(Z.shape[1]))
    apart = np.zeros((len(codes), classes), dtype=bool)
    rounds: list[tuple[Array, float, float]] = []
    while len(rounds) < MOST_ROUNDS and (found := rows.thresholds(apart)):
        rounds.append((rows.direction(found), *rows.mark(found, apart)))
    if not rounds:
        return None
    D, most = np.zeros_like(rounds[0][0]), 0.0
    for direction, least, largest in reversed(rounds):  # so much that no later one turns what it tells apart
        share = max(1.0, 2.0 * most / least)
        D, most = D + share * direction, most + share * largest
    return D, apart


@dataclass(frozen=True)
class _Threshold:
    """`sign` times the column is at or below `sign` times `at` in all rows of class `k`, in all others at or above."""

    column: int
    k: int
    sign: float
    at: float


@dataclass(frozen=True)
class _Rows:
    """The rows with the columns Z `levels (q, c)` that thresholds are looked for in."""

    Z: Pair | Any
    codes: Codes
    classes: int
    intercept: bool
    levels: Array

    def parts(self) -> Iterator[slice]:
        """Neighboring rows."""
        size = leaf_rows(self.Z)
        return (slice(i, min(i + size, len(self.codes))) for i in range(0, len(self.codes), size))

    def block(self, part: slice) -> Any:
        """Some rows of Z."""
        return self.Z.hi[part] if isinstance(self.Z, Pair) else self.Z[part]

    def sides(self, apart: Flags, part: slice) -> Flags:
        """For each class k, which rows of others are not yet told from it, then which rows of it are not yet told from
        all others, `(·, 2 K)`.
        """
        own = self.codes[part, None] == np.arange(self.classes)
        together = ~apart[part] & ~own
        return np.hstack([together, own & together.any(axis=1, keepdims=True)])

    def extremes(self, apart: Flags) -> tuple[Array, Array]:
        """The lowest and the highest value of each column `(2 K, c)` on each side."""
        low = np.full((2 * self.classes, self.levels.shape[1]), np.inf)
        high = -low
        for part in self.parts():
            block, sides = self.block(part), self.sides(apart, part)
            if hasattr(block, "extremes"):
                least, most = block.extremes(sides)
                low, high = np.minimum(low, least), np.maximum(high, most)
                continue
            for k, some in enumerate(sides.T):
                np.minimum(low[k], block.min(axis=0, where=some[:, None], initial=np.inf), out=low[k])
                np.maximum(high[k], block.max(axis=0, where=some[:, None], initial=-np.inf), out=high[k])
        return low, high

    def thresholds(self, apart: Flags) -> list[_Threshold]:
        """All that there are."""
        (low, high), K, found = self.extremes(apart), self.classes, []
        for sign, below, above, start, end in ((1.0, high[K:], low[:K], low[K:], high[:K]),
                                               (-1.0, -low[K:], -high[:K], -high[K:], -low[:K])):  # fmt: skip
            there = np.isfinite(below) & np.isfinite(above)
            at = np.zeros_like(above)
            if self.intercept:
                start_of, end_of = below[there], above[there]
                at[there] = np.where(start_of < end_of, 0.5 * (start_of + end_of), end_of)
            fits = there & (below <= at) & (at <= above) & ((start < at) | (end > at))
            fits[:, self.Z.shape[1] :] &= self.intercept  # what has no column is made with the ones
            found += [_Threshold(int(j), int(k), sign, sign * float(at[k, j])) for k, j in np.argwhere(fits)]
        return [t for t in found if self.level(t)]

    def level(self, threshold: _Threshold) -> bool:
        """Whether rows at it are the same beyond double precision too."""
        if not isinstance(self.Z, Pair):
            return True
        rest = self.Z.lo[self.Z.hi[:, threshold.column] == threshold.at, threshold.column]
        return bool((rest == rest[:1]).all())

    def direction(self, found: list[_Threshold]) -> Array:
        """Their sum, against class 0."""
        D = np.zeros((self.Z.shape[1], self.classes))
        for t in found:
            D[:, t.k] -= t.sign * self.levels[:, t.column]
            if self.intercept:
                D[-1, t.k] += t.sign * t.at
        return D[:, 1:] - D[:, :1]

    def mark(self, found: list[_Threshold], apart: Flags) -> tuple[float, float]:
        """Flag what they tell apart; the least margin of these, and the largest of all."""
        least, largest = np.inf, 0.0
        chosen = self.levels[:, [t.column for t in found]]
        for part in self.parts():
            score = np.zeros((part.stop - part.start, self.classes))
            for t, column in zip(found, (self.block(part) @ chosen).T, strict=True):
                score[:, t.k] -= t.sign * (column - t.at)
            margin = np.take_along_axis(score, self.codes[part, None], axis=1) - score
            new = (margin > 0.0) & ~apart[part]
            least = min(least, float(margin[new].min(initial=np.inf)))
            largest = max(largest, float(np.abs(margin).max(initial=0.0)))
            apart[part] |= new
        return least, largest
