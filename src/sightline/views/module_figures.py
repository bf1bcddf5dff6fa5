"""Pictures of the training of a module: its losses, and the rate beside the limit of its curvature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..records import Epoch
from .drawing import EXACT, INK, POINT, TRAINED, name_axes
from .module_report import ModuleSubject

__all__ = ["module_figure"]


def module_figure(run: ModuleSubject) -> Figure:
    """Losses of all epochs on a logarithmic axis; below, where curvature was measured, the rate beside 2 / λmax."""
    curved = run.result["curvature"]
    figure = Figure(figsize=(7.2, 6.4 if curved else 4.4), layout="constrained")
    axes = figure.subplots(2 if curved else 1, 1, sharex=bool(curved), squeeze=False)[:, 0]
    _draw_losses(axes[0], run)
    if curved:
        axes[0].set_xlabel("")
        _draw_limit(axes[1], run)
    return figure


def _draw_losses(axes: Axes, run: ModuleSubject) -> None:
    kinds = (
        ("running loss", [e.running_loss for e in run.epochs], TRAINED, "-"),
        ("loss at rest", [e.train_loss for e in run.epochs], INK, "-"),
        ("validation loss", [e.valid_loss for e in run.epochs], POINT, "-"),
    )
    numbers = [e.number for e in run.epochs]
    everything: list[float] = []
    for name, values, color, style in kinds:
        known = [(n, v) for n, v in zip(numbers, values, strict=True) if v is not None and math.isfinite(v)]
        if known:
            axes.plot(*zip(*known, strict=True), style, color=color, label=name, linewidth=1.6)
            everything += [v for _, v in known]
    if everything and min(everything) > 0:
        axes.set_yscale("log")
    _mark_kept(axes, run)
    name_axes(axes, "epoch", "loss", f"{run.result['module']}, {run.result['optimizer']['name']}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if everything:
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "no finite loss was measured", ha="center", color=INK, transform=axes.transAxes)


def _mark_kept(axes: Axes, run: ModuleSubject) -> None:
    kept = _record(run.epochs, run.result["kept_epoch"])
    if kept is not None and kept.valid_loss is not None:
        axes.plot([kept.number], [kept.valid_loss], "o", color=POINT, label=f"kept: epoch {kept.number}")


def _record(epochs: Sequence[Epoch], number: int) -> Epoch | None:
    return next((e for e in epochs if e.number == number), None)


def _draw_limit(axes: Axes, run: ModuleSubject) -> None:
    found = run.result["curvature"]
    at = [c["epoch"] for c in found]
    limits = [c["lr_limit"] if c["lr_limit"] is not None else np.nan for c in found]
    axes.plot(at, limits, "--o", color=EXACT, label="2 / λmax, the limit of plain gradient descent")
    axes.plot([e.number for e in run.epochs], [e.lr for e in run.epochs], "-", color=TRAINED, label="rate in use")
    axes.set_yscale("log")
    name_axes(axes, "epoch", "learning rate", "The rate beside the limit of the curvature")
    axes.legend(frameon=False)
