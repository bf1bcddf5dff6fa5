"""Newton's method on the likelihood: in float64 with step halving, then with gradients in double-double."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from .information import root
from .likelihood import ClassRows, Point

__all__ = ["Descent", "descend", "polish"]

Array = NDArray[np.float64]
NEAR = 1e-6  # a step that changes no linear predictor further leaves an error of about its square
SETTLED = 2.0**-100
MOST_POLISHING = 20
MOST_HALVINGS = 40


@dataclass(frozen=True)
class Descent:
    """Where Newton's method came: `theta (q, m)`, the point there, and `error (q, m)`, None where it did not converge.

    `steps` counts those in float64 and those after.
    """

    theta: Pair
    point: Point
    error: Array | None
    steps: int

    @property
    def converged(self) -> bool:
        """Whether the last step was negligible."""
        return self.error is not None

    @property
    def every_row_right(self) -> bool:
        """Whether each row has its own class as the most probable one, strictly."""
        return self.point.margin > 0


def descend(rows: ClassRows, theta: Array, *, most: int, separable: bool) -> Descent:
    """Newton steps in float64 from `theta (q, m)`, halved until the objective falls.

    Ends where a step is negligible, after `most` steps, where the Hessian is singular, and, if `separable`, as soon as
    every row is right: then the likelihood has no maximum.
    """
    point = rows.at(theta)
    for step in range(most):
        if separable and point.margin > 0:
            return Descent(Pair.of(theta), point, None, step)
        delta = _direction(rows, point)
        if delta is None:
            return Descent(Pair.of(theta), point, None, step)
        end = rows.at(theta - delta, theta)
        far, highest = end.moved, point.value + 1e-14 * abs(point.value)  # no higher than rounding
        for _ in range(MOST_HALVINGS):
            if far <= NEAR or end.value <= highest:
                break
            delta = 0.5 * delta
            end = rows.at(theta - delta, theta)
        theta, point = theta - delta, end
        if far <= NEAR:
            return Descent(Pair.of(theta), point, np.abs(delta), step + 1)
    return Descent(Pair.of(theta), point, None, most)


def polish(rows: ClassRows, start: Descent) -> Descent:
    """Steps with the gradient as exact as the rows allow, until they no longer shrink.

    Each gains some 13 digits: the step is as good as the Hessian in float64. The last one tells the error.
    """
    theta, before = start.theta, np.inf
    point = rows.measured(theta) if rows.precise else start.point
    for step in range(1, MOST_POLISHING + 1):
        delta = _direction(rows, point)
        if delta is None:
            return Descent(theta, point, None, start.steps + step)
        theta, point = theta - delta, rows.measured(theta - delta, theta.hi)
        far = point.moved
        if far <= SETTLED or (step > 1 and far > 0.1 * before):
            error = 2.0 * np.abs(delta) + (2.0**-102 if rows.precise else 2.0**-52) * np.abs(theta.hi)
            return Descent(theta, point, error if far <= NEAR else None, start.steps + step)
        before = far
    return Descent(theta, point, None, start.steps + MOST_POLISHING)


def _direction(rows: ClassRows, point: Point) -> Array | None:
    """H⁻¹g."""
    from scipy.linalg import cho_solve

    L = root(rows, point)
    return None if L is None else rows.placed(cho_solve((L, True), rows.flat(point.gradient.hi), check_finite=False))
