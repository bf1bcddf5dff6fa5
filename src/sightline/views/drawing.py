"""What all pictures share: colors, axes with names, the loss by epoch, writing to a file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, ScalarFormatter

from ..records import Epoch
from ..words import plain
from .subject import Subject

__all__ = [
    "CLASSIC", "EXACT", "INK", "OK", "POINT", "TRAINED", "as_text", "draw_loss", "floor_of", "log_epochs", "name_axes",
    "sample", "save", "single",
]  # fmt: skip

POINT, TRAINED, EXACT, OK, INK = "#16191d", "#041062", "#bd2e04", "#0f7c7c", "#515c68"  # as on the page
CLASSIC = "#d62728"  # the red line of the classic exercise
DRAWN = 1e250  # a logarithmic axis needs room around it
MOST_POINTS = 5000  # more would only blacken the picture; a seeded sample of them is drawn


def save(figure: Figure, path: Path) -> None:
    """Write a picture; a character that the font lacks is drawn as a box, without a word."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(path, dpi=100)


def single() -> tuple[Figure, Axes]:
    """A picture of one panel."""
    figure = Figure(figsize=(6.4, 4.8))
    figure.subplots_adjust(left=0.13, right=0.97, top=0.92, bottom=0.115)
    return figure, figure.subplots()


def floor_of(run: Subject) -> float | None:
    """The loss that training comes down to; None where a penalty lets it pass below that of the exact answer."""
    return None if run.settings.penalizes else run.result["exact_loss"]


def draw_loss(axes: Axes, epochs: Sequence[Epoch], exact_loss: float | None, unit: str = "") -> None:
    """Loss above exact where that is known, else the loss."""
    floor = exact_loss or 0.0
    points = [(e.number, e.loss) for e in epochs if e.loss is not None and abs(e.loss) < DRAWN]
    numbers = [n for n, _ in points]
    above = [loss if exact_loss is None else max(loss - floor, 4e-16 * abs(loss)) for _, loss in points]
    axes.plot(numbers, above, color=TRAINED, linewidth=2.0, marker="o" if len(points) <= 40 else "", markersize=3.5)
    _draw_validation(axes, epochs, floor)
    logarithmic = any(above) and min(above) >= 0.0  # nothing can be where the loss is exact from the start
    if logarithmic:
        axes.set_yscale("log")
    if logarithmic and max(above) < 10.0 * min(above):  # numbers between powers of ten, short enough for the margin
        axes.yaxis.set_major_formatter(FormatStrFormatter("%.3g"))
        axes.yaxis.set_minor_formatter(FormatStrFormatter("%.3g"))
    log_epochs(axes, numbers)
    title = "Loss" if exact_loss is None else f"Loss above the exact {plain(exact_loss, 6)}"
    name_axes(axes, "epoch", f"{'loss' if exact_loss is None else 'loss - exact loss'}{unit}", title)


def _draw_validation(axes: Axes, epochs: Sequence[Epoch], floor: float) -> None:
    """The loss of the rows that are held out, above the same number, where it is above; its best epoch marked."""
    held = [(e.number, e.valid_loss - floor) for e in epochs if e.valid_loss is not None and abs(e.valid_loss) < DRAWN]
    if not held:
        return
    above = [(n, v if v > 0 else math.nan) for n, v in held]
    axes.plot(*zip(*above, strict=True), color=POINT, linewidth=1.4, label="validation rows")
    best = min(held, key=lambda point: point[1])
    if best[1] > 0:
        axes.plot(
            *best, marker="o", color=POINT, markersize=7, fillstyle="none", label=f"best there: epoch {best[0]:,}"
        )
    axes.lines[0].set_label("training rows")
    axes.legend(fontsize=9)


def log_epochs(axes: Axes, numbers: Sequence[int]) -> None:
    """Whole epochs on the axis, logarithmic where there are many."""
    if numbers and numbers[-1] > 200:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(0, numbers[-1] * 1.2)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def sample(n: int) -> Any:
    """All of n rows, or a seeded sample."""
    if n <= MOST_POINTS:
        return slice(None)
    return np.random.default_rng(0).choice(n, MOST_POINTS, replace=False)


def name_axes(axes: Axes, x: str, y: str, title: str) -> None:
    """Names, a quiet grid, no box."""
    axes.set_xlabel(as_text(x))
    axes.set_ylabel(as_text(y))
    axes.set_title(as_text(title))
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        if isinstance(formatter := axis.get_major_formatter(), ScalarFormatter) and axis.get_scale() == "linear":
            formatter.set_powerlimits((-3, 5))  # short numbers, so that names have room
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def as_text(text: str, limit: int = 60) -> str:
    """A name as text, never as mathematics: matplotlib reads dollar signs as formulas."""
    short = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(c if c.isprintable() else "?" for c in short).replace("$", r"\$")
