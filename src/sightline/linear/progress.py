"""How far a step went toward the optimum, direction by direction of the curvature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .curvature import Curvature

__all__ = ["Progress", "progress"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Progress:
    """One eigenvector v `(q,)` of the Hessian, and a step seen along it.

    `before` and `after` are v · (θ - θ*): the way left to the optimum. `covered` is the share of that way which the
    step went, above 1 where it overshot, negative where it went away; None where there was no way left to go.
    """

    curvature: float
    direction: Array
    before: float
    after: float
    covered: float | None

    @property
    def excess_before(self) -> float:
        """λ (v · (θ - θ*))² / 2: the part of the loss above the optimum that this direction has; they add up to all."""
        return self.curvature * self.before**2 / 2.0

    @property
    def excess_after(self) -> float:
        """The same after the step."""
        return self.curvature * self.after**2 / 2.0


def progress(curvature: Curvature, optimum: Array, before: Array, after: Array) -> list[Progress]:
    """The step from `before (q,)` to `after (q,)` along each direction that the data determine, steepest first.

    Plain gradient descent covers lr λ of each: much of the steep ones, little of the flat ones.

    >>> steps = progress(Curvature.of(np.diag([2.0, 1.0]), rows=2, rank=2), np.zeros(2), np.array([1.0, 1.0]),
    ...                  np.array([0.6, 0.9]))
    >>> [(p.curvature, round(p.covered, 12)) for p in steps]
    [(4.0, 0.4), (1.0, 0.1)]
    """
    return [
        _along(float(value), direction, before - optimum, after - before)
        for value, direction in zip(
            curvature.eigenvalues[: curvature.rank], curvature.directions[: curvature.rank], strict=True
        )
    ]


def _along(curvature: float, direction: Array, way: Array, step: Array) -> Progress:
    left, gone = float(direction @ way), float(direction @ step)
    noise = 4.0 * np.finfo(np.float64).eps * float(np.abs(direction) @ np.abs(way))
    return Progress(curvature, direction, left, left + gone, -gone / left if abs(left) > noise else None)
