"""Sums of products of the rows, weighted by probabilities: the information, its root, and the proof of overlap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ..blocks import row_lengths
from ..gram import CLEAR, LEAST, NONE, ROUNDING
from .basis import CACHED
from .elementary import MOST_WORK, factored, plain_root
from .likelihood import ClassRows, Point
from .multinomial import multinomial, residual

__all__ = ["information", "overlap_proven", "root", "unseen"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
NOTHING = 1e-14  # of a column, what the rounding of others leaves of it where it is zero


def information(rows: ClassRows, point: Point, *, penalized: bool = True) -> Pair:
    """The Hessian Σ w (diag p - pp') ⊗ zz' (+ that of the penalty) over the free entries, class after class.

    In double-double where that is a second's work.
    """
    q, m = rows.shape
    careful = rows.precise and len(rows.codes) * (q * m) ** 2 <= 4 * MOST_WORK
    H = _gram(rows, point.P) if careful and point.P is not None else Pair.of(_plain_hessian(rows, point))
    if penalized and rows.ridge is not None:
        G, Q, ones = rows.ridge.G, rows.ridge.Q, np.ones
        across = Pair(_kron(G.hi, ones((q, q))), _kron(G.lo, ones((q, q))))
        H = H + across * Pair(_kron(ones((m, m)), Q.hi), _kron(ones((m, m)), Q.lo))
    return _freed(rows, H)


def root(rows: ClassRows, point: Point) -> Array | None:
    """A lower L in float64 with LL' ≈ the Hessian; None where it is singular as far as can be seen."""
    H = _plain_hessian(rows, point)
    if rows.ridge is not None:
        H = H + _kron(rows.ridge.G.hi, rows.ridge.Q.hi)
    L = plain_root(_freed(rows, Pair.of(H)).hi)
    if L is not None:
        return L
    careful = factored(information(rows, point)) if rows.precise else None
    return None if careful is None else careful.hi


def overlap_proven(rows: ClassRows, point: Point) -> bool:
    """Whether the classes overlap, so that the maximum is finite and unique: a proof, from a point near the maximum.

    Write the gradient of the likelihood as g = -Σ λ c over rows and classes k other than the row's own y, with c =
    (e_y - e_k) ⊗ z and λ = w p_k > 0. The classes overlap if and only if Σ λ'c = 0 for some λ' > 0 whose c span the
    space. With S = Σ λ cc' and λ' = λ (1 + c'S⁻¹g) that sum is zero; so |c'S⁻¹g| < 1 everywhere is the proof. Half of
    it is asked for, the rounding of g counted in. Two passes over the rows.

    Albert and Anderson 1984, On the existence of maximum likelihood estimates in logistic regression models.
    """
    sizes: dict[int, float] = {}

    def pulling(s: slice, Z: Any) -> Callable[[int, int], Array]:
        codes, w, R = rows.codes[s], rows.weight[s], residual(rows.chances(point, s, Z), rows.codes[s])
        sizes[s.start] = float(w @ row_lengths(Z))
        return lambda a, b: _pulling(R, codes, a, b) * w

    S = _freed(rows, Pair.of(rows.gram(pulling))).hi
    total = math.fsum(sizes.values())
    size = np.sqrt(np.where(np.diag(S) > 0, np.diag(S), 1.0))
    least = float(np.linalg.eigvalsh(S / size / size[:, None])[0])
    if least <= 1e-13:
        return False
    scaled = np.linalg.solve(S / size / size[:, None], rows.flat(point.gradient.hi) / size)
    rounding = (2.0**-96 if rows.precise else 2.0**-46) * total / (least * size.min() ** 2)
    placed = rows.placed(scaled / size)

    def change(s: slice, Z: Any) -> float:
        eta = np.column_stack([np.zeros(len(Z)), Z @ placed])
        apart = np.abs(eta - np.take_along_axis(eta, rows.codes[s][:, None], axis=1)).max(axis=1)
        return float((apart + rounding * row_lengths(Z)).max(initial=0.0))

    return rows.over(change, add=max) < 0.5


def unseen(rows: ClassRows) -> Array | None:
    """A basis `(q m, r)` of what changes no difference of classes that are allowed to a row; None where rounding may
    hide it.

    Columns of zeros are taken out first; what is left is judged by the eigenvalues of its information, which are to
    leave a gap, and a pass over the rows shows whether the basis changes nothing.
    """
    m, zero = rows.shape[1], np.zeros(rows.shape)
    H, whole = (_plain_hessian(r, r.at(zero)) for r in (rows, replace(rows, allowed=None)))
    empty = np.diag(H) <= NOTHING**2 * np.diag(whole)
    some = np.flatnonzero(~empty)
    size = np.sqrt(np.diag(H)[some])
    values, vectors = np.linalg.eigh(H[np.ix_(some, some)] / size / size[:, None])
    none = values <= NONE * values[-1:].sum()
    least = CLEAR if none.any() else LEAST  # what is none is off by the rounding of the others, divided by theirs
    if (values[~none] < least * values[-1:].sum()).any():
        return None
    V = np.zeros((len(H), int(empty.sum() + none.sum())))
    V[np.flatnonzero(empty), np.arange(empty.sum())] = 1.0
    V[some, empty.sum() :] = np.linalg.qr(vectors[:, none] / size[:, None])[0]
    placed = np.hstack([V[a * len(V) // m : (a + 1) * len(V) // m] for a in range(m)])

    def changed(s: slice, Z: Any) -> tuple[Array, Array]:
        eta, far = Z @ placed, abs(Z) @ np.abs(placed)
        eta, far = (np.dstack([np.zeros((len(e), V.shape[1])), *np.split(e, m, axis=1)]) for e in (eta, far))
        apart = np.abs(eta - np.take_along_axis(eta, rows.codes[s, None, None], axis=2))
        seen = 1.0 if rows.allowed is None else rows.allowed[s, None, :]
        return (apart * seen).max(axis=(0, 2), initial=0.0), far.max(axis=(0, 2), initial=0.0)

    if V.shape[1]:
        change, size = rows.over(changed, add=lambda a, b: (np.maximum(a[0], b[0]), np.maximum(a[1], b[1])))
        if (change > ROUNDING * len(V) * size).any():
            return None
    return V


def _pulling(R: Array, codes: Codes, a: int, b: int) -> Array:
    """Σ_k≠y p_k (e_y - e_k)(e_y - e_k)' at classes a and b, in the classes that have coefficients."""
    if a == b:
        return np.abs(R[:, a])
    return np.where(codes == a, -R[:, b], np.where(codes == b, -R[:, a], 0.0))


def _plain_hessian(rows: ClassRows, point: Point) -> Array:
    """Without the penalty, over all entries."""
    if point.hessian is not None:
        return point.hessian

    def entries(s: slice, Z: Any) -> Callable[[int, int], Array]:
        P, w = rows.chances(point, s, Z), rows.weight[s]
        return lambda a, b: multinomial(P, a, b) * w

    return rows.gram(entries)


def _gram(rows: ClassRows, P: Pair) -> Pair:
    """Σ w v_ab zz' `(q m, q m)` in double-double."""
    q, m = rows.shape
    assert isinstance(rows.Z, Pair)
    H = Pair(np.empty((q * m, q * m)), np.empty((q * m, q * m)))
    for a in range(m):
        for b in range(a, m):
            block = _weighted(rows.Z, multinomial(P, a + 1, b + 1) * rows.weight)
            for s, t in ((a, b), (b, a)):
                H.hi[s * q : s * q + q, t * q : t * q + q] = block.hi
                H.lo[s * q : s * q + q, t * q : t * q + q] = block.lo
    return H


def _weighted(Z: Pair, v: Pair) -> Pair:
    """Z' diag(v) Z in double-double."""
    n, q = Z.shape
    step, total = max(CACHED // max(q, 1), 64), Pair.of(np.zeros((q, q)))
    for i in range(0, n, step):
        B, w = Z[i : i + step], v[i : i + step].reshape(-1, 1)
        weighted = B * w
        for j in range(q):
            row = (weighted[:, j : j + 1] * B[:, j:]).sum() + total[j, j:]
            total.hi[j, j:], total.lo[j, j:] = row.hi, row.lo
    for part in (total.hi, total.lo):
        part[np.tril_indices(q, -1)] = part.T[np.tril_indices(q, -1)]
    return total


def _kron(A: Array, B: Array) -> Array:
    return np.asarray(np.kron(A, B), dtype=np.float64)


def _freed(rows: ClassRows, H: Pair) -> Pair:
    return H if rows.free is None else H[np.ix_(rows.free, rows.free)]
