"""Which rows a picture shows where there are too many: a seeded sample, and the extreme ones always."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXTREME", "MOST_ROWS", "chosen_rows", "counts", "extreme", "short"]

Array = NDArray[np.float64]
MOST_ROWS = 600
EXTREME = 3  # as R's plot(lm) names
CELLS = (48, 32)


def extreme(sizes: Array, most: int = EXTREME) -> list[int]:
    """The rows with the largest sizes, largest first; those that are not numbers never.

    >>> extreme(np.array([1.0, np.nan, 3.0, 2.0]), 2)
    [2, 3]
    """
    known = np.flatnonzero(np.isfinite(sizes))
    return [int(i) for i in known[np.argsort(-sizes[known], kind="stable")[:most]]]


def chosen_rows(n: int, always: Sequence[int] = (), most: int = MOST_ROWS) -> NDArray[np.intp]:
    """All of n rows in their order, or `most` of them with `always` among them."""
    if n <= most:
        return np.arange(n)
    sample = np.random.default_rng(0).choice(n, most - len(set(always)), replace=False)
    return np.union1d(sample, np.array(list(always), dtype=np.intp)).astype(np.intp)


def counts(x: Array, y: Array) -> dict[str, object]:
    """How many rows lie in each cell of a grid over the picture, row by row from below."""
    table, across, up = np.histogram2d(x, y, bins=CELLS)
    return {
        "x": [float(across[0]), float(across[-1])], "y": [float(up[0]), float(up[-1])],
        "columns": CELLS[0], "lines": CELLS[1], "counts": table.T.astype(int).ravel().tolist(),
    }  # fmt: skip


def short(values: Array, digits: int = 7) -> list[float | None]:
    """Numbers with as many digits as a picture can show; None for what is none."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in values.tolist()]
