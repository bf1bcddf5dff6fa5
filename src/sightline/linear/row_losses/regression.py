"""Losses of a prediction of a number: squared, absolute, and Huber's two forms between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .base import Pieces, RowLoss

__all__ = ["Absolute", "Huber", "SmoothL1", "SquaredLoss"]

Array = NDArray[np.float64]


class SquaredLoss(RowLoss):
    """The mean squared error: ℓ = (ŷ - y)², ŷ = z; `torch.nn.MSELoss`.

    >>> loss = SquaredLoss(np.array([[150.0], [160.0]]), np.array([55.0, 70.0]))
    >>> theta = np.array([0.5, -25.0])
    >>> loss.value(theta), loss.gradient(theta).tolist()
    (125.0, [-3150.0, -20.0])
    """

    name = "mse"
    factor = 2.0

    def at(self, z: Array) -> Pieces:
        """ŷ, ŷ - y, (ŷ - y)²."""
        error = z - self.y[:, None]
        return Pieces(z, z, error, error[:, 0] ** 2)

    def bend(self, z: Array) -> Array:
        """2."""
        return np.full((len(z), 1, 1), 2.0)

    @property
    def steepest(self) -> float:
        """2."""
        return 2.0

    def difference(self, z: Array, d: Array) -> Array:
        """d (2 (ŷ - y) + d)."""
        return np.asarray(d * (2.0 * (z - self.y[:, None]) + d))[:, 0]


class Absolute(RowLoss):
    """The mean absolute error: ℓ = |ŷ - y|, ŷ = z; `torch.nn.L1Loss`. Its error is the sign of ŷ - y, 0 for 0.

    >>> loss = Absolute(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 1.0, 5.0]))
    >>> round(loss.value(np.array([1.0, 0.0])), 6), loss.gradient(np.array([1.0, 0.0])).round(6).tolist()
    (1.333333, [-0.666667, -0.666667])
    """

    name = "l1"

    def at(self, z: Array) -> Pieces:
        """ŷ, the sign of ŷ - y, |ŷ - y|."""
        r = z - self.y[:, None]
        return Pieces(z, z, np.sign(r), np.abs(r[:, 0]))

    def bend(self, z: Array) -> Array:
        """0."""
        return np.zeros((len(z), 1, 1))

    @property
    def steepest(self) -> float:
        """0: all of its curvature is in kinks."""
        return 0.0

    def difference(self, z: Array, d: Array) -> Array:
        """±d on the side where a row stays."""
        r = z - self.y[:, None]
        stays = np.sign(r) * np.sign(r + d) > 0
        return np.asarray(np.where(stays, np.sign(r) * d, np.abs(r + d) - np.abs(r)))[:, 0]

    def error_range(self, z: Array, slack: Array) -> tuple[Array, Array]:
        """From -1 to 1 at ŷ = y."""
        r = z - self.y[:, None]
        return np.where(r > slack, 1.0, -1.0), np.where(r < -slack, -1.0, 1.0)

    def sharpness(self, z: Array) -> float:
        """0: signs have no rounding."""
        del z
        return 0.0


def _clipped_area(a: Array, d: Array, edge: float) -> Array:
    """∫ clip(r, -edge, edge) dr from a to a + d."""
    b = a + d
    inner_a, inner_b = np.clip(a, -edge, edge), np.clip(b, -edge, edge)
    outer = np.maximum(b - edge, 0.0) - np.maximum(a - edge, 0.0)
    outer += np.maximum(-b - edge, 0.0) - np.maximum(-a - edge, 0.0)
    crossing = 0.5 * (inner_b - inner_a) * (inner_a + inner_b) + edge * outer
    within = np.maximum(np.abs(a), np.abs(b)) <= edge
    beyond = (np.minimum(np.abs(a), np.abs(b)) >= edge) & (a * b > 0)
    return np.asarray(np.where(within, d * (a + 0.5 * d), np.where(beyond, edge * np.sign(a) * d, crossing)))


@dataclass(frozen=True)
class Huber(RowLoss):
    """Huber's loss of r = ŷ - y, ŷ = z: ℓ = r² / 2 for |r| <= δ, δ (|r| - δ / 2) beyond; `torch.nn.HuberLoss(delta=δ)`.

    Raises UsageError for a δ that is not above zero. Huber 1964, Robust estimation of a location parameter.

    >>> loss = Huber(np.array([[0.0], [1.0]]), np.array([0.5, 4.0]), delta=1.0)
    >>> loss.value(np.zeros(2)), loss.gradient(np.zeros(2)).tolist()
    (1.8125, [-0.5, -0.75])
    """

    name = "huber"

    delta: float = 1.0

    def __post_init__(self) -> None:
        """Check δ."""
        if not 0.0 < self.delta < np.inf:
            raise UsageError(f"the delta of the huber loss is {self.delta!r}: give a number above 0")

    def at(self, z: Array) -> Pieces:
        """ŷ, r clipped to ±δ, ℓ."""
        r = z - self.y[:, None]
        error = np.clip(r, -self.delta, self.delta)
        return Pieces(z, z, error, (error * (r - 0.5 * error))[:, 0])

    def bend(self, z: Array) -> Array:
        """1 within ±δ, 0 beyond."""
        return (np.abs(z - self.y[:, None]) < self.delta).astype(np.float64)[:, :, None]

    @property
    def steepest(self) -> float:
        """1."""
        return 1.0

    def difference(self, z: Array, d: Array) -> Array:
        """The area under the clipped residual."""
        return _clipped_area((z - self.y[:, None])[:, 0], d[:, 0], self.delta)


@dataclass(frozen=True)
class SmoothL1(RowLoss):
    """Huber's loss divided by its width: ℓ = r² / 2β for |r| < β, |r| - β / 2 beyond; `torch.nn.SmoothL1Loss(beta=β)`.

    Raises UsageError for a β that is not above zero: with β = 0 it is the loss l1.

    >>> loss = SmoothL1(np.array([[0.0], [1.0]]), np.array([0.5, 4.0]), beta=0.5)
    >>> loss.value(np.zeros(2)), loss.gradient(np.zeros(2)).tolist()
    (2.0, [-0.5, -1.0])
    """

    name = "smooth-l1"

    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check β."""
        if not 0.0 < self.beta < np.inf:
            raise UsageError(f"the beta of the smooth-l1 loss is {self.beta!r}: give a number above 0, or the loss l1")

    def at(self, z: Array) -> Pieces:
        """ŷ, r / β clipped to ±1, ℓ."""
        r = z - self.y[:, None]
        inner = np.clip(r, -self.beta, self.beta)
        error = inner / self.beta
        return Pieces(z, z, error, (error * (r - 0.5 * inner))[:, 0])

    def bend(self, z: Array) -> Array:
        """1 / β within ±β, 0 beyond."""
        return ((np.abs(z - self.y[:, None]) < self.beta) / self.beta)[:, :, None]

    @property
    def steepest(self) -> float:
        """1 / β."""
        return 1.0 / self.beta

    def difference(self, z: Array, d: Array) -> Array:
        """The area under the clipped residual."""
        return _clipped_area((z - self.y[:, None])[:, 0], d[:, 0], self.beta) / self.beta

    def sharpness(self, z: Array) -> float:
        """1 / β."""
        del z
        return 1.0 / self.beta
