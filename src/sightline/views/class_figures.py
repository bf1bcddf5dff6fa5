"""Pictures of a classifier: the data, the probabilities, the mistakes, and the loss if it was trained."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..records import Epoch
from ..words import count, plain
from .class_fit import data_panel
from .class_panels import calibration_panel, confusion_panel, roc_panel
from .class_view import ClassView
from .drawing import as_text, draw_loss, floor_of
from .panels import grid_of_panels, head, message
from .subject import Subject

__all__ = ["class_epoch_figure", "class_overview", "loss_reading"]


def class_overview(run: Subject) -> Figure:
    """Three panels, or four with the loss of a run that has epochs."""
    trained = len(run.epochs) > 1
    figure, panels = grid_of_panels(2 if trained else 1, 2 if trained else 3)
    view = ClassView.of(run)
    if view is None:
        for axes in panels[:3]:
            message(axes, "", "the training data are not at hand")
    else:
        data_panel(panels[0], view)
        calibration_panel(panels[1], view)
        (roc_panel if len(view.labels) == 2 else confusion_panel)(panels[2], view)
    if trained:
        _loss_panel(panels[3], run)
    return figure


def class_epoch_figure(run: Subject, epoch: Epoch) -> Figure:
    """The data and what the model made of them at this epoch."""
    figure, (axes,) = grid_of_panels(1, 1)
    view = ClassView.of(run, epoch)
    if view is None:
        message(axes, f"Epoch {epoch.number:,}", "the training data are not at hand")
    else:
        data_panel(axes, view)
        figure.text(0.99, 0.965, f"Epoch {epoch.number:,}", ha="right", va="top", fontsize=12)
    return figure


def _loss_panel(axes: Axes, run: Subject) -> None:
    exact = floor_of(run)
    draw_loss(axes, run.epochs, exact)
    floor = "the limit" if _at_infinity(run) else "the exact"
    head(axes, as_text("Loss" if exact is None else f"Loss above {floor} {plain(exact, 6)}"), loss_reading(run))


def _at_infinity(run: Subject) -> bool:
    return any(c.exact is not None and math.isinf(c.exact) for c in run.coefficients)


def loss_reading(run: Subject) -> str:
    """How far training came, and whether there is a lowest loss at all."""
    epochs, exact = run.result["epochs"], floor_of(run)
    first, loss = run.epochs[0].loss, run.result["loss"]
    if loss is None or not math.isfinite(loss):
        return f"The loss is not finite after {count(epochs, 'epoch')}."
    start = "" if first is None else f", from {plain(first)}"
    if exact is None:
        return f"After {count(epochs, 'epoch')} the loss is {plain(loss, 6)}{start}."
    above = plain(max(loss - exact, 0.0), 3)
    if _at_infinity(run):
        return (
            f"Classes are separated, so the loss falls towards {plain(exact, 3)} for ever and the coefficients "
            f"grow; after {count(epochs, 'epoch')} {above} is left."
        )
    near = "as near as rounding lets it" if loss - exact <= 4e-16 * abs(loss) else f"{above} above the exact answer"
    return f"After {count(epochs, 'epoch')} the loss is {plain(loss, 6)}{start}: {near}."
