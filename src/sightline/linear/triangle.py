"""The triangular factor of many rows, block by block: what keeps the digits that their squares lose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import summed
from .moments import Moments

__all__ = ["is_steep", "triangle"]

Array = NDArray[np.float64]
STEEP = 1e-10 / float(np.finfo(np.float64).eps)  # condition of X'X from which its rounding is worth a second pass


def is_steep(moments: Moments) -> bool:
    """Whether the columns are so nearly collinear that X'X, its diagonal scaled to one, has lost digits."""
    size = np.sqrt(np.diag(moments.xx))
    kept = np.flatnonzero(size > 0)
    if len(kept) < 2 or not np.isfinite(moments.xx).all():
        return False
    values = np.linalg.eigvalsh(moments.xx[np.ix_(kept, kept)] / size[kept] / size[kept, None])
    return bool(values[-1] > STEEP * values[0])


def triangle(X: NDArray[Any], y: NDArray[Any], moments: Moments, weight: Array | None = None) -> Array:
    """The upper triangular R `(p + k, p + k)` of a QR decomposition of the centered rows [X - x̄, y - ȳ] √w.

    Its first p columns R₁ have R₁'R₁ = X'X of the moments, to the digits of X instead of those of its squares. Blocks
    are decomposed in threads and their factors, two at a time, again; the bits do not depend on how many threads there
    are.
    Demmel, Grigori, Hoemmen and Langou 2012, Communication-optimal parallel and sequential QR and LU factorizations.

    >>> X, y = np.array([[1.0], [3.0]]), np.array([[2.0], [6.0]])
    >>> np.abs(triangle(X, y, Moments.of(X, y))).round(12).tolist()
    [[1.414213562373, 2.828427124746], [0.0, 0.0]]
    """
    p, q = X.shape[1], X.shape[1] + y.shape[1]
    center = np.concatenate([moments.x_mean, moments.y_mean])

    def leaf(part: slice, space: Array) -> Array:
        rows = space[: len(X[part])]
        rows[:, :p], rows[:, p:] = X[part], y[part]
        rows -= center
        if weight is not None:
            rows *= np.sqrt(weight[part])[:, None]
        return np.asarray(np.linalg.qr(rows, mode="r"))

    def merged(above: Array, below: Array) -> Array:
        return np.asarray(np.linalg.qr(np.vstack([above, below]), mode="r"))

    found = summed(leaf, lambda size: np.empty((size, q)), rows=len(X), columns=q, work=2 * len(X) * q * q, add=merged)
    R = np.zeros((q, q))
    R[: len(found)] = found
    return R
