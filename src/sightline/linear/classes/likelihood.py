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
from .multinomial import BARRED, Entry, farthest, gram, margin, multinomial, pair_residual, plain, precise, residual

__all__ = ["Chances", "ClassRows", "Entry", "Point", "Ridge"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
T = TypeVar("T")


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

    def chances(self, point: Point, s: slice, Z: Any = None) -> Array:
        """The probabilities `(·, K)` of some rows at a point; `Z` is their block, where it has been read."""
        if point.P is not None:
            return np.asarray(point.P.hi[s])
        eta = self._scores(self.block(s) if Z is None else Z, point.theta)  # no class first: rows that are the same tie
        eta = eta if self.allowed is None else np.where(self.allowed[s], eta, -np.inf)
        return plain(np.maximum(eta - eta.max(axis=1, keepdims=True), BARRED))[1]

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

        def leaf(s: slice, Z: Any) -> tuple[_Sums, Entry]:
            D, w = self._differences(s, Z, theta), self.weight[s]
            loss, part = plain(D)
            if P is not None:
                P[s] = part
            pull = Z.T @ (w[:, None] * residual(part, self.codes[s]))[:, 1:]
            moved = 0.0 if before is None else farthest(Z @ theta, Z @ before)
            sums = _Sums(Pair.of(w @ loss), Pair.of(pull), margin(D, self.codes[s]), moved, None)
            return sums, lambda a, b: multinomial(part, a, b) * w

        if adds_up(self.Z):
            sums = self._counted(leaf)
        else:

            def with_hessian(s: slice, Z: Any) -> _Sums:
                found, bent = leaf(s, Z)
                return replace(found, hessian=gram(Z, bent, m))

            sums = self.over(with_hessian, add=_Sums.added, work=64 + m * m * q)
        return self._point(sums, Pair.of(theta), None if P is None else Pair.of(P))

    def _counted(self, leaf: Callable[[slice, Any], tuple[_Sums, Entry]]) -> _Sums:
        """The sums of all blocks with their Hessian, in one pass, of rows that add up their own products."""
        found: dict[int, _Sums] = {}

        def entries(s: slice, Z: Any) -> Entry:
            found[s.start], bent = leaf(s, Z)
            return bent

        hessian = self.gram(entries)
        return replace(pairwise([found[start] for start in sorted(found)], _Sums.added), hessian=hessian)

    def measured(self, theta: Pair, before: Array | None = None) -> Point:
        """The point in double-double where the rows are few enough, else in float64."""
        if not self.precise or not isinstance(self.Z, Pair):
            return self.at(theta.hi, before)
        n, K = len(self.codes), self.classes
        P, found = Pair(np.empty((n, K)), np.empty((n, K))), []
        for s in self._blocks(max(CACHED // (4 * K), 64)):
            D, w = self._pair_differences(s, theta), Pair.of(self.weight[s][:, None])
            loss, part = precise(D)
            P.hi[s], P.lo[s] = part.hi, part.lo
            pull = self.Z[s].transposed_times((w * pair_residual(part, self.codes[s]))[:, 1:])
            moved = 0.0 if before is None else farthest(self.Z.hi[s] @ theta.hi, self.Z.hi[s] @ before)
            found.append(_Sums((w[:, 0] * loss).sum(), pull, margin(D.hi, self.codes[s]), moved, None))
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
