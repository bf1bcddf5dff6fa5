"""Whether a hyperplane separates the classes, so that the likelihood has no maximum: linear programming, checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ..blocks import rows_at

__all__ = ["DOUBLES", "EXACT", "Hyperplane", "most_apart", "separating_hyperplane"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
EXACT, DOUBLES = 2.0**-80, 2.0**-46  # margins that count as zero, relative to a row: exactly, or to double rounding
AT_A_TIME = 8192  # rows
RANK = 1e-11
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Hyperplane:
    """D `(q, m)` with (e_y - e_k)'D'z >= 0 for every row z of class y and every other class k, and > 0 for some.

    `separated (n, K)` flags those; the others lie on the hyperplane, and no direction separates any of them. `open`
    `(q m, r)` spans the directions, class after class, in which nothing changes for rows on the hyperplane.
    """

    direction: Array
    separated: Flags
    open: Array

    @property
    def complete(self) -> bool:
        """Whether every row is separated from every other class."""
        return bool((self.separated.sum(axis=1) == self.separated.shape[1] - 1).all())


def separating_hyperplane(
    Z: Pair | Any, codes: Codes, own: Array, classes: int, *, intercept: bool, zero: float = EXACT,
    known: Array | None = None,
) -> Hyperplane | None:  # fmt: skip
    """The hyperplane that separates as many rows as any does; None if the classes overlap.

    max Σ t subject to c'd >= t, 0 <= t <= 1 over all c = (e_y - e_k) ⊗ z: at the maximum t is 1 for all that can be
    separated and 0 for the others. It is solved for the rows that are hardest by P(own class), `own (n,)`; rows
    that its direction leaves on the wrong side, or that its zeros do not span, join them until there are none. The
    direction is projected onto the rows with t = 0 in double-double, and its margins are computed so; what fails is
    not reported. `known (q, m)` is a direction that separates all rows. Among the directions that separate the same
    rows, the one returned uses one column if it can, else it has the least 1-norm.

    Konis 2007, Linear programming algorithms for detecting separated data in binary logistic regression models;
    Albert and Anderson 1984, On the existence of maximum likelihood estimates in logistic regression models.
    """
    where: Any = slice(None)
    if isinstance(Z, Pair):  # of rows that repeat, one each
        every = np.column_stack([Z.hi, Z.lo, codes])
        _, first, where = np.unique(every, axis=0, return_index=True, return_inverse=True)
        Z, codes, own, where = Z[first], codes[first], own[first], where.ravel()
    problem = _Margins(Z, codes, classes, np.argsort(own), zero)
    found = problem.whole(known) if known is not None else None
    found = found or problem.widest()
    if found is None:
        return None
    sparse = problem.sparsest(found, Z.shape[1] - int(intercept))
    return Hyperplane(sparse.direction, sparse.separated[where], sparse.open)


@dataclass(frozen=True)
class _Margins:
    """The differences c = (e_y - e_k) ⊗ z of distinct rows; `order` has the hardest first."""

    Z: Pair | Any
    codes: Codes
    classes: int
    order: Places
    zero: float

    def rows(self, places: Places | slice) -> Pair:
        """Some rows of Z."""
        if isinstance(self.Z, Pair):
            return self.Z[places]
        return Pair.of(np.asarray(self.Z[places]) if isinstance(places, slice) else rows_at(self.Z, places))

    def parts(self) -> Iterator[slice]:
        """Neighboring rows, a few thousand at a time."""
        return (slice(i, min(i + AT_A_TIME, len(self.codes))) for i in range(0, len(self.codes), AT_A_TIME))

    @property
    def own(self) -> Flags:
        """Each row's own class `(n, K)`."""
        return np.asarray(self.codes[:, None] == np.arange(self.classes))

    def of(self, d: Pair, rows: Places | slice) -> Pair:
        """c'd `(n, K)` for `d (q m,)` in double-double; zero for a row's own class."""
        m, q, own = self.classes - 1, self.Z.shape[1], self.codes[rows][:, None]
        eta = self.rows(rows).times(Pair(d.hi.reshape(m, q).T, d.lo.reshape(m, q).T))
        zero = np.zeros((len(eta), 1))
        eta = Pair(np.hstack([zero, eta.hi]), np.hstack([zero, eta.lo]))
        return Pair(np.take_along_axis(eta.hi, own, axis=1), np.take_along_axis(eta.lo, own, axis=1)) - eta

    def differences(self, rows: Places) -> tuple[Array, tuple[Places, Places]]:
        """The c of some rows `(N, q m)`, and their rows and classes."""
        at, k = np.nonzero(~self.own[rows])
        i, N, Z = rows[at], np.arange(len(at)), self.rows(rows).hi[at]
        C = np.zeros((len(i), self.classes, self.Z.shape[1]))
        C[N, self.codes[i]] += Z
        C[N, k] -= Z
        return C[:, 1:].reshape(len(i), (self.classes - 1) * self.Z.shape[1]), (i, k)

    def whole(self, known: Array) -> Hyperplane | None:
        """The known direction, if all its margins are positive."""
        d = known.T.ravel()
        right = all(bool((self.of(Pair.of(d), s).hi > 0)[~self.own[s]].all()) for s in self.parts())
        return Hyperplane(known, ~self.own, np.eye(len(d))) if right else None

    def widest(self) -> Hyperplane | None:
        """The hyperplane of the linear program."""
        q, m = self.Z.shape[1], self.classes - 1
        chosen = np.sort(self.order[: 100 + 10 * q * m])
        while True:
            C, (i, k) = self.differences(chosen)
            x = most_apart(C)
            if x is None:
                return None
            on = C @ x <= 0.5
            d = self.projected(x, C[on], (i[on], k[on]))
            open_ = _null_space(C[on], q * m)
            wrong, separated = self.judged(d)
            new = np.setdiff1d(np.flatnonzero(wrong | self.unspanned(open_, ~separated)), chosen)
            if not len(new):
                break
            hardest = self.order[np.isin(self.order, new)]
            chosen = np.union1d(chosen, hardest[: len(chosen)])
        if wrong.any() or not separated.any():
            return None
        return Hyperplane(d.hi.reshape(m, q).T, separated, open_)

    def judged(self, d: Pair) -> tuple[Flags, Flags]:
        """Rows with a negative margin `(n,)`, and all positive margins `(n, K)`; within `zero` is neither."""
        wrong, separated = np.empty(len(self.codes), dtype=bool), np.empty((len(self.codes), self.classes), dtype=bool)
        largest = np.abs(d.hi).max(initial=0.0)
        for s in self.parts():
            margins = self.of(d, s).hi
            zero = self.zero * np.abs(self.rows(s).hi).sum(axis=1, keepdims=True) * largest
            wrong[s], separated[s] = (margins < -zero).any(axis=1), (margins > zero) & ~self.own[s]
        return wrong, separated

    def unspanned(self, open_: Array, on: Flags) -> Flags:
        """Rows of which a c on the hyperplane is no combination of those that left the directions `open_`."""
        found = np.zeros(len(self.codes), dtype=bool)
        if not open_.shape[1]:
            return found
        for s in self.parts():
            Z, own = self.rows(s).hi, self.codes[s][:, None]
            length = np.abs(Z).sum(axis=1, keepdims=True)
            for v in open_.T.reshape(-1, self.classes - 1, self.Z.shape[1]):
                eta = np.column_stack([np.zeros(len(Z)), Z @ v.T])
                change = np.abs(eta - np.take_along_axis(eta, own, axis=1))
                found[s] |= ((change > NEGLIGIBLE * length) & on[s]).any(axis=1)
        return found

    def projected(self, x: Array, C: Array, places: tuple[Places, Places]) -> Pair:
        """The direction nearest to x, among those with its zeros, with c'd = 0 for the rows of C, to double-double."""
        support, d = np.flatnonzero(x), Pair.of(x)
        rows, k = places
        for _ in range(4):
            rest = self.of(d, rows)[np.arange(len(rows)), k]
            if not rest.hi.any():
                break
            change = np.zeros(len(x))
            change[support] = np.linalg.lstsq(C[:, support], rest.hi, rcond=RANK)[0]
            d = d - change
        tiny = np.abs(d.hi) <= NEGLIGIBLE * np.abs(x).max(initial=0.0)
        return Pair(np.where(tiny, 0.0, d.hi), np.where(tiny, 0.0, d.lo)) if tiny.all() else d

    def sparsest(self, found: Hyperplane, p: int) -> Hyperplane:
        """The same separation by one of the p columns, or by the direction of least 1-norm."""
        alone = [h for j in range(p) if (h := self.by(found, [j], p)) is not None]
        if alone:
            return min(alone, key=lambda h: float(np.abs(h.direction[:p]).sum()))
        return self.by(found, list(range(p)), p) or found

    def by(self, found: Hyperplane, columns: list[int], p: int) -> Hyperplane | None:
        """min ‖slopes‖₁ subject to c'd >= 1 for the separated and c'd = 0 for the others, in these columns."""
        q, m = self.Z.shape[1], self.classes - 1
        kept = np.array([a * q + j for a in range(m) for j in [*columns, *range(p, q)]])
        on = _null_space(found.open.T, q * m).T
        chosen = np.sort(self.order[: 20 + 2 * len(kept)])
        while True:
            C, (i, k) = self.differences(chosen)
            above = C[found.separated[i, k]]
            part = _least(above[:, kept], on[:, kept], (kept % q < p).astype(float))
            if part is None:
                return None
            x = np.zeros(q * m)
            x[kept] = np.where(np.abs(part) > NEGLIGIBLE * np.abs(part).max(initial=0.0), part, 0.0)
            C, (i, k) = C[~found.separated[i, k]], (i[~found.separated[i, k]], k[~found.separated[i, k]])
            d = self.projected(x, C, (i, k))
            wrong, separated = self.judged(d)
            short = wrong | (separated != found.separated).any(axis=1)
            new = np.setdiff1d(np.flatnonzero(short), chosen)
            if not len(new):
                break
            chosen = np.union1d(chosen, self.order[np.isin(self.order, new)][: len(chosen)])
        return None if short.any() else Hyperplane(d.hi.reshape(m, q).T, separated, found.open)


def most_apart(C: Array) -> Array | None:
    """The d of max Σ t, c'd >= t, 0 <= t <= 1."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack

    N, d = C.shape
    result = linprog(
        np.concatenate([np.zeros(d), -np.ones(N)]),
        A_ub=hstack([csr_array(-C), eye_array(N)], format="csr"),
        b_ub=np.zeros(N),
        bounds=[(None, None)] * d + [(0.0, 1.0)] * N,
        method="highs",
    )
    return None if result.x is None else np.asarray(result.x[:d])


def _least(above: Array, on: Array, cost: Array) -> Array | None:
    """The d of min Σ cost |d|, c'd >= 1 for the rows of `above`, c'd = 0 for those of `on`."""
    from scipy.optimize import linprog

    result = linprog(
        np.concatenate([cost, cost]),
        A_ub=np.hstack([-above, above]),
        b_ub=-np.ones(len(above)),
        A_eq=np.hstack([on, -on]) if len(on) else None,
        b_eq=np.zeros(len(on)) if len(on) else None,
        method="highs",
    )
    d = above.shape[1]
    return np.asarray(result.x[:d] - result.x[d:]) if result.status == 0 else None


def _null_space(C: Array, d: int) -> Array:
    """An orthonormal basis `(d, r)` of the vectors v with Cv = 0."""
    if not len(C):
        return np.eye(d)
    _, size, V = np.linalg.svd(np.linalg.qr(C, mode="r"))
    return np.asarray(V[int((size > RANK * size[0]).sum()) :].T)
