"""A least-squares fit whose rows are read block by block: orthonormal coordinates and the residual of each row."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import parts, summed, with_ones
from .projection import LOOSE, rounding_of
from .residual_sums import ResidualSums
from .span import Span
from .triangle import merged_factors

__all__ = ["BlockFit", "Part"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Some rows: their `coordinates (k, r)` in an orthonormal basis of √w Z; residuals √w r `(k,)`, the largest of all
    rows 1; `fitted (k,)` in the units of the target; `root`, √w of weights of mean 1, `(k,)` or one for all; and [x 1]
    as `row (k, p + 1)`.
    """

    coordinates: Array
    residual: Array
    fitted: Array
    root: Array
    row: Array


@dataclass(frozen=True)
class BlockFit:
    """What `Projection` is of rows in memory, of rows `X (n, p)`, `y (n,)` of which blocks are read, all of positive
    `weight (n,)`; `theta (q,)` are the slopes, and the intercept last.

    `span` is that of √w Z; `levels (p + 1, l)` leads from [x 1] to an orthonormal basis of the columns of [1 Z], all
    rows counted alike, of condition number `level_condition`. `largest` is the largest √w |r|, `mass` Σ w; `center` and
    `reach` are the weighted mean of the fitted values and how far the farthest is from it, `size` the largest of them.
    """

    X: Any
    y: Array
    weight: Array | None
    theta: Array
    span: Span
    levels: Array
    level_condition: float
    has_constant: bool
    largest: float
    mass: float
    center: float
    reach: float
    size: float

    @classmethod
    def of(
        cls, X: Any, y: Array, theta: Array, *, rank: int, weight: Array | None = None, R: Array | None = None
    ) -> BlockFit:
        """In one pass; in it the factor `R` of √w [X 1], weights of mean 1, is made where it is not known."""
        n, q = len(X), len(theta)
        mass = float(n if weight is None else weight.sum())
        look = _looked(X, y, theta, weight, mass / n, factor=R is None)
        weighted = look.weighted if R is None else np.asarray(np.linalg.qr(R, mode="r"))
        span = Span.of(weighted[:, :q], rows=n, rank=rank)
        plain = weighted if look.plain is None else look.plain
        held, level_span = _of_constant(weighted, span), span
        if look.plain is not None:
            level_span = Span.of(plain[:, :q], rows=n, rank=rank)
        ones = weighted[:, -1]
        mean = float((weighted[:, :q] @ theta) @ ones / (ones @ ones))
        center = mean if held else 0.0
        return cls(
            X, y, weight, theta, span, _levels(level_span, plain[:, -1], held), level_span.condition,
            held, look.largest or 1.0, mass, center, max(look.high - center, center - look.low),
            max(look.high, -look.low),
        )  # fmt: skip

    @cached_property
    def basis(self) -> Array:
        """What leads from a row of √w Z to its orthonormal coordinates, `(q, r)`, right to κ eps."""
        return self.span.basis

    @property
    def rank(self) -> int:
        """How many directions the data determine."""
        return self.span.rank

    @property
    def rows(self) -> int:
        """How many rows there are, n."""
        return len(self.y)

    @property
    def df(self) -> int:
        """Residual degrees of freedom, n - rank."""
        return self.rows - self.rank

    @cached_property
    def sums(self) -> ResidualSums:
        """Of all residuals, in their order: one pass."""

        def leaf(rows: slice) -> ResidualSums:
            part = self.part(rows)
            return ResidualSums.of(part.coordinates, part.residual)

        found: ResidualSums = self.summed(leaf)
        return found

    @property
    def rss(self) -> float:
        """Σ w r², in the units of the residuals of a `Part`."""
        return self.sums.squares

    @property
    def rounding(self) -> float:
        """Σ w r² up to which residuals are rounding, by what is left of them along the basis."""
        return rounding_of(self.sums.along, self.rss, self.rows)

    @property
    def condition(self) -> float:
        """Condition number κ of √w Z with its columns scaled to one length."""
        return self.span.condition

    def part(self, rows: slice) -> Part:
        """A block of rows."""
        row = with_ones(self.X[rows])
        Z = row[:, : len(self.theta)]
        fitted = Z @ self.theta
        residual = (self.y[rows] - fitted) / self.largest
        if self.weight is None:
            return Part(Z @ self.basis, residual, fitted, self.roots(rows), row)
        root = self.roots(rows)
        return Part((Z * root[:, None]) @ self.basis, residual * root, fitted, root, row)

    @property
    def scale(self) -> Array:
        """The lengths of the columns of √w Z, `(q,)`."""
        return self.span.scale

    @property
    def singular(self) -> Array:
        """Singular values of √w Z with its columns divided by their lengths, of the directions that are determined."""
        return self.span.singular

    @property
    def directions(self) -> Array:
        """Their directions, in rows."""
        return self.span.directions

    def roots(self, rows: Any) -> Array:
        """√w of some rows, weights of mean 1; 1 without weights."""
        if self.weight is None:
            return np.ones(1)
        return np.asarray(np.sqrt(self.weight[rows] / (self.mass / self.rows)))

    def estimable(self, combinations: Array) -> NDArray[np.bool_]:
        """Whether the data determine c'θ for each row c."""
        return self.span.estimable(combinations)

    def level(self, row: Array) -> Array:
        """The orthonormal coordinates `(k, l)` of [1 Z] of rows [x 1] that are counted alike."""
        return np.asarray(row @ self.levels)

    def parts(self) -> Any:
        """The slices of all blocks, in order."""
        return parts(self.X)

    def summed(self, leaf: Any, *, columns: int = 0, work: int = 4, add: Any = operator.add) -> Any:
        """The sum of leaf(slice) over the blocks: one pass; `work` for each number of a row of that many columns."""
        n, p = self.X.shape
        return summed(
            lambda part, _: leaf(part),
            lambda _: None,
            rows=n,
            columns=p + columns,
            work=work * n * (p + 1) ** 2,
            add=add,
        )


@dataclass(frozen=True)
class _Look:
    """What the first pass finds: factors of √w [X 1] and, where that is another one, [X 1]; and extents."""

    weighted: Array
    plain: Array | None
    largest: float
    low: float
    high: float

    def __add__(self, other: _Look) -> _Look:
        plain = None
        if self.plain is not None and other.plain is not None:
            plain = merged_factors(self.plain, other.plain)
        return _Look(
            merged_factors(self.weighted, other.weighted) if self.weighted.size else self.weighted, plain,
            max(self.largest, other.largest), min(self.low, other.low), max(self.high, other.high),
        )  # fmt: skip


def _looked(X: Any, y: Array, theta: Array, weight: Array | None, mean: float, *, factor: bool) -> _Look:
    """In one pass; both factors with p + 1 rows."""
    n, p = X.shape

    def leaf(part: slice, _: None) -> _Look:
        row = with_ones(X[part])
        fitted = row[:, : len(theta)] @ theta
        residual, rows, plain = y[part] - fitted, row, None
        if weight is not None:
            root = np.sqrt(weight[part] / mean)
            residual, rows = residual * root, row * root[:, None]
            plain = np.asarray(np.linalg.qr(row, mode="r"))
        weighted = np.asarray(np.linalg.qr(rows, mode="r")) if factor else np.empty((0, p + 1))
        low, high = float(fitted.min(initial=math.inf)), float(fitted.max(initial=-math.inf))
        return _Look(weighted, plain, float(np.abs(residual).max(initial=0.0)), low, high)

    found = summed(leaf, lambda _: None, rows=n, columns=p + 1, work=2 * n * (p + 1) ** 2)
    plain = None if found.plain is None else _square(found.plain)
    return _Look(_square(found.weighted), plain, found.largest, found.low, found.high)


def _square(R: Array) -> Array:
    return np.pad(R, ((0, max(R.shape[1] - len(R), 0)), (0, 0)))


def _of_constant(weighted: Array, span: Span) -> bool:
    """Whether the column of ones, the last one of the factor, is in the span of the first ones."""
    ones = weighted[:, -1]
    rest = ones - span.left @ (span.left.T @ ones)
    return float(np.linalg.norm(rest)) <= LOOSE * float(np.linalg.norm(ones))


def _levels(span: Span, ones: Array, held: bool) -> Array:
    """From [x 1] to an orthonormal basis of [1 Z] `(p + 1, l)`; `ones` are those of the factor of all rows."""
    basis = span.basis
    columns = np.zeros((len(ones), len(basis[0]) + int(not held)))
    columns[: len(basis), : len(basis[0])] = basis
    if not held:
        along = span.left.T @ ones
        rest = ones - span.left @ along
        columns[: len(basis), -1] = -(basis @ along)
        columns[-1, -1] += 1.0
        columns[:, -1] /= float(np.linalg.norm(rest))
    return columns
