"""Directions along which a loss falls for ever: groups of counts that are all zero, classes that a line separates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...rows import Picked
from ..blocks import in_memory
from ..classes.separation import most_apart
from ..objective import Objective
from ..row_losses import CrossEntropy, Logistic, PoissonNLL

__all__ = ["Recession", "may_recede", "recession", "without"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
RANK, NEGLIGIBLE = 1e-11, 1e-9


@dataclass(frozen=True)
class Recession:
    """A direction `(q,)` that moves as many rows as any does, each where its loss falls; `moved (n,)` flags them."""

    direction: Array
    moved: Flags

    def rest(self, objective: Objective) -> Objective:
        """The objective of the rows that do not move, with the same weights in the mean; the others add nothing."""
        return without(objective, self.moved)


def without(objective: Objective, moved: Flags) -> Objective:
    """The objective of the other rows, with the same weights in the mean."""
    loss, kept = objective.loss, np.flatnonzero(~moved)
    v = np.ones(len(loss.y)) if loss.weight is None else np.asarray(loss.weight)
    X: Any = loss.X[kept] if in_memory(loss.X) else Picked(loss.X, kept)
    part = replace(loss, X=X, y=np.asarray(loss.y)[kept], weight=v[kept] * (len(kept) / len(v)))
    return replace(objective, loss=part)


def may_recede(objective: Objective) -> bool:
    """Whether the loss has no minimum for some targets: counts and classes, some of them not penalized."""
    loss = objective.loss
    smoothed = isinstance(loss, CrossEntropy) and loss.smoothing > 0
    free = (objective.ridge == 0) & (objective.lasso == 0)
    return isinstance(loss, PoissonNLL | Logistic | CrossEntropy) and not smoothed and bool(free.any())


def cheap(objective: Objective) -> bool:
    """Whether the search takes no time beside the minimization: for counts, and where only intercepts are free."""
    return isinstance(objective.loss, PoissonNLL) or not _free_slopes(objective)


def _free_slopes(objective: Objective) -> bool:
    slopes = objective.loss.outputs * objective.loss.X.shape[1]
    return bool(((objective.ridge[:slopes] == 0) & (objective.lasso[:slopes] == 0)).any())


def recession(objective: Objective) -> Recession | None:
    """The widest direction of recession in the parameters without a penalty; None where there is a minimum.

    max Σ t subject to Cd >= t, 0 <= t <= 1, Ed = 0, where the loss of a row falls for ever as Cd grows and its slope is
    not zero along Ed. Of counts C are the rows -z with y = 0 and E those above; of classes C are the differences
    (e_y - e_k) ⊗ z. Correia, Guimarães and Zylkin 2019, Verifying the existence of maximum likelihood estimates for
    generalized linear models.
    """
    loss = objective.loss
    if isinstance(loss, CrossEntropy) and not _free_slopes(objective):  # one row of each class says it all
        rows = np.unique(loss.y, return_index=True)[1]
        if len(rows) < len(loss.y):
            return recession(replace(objective, loss=loss.of_rows(rows.tolist())))
    C, E, owner = _conditions(objective)
    free = np.flatnonzero((objective.ridge == 0) & (objective.lasso == 0))
    length = np.sqrt((C[:, free] ** 2).sum(axis=0) + (E[:, free] ** 2).sum(axis=0))
    length[length == 0] = 1.0
    basis = _null_space(E[:, free] / length)
    rows = (C[:, free] / length) @ basis
    size = np.linalg.norm(C[:, free] / length, axis=1)
    rows[np.abs(rows) <= NEGLIGIBLE * size[:, None]] = 0.0
    if not basis.shape[1] or not rows.any():
        return None
    d = most_apart(np.unique(rows / np.where(size > 0, size, 1.0)[:, None], axis=0))
    apart = np.zeros(len(rows), dtype=bool) if d is None else rows @ d > NEGLIGIBLE * size
    if d is None or not apart.any():
        return None
    direction, moved = np.zeros(len(objective.ridge)), np.zeros(len(objective.loss.y), dtype=bool)
    direction[free] = (basis @ d) / length
    moved[owner[apart]] = True
    direction[np.abs(direction) <= NEGLIGIBLE * np.abs(direction).max()] = 0.0
    return Recession(direction / np.abs(direction).max(), moved)


def _conditions(objective: Objective) -> tuple[Array, Array, NDArray[np.intp]]:
    """C, E, and to which row of the data each row of C belongs."""
    loss = objective.loss
    Z = np.column_stack([loss.X, np.ones(len(loss.y))]) if loss.intercept else loss.X
    n, p = loss.X.shape
    if isinstance(loss, PoissonNLL):
        zero = loss.y == 0
        return -Z[zero], Z[~zero], np.flatnonzero(zero)
    if isinstance(loss, Logistic):
        inner = (loss.y > 0) & (loss.y < 1)
        return (2.0 * loss.y - 1.0)[~inner, None] * Z[~inner], Z[inner], np.flatnonzero(~inner)
    K, y = loss.outputs, loss.y.astype(np.intp)
    C = np.zeros((K, n, K * Z.shape[1]))
    for k in range(K):
        for i, sign in ((y, 1.0), (np.full(n, k), -1.0)):
            for j in range(p):
                C[k, np.arange(n), i * p + j] += sign * Z[:, j]
            if loss.intercept:
                C[k, np.arange(n), K * p + i] += sign
    other = np.arange(K)[:, None] != y
    return C[other], np.zeros((0, C.shape[2])), np.broadcast_to(np.arange(n), (K, n))[other]


def _null_space(E: Array) -> Array:
    """Of the rows E, which have columns of length one or zero."""
    if not len(E):
        return np.eye(E.shape[1])
    R = np.linalg.qr(E, mode="r") if len(E) > E.shape[1] else E
    _, singular, turned = np.linalg.svd(R)
    return np.asarray(turned[int((singular > RANK * max(singular[0], 1.0)).sum()) :].T)
