"""A least-squares fit as a projection: an orthonormal basis of its columns, leverages, and what each row's deletion
leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .span import root_weights

__all__ = ["Deletion", "Projection", "rounding_of"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
ROUNDING = 32.0  # residuals of which more than this share, 1 / 32, is rounding tell nothing
LOOSE = 1e-8  # the part outside a span that rounding leaves in a vector of length 1
ALONE = 32.0  # by how many κ eps a row may seem to leave the column space that it alone extends (seen: below 7)
DELICATE = 0.9  # leverage, or share of Σ r², beyond which a difference from 1 has lost digits


def rounding_of(along: Array, rss: float, rows: int) -> float:
    """Σ w r² up to which residuals r with the part `along (r,)` an orthonormal basis of the columns are rounding.

    Those of least squares are orthogonal to the columns. What is left of them along the basis, ‖basis'r‖ / √rank in a
    direction, is the rounding that each other direction holds as well. So residuals are none where the fit is perfect,
    and where they are of another fit.
    """
    noise = float(along @ along) * rows / max(len(along), 1)
    return ROUNDING**2 * max(noise, (4.0 * EPS) ** 2 * rss)


@dataclass(frozen=True)
class Deletion:
    """What the fit without a row would be, for each row of positive weight: 1 - h `(m,)`, the residual √w r `(m,)`, and
    Σ w r² of the other rows in the fit without it `(m,)`.

    1 - h is exactly zero for a row that alone determines a coefficient; its fit without it is the fit of the others.
    """

    complement: Array
    residual: Array
    rss: Array


@dataclass(frozen=True)
class Projection:
    """The column space of √w Z and the residuals √w r in it: `H = basis basis'` is the hat matrix, never formed.

    `design (n, q)` is Z, `given (n,)` r; `used (n,)` marks the m rows of positive weight; `root (m,)` is the root of
    their weights, the largest 1; `basis (m, rank)` is orthonormal; `residual (m,)` is √w r, the largest 1. `singular
    (q,)` and `directions (q, q)`, rows, belong to √w Z with its columns divided by their lengths `scale (q,)`.

    >>> Projection.of(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), [1.0, -2.0, 1.0]).leverage.round(12).tolist()
    [0.833333333333, 0.333333333333, 0.833333333333]
    """

    design: Array
    given: Array
    used: NDArray[np.bool_]
    root: Array
    basis: Array
    residual: Array
    singular: Array
    directions: Array
    scale: Array

    @classmethod
    def of(cls, Z: Any, residual: Any, *, rank: int | None = None, weight: Any = None) -> Projection:
        """From the design `Z (n, q)` with its column of ones, in any coordinates, and the residuals `(n,)` of its fit.

        Householder QR, then the singular values of the column-scaled R: the `rank` largest count, or those above 8 q
        eps of the largest. Golub and Van Loan, Matrix Computations, section 5.4.

        Raises:
            UsageError: shapes that do not belong together.
            DataError: a weight that is negative or not finite, or weights that are all zero.
        """
        Z, residual = np.asarray(Z, dtype=np.float64), np.asarray(residual, dtype=np.float64)
        if Z.ndim != 2 or residual.shape != (len(Z),):
            raise UsageError(
                f"a design of shape {Z.shape} does not go with residuals of shape {residual.shape}: "
                "give (n, q) and (n,)"
            )
        root = root_weights(weight, len(Z))
        root = root / (root.max(initial=0.0) or 1.0)
        used = root > 0
        rows, scaled = Z, residual
        if weight is not None:
            root = root[used]
            rows, scaled = Z[used] * root[:, None], residual[used] * root
        scaled = scaled / (np.abs(scaled).max(initial=0.0) or 1.0)
        Q, R = np.linalg.qr(rows)
        scale = np.sqrt((R**2).sum(axis=0))
        scale[scale == 0] = 1.0
        U, singular, directions = np.linalg.svd(R / scale)
        q = Z.shape[1]
        singular = np.pad(singular, (0, q - len(singular)))
        largest = singular.max(initial=0.0)
        known = int(np.sum(singular > (8.0 * q * EPS * largest if rank is None else 0.0)))
        basis = Q @ U[:, : known if rank is None else min(rank, known)]
        return cls(Z, residual, used, root, basis, scaled, singular, directions, scale)

    @property
    def rank(self) -> int:
        """How many directions the data determine."""
        return int(self.basis.shape[1])

    @property
    def rows(self) -> int:
        """Rows of positive weight, m."""
        return len(self.root)

    @property
    def df(self) -> int:
        """Residual degrees of freedom, m - rank."""
        return self.rows - self.rank

    @property
    def condition(self) -> float:
        """Condition number κ of √w Z with its columns scaled to one length, of the directions that are determined."""
        return float(self.singular[0] / self.singular[self.rank - 1]) if self.rank else 0.0

    @cached_property
    def has_constant(self) -> bool:
        """Whether the column of ones is in the span of Z."""
        rest = self.root - self.basis @ (self.basis.T @ self.root)
        return float(np.linalg.norm(rest)) <= LOOSE * float(np.linalg.norm(self.root))

    def estimable(self, combinations: Array) -> NDArray[np.bool_]:
        """Whether the data determine c'θ for each row c: it has no part along a direction that they leave open."""
        scaled = combinations / self.scale
        largest = np.abs(scaled).max(axis=1, keepdims=True, initial=0.0)
        free = self.directions[self.rank :] @ (scaled / np.where(largest > 0.0, largest, 1.0)).T
        return np.asarray(np.abs(free).max(axis=0, initial=0.0) <= LOOSE)

    def spans(self, Z: Array) -> bool:
        """Whether the columns of another design `(n, ·)` of the same rows lie in this column space."""
        rows = Z[self.used] * self.root[:, None]
        rest = rows - self.basis @ (self.basis.T @ rows)
        return bool((np.linalg.norm(rest, axis=0) <= 1e-7 * np.linalg.norm(rows, axis=0)).all())

    @cached_property
    def leverage(self) -> Array:
        """h `(m,)`, the diagonal of the hat matrix."""
        h: Array = np.minimum(np.einsum("ij,ij->i", self.basis, self.basis), 1.0)
        h[self.deletion.complement == 0.0] = 1.0
        return h

    def spread(self, values: Array, fill: float = 0.0) -> Array:
        """The values `(m, ...)` of the rows of positive weight in an array of all rows, `fill` for the others."""
        if self.used.all():
            return values
        everywhere = np.full((len(self.used), *values.shape[1:]), fill)
        everywhere[self.used] = values
        return everywhere

    @cached_property
    def rss(self) -> float:
        """Σ w r², in the units of `residual`."""
        return float(self.residual @ self.residual)

    @cached_property
    def rounding(self) -> float:
        """Σ w r² up to which residuals are rounding: see `rounding_of`."""
        return rounding_of(self.basis.T @ self.residual, self.rss, self.rows)

    @cached_property
    def unweighted(self) -> Projection:
        """That of the same columns at the rows of positive weight, all counted alike."""
        if (self.root == 1.0).all():
            return self
        return Projection.of(self.design[self.used], np.zeros(self.rows), rank=self.rank)

    @cached_property
    def levels(self) -> Array:
        """An orthonormal basis `(m, ·)` of the columns of [1 Z], rows of positive weight, all counted alike."""
        basis = self.unweighted.basis
        if self.has_constant:
            return basis
        one = np.ones(self.rows)
        for _ in range(2):  # the second time takes out what rounding left
            one = one - basis @ (basis.T @ one)
        return np.column_stack([basis, one / np.linalg.norm(one)])

    @cached_property
    def deletion(self) -> Deletion:
        """The fits without each row, in closed form.

        1 - h and Σ w r² - w r² / (1 - h) cancel where they are small. There the row H e of the hat matrix gives them as
        sums of squares: h (1 - h) = Σ' (He)², h r = -Σ' (He) r, over the other rows. At most a few times `rank` rows
        need it.
        """
        complement = 1.0 - np.einsum("ij,ij->i", self.basis, self.basis)
        share = self.residual**2
        with np.errstate(divide="ignore", invalid="ignore"):
            rss = self.rss - share / complement
        residual = self.residual.copy()
        delicate = (complement < 1.0 - DELICATE) | (rss < (1.0 - DELICATE) * self.rss)
        for i in np.flatnonzero(delicate).tolist() if self.df else ():
            complement[i], residual[i], rss[i] = self._without(i, residual[i])
        if not self.df:
            complement[:], rss[:] = 0.0, 0.0
        return Deletion(complement, residual, rss)

    def _without(self, i: int, residual: float) -> tuple[float, float, float]:
        """1 - h, √w r and what is left of Σ w r² for row i, without cancellation."""
        column = self.basis @ self.basis[i]
        h, column[i] = column[i], 0.0
        complement = float(column @ column) / h if h > 0.0 else 1.0
        if h > 0.5:
            residual = -float(column @ self.residual) / h
        if complement <= (ALONE * EPS * self.condition) ** 2:
            return 0.0, 0.0, self.rss
        others = self.residual + column * (residual / complement)
        others[i] = 0.0
        return complement, residual, float(others @ others)
