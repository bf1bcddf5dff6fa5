"""A run as a moving picture: one frame for each of its epochs, or for as many as can be told apart."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from ..errors import UsageError
from .scene_figures import Figures

__all__ = ["MOST_FRAMES", "animate", "frames_of"]

MOST_FRAMES = 90
LAST = 12  # how often the last frame is shown, so that it can be read
SERIES = (
    "number", "train_loss", "running_loss", "valid_loss", "gradient_norm", "lr", "rows", "seconds", "parameters",
)  # fmt: skip


def frames_of(numbers: Sequence[int], most: int = MOST_FRAMES) -> list[int]:
    """The places of the records that are shown: all of few; of many the first ones and then ever farther apart.

    >>> frames_of(range(4)), frames_of(range(1000), 5)
    ([0, 1, 2, 3], [0, 1, 6, 32, 178, 999])
    """
    n = len(numbers)
    if n <= most:
        return list(range(n))
    return sorted({0, *np.round(np.geomspace(1, n - 1, most)).astype(int).tolist()})


def animate(scene: Mapping[str, Any], table: Mapping[str, Any], to: Path, *, fps: int = 10) -> int:
    """Write a GIF, or an MP4 where ffmpeg is; returns the number of frames.

    Raises UsageError for another kind of file, where ffmpeg is missing, and for a run without records.
    """
    if not table["number"]:
        raise UsageError("this run was solved, without training: there is nothing that moves")
    writer = _writer(to, fps)
    places = frames_of(table["number"])
    figure = Figure(figsize=(10.4, 5.4))
    figure.subplots_adjust(left=0.075, right=0.985, top=0.73, bottom=0.115, wspace=0.22)
    with writer.saving(figure, str(to), dpi=80):
        limits: list[tuple[Any, Any]] = []
        for place in [*reversed(places[-1:]), *places, *places[-1:] * LAST]:
            _frame(figure, scene, {name: table[name][: place + 1] for name in SERIES}, limits)
            if not limits:  # the whole run first, for the limits of all frames
                limits = [(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes]
                continue
            writer.grab_frame()
    return len(places)


def _writer(to: Path, fps: int) -> AbstractMovieWriter:
    kind = to.suffix.lower()
    if kind == ".gif":
        return PillowWriter(fps=fps)
    if kind != ".mp4":
        raise UsageError(f"cannot animate to {to.name!r}: give a name that ends in .gif, or .mp4 where ffmpeg is")
    if shutil.which("ffmpeg") is None:
        raise UsageError("there is no ffmpeg on this machine, which .mp4 needs: install it, or give a .gif")
    return FFMpegWriter(fps=fps)


def _frame(figure: Figure, scene: Mapping[str, Any], table: Mapping[str, Any], limits: list[tuple[Any, Any]]) -> None:
    """The run up to one record."""
    figure.clear()
    pictures = Figures(scene, table)
    there = dir(pictures)
    left = next((name for name in ("fit", "coefficients") if name in there), None)
    kinds = ["loss"] if left is None else [left, "path" if left == "fit" and "path" in there else "loss"]
    axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    for ax, name in zip(axes, kinds, strict=True):
        getattr(pictures, name)(ax=ax)
    for ax, (x, y) in zip(axes, limits, strict=False):
        ax.set_xlim(x)
        ax.set_ylim(y)
    losses = [v for v in (table["train_loss"][-1], table["running_loss"][-1]) if v is not None]
    loss = f"   loss {losses[0]:.6g}" if losses else ""
    figure.suptitle(f"Epoch {table['number'][-1]:,}{loss}", x=0.075, y=0.985, ha="left", fontsize=13, fontweight="bold")
