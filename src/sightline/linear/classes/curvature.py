"""The curvature of the logistic and the softmax loss at a point, in the coordinates of the training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["class_curvature"]

Array = NDArray[np.float64]
MOST = 2000  # parameters whose Hessian is formed


def class_curvature(Z: Array, probability: Array, *, weight: Array | None = None, ridge: Array | None = None) -> Array:
    """Eigenvalues of the Hessian of Σ w ln(1 / P(own class)) / Σ w + Σ ridge θ² / 2, largest first.

    `Z (n, q)` with its ones, `probability (n, K)`, `ridge (q,)` of each column. Two classes have one score, so
    H = Z'diag(w P₀P₁)Z / Σw `(q,)`; K > 2 have K, so the block of classes k and l is Z'diag(w (P_k [k = l] - P_k P_l))Z
    / Σw, and the q directions that move all scores alike, of curvature zero without ridge, are left out `(q (K - 1),)`.
    Empty where there are more than 2,000 parameters.

    >>> class_curvature(np.ones((4, 1)), np.full((4, 2), 0.5)).tolist()
    [0.25]
    """
    (n, q), K = Z.shape, probability.shape[1]
    scores = 1 if K == 2 else K
    if q * scores > MOST:
        return np.empty(0)
    share = np.full(n, 1.0 / n) if weight is None else weight / weight.sum()
    P = probability[:, 1:] if scores == 1 else probability
    H = np.empty((scores, q, scores, q))
    for k in range(scores):
        for j in range(k, scores):
            spread = share * P[:, k] * ((1.0 if j == k else 0.0) - P[:, j])
            H[k, :, j, :] = (Z * spread[:, None]).T @ Z
            H[j, :, k, :] = H[k, :, j, :].T
        if ridge is not None:
            H[k, range(q), k, range(q)] += ridge
    values = np.linalg.eigvalsh(H.reshape(scores * q, scores * q))[::-1]
    return np.asarray(np.maximum(values[: q if scores == 1 else q * (K - 1)], 0.0))
