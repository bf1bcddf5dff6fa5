"""The likelihood of softmax regression with a reference class: value, gradient, probabilities, to 16 or 31 digits."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ..blocks import adds_up, leaf_rows, pairwise, summed
from .basis import CACHED, precise_size
from .elementary import exp, log

__all__ = ["Chances", "ClassRows", "Point", "Ridge", "gram", "multinomial", "residual"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
T = TypeVar("T")
Entry = Callable[[int, int], Array]
BARRED = -1e5  # the linear predictor of a class that is not allowed: e to this power is zero


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
    """The objective at one θ: `value`, `gradient (q, m)`, probabilities `P (n, K)`, None of rows on the disk.

    `margin` is the smallest η_y - η_k of a row's own class y over another k: positive where every row is right. `moved`
    is by how much a linear predictor differs at most from the one where it came from, relative to that where it is
    above one. `hessian (q m, q m)` is Σ w (diag p - pp') ⊗ zz', class after class, None where it was not added up.
    """

    theta: Array
    value: float
    gradient: Pair
    P: Pair | None
    margin: float
    moved: float
    hessian: Array | None


@dataclass(frozen=True)
class ClassRows:
    """Σ w (ln Σ_k exp η_k - η_y) + penalty with η = [0, Zθ], for θ `(q, m)`, m = K - 1.

    `Z (n, q)`, a pair or rows of which only blocks are in memory, `codes (n,)` in 0..K-1, `weight (n,)`. Where
    `allowed (n, K)` is given, a row chooses only among the classes allowed to it. `free` are the entries of θ, class
    after class, that are not held at zero.
    """

    Z: Pair | Any
    codes: Codes
    weight: Array
    classes: int
    ridge: Ridge | None = None
    allowed: NDArray[np.bool_] | None = None
    free: NDArray[np.intp] | None = None

    @property
    def precise(self) -> bool:
        """Whether the rows are few enough for double-double."""
        return self.at_hand and precise_size(*self.Z.shape)

    @property
    def at_hand(self) -> bool:
        """Whether all rows are in memory."""
        return isinstance(self.Z, Pair)

    @property
    def shape(self) -> tuple[int, int]:
        """Of θ."""
        return self.Z.shape[1], self.classes - 1

    def block(self, s: slice) -> Any:
        """Some rows of Z in float64: what is multiplied as a matrix."""
        return self.Z.hi[s] if isinstance(self.Z, Pair) else self.Z[s]

    def chances(self, point: Point, s: slice) -> Array:
        """The probabilities `(·, K)` of some rows at a point."""
        if point.P is not None:
            return np.asarray(point.P.hi[s])
        eta = self._scores(self.block(s), point.theta)  # no class first: rows that are the same tie
        eta = eta if self.allowed is None else np.where(self.allowed[s], eta, -np.inf)
        return _plain(np.maximum(eta - eta.max(axis=1, keepdims=True), BARRED))[1]

    def over(self, leaf: Callable[[slice, Array], T], *, add: Callable[[T, T], T] = operator.add, work: int = 64) -> T:
        """Σ leaf over the blocks of the rows, in one pass; `work` is about what it does with each number."""
        n, q = self.Z.shape
        return summed(
            lambda s, _: leaf(s, self.block(s)), lambda _: None, rows=n, columns=q, work=work * n * q, add=add,
            leaf_rows=leaf_rows(self.Z),
        )  # fmt: skip

    def gram(self, entries: Callable[[slice, Any], Entry]) -> Array:
        """Σ v_ab zz' `(q m, q m)` in one pass, for the weights v_ab `(·,)` of classes a and b of 1..m in each block."""
        q, m = self.shape
        if not adds_up(self.Z):
            return self.over(lambda s, Z: gram(Z, entries(s, Z), m), work=64 + m * m * q)
        pairs = [(a, b) for a in range(m) for b in range(a, m)]

        def weights(s: slice, Z: Any) -> Array:
            entry = entries(s, Z)
            return np.column_stack([entry(a + 1, b + 1) for a, b in pairs])

        found = dict(zip(pairs, self.Z.squares(weights, len(pairs)), strict=True))  # type: ignore[union-attr]
        H = np.empty((m, q, m, q))
        for (a, b), block in found.items():
            H[a, :, b] = H[b, :, a] = block[:q, :q]
        return H.reshape(q * m, q * m)

    def at(self, theta: Array, before: Array | None = None) -> Point:
        """The point in float64, in one pass; sums of blocks are added without error. `before` is where it came from."""
        (q, m), n, K = self.shape, len(self.codes), self.classes
        P = np.empty((n, K)) if self.at_hand else None

        def leaf(s: slice, Z: Any) -> _Sums:
            D, w = self._differences(s, Z, theta), self.weight[s]
            loss, part = _plain(D)
            if P is not None:
                P[s] = part
            pull = Z.T @ (w[:, None] * residual(part, self.codes[s]))[:, 1:]
            moved = 0.0 if before is None else _far(Z @ theta, Z @ before)
            hessian = None if adds_up(self.Z) else gram(Z, lambda a, b: multinomial(part, a, b) * w, m)
            return _Sums(Pair.of(w @ loss), Pair.of(pull), _margin(D, self.codes[s]), moved, hessian)

        sums = self.over(leaf, add=_Sums.added, work=64 + m * m * q)
        if adds_up(self.Z):
            sums = replace(sums, hessian=self.gram(lambda s, Z: self._bent(s, Z, theta)))
        return self._point(sums, Pair.of(theta), None if P is None else Pair.of(P))

    def _bent(self, s: slice, Z: Any, theta: Array) -> Entry:
        P, w = _plain(self._differences(s, Z, theta))[1], self.weight[s]
        return lambda a, b: multinomial(P, a, b) * w

    def measured(self, theta: Pair, before: Array | None = None) -> Point:
        """The point in double-double where the rows are few enough, else in float64."""
        if not self.precise or not isinstance(self.Z, Pair):
            return self.at(theta.hi, before)
        n, K = len(self.codes), self.classes
        P, found = Pair(np.empty((n, K)), np.empty((n, K))), []
        for s in self._blocks(max(CACHED // (4 * K), 64)):
            D, w = self._pair_differences(s, theta), Pair.of(self.weight[s][:, None])
            loss, part = _precise(D)
            P.hi[s], P.lo[s] = part.hi, part.lo
            pull = self.Z[s].transposed_times((w * _pair_residual(part, self.codes[s]))[:, 1:])
            moved = 0.0 if before is None else _far(self.Z.hi[s] @ theta.hi, self.Z.hi[s] @ before)
            found.append(_Sums((w[:, 0] * loss).sum(), pull, _margin(D.hi, self.codes[s]), moved, None))
        return self._point(pairwise(found, _Sums.added), theta, P)

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

    def _point(self, sums: _Sums, theta: Pair, P: Pair | None) -> Point:
        value, gradient = float(sums.loss.hi), sums.pull
        if self.ridge is not None:
            value, gradient = value + self.ridge.value(theta), gradient + self.ridge.pull(theta)
        return Point(theta.hi, value, gradient, P, sums.margin, sums.moved, sums.hessian)

    def _blocks(self, rows: int) -> Iterator[slice]:
        return (slice(i, i + rows) for i in range(0, len(self.codes), rows))

    def _differences(self, s: slice, Z: Array, theta: Array) -> Array:
        """η_k - η_y, exactly zero for a row's own class."""
        eta = self._scores(Z, theta)
        D = eta - np.take_along_axis(eta, self.codes[s][:, None], axis=1)
        return D if self.allowed is None else np.where(self.allowed[s], D, BARRED)

    def _scores(self, Z: Array, theta: Array) -> Array:
        """η, that of class 0 zero."""
        return np.column_stack([np.zeros(len(Z)), Z @ theta])

    def _pair_differences(self, s: slice, theta: Pair) -> Pair:
        eta, own = self.Z[s].times(theta), self.codes[s][:, None]
        zero = np.zeros((len(eta), 1))
        eta = Pair(np.hstack([zero, eta.hi]), np.hstack([zero, eta.lo]))
        D = eta - Pair(np.take_along_axis(eta.hi, own, axis=1), np.take_along_axis(eta.lo, own, axis=1))
        if self.allowed is None:
            return D
        return Pair(np.where(self.allowed[s], D.hi, BARRED), np.where(self.allowed[s], D.lo, 0.0))


@dataclass(frozen=True)
class Chances:
    """The probabilities `(n, K)` of rows on the disk at a point, of which slices of neighboring rows are made."""

    rows: ClassRows
    point: Point

    @property
    def shape(self) -> tuple[int, int]:
        """n and K."""
        return len(self.rows.codes), self.rows.classes

    def __len__(self) -> int:
        return len(self.rows.codes)

    def __getitem__(self, rows: slice) -> Array:
        return self.rows.chances(self.point, rows)


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


def _far(after: Array, before: Array) -> float:
    """The largest step of a linear predictor, relative to it where it is above one."""
    return float((np.abs(after - before) / np.maximum(np.abs(before), 1.0)).max(initial=0.0))


def multinomial(P: Any, a: int, b: int) -> Any:
    """p_a (δ_ab - p_b) `(n,)`, the diagonal from the sum of the others."""
    if a != b:
        return -(P[:, a] * P[:, b])
    return P[:, a] * P[:, [k for k in range(P.shape[1]) if k != a]].sum(axis=1)


def gram(Z: Array, entry: Callable[[int, int], Array], m: int) -> Array:
    """Σ v_ab zz' `(q m, q m)` for the weights v_ab `(n,)` of classes a and b of 1..m."""
    q = Z.shape[1]
    H = np.empty((q * m, q * m))
    for a in range(m):
        for b in range(a, m):
            block = Z.T @ (entry(a + 1, b + 1)[:, None] * Z)
            H[a * q : a * q + q, b * q : b * q + q] = H[b * q : b * q + q, a * q : a * q + q] = block
    return H


@dataclass(frozen=True)
class _Sums:
    """Of blocks of rows."""

    loss: Pair
    pull: Pair
    margin: float
    moved: float
    hessian: Array | None

    def added(self, other: _Sums) -> _Sums:
        """Without error, as far as pairs have none."""
        hessian = None if self.hessian is None or other.hessian is None else self.hessian + other.hessian
        margin, moved = min(self.margin, other.margin), max(self.moved, other.moved)
        return _Sums(self.loss + other.loss, self.pull + other.pull, margin, moved, hessian)
