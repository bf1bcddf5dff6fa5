"""Which rows are held out of the training, by a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .table import Table
from .usable import Usable

__all__ = ["held_out", "split"]


def held_out(rows: int, fraction: float, *, seed: int, name: str = "--validation") -> NDArray[np.bool_]:
    """Whether each row is held out, `(rows,)`: `fraction` of them, rounded, drawn without replacement by the seed.

    Raises UsageError where that leaves no row held out, or fewer than two to train on.

    >>> int(held_out(10, 0.25, seed=0).sum())
    2
    """
    count = round(fraction * rows)
    if count < 1 or rows - count < 2:
        raise UsageError(
            f"{name} {fraction:g} of {rows:,} rows holds out {count:,} and leaves {rows - count:,} to train on: "
            "hold out at least 1 and leave at least 2, or give validation rows of their own"
        )
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    mask = np.zeros(rows, dtype=bool)
    mask[chosen] = True
    return mask


def split(usable: Usable, fraction: float, *, seed: int) -> tuple[Usable, Table]:
    """The rows to train on, with their weights and clusters, and those that are held out."""
    held = held_out(usable.table.rows, fraction, seed=seed)
    weight = None if usable.weight is None else usable.weight[~held]
    clusters = None if usable.cluster is None else usable.cluster[~held]
    return replace(usable, table=usable.table.take(~held), weight=weight, cluster=clusters), usable.table.take(held)
