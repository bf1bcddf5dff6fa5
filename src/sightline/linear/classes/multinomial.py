"""Rows of a softmax by their linear predictors: losses, probabilities, residuals, and sums of products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from .elementary import exp, log

__all__ = [
    "BARRED", "Entry", "farthest", "gram", "margin", "multinomial", "pair_residual", "plain", "precise", "residual",
]  # fmt: skip

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Entry = Callable[[int, int], Array]  # the weights of a pair of classes
BARRED = -1e5  # the linear predictor of a class that is not allowed: e to this power is zero


def residual(P: Array, codes: Codes) -> Array:
    """P - Y `(n, K)`, where a row's own entry is minus the sum of the others, so that 1 - p keeps its digits."""
    own = codes[:, None]
    R = P.copy()
    np.put_along_axis(R, own, 0.0, axis=1)
    np.put_along_axis(R, own, -R.sum(axis=1, keepdims=True), axis=1)
    return R


def pair_residual(P: Pair, codes: Codes) -> Pair:
    """The same in double-double."""
    own = codes[:, None]
    R = Pair(P.hi.copy(), P.lo.copy())
    for part in (R.hi, R.lo):
        np.put_along_axis(part, own, 0.0, axis=1)
    wrong = -R.sum(axis=1)
    np.put_along_axis(R.hi, own, wrong.hi[:, None], axis=1)
    np.put_along_axis(R.lo, own, wrong.lo[:, None], axis=1)
    return R


def plain(D: Array) -> tuple[Array, Array]:
    """ln Σ_k exp D_k `(n,)` and the probabilities `(n, K)`; one of the D of every row is zero."""
    top = D.max(axis=1)
    E = np.exp(D - top[:, None])
    # less one of the terms that are 1, so that a small loss keeps its digits
    rest = np.where(np.arange(D.shape[1]) == D.argmax(axis=1)[:, None], 0.0, E).sum(axis=1)
    return top + np.log1p(rest), E / (1.0 + rest)[:, None]


def precise(D: Pair) -> tuple[Pair, Pair]:
    """The same in double-double."""
    top = D.hi.max(axis=1)
    E = exp(D - top[:, None])
    total = E.sum(axis=1)
    return log(total) + top, E / total.reshape(-1, 1)


def margin(D: Array, codes: Codes) -> float:
    """The smallest η_y - η_k of a row's own class over another."""
    others = D.copy()
    np.put_along_axis(others, codes[:, None], -np.inf, axis=1)
    return -float(others.max(initial=-np.inf))


def farthest(after: Array, before: Array) -> float:
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
