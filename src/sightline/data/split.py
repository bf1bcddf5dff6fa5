"""Which rows are held out of the training, by a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

__all__ = ["held_out"]


def held_out(rows: int, fraction: float, *, seed: int) -> NDArray[np.bool_]:
    """Whether each row is held out, `(rows,)`: `fraction` of them, rounded, drawn without replacement by the seed.

    Raises UsageError where that leaves no row held out, or fewer than two to train on.

    >>> int(held_out(10, 0.25, seed=0).sum())
    2
    """
    count = round(fraction * rows)
    if count < 1 or rows - count < 2:
        raise UsageError(
            f"--validation {fraction:g} of {rows:,} rows holds out {count:,} and leaves {rows - count:,} to train on: "
            "hold out at least 1 and leave at least 2, or name a file of validation rows"
        )
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    mask = np.zeros(rows, dtype=bool)
    mask[chosen] = True
    return mask
