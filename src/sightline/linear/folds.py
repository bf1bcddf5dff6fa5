"""Which fold each row of a cross-validation is in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

__all__ = ["assign_folds"]


def assign_folds(
    rows: int,
    folds: int = 10,
    *,
    seed: int = 0,
    groups: Sequence[Any] | None = None,
    strata: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """The fold of each row `(n,)`, shuffled; sizes differ by one at most. Rows of a group stay together.

    Groups are shuffled, then the largest one left goes to the fold with the fewest rows. With `strata (n,)`, which
    takes no groups, the rows of each stratum too are spread so that their numbers differ by one at most.

    Raises:
        UsageError: fewer than two folds, or more folds than rows or groups.

    >>> assign_folds(6, 3, seed=1).tolist(), assign_folds(5, 2, groups=["a", "b", "b", "a", "c"]).tolist()
    ([1, 0, 2, 2, 0, 1], [0, 1, 1, 0, 0])
    >>> assign_folds(6, 2, strata=np.array([7, 7, 7, 7, 8, 8])).tolist()
    [0, 1, 1, 0, 1, 0]
    """
    codes, counts = np.arange(rows), np.ones(rows, dtype=np.intp)
    if groups is not None:
        number: dict[Any, int] = {}
        codes = np.array([number.setdefault(label, len(number)) for label in groups], dtype=np.intp)
        counts = np.bincount(codes)
    if len(codes) != rows:
        raise UsageError(f"{len(codes):,} groups for {rows:,} rows: give one for each row")
    if not 2 <= folds <= len(counts):
        what = "rows" if groups is None else "groups"
        raise UsageError(f"{folds} folds of {len(counts):,} {what}: ask for 2 to as many as there are {what}")
    order = np.random.default_rng(seed).permutation(len(counts))
    fold_of = np.empty(len(counts), dtype=np.intp)
    if groups is None:
        order = order if strata is None else order[np.argsort(strata[order], kind="stable")]
        fold_of[order] = np.arange(rows) % folds
        return fold_of
    filled = np.zeros(folds, dtype=np.intp)
    for group in order[np.argsort(-counts[order], kind="stable")]:
        fold_of[group] = np.argmin(filled)
        filled[fold_of[group]] += counts[group]
    return fold_of[codes]
