"""Probabilities along one column."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..linear.classification import observed_shares
from ..words import plain
from .class_view import CLASS_COLORS, ClassView, answers, scattered, span
from .drawing import EXACT, POINT, TRAINED, as_text, name_axes, sample
from .panels import head, legend_below

__all__ = ["curves", "sigmoid"]

Array = NDArray[np.float64]
MARKERS = ("o", "^", "s", "D", "v", "P", "X")  # never color alone


def sigmoid(axes: Axes, view: ClassView) -> None:
    """Trained and exact curve, observed shares in groups of rows, rows as ticks, the crossing of 0.5."""
    x, second = view.X[:, 0], view.names[1]
    term = view.terms[0]
    grid = span(x)
    axes.axhline(0.5, color="#bbbbbb", linewidth=0.9)
    _ticks(axes, view)
    _shares(axes, x, view.codes, view.weight)
    for answer in answers(view):
        curve = view.grid(grid[:, None], answer.values)
        crossing = view.crossing(answer.values)
        if curve is None and crossing is not None:
            rising = answer.values[-1] > 0
            curve = np.column_stack([(grid > crossing) != rising, (grid > crossing) == rising]).astype(float)
        if curve is not None:
            axes.plot(grid, curve[:, 1], label=answer.name, **answer.style)
    at, color = view.crossing(view.trained), EXACT if view.solved else TRAINED
    if at is not None and grid[0] < at < grid[-1]:
        axes.plot([at, at], [-0.14, 0.5], color=color, linewidth=1.0, linestyle=":", zorder=2)
        axes.plot(at, 0.5, "o", color=color, markersize=6, markeredgecolor="white", zorder=5)
        right = at < (grid[0] + grid[-1]) / 2.0
        axes.annotate(
            as_text(f"{term} = {plain(at)}"), (at, 0.5), xytext=(9 if right else -9, -4), textcoords="offset points",
            ha="left" if right else "right", va="top", fontsize=9, color=color, zorder=6,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(-0.14, 1.14)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    name_axes(axes, term, f"P({second})", "")
    head(axes, f"Where does {term} separate the classes?", _sigmoid_reading(view, at, term))
    legend_below(axes)


def _sigmoid_reading(view: ClassView, at: float | None, term: str) -> str:
    first, second = view.names
    if at is None:
        return f"The curve is flat: {term} does not tell {first} from {second}."
    low, high = (first, second) if view.trained[-1] > 0 else (second, first)
    if not view.X.min() < at < view.X.max():
        same = high if at <= view.X.min() else low
        return f"Both are equally likely only at {term} = {plain(at)}, outside the data: every row is called {same}."
    lead = f"Below {term} = {plain(at)} the model says {low}, above it {high}"
    if view.probability is None:
        return (
            f"{term} = {plain(at)} separates the classes, {low} below and {high} above: the steeper the curve the "
            "better, so the answer is a step."
        )
    return f"{lead}: {view.accuracy()}."


def _ticks(axes: Axes, view: ClassView) -> None:
    """Every row as a short tick, the second class above, the first below."""
    points = sample(len(view.codes))
    x, codes = scattered(view.X[points, 0]), view.codes[points]
    alpha = float(np.clip(40.0 / len(codes), 0.08, 0.55))
    for k, (low, high) in enumerate(((-0.105, -0.045), (1.045, 1.105))):
        axes.vlines(x[codes == k], low, high, color=POINT, alpha=alpha, linewidth=1.1, zorder=2)
        left = (view.trained[-1] > 0) == (k == 1)
        axes.text(
            0.012 if left else 0.988, (low + high + 0.28) / 2.56, as_text(view.names[k]), transform=axes.transAxes,
            fontsize=8.5, color=POINT, va="center", ha="left" if left else "right", zorder=6,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip


def _shares(axes: Axes, x: Array, codes: NDArray[np.intp], weight: Array | None) -> None:
    """Observed shares of the second class with Wilson's intervals, in groups of neighboring rows."""
    seen = observed_shares(x, codes, 2, weight)
    share = seen.share[:, 1]
    axes.errorbar(
        seen.x, share, [np.maximum(share - seen.low, 0.0), np.maximum(seen.high - share, 0.0)], fmt="o", color=POINT,
        markersize=5, elinewidth=1.2, capsize=2.5, label="observed share, 95 % interval", zorder=3,
    )  # fmt: skip


def curves(axes: Axes, view: ClassView) -> None:
    """P of each class along one column, trained solid and exact dashed; the rows of each class below."""
    grid, K = span(view.X[:, 0]), len(view.labels)
    term = view.terms[0]
    P, exact = view.grid(grid[:, None], view.trained), view.grid(grid[:, None], view.exact)
    assert P is not None
    points = sample(len(view.codes))
    x, codes = scattered(view.X[points, 0]), view.codes[points]
    alpha = float(np.clip(60.0 / len(codes), 0.12, 0.6))
    highest = P.max() if exact is None or not view.differs else max(P.max(), exact.max())
    top = min(1.0, 1.25 * float(highest))
    for k in range(K):
        marks: dict[str, Any] = {"marker": MARKERS[k], "markevery": (8 * k + 10, 75), "markeredgecolor": "white"}
        marks["linestyle"] = "--" if view.solved else "-"
        axes.plot(grid, P[:, k], color=CLASS_COLORS[k], linewidth=2.0, label=view.names[k], zorder=4, **marks)
        if view.differs and exact is not None:
            axes.plot(grid, exact[:, k], color=CLASS_COLORS[k], linewidth=1.3, linestyle="--", zorder=3)
        high = -top * (0.03 + 0.05 * k)
        style: dict[str, Any] = {"color": CLASS_COLORS[k], "alpha": alpha, "linewidth": 1.1, "zorder": 2}
        axes.vlines(x[codes == k], high - 0.036 * top, high, **style)
    if view.differs and exact is not None:
        axes.plot([], [], color=EXACT, linestyle="--", linewidth=1.3, label="exact")
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(-top * (0.04 + 0.05 * K), 1.04 * top)
    axes.set_yticks([v for v in axes.get_yticks() if 0.0 <= v <= 1.0])
    name_axes(axes, term, "probability", "")
    head(axes, f"Which class is likely at which {term}?", _curves_reading(view, grid, P, term))
    legend_below(axes)


def _curves_reading(view: ClassView, grid: Array, P: Array, term: str) -> str:
    inside = (grid >= view.X.min()) & (grid <= view.X.max())
    grid, best = grid[inside], P[inside].argmax(axis=1)
    turns = np.flatnonzero(np.diff(best))
    names = view.names
    if not len(turns):
        return f"{names[best[0]]} is the most likely class everywhere: {view.accuracy()}."
    parts = [f"{names[best[t]]} up to {plain(float(grid[t : t + 2].mean()), 3)}" for t in turns[:3]]
    last = f"then {names[best[-1]]}" if len(turns) <= 3 else "and so on"
    return f"Most likely along {term}: {', '.join(parts)}, {last}; {view.accuracy()}."
