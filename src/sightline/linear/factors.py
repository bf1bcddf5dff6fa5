"""QR factors of a tall matrix, in float64 and in double-double, as preconditioners of the augmented system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..double_double import PRECISION, Pair

__all__ = ["FloatFactor", "PairFactor"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
LARGEST = 2_000_000  # rows times columns squared that double-double factors within a second or so


@dataclass(frozen=True)
class FloatFactor:
    """A = QR by Householder reflections in float64; `condition` is that of R with its columns scaled to one length."""

    Q: Array
    R: Array
    condition: float

    @classmethod
    def of(cls, A: Pair) -> Self | None:
        """None where float64 sees no full rank."""
        if A.shape[0] < A.shape[1]:
            return None
        Q, R = np.linalg.qr(A.hi)
        singular = _singular(R)
        if not singular.size:
            return cls(Q, R, 1.0)
        return None if singular[-1] <= 4.0 * EPS * singular[0] else cls(Q, R, float(singular[0] / singular[-1]))

    def correction(self, f: Pair, g: Pair) -> tuple[Pair, Pair]:
        """dx and dr of [I A; A' 0] [dr; dx] = [f; g]: with h = R'⁻¹g, dx = R⁻¹(Q'f - h) and dr = f - Q(Q'f - h)."""
        if not len(self.R):
            return Pair.of(np.zeros(g.shape)), f
        h = np.linalg.solve(self.R.T, g.hi)
        inner = self.Q.T @ f.hi - h
        return Pair.of(np.linalg.solve(self.R, inner)), Pair.of(f.hi - self.Q @ inner)


@dataclass(frozen=True)
class PairFactor:
    """A = QR by Gram-Schmidt, twice, in double-double: for columns that float64 cannot tell apart."""

    Q: Pair
    R: Pair
    condition: float

    @classmethod
    def of(cls, A: Pair) -> Self | None:
        """None where even double-double sees no full rank, or where it would take long."""
        n, q = A.shape
        if n < q or n * q * q > LARGEST:
            return None
        Q, R = Pair.of(np.zeros((n, q))), Pair.of(np.zeros((q, q)))
        for j in range(q):
            v = A[:, j : j + 1]
            before = float((v * v).sum().hi[0])
            for _ in range(2 if j else 0):
                part = Q[:, :j].transposed_times(v)
                v = v - Q[:, :j].times(part)
                _put(R, (slice(0, j), j), R[:j, j] + part[:, 0])
            length = (v * v).sum().sqrt()
            if not float(length.hi[0]) > 1e3 * PRECISION * np.sqrt(before):
                return None
            _put(R, (j, j), length[0])
            _put(Q, (slice(None), j), (v / length)[:, 0])
        singular = _singular(R.hi)
        return cls(Q, R, float(singular[0] / singular[-1]) if q else 1.0)

    def correction(self, f: Pair, g: Pair) -> tuple[Pair, Pair]:
        """As `FloatFactor.correction`, in double-double."""
        q = len(self.R)
        h = Pair.of(np.zeros(g.shape))
        for j in range(q):
            known = self.R[:j, j : j + 1].transposed_times(h[:j])[0] if j else 0.0
            _put(h, j, (g[j] - known) / self.R[j, j])
        inner = self.Q.transposed_times(f) - h
        dx = Pair.of(np.zeros(g.shape))
        for j in reversed(range(q)):
            known = self.R[j : j + 1, j + 1 :].times(dx[j + 1 :])[0] if j + 1 < q else 0.0
            _put(dx, j, (inner[j] - known) / self.R[j, j])
        return dx, f - self.Q.times(inner)


def _singular(R: Array) -> Array:
    """Singular values of R with its columns scaled to one length."""
    length = np.linalg.norm(R, axis=0)
    return np.asarray(np.linalg.svd(R / np.where(length > 0.0, length, 1.0), compute_uv=False))


def _put(target: Pair, place: Any, value: Pair) -> None:
    """Fill in a part of a pair that is still being made."""
    target.hi[place], target.lo[place] = value.hi, value.lo
