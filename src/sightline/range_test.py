"""What a learning rate that rose from step to step says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .words import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RangeTest"]

WINDOWS = 10  # that the steps are divided into for the running mean of mini-batch losses, each of 5 at least


@dataclass(frozen=True, slots=True)
class RangeTest:
    """A rate that rose from step to step: `losses[i]` is the loss of the batch before the step with `rates[i]`.

    `smoothed` is without the noise of mini-batches: their running mean over a tenth of the steps, twice. `suggestion`
    is the rate at which it fell most steeply against the logarithm of the rate on its way to its lowest, None where it
    never fell; `diverged` the rate after whose step the loss was not finite or above 4 times the first, None where none
    was.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    diverged: float | None

    @classmethod
    def of(cls, rates: list[float], losses: list[float], steps: int, *, ended: bool, noisy: bool) -> RangeTest:
        """What these losses say; `ended` where the last is out of bounds, `noisy` where they are of mini-batches."""
        kept, width = losses[:-1] if ended else losses, max(5, steps // WINDOWS) | 1
        smoothed = _running_mean(kept, width) if noisy else kept
        noise = 2.0 * float(np.std(np.subtract(kept, smoothed))) / math.sqrt(width)
        diverged = rates[-2] if ended else None
        return cls(tuple(rates), tuple(losses), tuple(smoothed), _steepest(rates, smoothed, noise), diverged)

    def __str__(self) -> str:
        end = "" if self.diverged is None else f"; it exploded at {plain(self.diverged)}"
        if self.suggestion is None:
            return f"the loss never fell{end}: {'sweep lower' if end else 'sweep higher'} rates"
        return f"use lr={plain(self.suggestion, 2)}, where the loss fell most steeply{end}"

    def figure(self) -> Figure:
        """The loss against the rate, the suggestion marked."""
        from .views.rate_figures import range_figure

        return range_figure(self.rates, self.losses, self.smoothed, self.suggestion)


def _running_mean(losses: list[float], width: int) -> list[float]:
    """The mean of so many neighbors, twice; at the ends the first and the last value go on."""
    values, kernel = np.array(losses), np.full(width, 1.0 / width)
    for _ in range(2):
        values = np.convolve(np.pad(values, width // 2, mode="edge"), kernel, mode="valid")
    return [float(v) for v in values]


def _steepest(rates: list[float], losses: list[float], noise: float) -> float | None:
    """The rate of the most negative slope of the loss against the logarithm of the rate, on its way from the first loss
    to the lowest; None where that is no deeper than the noise.
    """
    lowest = int(np.argmin(losses)) + 1
    below = np.flatnonzero(np.array(losses[:lowest]) >= losses[0] - noise)
    begin = int(below[-1])
    if lowest < 2 or begin == lowest - 1:
        return None
    slope = np.gradient(losses[:lowest], np.log(rates[:lowest]))
    at = begin + int(np.argmin(slope[begin:]))
    return rates[at] if slope[at] < 0.0 else None
