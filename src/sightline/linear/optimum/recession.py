"""Directions along which a loss falls for ever: groups of counts that are all zero, classes that a line separates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..blocks import adds_up, in_memory
from ..classes.separation import most_apart
from ..derived import Picked
from ..gram import gram_factor
from ..objective import Objective
from ..row_losses import CrossEntropy, Logistic, PoissonNLL, RowLoss
from ..triangle import merged_factors
from .frame import with_ones

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
    X: Any = loss.X
    X = X[kept] if in_memory(X) else X.at(kept) if adds_up(X) else Picked(X, kept)
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
    loss, free = objective.loss, np.flatnonzero((objective.ridge == 0) & (objective.lasso == 0))
    if isinstance(loss, CrossEntropy | Logistic) and not _free_slopes(objective):
        loss = loss.of_rows(np.unique(np.asarray(loss.y), return_index=True)[1].tolist())  # one of each says it all
    squares, R = _sizes(loss, free)
    length = np.sqrt(squares)
    length[length == 0] = 1.0
    basis = _null_space(R / length)
    if not basis.shape[1]:
        return None
    loose = _Loose(free, length, basis)
    rows = loss.over(lambda part: np.unique(loose.of(part)[0], axis=0), add=_united)
    d = most_apart(rows) if rows.any() else None
    if d is None or not (rows @ d > NEGLIGIBLE).any():
        return None
    direction = np.zeros(len(objective.ridge))
    direction[free] = (basis @ d) / length
    direction[np.abs(direction) <= NEGLIGIBLE * np.abs(direction).max()] = 0.0
    moved = np.concatenate(objective.loss.over(lambda part: [loose.moved(part, d)]))
    return Recession(direction / np.abs(direction).max(), moved)


@dataclass(frozen=True)
class _Loose:
    """The rows C in the directions of `basis (·, m)` that E leaves open, of the `free` columns, of one `length`."""

    free: NDArray[np.intp]
    length: Array
    basis: Array

    def of(self, part: RowLoss) -> tuple[Array, NDArray[np.intp]]:
        """Of a block those, relative to the length of each, and to which row of the block each belongs."""
        C, _, owner = _conditions(part)
        rows = C[:, self.free] / self.length
        size = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows @ self.basis / np.where(size > 0, size, 1.0)
        return np.where(np.abs(rows) > NEGLIGIBLE, rows, 0.0), owner

    def moved(self, part: RowLoss, d: Array) -> Flags:
        """Which rows of a block the direction d moves."""
        rows, owner = self.of(part)
        found = np.zeros(len(part.y), dtype=bool)
        found[owner[rows @ d > NEGLIGIBLE]] = True
        return found


def _united(a: Array, b: Array) -> Array:
    return np.unique(np.concatenate([a, b]), axis=0)


def _sizes(loss: RowLoss, free: NDArray[np.intp]) -> tuple[Array, Array]:
    """Σ of the squares of the free columns of C and E, and a factor of those of E."""
    known = None
    if isinstance(loss, PoissonNLL) and adds_up(loss.X):
        known = gram_factor(loss.X, (loss.y > 0).astype(np.float64), intercept=loss.intercept)
    if known is None:
        return loss.over(partial(_sizes_of, free), add=lambda a, b: (a[0] + b[0], merged_factors(a[1], b[1])))
    every = loss.X.squares(lambda part, _: np.ones((part.stop - part.start, 1)), 1)[0]  # type: ignore[attr-defined]
    return np.diag(every)[free], known[:, free]


def _sizes_of(free: NDArray[np.intp], part: RowLoss) -> tuple[Array, Array]:
    """The same of a block, the factor triangular."""
    C, E, _ = _conditions(part)
    E = E[:, free]
    return (C[:, free] ** 2).sum(axis=0) + (E**2).sum(axis=0), np.asarray(np.linalg.qr(E, mode="r"))


def _conditions(loss: RowLoss) -> tuple[Array, Array, NDArray[np.intp]]:
    """C, E, and to which row of the data each row of C belongs."""
    Z = with_ones(loss)
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


def _null_space(R: Array) -> Array:
    """Of a factor R of rows that have columns of length one or zero."""
    if not len(R):
        return np.eye(R.shape[1])
    _, singular, turned = np.linalg.svd(R)
    return np.asarray(turned[int((singular > RANK * max(singular[0], 1.0)).sum()) :].T)
