"""Panels that end in a sentence: a title that asks, and the answer made from the numbers of the panel."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .drawing import INK, as_text, name_axes

__all__ = ["grid_of_panels", "head", "legend_below", "message"]

READING, CHARACTER = 9.5, 4.85  # points: size of the text, and the mean width of a character of that size
PANEL, MARGIN, ABOVE, BELOW = (4.75, 3.45), 1.05, 1.0, 0.95  # inches


def grid_of_panels(lines: int, columns: int) -> tuple[Figure, list[Axes]]:
    """A picture of panels with room for title and reading above each, and for names and a legend below."""
    width = columns * (PANEL[0] + MARGIN) + 0.25
    height = lines * (PANEL[1] + ABOVE + BELOW)
    figure = Figure(figsize=(width, height))
    found = []
    for i in range(lines):
        for j in range(columns):
            left = MARGIN + j * (PANEL[0] + MARGIN)
            bottom = (lines - 1 - i) * (PANEL[1] + ABOVE + BELOW) + BELOW
            found.append(figure.add_axes((left / width, bottom / height, PANEL[0] / width, PANEL[1] / height)))
    return figure, found


def head(axes: Axes, title: str, reading: str) -> None:
    """The title, and the reading below it, both above the panel."""
    width = axes.get_window_extent().width / axes.figure.dpi * 72.0
    lines = _lines(reading, int(width / CHARACTER), most=3)
    axes.set_title("")
    parts = (("title", as_text(title), 49.0, 12.0, "black"), ("reading", "\n".join(lines), 46.0, READING, INK))
    for name, text, points, size, color in parts:
        axes.annotate(
            text, (0.0, 1.0), xytext=(0.0, points), xycoords="axes fraction", textcoords="offset points",
            fontsize=size, color=color, va="bottom" if size > READING else "top", annotation_clip=False,
            gid=name,
        )  # fmt: skip


def legend_below(axes: Axes) -> None:
    """The legend outside the data, below the name of the axis."""
    handles, labels = axes.get_legend_handles_labels()
    labels = [as_text(label, 34) for label in labels]
    if handles:
        fits = sum(len(label) + 7 for label in labels) <= 84
        columns = len(handles) if fits else -(-len(handles) // 2)
        axes.legend(
            handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.145), ncol=columns,
            frameon=False, fontsize=8.5, handlelength=2.0, columnspacing=1.4,
        )  # fmt: skip


def message(axes: Axes, title: str, text: str) -> None:
    """A panel that says why there is no picture."""
    head(axes, title, "")
    axes.set_xticks([])
    axes.set_yticks([])
    name_axes(axes, "", "", "")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_facecolor("#f6f6f6")
    axes.text(
        0.5,
        0.5,
        "\n".join(_lines(text, 52, most=6)),
        ha="center",
        va="center",
        color=INK,
        fontsize=10.0,
        transform=axes.transAxes,
    )


def _lines(text: str, width: int, most: int) -> list[str]:
    """A number stays with its unit, an option with its value."""
    whole = as_text(text, 600).replace(" %", "\N{NO-BREAK SPACE}%").replace("--l2 ", "--l2\N{NO-BREAK SPACE}")
    return textwrap.wrap(whole, width, break_on_hyphens=False, max_lines=most, placeholder=" …")
