"""Passes over many rows of two classes, block by block in threads: loss, gradient, information, rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...double_double import two_sum
from ..blocks import summed

__all__ = ["Passes", "Sums", "Whitened"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Of rows: `total (1 + q,)` is Σ w loss and its gradient, and `lost` what rounding took from the sums of blocks;
    the smallest margin of a row; the Hessian `(q, q)` where it was asked for.
    """

    total: Array
    lost: Array | float
    margin: float
    hessian: Array | float = 0.0

    def __add__(self, other: Sums) -> Sums:
        total, lost = two_sum(self.total, other.total)
        margin, hessian = min(self.margin, other.margin), self.hessian + other.hessian
        return Sums(total, self.lost + other.lost + lost, margin, hessian)

    @property
    def value(self) -> float:
        """Σ w loss."""
        return float((self.total + self.lost)[0])

    @property
    def gradient(self) -> Array:
        """Its gradient."""
        return np.asarray((self.total + self.lost)[1:])


@dataclass(frozen=True)
class Passes:
    """The rows `X (n, p)` less `center (p,)`, divided by `scale (p,)`, and a one where there is an `intercept`.

    `sign (n,)` is 1 for class 1 and -1 for class 0, `weight (n,)` or None. θ `(q,)` belongs to those columns.
    """

    X: Array
    sign: Array
    weight: Array | None
    center: Array
    scale: Array
    intercept: bool

    def every(self, step: int) -> Passes:
        """Every `step`-th row of them."""
        return Passes(
            self.X[::step], self.sign[::step], None if self.weight is None else self.weight[::step], self.center,
            self.scale, self.intercept,
        )  # fmt: skip

    def sums(self, theta: Array, *, hessian: bool, probability: Array | None = None) -> Sums:
        """One pass; `probability (n,)` takes that of class 1."""
        slopes, bias = self._apart(theta)

        def leaf(part: slice, space: Array) -> Sums:
            block, sign = self._block(part, space), self.sign[part]
            margin = (block @ slopes + bias) * sign
            e, wrong = _mistaken(margin)
            loss, pull = np.log1p(e) - np.minimum(margin, 0.0), -sign * wrong
            if self.weight is not None:
                loss, pull = loss * self.weight[part], pull * self.weight[part]
            if probability is not None:
                probability[part] = np.where(sign > 0, 1.0 - wrong, wrong)
            total = np.concatenate([[loss.sum()], self._across(block, pull)])
            if not hessian:
                return Sums(total, 0.0, float(margin.min()))
            bend = e / (1.0 + e) ** 2
            bend = bend if self.weight is None else bend * self.weight[part]
            return Sums(total, 0.0, float(margin.min()), self._squares(block, bend, space))

        return self._summed(leaf, self.X.size * ((self.X.shape[1] if hessian else 0) + 64))

    def rounding(self, theta: Array) -> tuple[Array, float, float]:
        """Σ w |z| (p_wrong + bend |z|'|θ|) `(q,)`, from which the gradient's rounding is; the largest |z|; Σ w |z|."""
        (slopes, bias), (size, more) = self._apart(theta), self._apart(self._grown(theta))

        def leaf(part: slice, space: Array) -> Sums:
            block, sign = self._block(part, space), self.sign[part]
            e, wrong = _mistaken((block @ slopes + bias) * sign)
            block = np.abs(block, out=self._room(space, block.shape))
            off = e / (1.0 + e) ** 2 * (block @ size + more)
            length = np.sqrt(block**2 @ self.scale**-2.0 + float(self.intercept))
            w = 1.0 if self.weight is None else self.weight[part]
            total = np.concatenate([[(w * length).sum()], self._across(block, w * wrong), self._across(block, w * off)])
            return Sums(total, 0.0, -float(length.max()))

        found = self._summed(leaf, 128 * self.X.size)
        return self._pulled(*np.split(found.gradient, 2)), -found.margin, found.value

    def _summed(self, leaf: Callable[[slice, Array], Sums], work: int) -> Sums:
        n, p = self.X.shape
        return summed(leaf, lambda size: np.empty(2 * size * (p + 1)), rows=n, columns=p, work=work)

    def _block(self, part: slice, space: Array) -> Array:
        """Rows less their center: themselves where that is zero."""
        rows = self.X[part]
        return np.subtract(rows, self.center, out=self._room(space, rows.shape)) if self.center.any() else rows

    def _room(self, space: Array, shape: tuple[int, ...]) -> Array:
        return space[: shape[0] * shape[1]].reshape(shape)

    def _grown(self, theta: Array) -> Array:
        """What a row's rounding is multiplied with in its prediction."""
        return np.abs(theta)

    def _pulled(self, wrong: Array, off: Array) -> Array:
        """The gradient's rounding, from that of the rows that are wrong and that of their predictions."""
        return wrong + off

    def _apart(self, theta: Array) -> tuple[Array, float]:
        """Slopes for the rows as they lie in a block, and the intercept."""
        p = len(self.scale)
        return theta[:p] / self.scale, float(theta[p]) if self.intercept else 0.0

    def _across(self, block: Array, pull: Array) -> Array:
        """Σ pull z."""
        slopes = (pull @ block) / self.scale
        return np.append(slopes, pull.sum()) if self.intercept else slopes

    def _squares(self, block: Array, bend: Array, space: Array) -> Array:
        """Σ bend zz'."""
        n, p = block.shape
        q, root = p + int(self.intercept), np.sqrt(bend)
        bent = np.multiply(block, root[:, None], out=space[n * p : 2 * n * p].reshape(n, p))
        H = np.empty((q, q))
        H[:p, :p] = bent.T @ bent / self.scale / self.scale[:, None]
        if self.intercept:
            H[p, :p] = H[:p, p] = (root @ bent) / self.scale
            H[p, p] = bend.sum()
        return H


@dataclass(frozen=True)
class Whitened(Passes):
    """The rows z of `plain` as zR⁻¹ with an upper triangular `R (q, q)`: θ̃ = Rθ belongs to columns that are as good as
    orthonormal, whatever the condition of Z is.
    """

    plain: Passes
    R: Array

    @classmethod
    def of(cls, plain: Passes, R: Array) -> Whitened:
        """Those rows in that basis."""
        return cls(plain.X, plain.sign, plain.weight, plain.center, np.ones(len(R)), False, plain, R)

    def _block(self, part: slice, space: Array) -> Array:
        from scipy.linalg import solve_triangular

        rows = super()._block(part, space)
        (n, p), q = rows.shape, len(self.R)
        Z = np.ones((n, q))
        np.divide(rows, self.plain.scale, out=Z[:, :p])
        return np.asarray(solve_triangular(self.R, Z.T, trans="T", overwrite_b=True, check_finite=False).T)

    def _grown(self, theta: Array) -> Array:
        return np.asarray(np.abs(self.R) @ np.abs(np.linalg.solve(self.R, theta)))

    def _pulled(self, wrong: Array, off: Array) -> Array:
        return np.asarray(np.abs(np.linalg.inv(self.R)).T @ (np.abs(self.R).T @ wrong) + off)


def _mistaken(margin: Array) -> tuple[Array, Array]:
    """exp(-|margin|), and the probability of the other class."""
    e = np.exp(-np.abs(margin))
    return e, np.where(margin >= 0.0, e, 1.0) / (1.0 + e)
