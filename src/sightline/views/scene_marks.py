"""What the figures of a scene draw with: numbers as arrays, smooth lines, ellipses of equal loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .drawing import INK, OK, as_text

__all__ = ["BAD", "all_finite", "as_array", "draw_rings", "draw_smooth", "hessian_of_pair", "line_at", "name_points"]

Array = NDArray[np.float64]
BAD = "#3a040e"
RINGS = 7


def as_array(values: Sequence[Any]) -> Array:
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def all_finite(values: Sequence[Any]) -> bool:
    return all(v is not None and math.isfinite(v) for v in values)


def line_at(b: Sequence[float], x: Array, link: str | None = None) -> Array:
    """The prediction at x: a line, of counts e to its power."""
    line = b[-1] * x + (b[0] if len(b) > 1 else 0.0)
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(line) if link == "log" else line)


def draw_smooth(axes: Axes, line: Mapping[str, Any] | None) -> None:
    if line:
        axes.plot(line["x"], line["y"], color=OK, linewidth=1.8)


def name_points(axes: Axes, x: Array, y: Array, extreme: Sequence[int], names: Sequence[str]) -> None:
    """The names of some points beside them: towards the middle, apart from names that are near."""
    wide, tall = (float(np.nanmax(v) - np.nanmin(v)) if np.isfinite(v).any() else 0.0 for v in (x, y))
    middle = float(np.nanmin(x)) + wide / 2.0 if wide else math.inf
    named: list[int] = []
    for i in extreme:
        if not (np.isfinite(x[i]) and np.isfinite(y[i])):
            continue
        near = [j for j in named if abs(x[i] - x[j]) < 0.2 * wide and abs(y[i] - y[j]) < 0.05 * tall]
        drop = 0 if not near else -8 if y[i] <= y[near[0]] else 8
        left = x[i] > middle
        axes.annotate(
            as_text(names[i], 20), (x[i], y[i]), xytext=(-6 if left else 6, 3 + drop), textcoords="offset points",
            fontsize=8.5, color=INK, ha="right" if left else "left",
        )  # fmt: skip
        named.append(i)


def hessian_of_pair(system: Mapping[str, Any], a: int, b: int) -> Array:
    """The Hessian in two coefficients of the table, from its eigenvectors in training coordinates."""
    V, scale, center = np.array(system["vectors"]), as_array(system["scale"]), as_array(system["center"])

    def along(i: int) -> Array:
        if not system["intercept"]:
            return np.asarray(V[:, i] * scale[i])
        return np.asarray(V[:, -1] if i == 0 else V[:, i - 1] * scale[i - 1] + V[:, -1] * center[i - 1])

    U = np.column_stack([along(a), along(b)])
    return np.asarray(U.T @ (as_array(system["values"])[:, None] * U))


def draw_rings(axes: Axes, H: Array, center: Array, seen: Array) -> None:
    """Ellipses of equal loss around the exact answer, up to the one through the start."""
    away = seen - center
    top = float(np.einsum("ij,jk,ik->i", away, H, away).max(initial=0.0))
    if not (np.isfinite(top) and top > 0) or np.linalg.det(H) <= 0:
        return
    angle = np.linspace(0.0, 2.0 * math.pi, 181)
    unit = np.linalg.solve(np.linalg.cholesky(H).T, np.array([np.cos(angle), np.sin(angle)]))
    for i in range(RINGS):
        ring = center[:, None] + math.sqrt(top * 10.0 ** (-i / 1.5)) * unit
        axes.plot(*ring, color="#cdd4dc", linewidth=1.0, zorder=1)
