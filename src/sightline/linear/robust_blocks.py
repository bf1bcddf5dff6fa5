"""The robust covariance of a least-squares fit whose rows are read block by block: one pass more than the fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import parts, rows_at, summed, with_ones
from .exact import Exact
from .robust import FULL, NOTHING, adjustment, cluster_squares, full_leverage
from .span import Span
from .triangle import merged_factors
from .wide import Triangle

__all__ = ["NEAR", "orthonormal", "robust_covariance_of_blocks"]

Array = NDArray[np.float64]
NEAR = 0.01  # what leverage leaves of a row, below which its digits are looked for in the other rows


def robust_covariance_of_blocks(
    X: Any,
    y: Array,
    exact: Exact,
    *,
    kind: str,
    combinations: Array,
    weight: Array | None = None,
    clusters: NDArray[np.intp] | None = None,
    known_squares: Array | None = None,
) -> Array:
    """As `robust_covariance`, of a fit `exact` of the rows `X (n, p)`, `y (n,)` that knows its triangular factor R.

    A row z of the weighted design has the coordinates zR⁻¹ in an orthonormal basis of the columns, so its leverage and
    what it adds to V = (U e)'(U e) need no other row; where the leverage is near 1, those of the others are R'R - zz'.
    `clusters (n,)` are numbered from 0. `known_squares (q, q)`, Σ ss' of the scores s = w r z, of hc2 and hc3 with what
    these divide them by, stands for the passes where it is known.

    Raises DataError for leverage 1 with hc2 or hc3.
    """
    n, scores = len(X), _Scores.of(X, y, exact, combinations, weight)
    if n <= exact.rank:
        return np.full((len(combinations), len(combinations)), math.nan)
    m, power = len(combinations), {"hc2": 0.5, "hc3": 1.0}.get(kind, 0.0)
    if known_squares is not None:
        lead = scores.basis @ scores.coordinates
        squares = lead.T @ known_squares @ lead
    else:
        squares = scores.squares(power, kind) if clusters is None else cluster_squares(scores.each(), clusters, m)
    squares = squares * adjustment(kind, n, exact.rank, clusters) ** 2
    least = NOTHING * np.linalg.norm(scores.coordinates, axis=0) * math.sqrt(float(exact.rss) / n)
    known = scores.known & (np.diag(squares) > least**2)
    squares[~known] = squares[:, ~known] = math.nan
    return np.asarray(squares)


def orthonormal(exact: Exact) -> Array:
    """What leads from a weighted row to orthonormal coordinates, `(q, r)`."""
    if isinstance(exact.geometry, Triangle):  # of full rank, and of too many columns for singular values
        return np.asarray(np.linalg.inv(exact.factor * math.sqrt(exact.mass / exact.rows)), dtype=np.float64)
    return _span(exact).basis


def _span(exact: Exact) -> Span:
    return Span.of(exact.factor * math.sqrt(exact.mass / exact.rows), rows=exact.rows, rank=exact.rank)


@dataclass(frozen=True)
class _Scores:
    """What each row adds to combinations of the coefficients: `basis (q, r)` leads from the weighted row to orthonormal
    coordinates, `coordinates (r, m)` from there to the combinations, of which `known (m,)` are determined.
    """

    X: Any
    y: Array
    weight: Array | None
    exact: Exact
    basis: Array
    coordinates: Array
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, X: Any, y: Array, exact: Exact, combinations: Array, weight: Array | None) -> _Scores:
        if isinstance(exact.geometry, Triangle):
            basis = orthonormal(exact)
            return cls(X, y, weight, exact, basis, (combinations @ basis).T, np.ones(len(combinations), dtype=bool))
        span = _span(exact)
        return cls(X, y, weight, exact, span.basis, span.coordinates(combinations), span.estimable(combinations))

    def rows(self, part: slice) -> tuple[Array, Array]:
        """The weighted rows of a block in the orthonormal coordinates, `(·, r)`, and their weighted residuals."""
        Z, y, w = with_ones(self.X[part], self.exact.intercept), self.y[part], self.weight
        residual = y - Z @ self.exact.theta
        if w is None:
            return Z @ self.basis, residual
        root = np.sqrt(w[part])
        return (Z * root[:, None]) @ self.basis, residual * root

    def each(self) -> Iterator[tuple[slice, Array]]:
        """The scores `(·, m)` of block after block."""
        for part in parts(self.X):
            rows, residual = self.rows(part)
            yield part, (rows * residual[:, None]) @ self.coordinates

    def squares(self, power: float, kind: str) -> Array:
        """Σ ss' of scores divided by 1 - h to that power, in one pass; in three where a row has a leverage near 1."""
        near, squares = self.divided(power, np.zeros(0, dtype=np.intp), np.zeros(0))
        if not len(near):
            return squares
        left = self.left_of(near)
        if (left < FULL).any():
            raise full_leverage(near[left < FULL], kind)
        return self.divided(power, near, left)[1]

    def divided(self, power: float, near: NDArray[np.intp], left: Array) -> tuple[NDArray[np.intp], Array]:
        """The rows with leverage near 1, and Σ ss'; of the rows `near (k,)` with `left (k,)` in place of 1 - h."""

        def leaf(part: slice, _: None) -> tuple[list[NDArray[np.intp]], Array]:
            rows, residual = self.rows(part)
            if not power:
                scores = (rows * residual[:, None]) @ self.coordinates
                return [np.zeros(0, dtype=np.intp)], scores.T @ scores
            rest = 1.0 - np.einsum("ij,ij->i", rows, rows)
            close = np.flatnonzero(rest < NEAR)
            rest[close] = 1.0
            inside = (near >= part.start) & (near < part.stop)
            rest[near[inside] - part.start] = left[inside]
            scores = (rows * (residual / rest**power)[:, None]) @ self.coordinates
            return [part.start + close], scores.T @ scores

        n, p = self.X.shape
        found, squares = summed(
            leaf, lambda _: None, rows=n, columns=p, work=n * (p + 1) * (p + 64),
            add=lambda a, b: (a[0] + b[0], a[1] + b[1]),
        )  # fmt: skip
        return np.concatenate(found), squares

    def left_of(self, near: NDArray[np.intp]) -> Array:
        """1 - h of these rows, in a pass over the others: 1 / (1 + ‖zR⁻¹‖²) with the R of all rows but that one."""
        skipped = np.zeros(len(self.X), dtype=bool)
        skipped[near] = True

        def leaf(part: slice, _: None) -> Array:
            return np.asarray(np.linalg.qr(self.rows(part)[0][~skipped[part]], mode="r"))

        n, p = self.X.shape
        others = summed(leaf, lambda _: None, rows=n, columns=p, work=n * p * p, add=merged_factors)
        Z = with_ones(rows_at(self.X, near), self.exact.intercept)
        Z = (Z if self.weight is None else Z * np.sqrt(self.weight[near])[:, None]) @ self.basis
        return np.array([_left(np.vstack([others, np.delete(Z, i, axis=0)]), z) for i, z in enumerate(Z)])


def _left(others: Array, z: Array) -> float:
    """1 / (1 + z'(R'R)⁻¹z), zero where z is beyond what the others span."""
    _, singular, turned = np.linalg.svd(others, full_matrices=True)
    size, inner = np.zeros(len(z)), turned @ z
    size[: len(singular)] = singular
    known = size > FULL * max(size[0], 1.0)
    if (np.abs(inner[~known]) > 1e-8 * np.linalg.norm(z)).any():
        return 0.0
    return float(1.0 / (1.0 + np.sum((inner[known] / size[known]) ** 2)))
