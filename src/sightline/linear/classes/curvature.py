"""The curvature of the logistic and the softmax loss at a point, in the coordinates of the training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..blocks import adds_up, leaf_rows, summed
from ..curvature import MOST_PARAMETERS, Curvature
from .likelihood import Chances

__all__ = ["class_curvature"]

Array = NDArray[np.float64]


def class_curvature(
    X: Any, probability: Array | Chances, *, intercept: bool, scores: int, weight: Array | None = None, ridge: Array
) -> Curvature:
    """Of Σ w ln(1 / P(own class)) / Σ w + Σ ridge θ² / 2, θ `(k q,)` the weights row by row, then the intercepts.

    `X (n, p)`, `probability (n, K)`, `ridge (k q,)`. With one of the `scores` k = 1 (two classes) the Hessian is
    Z'diag(w P₀P₁)Z / Σw; with k = K the block of classes k and l is Z'diag(w (P_k [k = l] - P_k P_l))Z / Σw, and the
    q directions that move all scores alike have no curvature. For more than 2,000 parameters only the largest
    eigenvalue is found, and the smallest counts as unknown, zero.

    >>> flat = class_curvature(np.zeros((4, 0)), np.full((4, 2), 0.5), intercept=True, scores=1, ridge=np.zeros(1))
    >>> flat.max, flat.rank
    (0.25, 1)
    """
    n, p = X.shape
    share = np.broadcast_to(1.0 / n, n) if weight is None else weight / weight.sum()
    first = 1 if scores == 1 else 0
    few = scores * (p + int(intercept)) <= MOST_PARAMETERS
    if few or adds_up(X):
        H = _hessian(X, probability, share, intercept=intercept, first=first)
        H[np.diag_indices(len(H))] += ridge
        return Curvature.of_hessian(H) if few else Curvature.of_large(H)

    def product(v: Array) -> Array:
        """The Hessian times v, without forming it."""
        W, b = v[: scores * p].reshape(scores, p), v[scores * p :]

        def leaf(part: slice, _: None) -> Array:
            rows, P = X[part], probability[part][:, first:]
            t = rows @ W.T + (b if intercept else 0.0)
            bent = share[part, None] * P * (t - (P * t).sum(axis=1, keepdims=True))
            by_weight = (bent.T @ rows).ravel()
            return np.concatenate([by_weight, bent.sum(axis=0)] if intercept else [by_weight])

        work = 64 * n * p * scores
        return summed(leaf, lambda _: None, rows=n, columns=p, work=work, leaf_rows=leaf_rows(X)) + ridge * v

    return Curvature.of_products(product, scores * (p + int(intercept)))


def _hessian(X: Any, P: Array | Chances, share: Array, *, intercept: bool, first: int) -> Array:
    """The blocks of all pairs of classes, in the order of θ."""
    (n, p), k = X.shape, P.shape[1] - first
    q, pairs = p + int(intercept), [(a, b) for a in range(k) for b in range(a, k)]

    def weights(part: slice, _: Any) -> Array:
        chance, w = P[part][:, first:], share[part]
        return np.column_stack([w * chance[:, a] * ((1.0 if a == b else 0.0) - chance[:, b]) for a, b in pairs])

    def leaf(part: slice, Z: Array) -> Array:
        rows = X[part]
        Z = Z[: len(rows)]
        Z[:, :p] = rows
        return placed((Z * spread[:, None]).T @ Z for spread in weights(part, rows).T)

    def placed(blocks: Iterable[Array]) -> Array:
        H = np.empty((k, q, k, q))
        for (a, b), block in zip(pairs, blocks, strict=True):
            H[a, :, b, :], H[b, :, a, :] = block[:q, :q], block[:q, :q].T
        return H

    if adds_up(X):
        H = placed(X.squares(weights, len(pairs)))
    else:
        H = summed(leaf, lambda size: np.ones((size, q)), rows=n, columns=q, work=n * q * q * k * k)
    order = [*(c * q + j for c in range(k) for j in range(p)), *(c * q + p for c in range(k) if intercept)]
    return H.reshape(k * q, k * q)[np.ix_(order, order)]
