"""Double-double arithmetic: a number is the unevaluated sum of two float64, about 32 digits, in plain numpy.

Only additions, subtractions and products of float64 in the order written here, so every platform with IEEE 754
arithmetic gives the same bits; neither long double nor a fused multiply-add is needed. Each operation is exact up to
a few units of 2^-104 ≈ 5e-32.

References: Dekker 1971, A floating-point technique for extending the available precision; Knuth, The Art of Computer
Programming, volume 2, section 4.2.2; Hida, Li and Bailey 2001, Algorithms for quad-double precision arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .digits import Digits

__all__ = ["PRECISION", "Pair", "two_product", "two_sum"]

Array = NDArray[np.float64]
PRECISION = 2.0**-104
CACHED = 8192
SPLIT = 134217729.0  # 2^27 + 1: cuts 53 bits into two halves whose products are exact (Veltkamp)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its rounding error: a + b = s + e exactly.

    >>> two_sum(np.float64(1.0), np.float64(1e-20))
    (np.float64(1.0), np.float64(1e-20))
    """
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _fast_two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """`two_sum` for |a| >= |b| or a = 0."""
    s = a + b
    return s, b - (s - a)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded product and its rounding error: a b = p + e exactly, for sizes below 1e300."""
    p = a * b
    t, u = SPLIT * a, SPLIT * b
    a_high, b_high = t - (t - a), u - (u - b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    """Blocks of rows of which the many arrays of one product stay in the cache."""
    size = max(CACHED // max(columns, 1), 64)
    return (slice(i, i + size) for i in range(0, rows, size))


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An array of numbers hi + lo with |lo| at most half a unit in the last place of hi.

    Operators broadcast as numpy's do and take plain arrays and floats as the doubles that they hold.

    >>> third = Pair.of(1.0) / Pair.of(3.0)
    >>> float((third * Pair.of(3.0) - Pair.of(1.0)).hi)
    0.0
    """

    hi: Array
    lo: Array
    __array_ufunc__ = None  # so that `array * pair` is asked of the pair

    @classmethod
    def of(cls, values: ArrayLike | Pair, low: ArrayLike | None = None) -> Pair:
        """Doubles as they are, or the sums of two arrays of doubles."""
        if isinstance(values, Pair):
            return values
        if isinstance(values, Digits):
            return cls(np.array(float(values)), np.array(values.low))
        hi = np.asarray(values, dtype=np.float64)
        return cls(hi, np.zeros_like(hi)) if low is None else cls(*two_sum(hi, np.asarray(low, dtype=np.float64)))

    @classmethod
    def of_fractions(cls, values: Sequence[Fraction] | NDArray[Any]) -> Self:
        """The nearest pairs of exact rational numbers, in the shape of the array.

        >>> float(Pair.of_fractions([Fraction(1, 10)]).lo[0])
        -5.551115123125783e-18
        """
        exact = np.asarray(values, dtype=object)
        hi = np.array([float(v) for v in exact.ravel()], dtype=np.float64)
        finite = np.isfinite(hi)
        lo = [float(v - Fraction(h)) if f else 0.0 for v, h, f in zip(exact.ravel(), hi.tolist(), finite, strict=True)]
        return cls(hi.reshape(exact.shape), np.array(lo, dtype=np.float64).reshape(exact.shape))

    @classmethod
    def stack(cls, columns: Sequence[Pair]) -> Pair:
        """Columns `(n,)` side by side, shape `(n, p)`."""
        return cls(np.column_stack([c.hi for c in columns]), np.column_stack([c.lo for c in columns]))

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return self.hi.shape

    def __len__(self) -> int:
        return len(self.hi)

    def __getitem__(self, key: Any) -> Pair:
        return Pair(np.asarray(self.hi[key]), np.asarray(self.lo[key]))

    def __neg__(self) -> Pair:
        return Pair(-self.hi, -self.lo)

    def __abs__(self) -> Pair:
        sign = np.where(self.hi < 0, -1.0, 1.0)
        return Pair(sign * self.hi, sign * self.lo)

    def __add__(self, other: Pair | ArrayLike) -> Pair:
        b = Pair.of(other)
        s, e = two_sum(self.hi, b.hi)
        t, f = two_sum(self.lo, b.lo)
        s, e = _fast_two_sum(s, e + t)
        return Pair(*_fast_two_sum(s, e + f))

    def __sub__(self, other: Pair | ArrayLike) -> Pair:
        return self + (-Pair.of(other))

    def __mul__(self, other: Pair | ArrayLike) -> Pair:
        b = Pair.of(other)
        p, e = two_product(self.hi, b.hi)
        return Pair(*_fast_two_sum(p, e + (self.hi * b.lo + self.lo * b.hi)))

    def __truediv__(self, other: Pair | ArrayLike) -> Pair:
        b = Pair.of(other)
        first = self.hi / b.hi
        rest = self - b * first
        second = rest.hi / b.hi
        third = (rest - b * second).hi / b.hi
        return Pair(*_fast_two_sum(first, second)) + third

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: ArrayLike) -> Pair:
        return Pair.of(other) - self

    def __rtruediv__(self, other: ArrayLike) -> Pair:
        return Pair.of(other) / self

    def power(self, exponent: int) -> Pair:
        """x^k for a whole k, by repeated squaring; a negative k divides 1 by x^-k."""
        if exponent < 0:
            return Pair.of(np.ones_like(self.hi)) / self.power(-exponent)
        result, square = Pair.of(np.ones_like(self.hi)), self
        while exponent:
            if exponent & 1:
                result = result * square
            exponent >>= 1
            square = square * square if exponent else square
        return result

    def sqrt(self) -> Pair:
        """The square root; of zero, zero."""
        root = np.sqrt(self.hi)
        safe = np.where(root == 0.0, 1.0, root)
        rest = self - Pair.of(root) * root
        return Pair(*_fast_two_sum(root, rest.hi / (2.0 * safe)))

    def sum(self, axis: int = 0) -> Pair:
        """The sum along an axis, pairwise."""
        hi, lo = np.moveaxis(self.hi, axis, 0), np.moveaxis(self.lo, axis, 0)
        total = Pair(hi, lo)
        if not len(hi):
            return Pair.of(np.zeros(hi.shape[1:]))
        while (n := len(total.hi)) > 1:
            half = n // 2
            folded = total[:half] + total[half : 2 * half]
            odd = total[2 * half :]
            total = Pair(np.concatenate([folded.hi, odd.hi]), np.concatenate([folded.lo, odd.lo]))
        return total[0]

    def times(self, x: Pair) -> Pair:
        """The matrix product of `(n, p)` and `(p, k)`."""
        product = Pair(np.empty((len(self), x.shape[1])), np.empty((len(self), x.shape[1])))
        for part in _blocks(len(self), x.shape[1]):
            rows, total = self[part], Pair.of(np.zeros_like(product.hi[part]))
            for j in range(self.shape[1]):
                total = total + rows[:, j : j + 1] * x[j : j + 1]
            product.hi[part], product.lo[part] = total.hi, total.lo
        return product

    def transposed_times(self, r: Pair) -> Pair:
        """The product X'r of `(n, p)` and `(n, k)`, shape `(p, k)`."""
        sums = []
        for part in _blocks(len(self), r.shape[1]):
            rows, right = self[part], r[part]
            sums.append(Pair.stack([(rows[:, j : j + 1] * right).sum() for j in range(self.shape[1])]))
        if not sums or not self.shape[1]:
            return Pair.of(np.zeros((self.shape[1], r.shape[1])))
        total = Pair(np.array([v.hi for v in sums]), np.array([v.lo for v in sums])).sum()
        return Pair(total.hi.T, total.lo.T)

    def digits(self, trusted: float | None = None) -> list[Digits]:
        """The numbers one by one, with how many digits of them are to be trusted."""
        numbers = zip(self.hi.ravel().tolist(), self.lo.ravel().tolist(), strict=True)
        return [Digits(hi, low, trusted) for hi, low in numbers]

    def reshape(self, *shape: int) -> Pair:
        """As of an array."""
        return Pair(self.hi.reshape(shape), self.lo.reshape(shape))

    def fractions(self) -> NDArray[Any]:
        """The exact rational numbers hi + lo, an array of `Fraction`."""
        exact = [
            Fraction(h) + Fraction(low)
            for h, low in zip(self.hi.ravel().tolist(), self.lo.ravel().tolist(), strict=True)
        ]
        result = np.empty(len(exact), dtype=object)
        result[:] = exact
        return result.reshape(self.shape)
