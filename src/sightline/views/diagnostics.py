"""The four pictures of a linear fit's residuals on one sheet, as R's plot(lm) has them."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from .drawing import INK, save
from .scene_figures import Figures

__all__ = ["save_diagnostics"]

FOUR = ("residuals", "qq", "scale_location", "leverage")


def save_diagnostics(figures: Figures, title: str, folder: Path) -> Path:
    """The four pictures as figures/diagnostics.png of a run folder; one that there is not says why."""
    figure = Figure(figsize=(10.5, 9.6))
    figure.subplots_adjust(left=0.075, right=0.985, top=0.87, bottom=0.06, wspace=0.2, hspace=0.42)
    figure.suptitle(title, fontsize=12)
    for name, axes in zip(FOUR, figure.subplots(2, 2).flat, strict=True):
        reason = figures.reason(name)
        if reason is None:
            getattr(figures, name)(ax=axes)
            continue
        axes.set_axis_off()
        axes.text(
            0.5, 0.5, reason, ha="center", va="center", wrap=True, fontsize=10, color=INK, transform=axes.transAxes
        )
    path = folder / "figures" / "diagnostics.png"
    path.parent.mkdir(exist_ok=True)
    save(figure, path)
    return path
