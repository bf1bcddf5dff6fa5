"""The triangular factor of many rows, block by block: what keeps the digits that their squares lose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import summed
from .moments import Moments

__all__ = ["is_steep", "merged_factors", "rows_factor", "triangle"]

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

    found = summed(
        leaf, lambda size: np.empty((size, q)), rows=len(X), columns=q, work=2 * len(X) * q * q, add=merged_factors
    )
    R = np.zeros((q, q))
    R[: len(found)] = found
    return R


def rows_factor(X: Any, weight: Array | None = None, *, intercept: bool = True, target: Array | None = None) -> Array:
    """The upper triangular R `(q, q)` of a QR decomposition of √w [1 X], of √w X, or of these with the `target (n,)` as
    last column: with R[0, 1:] / R[0, 0] the means of the columns, and below them the factor of the centered ones. In
    one pass over blocks, as `triangle`.

    >>> R = rows_factor(np.array([[1.0], [3.0]]))
    >>> (R[0, 1] / R[0, 0]).round(12).tolist(), np.abs(R[1, 1]).round(12).tolist()
    (2.0, 1.414213562373)
    """
    n, p = X.shape
    first, q = int(intercept), p + int(intercept) + int(target is not None)

    def leaf(part: slice, _: None) -> Array:
        rows = np.ones((part.stop - part.start, q))
        rows[:, first : first + p] = X[part]
        if target is not None:
            rows[:, -1] = target[part]
        return np.asarray(np.linalg.qr(rows if weight is None else rows * np.sqrt(weight[part])[:, None], mode="r"))

    found = summed(leaf, lambda _: None, rows=n, columns=q, work=2 * n * q * q, add=merged_factors)
    R = np.zeros((q, q))
    R[: len(found)] = found
    return R


def merged_factors(above: Array, below: Array) -> Array:
    """The factor of two factors, one above the other."""
    return np.asarray(np.linalg.qr(np.vstack([above, below]), mode="r"))
