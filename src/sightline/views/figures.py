"""Pictures of training: what was trained is solid, what is exact is dashed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from ..records import Epoch
from .class_figures import class_epoch_figure, class_overview
from .drawing import (
    CLASSIC,
    EXACT,
    INK,
    POINT,
    TRAINED,
    as_text,
    draw_loss,
    floor_of,
    log_epochs,
    name_axes,
    sample,
    save,
    single,
)
from .subject import Subject

__all__ = ["epoch_figure", "loss_figure", "overview", "paths_figure", "save_figures", "scatter_figure"]

Array = NDArray[np.float64]
MOST_PATHS = 20


def overview(run: Subject) -> Figure:
    """Two panels: the data with the trained and the exact answer, and the loss above the exact one."""
    if run.design.classes:
        return class_overview(run)
    figure = Figure(figsize=(11, 4.4))  # margins by hand: an automatic layout draws everything twice
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.92, bottom=0.125, wspace=0.2)
    if not _draw_fit(left, run, None):
        left.text(0.5, 0.5, "the training data are not at hand", ha="center", va="center", color=INK)
        left.set_axis_off()
    draw_loss(right, run.epochs, floor_of(run), _unit(run))
    return figure


def epoch_figure(run: Subject, epoch: Epoch) -> Figure:
    """The data, the model's line at this epoch, and the exact line."""
    if run.design.classes:
        return class_epoch_figure(run, epoch)
    figure, axes = single()
    _draw_fit(axes, run, epoch, CLASSIC)
    axes.set_title(f"Epoch {epoch.number}")  # the classic title
    return figure


def scatter_figure(x: Array, y: Array, x_name: str, y_name: str, *, labels: Sequence[str] = ()) -> Figure:
    """The raw data; `labels` are the names of classes whose numbers are `y (n,)`, where equal rows are stacked."""
    figure, axes = single()
    if labels:
        y = y + 0.07 * np.array([((x[:i] == x[i]) & (y[:i] == y[i])).sum() for i in range(len(y))])
    axes.scatter(x, y, s=42, facecolors="none", edgecolors=POINT, linewidths=1.6, label="data")
    if labels:
        axes.set_yticks(range(len(labels)), [as_text(label, 12) for label in labels])
        axes.margins(y=0.25)
    name_axes(axes, x_name, y_name, "Raw data")
    axes.legend()
    return figure


def loss_figure(run: Subject) -> Figure:
    """The loss above the exact loss, by epoch, on a logarithmic axis."""
    figure, axes = single()
    draw_loss(axes, run.epochs, floor_of(run), _unit(run))
    return figure


def _unit(run: Subject) -> str:
    """The unit of a squared or an absolute error; other losses have none."""
    if run.result["loss_name"] not in ("mse", "l1"):
        return ""
    target = as_text(run.design.target, 14)
    return f", in ({target})²" if run.result["loss_name"] == "mse" else f", in {target}"


def paths_figure(run: Subject) -> Figure:
    """The coefficients by epoch, each measured from its exact value in standard errors, until all have arrived."""
    figure = Figure(figsize=(8.4, 4.8))
    figure.subplots_adjust(left=0.1, right=0.78, top=0.92, bottom=0.115)
    axes = figure.subplots()
    known = [c for c in run.coefficients if c.std_error and c.exact is not None][:MOST_PATHS]
    paths = np.array([[(e.parameters[c.term] - c.exact) / c.std_error for c in known] for e in run.epochs])
    moving = np.flatnonzero((np.abs(paths) > 0.02).any(axis=1))
    shown = min(len(paths), int(moving[-1]) + 10 if len(moving) else 10)
    numbers = [e.number for e in run.epochs[:shown]]
    for j, c in enumerate(known):
        style = "-" if j < 10 else "-."
        axes.plot(numbers, paths[:shown, j], style, color=f"C{j % 10}", linewidth=1.1, label=as_text(c.term, 22))
    axes.axhline(0.0, color=EXACT, linestyle="--", linewidth=1.2, label="exact")
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    log_epochs(axes, numbers)
    far = bool(len(paths)) and float(np.nanmax(np.abs(paths), initial=0.0)) > 1.0
    scale = " (beyond ±1 logarithmic)" if far else ""
    name_axes(axes, "epoch", f"standard errors from exact{scale}", "Coefficients on their way")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def save_figures(run: Subject, *, every: bool) -> list[Path]:
    """Write the final figures (and, if asked, one for every epoch) into the run folder; returns their paths."""
    assert run.folder is not None
    folder = run.folder / "figures"
    folder.mkdir(exist_ok=True)
    figures: list[tuple[str, Figure]] = []
    if every:
        width = len(str(run.epochs[-1].number))
        for epoch in run.epochs[1:]:
            path = folder / f"epoch-{epoch.number:0{max(2, width)}d}.png"
            save(epoch_figure(run, epoch), path)
    figures.append(("overview.png", overview(run)))
    if len(run.design.encoding.terms) > 1 and run.epochs and run.epochs[0].parameters:
        figures.append(("coefficients.png", paths_figure(run)))
    for name, figure in figures:
        save(figure, folder / name)
    return sorted(folder.glob("*.png"))


def _draw_fit(axes: Axes, run: Subject, epoch: Epoch | None, color: str = TRAINED) -> bool:
    """One numeric feature: points and lines; else observed against predicted. False if the rows are not at hand."""
    rows = run.training_rows()
    if rows is None:
        return False
    terms = run.design.encoding.terms
    rows = rows.pictured()
    X = rows.X * run.design.scale + run.design.center
    trained = _coefficients(run, epoch)[: len(run.design.terms)]  # of the mean alone, where there is a variance too
    exact = [c.exact if c.exact is not None else 0.0 for c in run.coefficients]
    if len(terms) == 1 and len(np.unique(X[:, 0])) > 2:
        seen = run.epochs[-1:] if epoch is None else run.epochs[1:]
        _draw_line(axes, run, X[:, 0], rows.y, trained, exact, seen, color)
    else:
        _draw_predicted(axes, run, X, rows.y, trained)
    return True


def _coefficients(run: Subject, epoch: Epoch | None) -> list[float]:
    if epoch is not None and epoch.parameters:
        return [epoch.parameters[c.term] for c in run.coefficients]
    return [0.0 if c.estimate is None else c.estimate for c in run.coefficients]


def _draw_line(
    axes: Axes,
    run: Subject,
    x: Array,
    y: Array,
    trained: list[float],
    exact: list[float],
    seen: Sequence[Epoch],
    color: str,
) -> None:
    """Points and both lines; `seen` are the epochs whose lines the picture leaves room for."""
    points = sample(len(y))
    axes.scatter(
        x[points], y[points], s=42, facecolors="none", edgecolors=POINT, linewidths=1.6, label="data", zorder=3
    )
    margin = (x.max() - x.min()) / 7.0 or 1.0  # 145 to 190 for heights from 150 to 185, as the classic picture has it
    ends = np.array([x.min() - margin, x.max() + margin])
    at = np.linspace(ends[0], ends[1], 101) if _counts(run) else ends
    bottom, top = _heights(run, ends, y, seen)
    for values, name, style in (
        (trained, "trained", {"color": color, "linewidth": 2.2}),
        (exact, "exact", {"color": EXACT, "linewidth": 1.4, "linestyle": "--"}),
    ):
        line = _line(run, values, at)
        if np.isfinite(line).all() and np.abs(line).max() < 1e100:
            axes.plot(at, line, label=f"{name}: {_equation(run, values)}", **style)  # type: ignore[arg-type]
        if not (np.isfinite(line).all() and line.max() > bottom and line.min() < top):
            axes.plot([], [], " ", label=f"({name} line outside the picture)")
    axes.set_xlim(ends[0], ends[1])
    axes.set_ylim(bottom, top)
    name_axes(axes, run.design.encoding.terms[0], run.design.target, "Data and line")
    axes.legend(fontsize=9)


def _line(run: Subject, values: Sequence[float], x: Array) -> Array:
    """The prediction at x: a line, of counts e to its power."""
    q = len(run.design.terms)
    score = x * values[q - 1] + (values[0] if run.design.intercept else 0.0)
    with np.errstate(over="ignore"):
        return np.exp(score) if _counts(run) else score


def _counts(run: Subject) -> bool:
    return bool(run.result["loss_name"] == "poisson-nll")


def _equation(run: Subject, values: Sequence[float]) -> str:
    slope = f"{values[len(run.design.terms) - 1]:#.4g} × {as_text(run.design.encoding.terms[0], 20)}"
    line = f"{slope} {'−' if values[0] < 0 else '+'} {abs(values[0]):#.4g}" if run.design.intercept else slope
    return f"exp({line})" if _counts(run) else line


def _heights(run: Subject, ends: Array, y: Array, epochs: Sequence[Epoch]) -> tuple[float, float]:
    """One range for the picture of every epoch: the data, and the lines on their way, as far as that leaves the
    data large.
    """
    spread = float(np.ptp(y)) or 1.0
    seen = [y.min(), y.max()]
    for epoch in (*epochs[:20], *epochs[-1:]):
        if epoch.parameters:
            seen.extend(_line(run, [epoch.parameters[c.term] for c in run.coefficients], ends))
    inside = [v for v in seen if y.min() - 1.5 * spread <= v <= y.max() + 1.5 * spread]
    return min(inside) - 0.15 * spread, max(inside) + 0.3 * spread


def _draw_predicted(axes: Axes, run: Subject, X: Array, y: Array, trained: list[float]) -> None:
    slopes = np.array(trained[1:] if run.design.intercept else trained)
    predicted = X @ slopes + (trained[0] if run.design.intercept else 0.0)
    with np.errstate(over="ignore"):
        predicted = np.exp(predicted) if _counts(run) else predicted
    points = sample(len(y))
    axes.scatter(predicted[points], y[points], s=18, alpha=0.6, color=POINT, linewidths=0, label="rows", zorder=3)
    ends = [float(y.min()), float(y.max())]
    axes.plot(ends, ends, color=EXACT, linestyle="--", label="observed = predicted")
    name_axes(axes, f"predicted {run.design.target}", f"observed {run.design.target}", "Observed against predicted")
    axes.legend()
