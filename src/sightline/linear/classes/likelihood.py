"""The likelihood of softmax regression with a reference class: value, gradient, probabilities, to 16 or 31 digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from .basis import CACHED, precise_size
from .elementary import exp, log

__all__ = ["ClassRows", "Point", "Ridge", "residual"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
BARRED = -1e5  # the linear predictor of a class that is not allowed: e to this power is zero
PLAIN = 8192  # rows at a time in float64


@dataclass(frozen=True)
class Ridge:
    """The penalty tr(θ'QθG) / 2: `Q (q, q)` for the columns, `G (m, m)` for the classes."""

    Q: Pair
    G: Pair

    def pull(self, theta: Pair) -> Pair:
        """Its gradient QθG, `(q, m)`."""
        return self.Q.times(theta).times(self.G)

    def value(self, theta: Pair) -> float:
        """The penalty itself."""
        return 0.5 * float((theta * self.pull(theta)).reshape(-1).sum().hi)


@dataclass(frozen=True)
class Point:
    """The objective at one θ: `value`, `gradient (q, m)`, probabilities `P (n, K)`.

    `margin` is the smallest η_y - η_k of a row's own class y over another k: positive where every row is right.
    """

    value: float
    gradient: Pair
    P: Pair
    margin: float


@dataclass(frozen=True)
class ClassRows:
    """Σ w (ln Σ_k exp η_k - η_y) + penalty with η = [0, Zθ], for θ `(q, m)`, m = K - 1.

    `Z (n, q)`, `codes (n,)` in 0..K-1, `weight (n,)`. Where `allowed (n, K)` is given, a row chooses only among the
    classes allowed to it. `free` are the entries of θ, class after class, that are not held at zero.
    """

    Z: Pair
    codes: Codes
    weight: Array
    classes: int
    ridge: Ridge | None = None
    allowed: NDArray[np.bool_] | None = None
    free: NDArray[np.intp] | None = None

    @property
    def precise(self) -> bool:
        """Whether the rows are few enough for double-double."""
        return precise_size(*self.Z.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Of θ."""
        return self.Z.shape[1], self.classes - 1

    def value(self, theta: Array) -> float:
        """The objective in float64."""
        parts = [float(self.weight[s] @ _plain(self._differences(s, theta))[0]) for s in self._blocks(PLAIN)]
        return sum(parts) + (0.0 if self.ridge is None else self.ridge.value(Pair.of(theta)))

    def at(self, theta: Array) -> Point:
        """The point in float64; sums of blocks are added without error."""
        P, losses, sums, margin = np.empty((len(self.codes), self.classes)), [], [], np.inf
        for s in self._blocks(PLAIN):
            D, w = self._differences(s, theta), self.weight[s]
            loss, P[s] = _plain(D)
            losses.append(Pair.of(w @ loss))
            sums.append(Pair.of(self.Z.hi[s].T @ (w[:, None] * residual(P[s], self.codes[s]))[:, 1:]))
            margin = min(margin, _margin(D, self.codes[s]))
        return self._point(losses, sums, Pair.of(theta), Pair.of(P), margin)

    def measured(self, theta: Pair) -> Point:
        """The point in double-double where the rows are few enough, else in float64."""
        if not self.precise:
            return self.at(theta.hi)
        n, K = len(self.codes), self.classes
        P, losses, sums, margin = Pair(np.empty((n, K)), np.empty((n, K))), [], [], np.inf
        for s in self._blocks(max(CACHED // (4 * K), 64)):
            D, w = self._pair_differences(s, theta), Pair.of(self.weight[s][:, None])
            loss, part = _precise(D)
            P.hi[s], P.lo[s] = part.hi, part.lo
            losses.append((w[:, 0] * loss).sum())
            sums.append(self.Z[s].transposed_times((w * _pair_residual(part, self.codes[s]))[:, 1:]))
            margin = min(margin, _margin(D.hi, self.codes[s]))
        return self._point(losses, sums, theta, P, margin)

    def flat(self, theta: Array) -> Array:
        """The free entries of `theta (q, m)`, class after class."""
        flat = theta.T.ravel()
        return flat if self.free is None else flat[self.free]

    def placed(self, flat: Array) -> Array:
        """The inverse of `flat`: zero where θ is held."""
        q, m = self.shape
        full = flat
        if self.free is not None:
            full = np.zeros(q * m)
            full[self.free] = flat
        return full.reshape(m, q).T

    def _point(self, losses: Sequence[Pair], sums: Sequence[Pair], theta: Pair, P: Pair, margin: float) -> Point:
        value, gradient = float(_total(losses).hi), _total(sums)
        if self.ridge is not None:
            value, gradient = value + self.ridge.value(theta), gradient + self.ridge.pull(theta)
        return Point(value, gradient, P, margin)

    def _blocks(self, rows: int) -> Iterator[slice]:
        return (slice(i, i + rows) for i in range(0, len(self.codes), rows))

    def _differences(self, s: slice, theta: Array) -> Array:
        """η_k - η_y, exactly zero for a row's own class."""
        eta = np.column_stack([np.zeros(len(self.codes[s])), self.Z.hi[s] @ theta])
        D = eta - np.take_along_axis(eta, self.codes[s][:, None], axis=1)
        return D if self.allowed is None else np.where(self.allowed[s], D, BARRED)

    def _pair_differences(self, s: slice, theta: Pair) -> Pair:
        eta, own = self.Z[s].times(theta), self.codes[s][:, None]
        zero = np.zeros((len(eta), 1))
        eta = Pair(np.hstack([zero, eta.hi]), np.hstack([zero, eta.lo]))
        D = eta - Pair(np.take_along_axis(eta.hi, own, axis=1), np.take_along_axis(eta.lo, own, axis=1))
        if self.allowed is None:
            return D
        return Pair(np.where(self.allowed[s], D.hi, BARRED), np.where(self.allowed[s], D.lo, 0.0))


def residual(P: Array, codes: Codes) -> Array:
    """P - Y `(n, K)`, where a row's own entry is minus the sum of the others, so that 1 - p keeps its digits."""
    own = codes[:, None]
    R = P.copy()
    np.put_along_axis(R, own, 0.0, axis=1)
    np.put_along_axis(R, own, -R.sum(axis=1, keepdims=True), axis=1)
    return R


def _pair_residual(P: Pair, codes: Codes) -> Pair:
    own = codes[:, None]
    R = Pair(P.hi.copy(), P.lo.copy())
    for part in (R.hi, R.lo):
        np.put_along_axis(part, own, 0.0, axis=1)
    wrong = -R.sum(axis=1)
    np.put_along_axis(R.hi, own, wrong.hi[:, None], axis=1)
    np.put_along_axis(R.lo, own, wrong.lo[:, None], axis=1)
    return R


def _plain(D: Array) -> tuple[Array, Array]:
    """ln Σ_k exp D_k `(n,)` and the probabilities `(n, K)`; one of the D of every row is zero."""
    top = D.max(axis=1)
    E = np.exp(D - top[:, None])
    # less one of the terms that are 1, so that a small loss keeps its digits
    rest = np.where(np.arange(D.shape[1]) == D.argmax(axis=1)[:, None], 0.0, E).sum(axis=1)
    return top + np.log1p(rest), E / (1.0 + rest)[:, None]


def _precise(D: Pair) -> tuple[Pair, Pair]:
    top = D.hi.max(axis=1)
    E = exp(D - top[:, None])
    total = E.sum(axis=1)
    return log(total) + top, E / total.reshape(-1, 1)


def _margin(D: Array, codes: Codes) -> float:
    others = D.copy()
    np.put_along_axis(others, codes[:, None], -np.inf, axis=1)
    return -float(others.max(initial=-np.inf))


def _total(parts: Sequence[Pair]) -> Pair:
    return Pair(np.array([v.hi for v in parts]), np.array([v.lo for v in parts])).sum()
