"""The four pictures of a linear fit's residuals, as R's plot(lm) has them, with the most extreme rows named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..linear.influence import Influence
from ..linear.smooth import lowess
from ..rows import Rows
from .drawing import EXACT, INK, POINT, TRAINED, save

__all__ = ["diagnostic_figure", "save_diagnostics"]

Array = NDArray[np.float64]
NAMED = 3
MOST = 1500  # points drawn: more would only blacken the picture; the extreme ones are always among them


class Fit(Protocol):
    """What the pictures need of a fit: its rows, fitted values and residuals `(n,)`, the rank of its design."""

    @property
    def rows(self) -> Rows: ...
    @property
    def fitted(self) -> Array: ...
    @property
    def residual(self) -> Array: ...
    @property
    def rank(self) -> int: ...


def save_diagnostics(fit: Fit, influence: Influence, title: str, folder: Path) -> Path:
    """The four pictures as figures/diagnostics.png of a run folder."""
    path = folder / "figures" / "diagnostics.png"
    path.parent.mkdir(exist_ok=True)
    save(diagnostic_figure(fit, influence, title), path)
    return path


def diagnostic_figure(fit: Fit, influence: Influence, title: str) -> Figure:
    """Residuals against fitted values, normal quantiles, spread against fitted values, residuals against leverage."""
    figure = Figure(figsize=(10.5, 8.6))
    figure.subplots_adjust(left=0.075, right=0.985, top=0.915, bottom=0.065, wspace=0.2, hspace=0.31)
    figure.suptitle(title, fontsize=12)
    axes = figure.subplots(2, 2)
    known = np.flatnonzero(np.isfinite(influence.standardized))
    fitted, standardized, place = fit.fitted[known], influence.standardized[known], fit.rows.place

    def name(i: int) -> str:
        return place(int(known[i]))

    _cloud(axes[0, 0], fit.fitted, fit.residual, np.abs(fit.residual), place)
    axes[0, 0].axhline(0.0, color=EXACT, linestyle="--", linewidth=1.0)
    _frame(axes[0, 0], "fitted value", "residual", "Is the model linear?")
    _quantiles(axes[0, 1], standardized, name)
    root = np.sqrt(np.abs(standardized))
    _cloud(axes[1, 0], fitted, root, root, name)
    _frame(axes[1, 0], "fitted value", "√|standardized residual|", "Is the spread the same everywhere?")
    leverage = influence.leverage[known]
    _cloud(axes[1, 1], leverage, standardized, influence.cook[known], name)
    _cook_curves(axes[1, 1], float(leverage.max(initial=0.0)), fit.rank)
    _frame(axes[1, 1], "leverage", "standardized residual", "Do single rows decide?")
    return figure


def _cloud(axes: Axes, x: Array, y: Array, extreme: Array, name: Callable[[int], str]) -> None:
    """Points, a smooth line, and the names of the most extreme rows."""
    chosen = _chosen(extreme)
    axes.scatter(x[chosen], y[chosen], **_dots(len(chosen)))
    if len(chosen) >= 4 and np.ptp(x[chosen]) > 0:
        order = np.argsort(x[chosen], kind="stable")
        axes.plot(x[chosen][order], lowess(x[chosen], y[chosen])[order], color=TRAINED, linewidth=1.6)
    _name_rows(axes, x, y, extreme, name)


def _quantiles(axes: Axes, values: Array, name: Callable[[int], str]) -> None:
    from scipy.special import ndtri

    n = len(values)
    order = np.argsort(values, kind="stable")
    offset = 3.0 / 8.0 if n <= 10 else 0.5  # as R's ppoints
    normal = np.empty(n)
    normal[order] = ndtri((np.arange(1, n + 1) - offset) / (n + 1.0 - 2.0 * offset))
    if n > 1:
        low, high = np.quantile(values, [0.25, 0.75])
        a, b = ndtri(0.25), ndtri(0.75)
        slope = (high - low) / (b - a)
        ends = np.array([normal.min(), normal.max()])
        axes.plot(ends, low + slope * (ends - a), color=EXACT, linestyle="--", linewidth=1.2)
    chosen = _chosen(np.abs(values))
    axes.scatter(normal[chosen], values[chosen], **_dots(len(chosen)))
    _name_rows(axes, normal, values, np.abs(values), name)
    _frame(axes, "quantile of the normal distribution", "standardized residual", "Are the residuals normal?")


def _cook_curves(axes: Axes, highest: float, parameters: int) -> None:
    """The curves where Cook's distance is 0.5 and 1, as far as they are in the picture."""
    axes.axhline(0.0, color=EXACT, linestyle=":", linewidth=1.0)
    end = max(highest * 1.08, 1e-6)
    axes.set_xlim(0.0, end)
    bottom, top = axes.get_ylim()
    grid = np.linspace(end / 400.0, min(end, 0.999), 400)
    for distance in (0.5, 1.0):
        curve = np.sqrt(distance * parameters * (1.0 - grid) / grid)
        for sign in (-1.0, 1.0):
            seen = (sign * curve > bottom) & (sign * curve < top)
            if seen.any():
                axes.plot(grid[seen], sign * curve[seen], color=INK, linestyle="--", linewidth=0.9)
                at = np.flatnonzero(seen)[-1]
                axes.annotate(
                    f"{distance:g}", (grid[at], sign * curve[at]), xytext=(-14, 3),
                    textcoords="offset points", fontsize=8, color=INK,
                )  # fmt: skip
    axes.plot([], [], color=INK, linestyle="--", linewidth=0.9, label="Cook's distance 0.5, 1")
    axes.set_ylim(bottom, top)
    axes.legend(fontsize=8, loc="best")


def _chosen(extreme: Array) -> NDArray[np.intp]:
    """All rows, or a seeded sample of them with the extreme ones."""
    n = len(extreme)
    if n <= MOST:
        return np.arange(n)
    sample = np.random.default_rng(0).choice(n, MOST, replace=False)
    return np.union1d(sample, np.argsort(-extreme)[:NAMED])


def _dots(n: int) -> dict[str, Any]:
    few = n <= 100
    outline = {"facecolors": "none", "edgecolors": POINT, "linewidths": 1.3}
    return (
        {"s": 30, "zorder": 3, **outline}
        if few
        else {"s": 12, "zorder": 3, "alpha": 0.5, "color": POINT, "linewidths": 0}
    )


def _name_rows(axes: Axes, x: Array, y: Array, extreme: Array, name: Callable[[int], str]) -> None:
    """The places of the three most extreme rows, beside their points."""
    middle = (float(x.min()) + float(x.max())) / 2.0 if len(x) else 0.0
    named = np.argsort(-extreme, kind="stable")[:NAMED].tolist()
    for k, i in enumerate(named):
        left = x[i] > middle
        near = [j for j in named[:k] if abs(x[i] - x[j]) < 0.15 * np.ptp(x) and abs(y[i] - y[j]) < 0.05 * np.ptp(y)]
        below = bool(near) and bool(y[i] <= y[near[0]])
        axes.annotate(
            name(i), (x[i], y[i]), fontsize=8, color=INK, textcoords="offset points",
            xytext=(-6 if left else 6, 3 - 8 * below + 8 * (bool(near) and not below)), ha="right" if left else "left",
        )  # fmt: skip


def _frame(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=11)
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
