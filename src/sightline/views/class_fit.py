"""The data and what a classifier makes of them: a curve, a map, or the scores of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .class_curves import curves, sigmoid
from .class_report import percent
from .class_scores import scores_panel, sureness
from .class_view import CLASS_COLORS, ClassView, answers, span
from .drawing import name_axes
from .panels import head, legend_below, message

__all__ = ["data_panel"]

Array = NDArray[np.float64]
MARKERS = ("o", "^", "s")
MOST_ROWS, LAYERS = 2000, 12
MOST_CURVES, MOST_REGIONS = len(CLASS_COLORS), len(MARKERS)
DATA = "What the model makes of the data"


def data_panel(axes: Axes, view: ClassView) -> None:
    """One numeric column: curves of probability; two: a map with its boundaries; else the scores of the rows."""
    K, numeric = len(view.labels), view.numeric
    if len(numeric) == 1 and numeric[0] and K == 2:
        sigmoid(axes, view)
    elif len(numeric) == 1 and numeric[0] and K <= MOST_CURVES and view.probability is not None:
        curves(axes, view)
    elif len(numeric) == 2 and len(view.run.design.columns) == 2 and numeric.all() and K <= MOST_REGIONS:
        _map(axes, view)
    elif view.probability is None:
        text = (
            "The columns separate the classes, so coefficients are at infinity and rows have no finite score to draw "
            "(warning SL-SEPARABLE). --l2 0.01 keeps them finite."
        )
        message(axes, DATA, text)
    elif K == 2:
        scores_panel(axes, view)
    else:
        sureness(axes, view)


def _map(axes: Axes, view: ClassView) -> None:
    """Two columns: rows over the probabilities as colors, and the lines where two classes are equally likely."""
    x, y = span(view.X[:, 0])[::2], span(view.X[:, 1])[::2]
    mesh = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    P = view.grid(mesh, view.trained)
    if P is not None:
        from matplotlib.colors import to_rgb

        tints = np.array([to_rgb(color) for color in CLASS_COLORS[: P.shape[1]]])
        shown = 1.0 - 0.26 * (1.0 - (P @ tints))
        axes.imshow(
            shown.reshape(len(y), len(x), 3), extent=(x[0], x[-1], y[0], y[-1]), origin="lower", aspect="auto", zorder=0
        )
    for answer in answers(view):
        Q = view.grid(mesh, answer.values)
        if Q is not None:
            _boundaries(axes, x, y, Q, answer.style)
            axes.plot([], [], label=f"{answer.name} boundary", **answer.style)
    _rows(axes, view)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    across, up = view.terms
    name_axes(axes, across, up, "")
    axes.grid(False)
    head(axes, "Where does the model draw the line?", _map_reading(view))
    legend_below(axes)


def _rows(axes: Axes, view: ClassView) -> None:
    """The rows in layers, so that no class lies over all of another."""
    order = np.random.default_rng(0).permutation(len(view.codes))[:MOST_ROWS]
    many = len(order) > 400
    style: dict[str, Any] = {"edgecolors": "white", "alpha": 0.9, "zorder": 3, "linewidths": 0.3 if many else 0.6}
    for layer in np.array_split(order, LAYERS):
        for k in range(len(view.labels)):
            at = view.X[layer[view.codes[layer] == k]]
            axes.scatter(at[:, 0], at[:, 1], s=14 if many else 26, marker=MARKERS[k], color=CLASS_COLORS[k], **style)
    for k, name in enumerate(view.names):
        axes.scatter([], [], s=26, marker=MARKERS[k], color=CLASS_COLORS[k], label=name)


def _boundaries(axes: Axes, x: Array, y: Array, P: Array, style: dict[str, Any]) -> None:
    """The line between each two classes where no third is likelier than both."""
    K = P.shape[1]
    for a in range(K):
        for b in range(a + 1, K):
            others = np.delete(P, [a, b], axis=1).max(axis=1, initial=-1.0)
            gap = np.ma.masked_where(others > np.maximum(P[:, a], P[:, b]), P[:, a] - P[:, b])
            gap = gap.reshape(len(y), len(x))
            if gap.min() < 0.0 < gap.max():
                axes.contour(
                    x, y, gap, levels=[0.0], colors=[str(style["color"])], linewidths=[style["linewidth"]],
                    linestyles=[str(style.get("linestyle", "-"))], zorder=4,
                )  # fmt: skip


def _map_reading(view: ClassView) -> str:
    if view.probability is None:
        return (
            "A line separates classes, so the coefficients are at infinity and no single line is the answer: the "
            "warning names one; --l2 0.01 keeps them finite."
        )
    unsure = percent(float(np.average(view.probability.max(axis=1) < 0.8, weights=view.weight)))
    return f"The model is {view.accuracy()}; for {unsure} of rows, near the lines, no class reaches 0.8."
