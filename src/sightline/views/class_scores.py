"""Scores of the rows, class by class."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..words import count
from .class_report import distinct, percent
from .class_view import CLASS_COLORS, ClassView
from .drawing import EXACT, INK, POINT, TRAINED, as_text, name_axes
from .panels import head, legend_below

__all__ = ["scores_panel", "sureness"]

Array = NDArray[np.float64]
MOST_CLASSES = 26


def scores_panel(axes: Axes, view: ClassView) -> None:
    """The log odds of the rows, the second class upwards and the first downwards; wrong ones are dark."""
    scores, (first, second) = view.log_odds(view.trained), view.names
    assert scores is not None
    w = np.ones(len(scores)) if view.weight is None else view.weight
    low, high = (float(v) for v in np.quantile(scores, [0.002, 0.998]))
    reach = max(high, 0.5) - min(low, -0.5)
    step = reach / 36.0
    edges = step * np.arange(np.floor(min(low, -0.5) / step), np.ceil(max(high, 0.5) / step) + 1)
    shown = np.clip(scores, edges[0] + step / 9.0, edges[-1] - step / 9.0)

    def bar(color: str) -> dict[str, Any]:
        return {"width": step * 0.94, "align": "edge", "color": color, "linewidth": 0, "zorder": 3}

    for k, sign, color in ((0, -1.0, CLASS_COLORS[0]), (1, 1.0, CLASS_COLORS[1])):
        rows = np.histogram(shown[view.codes == k], edges, weights=w[view.codes == k])[0]
        wrong = (edges[:-1] < -step / 2.0) == (k == 1)
        axes.bar(edges[:-1], sign * rows, label=view.names[k], alpha=0.45, **bar(color))
        axes.bar(edges[:-1][wrong], sign * rows[wrong], **bar(color))
        _exact_outline(axes, view, k, edges, sign)
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=4)
    axes.axvline(0.0, color=EXACT if view.solved else TRAINED, linewidth=1.4, zorder=4)
    axes.plot([], [], "s", color=CLASS_COLORS[0], markersize=7, label="dark: on the wrong side")
    axes.set_xlim(edges[0], edges[-1])
    name_axes(axes, f"log odds of {second} (0: equally likely)", f"rows:  {first} below, {second} above", "")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(lambda v, _: f"{abs(v):,g}")
    head(axes, f"How far apart are {first} and {second}?", _scores_reading(view, scores, w))
    legend_below(axes)


def _exact_outline(axes: Axes, view: ClassView, k: int, edges: Array, sign: float) -> None:
    exact = view.log_odds(view.exact) if view.differs else None
    if exact is None:
        return
    w = np.ones(len(exact)) if view.weight is None else view.weight
    rows = np.histogram(exact[view.codes == k], edges, weights=w[view.codes == k])[0]
    label = {"label": "exact"} if k else {}
    axes.stairs(sign * rows, edges, color=EXACT, linestyle="--", linewidth=1.1, zorder=5, **label)  # type: ignore[arg-type]


def _scores_reading(view: ClassView, scores: Array, w: Array) -> str:
    first, second = view.names
    total = [float(w[view.codes == k].sum()) for k in (0, 1)]
    wrong = [float(w[(view.codes == k) & ((scores > 0) == (k == 0))].sum()) for k in (0, 1)]
    near = float(w[np.abs(scores) < np.log(4.0)].sum() / w.sum())
    return (
        f"{wrong[0]:,.0f} of {total[0]:,.0f} {first} and {wrong[1]:,.0f} of {total[1]:,.0f} {second} are on the wrong "
        f"side; {percent(near)} of rows are within odds of 4 to 1, where the model is unsure."
    )


def sureness(axes: Axes, view: ClassView) -> None:
    """For each class how probable its own rows found it: median, half of the rows, nine tenths of them."""
    assert view.probability is not None
    own = view.probability[np.arange(len(view.codes)), view.codes]
    seen = [k for k in range(len(view.labels)) if (view.codes == k).any()]
    medians = {k: float(np.median(own[view.codes == k])) for k in seen}
    order = sorted(seen, key=lambda k: medians[k])[:MOST_CLASSES]
    if len(seen) <= MOST_CLASSES:
        order = seen
    for place, k in enumerate(order):
        a, b, middle, c, d = np.quantile(own[view.codes == k], [0.05, 0.25, 0.5, 0.75, 0.95])
        axes.plot([a, d], [place, place], color=POINT, alpha=0.35, linewidth=1.6, solid_capstyle="round")
        axes.plot([b, c], [place, place], color=POINT, alpha=0.75, linewidth=4.5, solid_capstyle="round")
        axes.plot(middle, place, "o", color="white", markeredgecolor=POINT, markersize=5, zorder=4)
    axes.plot([], [], "o", color="white", markeredgecolor=POINT, markersize=5, label="median")
    axes.plot([], [], color=POINT, alpha=0.75, linewidth=4.5, label="half of the rows")
    axes.plot([], [], color=POINT, alpha=0.35, linewidth=1.6, label="nine tenths")
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    names = distinct(view.run.design.classes, 12)
    size = float(np.clip(150.0 / len(order), 6.0, 9.0))
    axes.set_yticks(range(len(order)), [as_text(names[k]) for k in order], fontsize=size)
    name_axes(axes, "probability given to the right class", "", "")
    head(axes, "How sure is the model of the right class?", _sureness_reading(view, medians, len(seen) - len(order)))
    legend_below(axes)


def _sureness_reading(view: ClassView, medians: dict[int, float], hidden: int) -> str:
    names = view.names
    low, high = min(medians, key=lambda k: medians[k]), max(medians, key=lambda k: medians[k])
    left = f" ({count(hidden, 'surer class')} not shown)" if hidden else ""
    return (
        f"Least of {names[low]} (median {medians[low]:.2f}), most of {names[high]} ({medians[high]:.2f}){left}; "
        f"{view.accuracy()}."
    )
