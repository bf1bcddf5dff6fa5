"""How well classes are told apart: calibration, ROC curve, confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..linear.classification import calibration, confusion_matrix, roc_curve, stated
from ..words import plain
from .class_report import distinct, percent
from .class_view import ClassView, answers
from .drawing import EXACT, POINT, as_text, name_axes
from .panels import head, legend_below, message

__all__ = ["calibration_panel", "calibration_reading", "confusion_panel", "confusion_reading", "roc_panel"]

Array = NDArray[np.float64]
Bins = Sequence[Mapping[str, Any]]
INFINITE = (
    "The columns separate the classes, so coefficients are at infinity and rows have no finite score (warning "
    "SL-SEPARABLE). --l2 0.01 keeps them finite."
)
MOST_COUNTS = 14  # larger matrices are colors only
MOST_CLASSES = 40


def calibration_panel(axes: Axes, view: ClassView) -> None:
    """Observed shares with Wilson's intervals against stated probabilities; bars below tell how many rows."""
    title = "Can the probabilities be taken at their word?"
    bins = _bins(view)
    if not bins:
        message(axes, title, INFINITE)
        return
    what = f"P({view.names[1]})" if len(view.labels) == 2 else "P(predicted class)"
    x, y = ([b[name] for b in bins] for name in ("predicted", "observed"))
    spread = [[b["observed"] - b["low"] for b in bins], [b["high"] - b["observed"] for b in bins]]
    rows = np.array([b["rows"] for b in bins], dtype=float)
    starts = [b["from"] for b in bins]
    axes.bar(
        starts, 0.16 * rows / rows.max(), 0.1, -0.2, align="edge", color="#dfe1ee", edgecolor="white", label="rows"
    )
    axes.plot([0, 1], [0, 1], color=EXACT, linestyle="--", linewidth=1.2, label="as stated")
    axes.errorbar(x, np.maximum(y, 0.0), np.maximum(spread, 0.0), **_whiskers("observed, 95 % interval"))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.2, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    name_axes(axes, f"stated {what}", "observed share", "")
    head(axes, title, calibration_reading(bins, what))
    legend_below(axes)


def _bins(view: ClassView) -> Bins:
    """The table of the estimates, or of the limit that an exact answer at infinity has."""
    if view.probability is None:
        found: Bins = view.run.result.get("metrics", {}).get("calibration", ())
        return found
    bins = calibration(*stated(view.codes, view.probability), weight=view.weight)
    return [{"from": b.start, **asdict(b)} for b in bins]


def _whiskers(label: str) -> dict[str, Any]:
    return {
        "fmt": "o", "color": POINT, "markersize": 5.5, "elinewidth": 1.3, "capsize": 2.5, "label": label, "zorder": 3
    }  # fmt: skip


def calibration_reading(bins: Bins, what: str) -> str:
    """What the bins say of the probabilities, with the worst of them where one is off by more than chance."""
    total = sum(b["rows"] for b in bins)
    error = sum(b["rows"] * abs(b["observed"] - b["predicted"]) for b in bins) / total
    off = [b for b in bins if not b["low"] - 1e-12 <= b["predicted"] <= b["high"] + 1e-12]
    lead = f"{what} is off by {100 * error:.1f} points on average"
    if not off:
        return f"{lead}, and every interval holds what was stated: nothing in these {_rows(total)} speaks against it."
    worst = max(off, key=lambda b: float(b["rows"] * abs(b["observed"] - b["predicted"])))
    way = "lower" if worst["observed"] < worst["predicted"] else "higher"
    return (
        f"{lead}; {len(off)} of {len(bins)} intervals {'misses' if len(off) == 1 else 'miss'} it. Where it says "
        f"{worst['predicted']:.2f}, {worst['observed']:.2f} came true ({worst['low']:.2f} to {worst['high']:.2f}): "
        f"{way} than stated."
    )


def _rows(total: float) -> str:
    return f"{total:,.0f} rows" if float(total).is_integer() else f"{total:,.1f} weighted rows"


def roc_panel(axes: Axes, view: ClassView) -> None:
    """Of two classes: the share found against the share of false alarms at each threshold."""
    first, second = view.names
    title = f"Is {second} ranked above {first}?"
    if view.probability is None:
        message(axes, title, INFINITE)
        return
    positive = view.codes == 1
    curve = roc_curve(positive, view.probability[:, 1], view.weight)
    x, y, thresholds = curve.false_positive, curve.true_positive, curve.threshold
    axes.fill_between(x, y, color=POINT, alpha=0.07, linewidth=0)
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1.2)
    for answer in answers(view):
        if answer.probability is not None and (answer.name == "trained" or view.solved or view.differs):
            shown = roc_curve(positive, answer.probability[:, 1], view.weight)
            label = f"{answer.name}, area {shown.area:.4f}"
            axes.plot(shown.false_positive, shown.true_positive, label=label, **answer.style)
    at, best = int(np.flatnonzero(thresholds > 0.5)[-1]), int(np.argmax(y - x))
    chosen = [(best, f"best {_threshold(thresholds[best])}", "s")] if best != at else []
    for i, text, marker in [(at, "threshold 0.5", "o"), *chosen]:
        axes.plot(x[i], y[i], marker, color=POINT, markersize=7, markeredgecolor="white", zorder=6, label=text)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.05)
    name_axes(axes, f"share of {first} called {second}", f"share of {second} found", "")
    head(axes, title, _roc_reading(view, curve.area, (x[at], y[at]), (x[best], y[best], thresholds[best])))
    legend_below(axes)


def _roc_reading(view: ClassView, area: float, usual: tuple[float, float], best: tuple[float, float, float]) -> str:
    first, second = view.names
    said = (
        f"Rows of {second} score above those of {first} in {percent(area)} of pairs. At 0.5 it finds "
        f"{percent(usual[1])} of {second} and calls {percent(usual[0])} of {first} so"
    )
    if best[:2] == usual:
        return f"{said}; no other threshold tells them apart better."
    return f"{said}; at {_threshold(best[2])}, the best difference, {percent(best[1])} and {percent(best[0])}."


def _threshold(value: float) -> str:
    return "infinity" if math.isinf(value) else f"{value:.2f}" if 0.01 <= value <= 0.99 else plain(value, 3)


def confusion_panel(axes: Axes, view: ClassView) -> None:
    """Observed against predicted classes: shades are shares of each line, numbers are counts."""
    title, counts = "Which classes are taken for others?", _counts(view)
    if counts is None:
        message(axes, title, INFINITE)
        return
    K = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    axes.imshow(shares, cmap=_blues(), vmin=0.0, vmax=1.0, aspect="auto")
    size = float(np.clip(190.0 / K, 6.5, 9.0))
    if K <= MOST_COUNTS:
        for i, j in np.ndindex(K, K):
            if counts[i, j]:
                color = "white" if shares[i, j] > 0.6 else "black"  # of the two the one with more contrast
                axes.text(j, i, f"{counts[i, j]:,.0f}", ha="center", va="center", fontsize=size, color=color)
    name_axes(axes, "predicted", "observed", "")
    axes.grid(False)
    ticks = range(K) if K <= MOST_CLASSES else []
    names = [as_text(label) for label in distinct(view.run.design.classes, 12 if K <= 8 else 8)] if ticks else []
    turned = sum(map(len, names)) * 0.62 * size > 72.0 * 4.4
    axes.set_xticks(list(ticks), names, fontsize=size, rotation=90 if turned else 0)
    axes.set_yticks(list(ticks), names, fontsize=size)
    head(axes, title, confusion_reading(counts, view.names))


def _counts(view: ClassView) -> Array | None:
    if view.probability is not None:
        return confusion_matrix(view.codes, view.probability.argmax(axis=1), len(view.labels), view.weight)
    kept = view.run.result.get("metrics", {}).get("confusion")
    return None if kept is None else np.array(kept["counts"], dtype=np.float64)


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shares", ["#ffffff", "#9fa6dd", POINT])


def confusion_reading(counts: Array, labels: Sequence[str]) -> str:
    """The accuracy beside that of guessing, and the pair that is mixed up most."""
    total, lines = counts.sum(), counts.sum(axis=1)
    most = int(lines.argmax())
    said = (
        f"{percent(float(np.trace(counts) / total))} of rows are on the diagonal (always guessing {labels[most]}: "
        f"{percent(float(lines[most] / total))})"
    )
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return f"{said}; no class is taken for another."
    a, b = divmod(int(wrong.argmax()), len(wrong))
    share = percent(float(wrong[a, b] / lines[a]))
    return f"{said}. The most common mistake: {labels[a]} taken for {labels[b]}, {share} of its rows."
