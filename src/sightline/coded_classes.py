"""The maximum of the likelihood of classes for rows of which categories are kept as codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_blocks import ByCodes
from .coded_rows import CodedRows
from .double_double import Pair
from .errors import DataError
from .limits import memory_limit
from .linear.classes.basis import Basis
from .linear.classes.fit import ClassFit
from .linear.classes.softmax import softmax_of_codes

__all__ = ["fit_of_codes"]

Array = NDArray[np.float64]
COPIES = 25  # of the information: itself, its factor, and what is made of them


def fit_of_codes(
    X: CodedRows, R: Array, codes: NDArray[Any], classes: int, *, intercept: bool, weight: Array | None, l2: float
) -> ClassFit:
    """The maximum for rows `X (n, p)`, with coefficients in their coordinates; `R (q, q)` is the triangular factor of
    √w [1 X], or of √w X without an intercept.

    It is looked for with indicators as 0 and 1 and the other columns centered and scaled, so that nothing but counts
    is added up.
    """
    n, p = X.shape
    _refuse_many((p + int(intercept)) * (classes - 1))
    mass, first, other = float(n if weight is None else weight.sum()), int(intercept), X.places
    mean = R[0, 1:] / R[0, 0] if intercept else np.zeros(p)
    size = np.sqrt((R[first:, first:] ** 2).sum(axis=0) / mass)
    center, scale = np.zeros(p), np.ones(p)
    if intercept:
        center, scale = X.zero.copy(), X.one - X.zero
        center[other] = mean[other]
    scale[other] = np.exp2(np.round(np.log2(np.where(size > 0, size, 1.0))))[other]
    at, by = X.center + X.scale * center, X.scale * scale
    if intercept:
        at[X.marked], by[X.marked] = 0.0, 1.0  # to the last bit
        center[other] = ((at - X.center) / X.scale)[other]  # that of the rows as they are rounded
    rows = X.placed(at, by)
    basis = Basis(center, scale, Pair.of(np.eye(p + first)), intercept)
    Z = ByCodes(_with_one(rows) if intercept else rows)
    return softmax_of_codes(Z, basis, codes, classes, weight=weight, l2=l2)


def _refuse_many(coefficients: int) -> None:
    size = COPIES * 8.0 * coefficients**2
    if size > memory_limit():
        raise DataError(
            f"the formula makes {coefficients:,} coefficients, and the products of all pairs of them take "
            f"{1e-9 * size:,.3g} GB: leave out columns with many categories, or join their rare ones"
        )


def _with_one(X: CodedRows) -> CodedRows:
    """With a last column of ones."""
    n, p = X.shape
    return CodedRows(
        n, p + 1, X.parts, np.append(X.places, p), _WithOne(X.dense), center=np.append(X.center, 0.0),
        scale=np.append(X.scale, 1.0), folder=X.folder,
    )  # fmt: skip


@dataclass(frozen=True)
class _WithOne:
    """The other columns of some rows, and ones."""

    dense: Callable[[int, int], Array]

    def __call__(self, first: int, last: int) -> Array:
        found = self.dense(first, last)
        return np.column_stack([found, np.ones(len(found))])
