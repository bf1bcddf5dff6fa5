"""The loss along the line of a step: how far it falls, where it is lowest, where it is again what it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .row_losses import RowLoss, SquaredLoss

__all__ = ["StepLine"]

Array = NDArray[np.float64]
FARTHEST = 1e12  # steps: beyond, the loss falls for ever as far as anyone will go (classes that a line separates)


@dataclass(frozen=True)
class StepLine:
    """φ(t) = L(θ + t s) + Σ penaltyⱼ (θⱼ + t sⱼ)² / 2: t = 0 is before the step s, t = 1 after it.

    For the mean squared error φ is a parabola: φ(t) = φ(0) + φ'(0) t + c t², lowest at -φ'(0) / 2c, and at twice that
    what it was at the start. `penalty (q,)` is the weight decay that is part of the objective.

    >>> line = StepLine(SquaredLoss(np.array([[1.0], [2.0]]), np.array([0.0, 0.0]), False), np.array([1.0]),
    ...                 np.array([-0.25]), np.zeros(1))
    >>> line.slope, line.best, line.limit, [line.value(t) for t in (0.0, 4.0, 8.0)]
    (-1.25, 4.0, 8.0, [2.5, 0.0, 2.5])
    """

    loss: RowLoss
    theta: Array
    step: Array
    penalty: Array

    def value(self, t: float) -> float:
        """φ(t)."""
        if self._parabola is not None:
            start, slope, bend = self._parabola
            return start + t * (slope + t * bend)
        at = self.theta + t * self.step
        return self.loss.along(self.theta, self.step, t) + float(self.penalty @ at**2) / 2.0

    def change(self, t: float) -> float:
        """φ(t) - φ(0), for a parabola without the cancellation of the two."""
        if self._parabola is not None:
            _, slope, bend = self._parabola
            return t * (slope + t * bend)
        return self.value(t) - self.value(0.0)

    @cached_property
    def slope(self) -> float:
        """φ'(0) = ∂L/∂θ · s, which is -lr ‖∂L/∂θ‖² for a step of plain gradient descent."""
        return self._slope(0.0)

    @cached_property
    def best(self) -> float | None:
        """Where φ is lowest; None where it has no lowest point, or does not change."""
        if self._parabola is not None:
            _, slope, bend = self._parabola
            return -slope / (2.0 * bend) if bend > 0.0 else None
        return _root(self._slope, 0.0, -np.sign(self.slope))

    @cached_property
    def limit(self) -> float | None:
        """The other t where φ is φ(0); beyond it the step makes things worse."""
        if self.best is None or self.best == 0.0:
            return None
        if self._parabola is not None:
            return 2.0 * self.best
        start = self.value(0.0)
        return _root(lambda t: self.value(t) - start, self.best, np.sign(self.best))

    @cached_property
    def _parabola(self) -> tuple[float, float, float] | None:
        """φ(0), φ'(0) and half of φ'' where φ is a parabola."""
        if not isinstance(self.loss, SquaredLoss):
            return None
        nothing = np.zeros(len(self.loss.X))
        moved = SquaredLoss(self.loss.X, nothing, self.loss.intercept, self.loss.weight).value(self.step)
        start = self.loss.value(self.theta) + float(self.penalty @ self.theta**2) / 2.0
        return start, self.slope, moved + float(self.penalty @ self.step**2) / 2.0

    def _slope(self, t: float) -> float:
        drag = float((self.penalty * (self.theta + t * self.step)) @ self.step)
        return self.loss.slope_along(self.theta, self.step, t) + drag


def _root(function: Callable[[float], float], start: float, direction: float) -> float | None:
    """The root of a monotone function beyond `start`; None if there is none within `FARTHEST` steps."""
    from scipy.optimize import brentq

    near, reach, sign = start, float(direction), np.sign(function(start))
    while sign and 0.0 < abs(reach) <= FARTHEST:
        far = start + reach
        now = np.sign(function(far))
        if now == -sign or (now == 0.0 and np.sign(function(far + reach)) == -sign):
            return float(brentq(function, near, far, rtol=1e-14))
        if now == 0.0:  # it has sunk below the smallest number, not through zero
            return None
        near, reach = far, reach * 2.0
    return None
