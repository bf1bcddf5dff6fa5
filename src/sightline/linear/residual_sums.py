"""What a pass over residuals in the order of their rows adds up: powers about the mean, differences of neighbors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ResidualSums"]

Array = NDArray[np.float64]
ENDS = 2  # rows at each end that those beyond it still need


@dataclass(frozen=True)
class ResidualSums:
    """Sums of a stretch of neighboring rows with residuals e and orthonormal coordinates q, which add up with those of
    the next stretch.

    `powers` are Σ (e - ē)², ³ and ⁴ with the mean ē; `squares` is Σ e², `along (r,)` Q'e; of neighbors t - 1 and t
    `steps` Σ (eₜ - eₜ₋₁)², `lagged` Σ eₜ eₜ₋₁, `gram (r, r)` Σ dd' of d = qₜ - qₜ₋₁; `bends` Σ ‖qₜ₋₁ - 2 qₜ + qₜ₊₁‖² of
    rows between two; `head` and `tail (≤ 2, r + 1)` hold the coordinates and residuals of the first and the last rows.

    >>> q, e = np.ones((5, 1)) / 5**0.5, np.array([1.0, -1.0, 3.0, -1.0, -2.0])
    >>> parts = ResidualSums.of(q[:2], e[:2]) + ResidualSums.of(q[2:3], e[2:3]) + ResidualSums.of(q[3:], e[3:])
    >>> parts.squares, parts.steps, parts.lagged, tuple(round(p, 9) for p in parts.powers)
    (16.0, 37.0, -5.0, (16.0, 18.0, 100.0))
    """

    rows: int
    mean: float
    powers: tuple[float, float, float]
    squares: float
    along: Array
    steps: float
    lagged: float
    gram: Array
    bends: float
    head: Array
    tail: Array

    @classmethod
    def of(cls, coordinates: Array, residual: Array) -> ResidualSums:
        """Of one stretch of at least one row."""
        mean = float(residual.mean())
        centered = residual - mean
        squares = centered**2
        rows = np.column_stack([coordinates, residual])
        difference = np.diff(rows, axis=0)
        d, step = difference[:, :-1], difference[:, -1]
        bend = np.diff(d, axis=0)
        return cls(
            len(rows), mean, (float(squares.sum()), float(squares @ centered), float(squares @ squares)),
            float(residual @ residual), coordinates.T @ residual, float(step @ step),
            float(residual[1:] @ residual[:-1]), d.T @ d, float(np.vdot(bend, bend)), rows[:ENDS], rows[-ENDS:],
        )  # fmt: skip

    def __add__(self, other: ResidualSums) -> ResidualSums:
        """With those of the rows that follow."""
        near = np.vstack([self.tail, other.head])
        last, first = self.tail[-1], other.head[0]
        step = first - last
        bend = np.diff(near[:, :-1], n=2, axis=0)
        rows, mean, powers = _merged(self, other)
        return ResidualSums(
            rows, mean, powers, self.squares + other.squares, self.along + other.along,
            self.steps + other.steps + float(step[-1] ** 2), self.lagged + other.lagged + float(first[-1] * last[-1]),
            self.gram + other.gram + np.outer(step[:-1], step[:-1]),
            self.bends + other.bends + float(np.vdot(bend, bend)),
            np.vstack([self.head, other.head])[:ENDS], np.vstack([self.tail, other.tail])[-ENDS:],
        )  # fmt: skip

    @property
    def all_bends(self) -> float:
        """tr Q'A²Q, A = D'D of the first differences D: with the two rows that have one neighbor."""
        ends = np.vstack([np.diff(self.head[:, :-1], axis=0), np.diff(self.tail[:, :-1], axis=0)])
        return self.bends + float(np.vdot(ends, ends))


def _merged(a: ResidualSums, b: ResidualSums) -> tuple[int, float, tuple[float, float, float]]:
    """Rows, mean and central powers of both; Pébay 2008, Formulas for robust, one-pass parallel computation of
    covariances and arbitrary-order statistical moments, equations 2.1 to 2.3.
    """
    n, m = a.rows, b.rows
    both, apart = n + m, b.mean - a.mean
    (a2, a3, a4), (b2, b3, b4) = a.powers, b.powers
    share = apart / both
    second = a2 + b2 + apart * share * n * m
    third = a3 + b3 + apart * share**2 * n * m * (n - m) + 3.0 * share * (n * b2 - m * a2)
    fourth = (
        a4 + b4 + apart * share**3 * n * m * (n * n - n * m + m * m)
        + 6.0 * share**2 * (n * n * b2 + m * m * a2) + 4.0 * share * (n * b3 - m * a3)
    )  # fmt: skip
    return both, a.mean + share * m, (second, third, fourth)
