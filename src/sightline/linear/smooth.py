"""A smooth line through a cloud of points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["lowess"]

Array = NDArray[np.float64]


def lowess(x: Array, y: Array, *, share: float = 2.0 / 3.0, rounds: int = 3) -> Array:
    """The locally weighted line at each `x (n,)`: in the order of x as given.

    At each point a straight line is fitted to the nearest `share` of the points with tricube weights
    (1 - (d / d_max)³)³; points with large residuals then lose weight (bisquare, 6 medians), `rounds` times. As R's
    `lowess` with delta = 0. Cleveland 1979, Robust locally weighted regression and smoothing scatterplots.

    >>> lowess(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0, 7.0])).round(9).tolist()
    [1.0, 3.0, 5.0, 7.0]
    """
    n = len(x)
    near = min(n, max(2, int(share * n + 1e-10)))
    distance = np.abs(x[:, None] - x)
    reach = np.partition(distance, near - 1, axis=1)[:, near - 1 : near]
    with np.errstate(all="ignore"):
        inside = np.where(reach > 0, distance / reach, np.where(distance > 0, 2.0, 0.0))
    tricube = np.where(inside <= 0.001, 1.0, np.clip(1.0 - inside**3, 0.0, None) ** 3)
    tricube[inside > 0.999] = 0.0
    robust = np.ones(n)
    for step in range(rounds + 1):
        fitted = _local_lines(x, y, tricube * robust)
        residual = np.abs(y - fitted)
        spread = 6.0 * float(np.median(residual))
        if step == rounds or spread <= 1e-7 * float(residual.mean()):
            break
        robust = np.clip(1.0 - (residual / spread) ** 2, 0.0, None) ** 2
        robust[residual <= 0.001 * spread] = 1.0
        robust[residual > 0.999 * spread] = 0.0
    return fitted


def _local_lines(x: Array, y: Array, weights: Array) -> Array:
    """The value at each x of the line fitted with that row of `weights (n, n)`; the mean where it has no slope."""
    total = weights.sum(axis=1)
    share = weights / np.where(total > 0, total, 1.0)[:, None]
    x_mean, y_mean = share @ x, share @ y
    dx = x - x_mean[:, None]
    spread = np.einsum("ij,ij->i", share, dx**2)
    slope = np.einsum("ij,ij,j->i", share, dx, y)
    sloped = np.sqrt(spread) > 0.001 * float(np.ptp(x))
    line = y_mean + np.where(sloped, slope / np.where(sloped, spread, 1.0), 0.0) * (x - x_mean)
    return np.asarray(np.where(total > 0, line, y))
