"""Losses that are negative log-likelihoods of counts and of numbers with a variance of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .base import QUIET, Pieces, RowLoss

__all__ = ["GaussianNLL", "PoissonNLL"]

Array = NDArray[np.float64]


class PoissonNLL(RowLoss):
    """The likelihood of a count whose mean is eᶻ: ℓ = eᶻ - y z; `torch.nn.PoissonNLLLoss(log_input=True, full=False)`.

    >>> loss = PoissonNLL(np.array([[0.0], [1.0]]), np.array([1.0, 3.0]))
    >>> loss.value(np.zeros(2)), loss.gradient(np.zeros(2)).tolist()
    (1.0, [-1.0, -1.0])
    """

    name = "poisson-nll"

    @QUIET
    def at(self, z: Array) -> Pieces:
        """eᶻ, eᶻ - y, eᶻ - y z."""
        mean, y = np.exp(z), self.y[:, None]
        return Pieces(z, mean, mean - y, (mean - y * z)[:, 0])

    @QUIET
    def bend(self, z: Array) -> Array:
        """eᶻ."""
        return np.exp(z)[:, :, None]

    @property
    def steepest(self) -> None:
        """It grows without a bound."""
        return

    @QUIET
    def difference(self, z: Array, d: Array) -> Array:
        """eᶻ (eᵈ - 1) - y d."""
        return np.asarray(np.exp(z) * np.expm1(d) - self.y[:, None] * d)[:, 0]

    @QUIET
    def sharpness(self, z: Array) -> Array:
        """eᶻ."""
        return np.exp(z)


@dataclass(frozen=True)
class GaussianNLL(RowLoss):
    """The likelihood of a number whose mean m and log variance s are both linear: ℓ = (log v + (m - y)² / v) / 2 with
    v = max(eˢ, ε); `torch.nn.GaussianNLLLoss(full=False, eps=ε)` with var = exp(second output).

    Below ε the error keeps the slope of the unlimited exponential, as torch's has it. In m and s together it is not
    convex.

    Raises UsageError for an ε that is not above zero.

    >>> loss = GaussianNLL(np.array([[0.0], [1.0]]), np.array([1.0, 3.0]))
    >>> loss.value(np.zeros(4)), loss.gradient(np.zeros(4)).tolist()
    (2.5, [-1.5, -2.0, -2.0, -2.0])
    """

    name = "gaussian-nll"

    outputs: int = 2
    eps: float = 1e-6

    def __post_init__(self) -> None:
        """Check ε and the number of outputs."""
        if not 0.0 < self.eps < np.inf:
            raise UsageError(f"the eps of the gaussian-nll loss is {self.eps!r}: give a number above 0")
        if self.outputs != 2:
            raise UsageError(
                f"gaussian-nll has {self.outputs} outputs: it takes 2, the mean and the logarithm of the variance"
            )

    @QUIET
    def at(self, z: Array) -> Pieces:
        """Mean and variance, the slopes in m and s, ℓ."""
        r, share, v = self._parts(z)
        slope = 0.5 * share * (1.0 - r * r / v)
        return Pieces(z, np.column_stack([z[:, 0], v]), np.column_stack([r / v, slope]), 0.5 * (np.log(v) + r * r / v))

    @QUIET
    def bend(self, z: Array) -> Array:
        """[[1 / v, -r / v], [-r / v, r² / 2v]] where v is above ε."""
        r, share, v = self._parts(z)
        square = r * r / v
        B = np.empty((len(z), 2, 2))
        B[:, 0, 0] = 1.0 / v
        B[:, 0, 1] = B[:, 1, 0] = -r / v * share
        B[:, 1, 1] = 0.5 * share * (1.0 - square + share * (2.0 * square - 1.0))
        return B

    @property
    def steepest(self) -> None:
        """It grows without a bound."""
        return

    @QUIET
    def difference(self, z: Array, d: Array) -> Array:
        """(dₛ + ((2 r dₘ + dₘ²) exp(-dₛ) + r² (exp(-dₛ) - 1)) / v) / 2 where v is above ε."""
        r, share, v = self._parts(z)
        dm, ds = d.T
        near = 0.5 * (ds + ((2.0 * r + dm) * dm * np.exp(-ds) + r * r * np.expm1(-ds)) / v)
        limited = (share < 1.0) | (v * np.exp(ds) < self.eps)
        return np.asarray(np.where(limited, self.at(z + d).loss - self.at(z).loss, near) if limited.any() else near)

    @QUIET
    def sharpness(self, z: Array) -> Array:
        """Σ |∂²ℓ/∂z²| of each output."""
        return np.asarray(np.abs(self.bend(z)).sum(axis=2))

    def _parts(self, z: Array) -> tuple[Array, Array, Array]:
        """r, eˢ / v, v."""
        e = np.exp(z[:, 1])
        return z[:, 0] - self.y, np.minimum(e / self.eps, 1.0), np.maximum(e, self.eps)
