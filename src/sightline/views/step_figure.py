"""The step as a picture: the loss along it, the points before, after and lowest, the limit, and the tangent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..errors import RunError
from ..worked import Worked
from .drawing import EXACT, INK, POINT, TRAINED, name_axes, save
from .notation import number

__all__ = ["save_step_figure", "step_figure"]

Array = NDArray[np.float64]
PROMISE = "#888888"
NEAR = (-0.35, 1.6)


def step_figure(worked: Worked) -> Figure:
    """Two panels: the loss along the whole line of the step, and the step from near, with its tangent."""
    figure = Figure(figsize=(11, 4.8))
    whole, near = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.815, bottom=0.115, wspace=0.2)
    figure.suptitle(_title(worked), y=0.975, fontsize=12)
    reach = _reach(worked)
    _draw(whole, worked, *reach)
    _draw(near, worked, *_near(worked))
    rates = worked.optimizer == "sgd" and not worked.options.get("momentum")
    name_axes(
        whole, "steps (0 before, 1 after this one)", _loss_name(worked), "" if rates else "Along the line of the step"
    )
    close = "The step from near" if _near(worked) == NEAR else "Its beginning from near"
    name_axes(near, "steps (0 before, 1 after this one)", _loss_name(worked), close)
    if rates:
        _rates(whole, float(worked.options["lr"]))
    for axes in (whole, near):
        axes.legend(fontsize=8.5, framealpha=0.9)
    return figure


def save_step_figure(worked: Worked) -> Path:
    """Write the picture into the run folder; RunError where it cannot be written."""
    assert worked.folder is not None
    folder = worked.folder / "figures"
    path = folder / f"step-{worked.number:0{max(2, len(str(worked.epochs)))}d}.png"
    try:
        folder.mkdir(exist_ok=True)
        save(step_figure(worked), path)
    except OSError as error:
        raise RunError(
            f"cannot write the figure in {folder}: {error.strerror}; make room there, the numbers above are complete"
        ) from None
    return path


def _title(w: Worked) -> str:
    kind = "" if w.full_batch else f", first of {w.steps:,} steps"
    said = "swallowed by rounding: nothing moves" if w.swallowed else _fate(w)
    return f"Epoch {w.number:,}{kind}: {said}"


def _fate(w: Worked) -> str:
    limit = w.line.limit
    if w.line.slope > 0.0:
        return "a step uphill"
    if w.line.best is None or limit is None:
        return "a step downhill"
    if limit < 1.0:
        return "too long, beyond the limit"
    if w.line.best < 1.0:
        return "past the lowest point"
    return f"{number(100.0 / w.line.best, 3)} % of the way to the lowest point of its line"


def _loss_name(w: Worked) -> str:
    name = "loss" if w.full_batch else "loss of the rows in this step"
    return f"{name}, less that before the step" if _floor(w) else name


def _reach(w: Worked) -> tuple[float, float]:
    """The piece of the line that has the lowest point, the limit and the step in it."""
    limit = w.line.limit
    if limit is None:
        return (-0.5, 2.0 if w.line.best is None else max(2.0, 1.5 * w.line.best))
    low, high = min(0.0, limit), max(1.0, limit)
    margin = 0.12 * (high - low)
    return low - margin, high + margin


def _near(w: Worked) -> tuple[float, float]:
    """The step; where it goes many times too far, the piece with the lowest point instead."""
    limit = w.line.limit
    return (-0.35 * limit, 1.35 * limit) if limit is not None and 0.0 < limit < 0.2 else NEAR


def _draw(axes: Axes, w: Worked, low: float, high: float) -> None:
    """Curve, tangent and points between two places of the line, as heights above `_floor`."""
    line, start = w.line, w.line.value(0.0) - _floor(w)
    t = np.linspace(low, high, 400)
    values = np.array([start + line.change(float(s)) for s in t])
    axes.plot(t, values, color=POINT, linewidth=2.0, label="loss along the step", zorder=2)
    if not w.full_batch:
        whole = np.array([w.whole.along(w.step.before, w.meant, float(s)) for s in t])
        whole -= w.whole.along(w.step.before, w.meant, 0.0) if _floor(w) else 0.0
        axes.plot(t, whole, color=PROMISE, linewidth=1.4, linestyle=":", label="loss of all rows", zorder=2)
    ends = np.array([max(low, -0.35 * min(1.0, abs(line.limit or 1.0))), high])
    axes.plot(ends, start + line.slope * ends, color=PROMISE, linewidth=1.3, linestyle="--", label="tangent", zorder=1)
    _points(axes, w, start, high)
    _marks(axes, w, low, high)
    axes.set_xlim(low, high)
    axes.set_ylim(*_range(values))


def _floor(w: Worked) -> float:
    """What is taken from every loss in the picture: nothing, or the loss before where all differences are tiny."""
    start, reach = w.line.value(0.0), _reach(w)
    tiny = max(abs(w.line.change(t)) for t in (*reach, w.line.best or 0.0)) < 1e-3 * abs(start)
    return start if tiny else 0.0


def _points(axes: Axes, w: Worked, start: float, high: float) -> None:
    """Where the step began and ended, and what the curve took back of the tangent's promise."""
    at, line = 0.0 if w.swallowed else 1.0, w.line
    before, after = line.value(0.0), line.value(0.0) + line.change(at)
    digits = 6 if not _floor(w) else 9
    axes.plot(
        0.0, start, "o", markersize=10, markerfacecolor="white", markeredgecolor=TRAINED, markeredgewidth=2.0,
        label=f"before: {number(before, digits)}", zorder=5,
    )  # fmt: skip
    if at > high:
        return
    size, label = 5 if w.swallowed else 8, f"after: {number(after, digits)}"
    axes.plot(at, start + line.change(at), "o", markersize=size, color=TRAINED, label=label, zorder=6)
    if not w.swallowed:
        axes.plot([1.0, 1.0], [start + line.slope, start + line.change(1.0)], color=TRAINED, linewidth=1.0, zorder=3)


def _marks(axes: Axes, w: Worked, low: float, high: float) -> None:
    """The lowest point and the limit, where they are in the picture."""
    best, limit, floor = w.line.best, w.line.limit, _floor(w)
    if best is not None and low <= best <= high:
        value, height = w.line.value(best), w.line.value(0.0) - floor + w.line.change(best)
        label = f"lowest: {number(value, 9 if floor else 6)}"
        axes.plot(best, height, "D", markersize=7, color=EXACT, label=label, zorder=4)
    if limit is not None and low <= limit <= high:
        label = f"limit: {number(limit, 4)} steps, the loss is as before"
        axes.axvline(limit, color=INK, linewidth=1.0, linestyle="-.", label=label, zorder=1)


def _range(values: Array) -> tuple[float, float]:
    """From below the curve to above it."""
    low, high = float(np.min(values)), float(np.max(values))
    spread = (high - low) or abs(high) or 1.0
    return low - 0.08 * spread, high + 0.06 * spread


def _rates(axes: Axes, lr: float) -> None:
    """A second scale above: the learning rate that would have led there."""
    above = axes.secondary_xaxis("top", functions=(lambda t: np.asarray(t) * lr, lambda rate: np.asarray(rate) / lr))
    above.set_xlabel("the learning rate that leads there", fontsize=9, color=INK)
    above.xaxis.set_major_locator(MaxNLocator(6))
    above.ticklabel_format(style="sci", scilimits=(-2, 4))
    above.tick_params(labelsize=8.5, colors=INK)
