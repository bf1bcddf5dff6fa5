"""Pictures of learning rates: the loss at each rate with the limit marked, and a rate that rises from step to step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..rate_words import JUST_RIGHT, TOO_LARGE, TOO_SMALL, Judged, Outcome
from ..words import count, plain
from .drawing import name_axes

__all__ = ["range_figure", "sweep_figure"]

# Okabe and Ito's colors, told apart by every kind of color vision; each word has a marker of its own too
LOOKS = {TOO_SMALL: ("#0072B2", "o"), JUST_RIGHT: ("#009E73", "D"), TOO_LARGE: ("#D55E00", "^")}
INK, LINE = "#222222", "#888888"
MOST_WAYS = 60  # ways of rates that a picture can hold
TOP = 30.0  # times the loss at the start: where losses without bounds are drawn


def sweep_figure(judged: Judged, excess: Sequence[Sequence[float]], subject: Mapping[str, Any]) -> Figure:
    """Two panels: what the loss is above the exact one at each rate, and how every rate went there."""
    figure = Figure(figsize=(11, 4.8))
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.25, 1.0]})
    title = wrap(judged.sentence, 120)[:2]
    figure.subplots_adjust(left=0.075, right=0.985, top=0.88 - 0.04 * len(title), bottom=0.12, wspace=0.14)
    bounds = _heights(judged)
    _draw_rates(left, judged, bounds)
    _draw_ways(right, judged, excess, bounds)
    for axes in (left, right):
        axes.set_yscale("log")
        axes.set_ylim(bounds[0] / (bounds[1] / bounds[0]) ** 0.14, bounds[1] * (bounds[1] / bounds[0]) ** 0.07)
    what = "objective above its optimum" if subject["penalized"] else "loss above exact"
    name_axes(left, "learning rate", f"{what} after {count(judged.ground.epochs, 'epoch')}", "")
    name_axes(right, "epoch", "", "")
    right.set_title("every rate on its way", fontsize=10, color=INK)
    figure.suptitle("\n".join(title), fontsize=11, x=0.075, ha="left", y=0.975)
    return figure


def _heights(judged: Judged) -> tuple[float, float]:
    """Where losses that are the exact one are drawn, and those without bounds."""
    top = judged.start if judged.start > 0.0 else 1.0
    seen = [o.excess for o in judged.outcomes if o.settles and o.excess is not None and o.excess > 0.0]
    floor = max(min([*seen, top]), judged.ground.tolerance / 10.0, 1e-300)
    return min(floor, top / 10.0), top * TOP


def _height(o: Outcome, bounds: tuple[float, float]) -> float:
    if o.diverged is not None or o.excess is None:
        return bounds[1]
    return min(max(o.excess, bounds[0]), bounds[1])


def _draw_rates(axes: Axes, judged: Judged, bounds: tuple[float, float]) -> None:
    """Points with the look of their words on bands that name them, the limit, the best."""
    outcomes, best, limit = judged.outcomes, judged.best, judged.ground.limit
    inside = [o for o in outcomes if o.diverged is None and o.excess is not None]
    axes.set_xscale("log")
    axes.set_xlim(*_ends(outcomes[0].lr, outcomes[-1].lr))
    axes.plot([o.lr for o in inside], [_height(o, bounds) for o in inside], color=LINE, linewidth=1.0, zorder=2)
    for word, (color, marker) in LOOKS.items():
        group = [o for o in outcomes if o.word == word]
        axes.scatter(
            [o.lr for o in group], [_height(o, bounds) for o in group], s=44, color=color, marker=marker,
            edgecolors="white", linewidths=0.7, zorder=4,
        )  # fmt: skip
    _draw_bands(axes, outcomes)
    gone = [o.lr for o in outcomes if o.diverged is not None]
    if gone:
        middle = math.sqrt(gone[0]) * math.sqrt(gone[-1])
        axes.annotate("diverged", (middle, bounds[1]), xytext=(0, -16), textcoords="offset points", ha="center",
                      va="center", fontsize=9, color=LOOKS[TOO_LARGE][0])  # fmt: skip
    left, right = axes.get_xlim()
    if limit is not None and left < limit < right:
        _draw_limit(axes, judged, limit)
    if best is not None and left < best.lr < right:
        _mark_best(axes, best, _height(best, bounds), limit)


def _ends(low: float, high: float) -> tuple[float, float]:
    """A little room on both sides, within what the logarithmic axis can draw."""
    room = max(math.exp(0.045 * math.log(high / low)), 1.01)
    return min(max(low / room, 1e-150), 1e149), max(min(high * room, 1e150), 1e-149)


def _draw_bands(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """A tint behind each run of rates with one word, which stands above it."""
    low, high = axes.get_xlim()
    runs = [list(run) for _, run in groupby(outcomes, key=lambda o: o.word)]
    edges = [low, *(math.sqrt(a[-1].lr) * math.sqrt(b[0].lr) for a, b in pairwise(runs)), high]
    labels = sorted(range(len(runs)), key=lambda i: -math.log(edges[i + 1] / edges[i]))
    named: set[str] = set()
    for i in labels:
        word = runs[i][0].word
        axes.axvspan(edges[i], edges[i + 1], color=LOOKS[word][0], alpha=0.09, linewidth=0, zorder=0)
        if word not in named:
            named.add(word)
            middle = math.log(math.sqrt(edges[i]) * math.sqrt(edges[i + 1]) / low) / math.log(high / low)
            axes.annotate(word, (min(max(middle, 0.08), 0.92), 1.02), xycoords="axes fraction", ha="center",
                          va="bottom", fontsize=10, color=LOOKS[word][0], weight="bold")  # fmt: skip


def _draw_limit(axes: Axes, judged: Judged, limit: float) -> None:
    low, high = axes.get_xlim()
    left = math.log(limit / low) > 0.5 * math.log(high / low)
    axes.axvline(limit, color=INK, linestyle="--", linewidth=1.4, zorder=3)
    where = "\nat the optimum" if judged.ground.local else ""
    axes.annotate(
        f"limit {plain(limit)}\n{judged.ground.rule}{where}", (limit, 0.6), xycoords=("data", "axes fraction"),
        xytext=(-7 if left else 7, 0), textcoords="offset points", ha="right" if left else "left", va="center",
        fontsize=9, color=INK, zorder=5,
    )  # fmt: skip


def _mark_best(axes: Axes, best: Outcome, height: float, limit: float | None) -> None:
    """A ring, and a line of text that keeps out of the way of the limit and of the edges."""
    low, high = axes.get_xlim()
    at, span = math.log(best.lr / low), math.log(high / low)
    right = at > 0.75 * span or (limit is not None and best.lr < limit < best.lr * math.exp(0.25 * span))
    side = "left" if at < 0.25 * span else "right" if right else "center"
    shift = {"left": -8, "right": 8, "center": 0}[side]
    axes.scatter([best.lr], [height], s=170, facecolors="none", edgecolors=INK, linewidths=1.5, zorder=5)
    text = f"best {plain(best.lr)}"
    if best.reached is not None:
        text += f", there in {count(best.reached, 'epoch')}"
    axes.annotate(text, (best.lr, height), xytext=(shift, -11), textcoords="offset points", ha=side,
                  va="top", fontsize=9, color=INK, zorder=5)  # fmt: skip


def _draw_ways(axes: Axes, judged: Judged, excess: Sequence[Sequence[float]], bounds: tuple[float, float]) -> None:
    """The way of every rate in the color of its word, the best in ink."""
    for i in range(0, len(excess), -(-len(excess) // MOST_WAYS)):
        color = LOOKS[judged.outcomes[i].word][0]
        axes.plot(_bounded(excess[i], bounds), color=color, linewidth=1.1, alpha=0.75)
    if judged.best is not None:
        way = _bounded(excess[[o.lr for o in judged.outcomes].index(judged.best.lr)], bounds)
        axes.plot(way, color="white", linewidth=4.4)
        axes.plot(way, color=INK, linewidth=2.2, label=f"best, {plain(judged.best.lr)}")
        axes.legend(loc="upper right", fontsize=9, framealpha=0.9)
    axes.set_xlim(0, max(len(way) for way in excess) - 1)


def _bounded(way: Sequence[float], bounds: tuple[float, float]) -> Any:
    """Within the picture."""
    return np.clip(np.nan_to_num(np.array(way), nan=bounds[1], posinf=bounds[1]), *bounds)


def range_figure(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], suggestion: float | None
) -> Figure:
    """The loss while the rate rises from step to step, and the rate at which it falls most steeply."""
    figure = Figure(figsize=(6.4, 4.8))
    figure.subplots_adjust(left=0.13, right=0.97, top=0.92, bottom=0.115)
    axes = figure.subplots()
    blue = LOOKS[TOO_SMALL][0]
    noisy = tuple(smoothed) != tuple(losses[: len(smoothed)])
    finite = [(r, v) for r, v in zip(rates, losses, strict=True) if math.isfinite(v)]
    axes.set_xscale("log")
    axes.plot(*zip(*finite, strict=True), color=blue, linewidth=0.9 if noisy else 2.0, alpha=0.35 if noisy else 1.0,
              label="loss of each batch")  # fmt: skip
    if noisy:
        axes.plot(rates[: len(smoothed)], smoothed, color=blue, linewidth=2.4, label="running mean")
        axes.legend(loc="lower left", fontsize=9)
    inside = [v for v in losses[: len(smoothed)] if v <= 1.5 * max(smoothed)] + list(smoothed)
    room = 0.12 * (max(inside) - min(inside)) or 1.0
    axes.set_ylim(min(inside) - room, max(inside) + room)
    if suggestion is not None:
        axes.axvline(suggestion, color=INK, linestyle="--", linewidth=1.4)
        axes.annotate(
            f"steepest fall\n{plain(suggestion, 3)}", (suggestion, 0.97), xycoords=("data", "axes fraction"),
            xytext=(-7, 0), textcoords="offset points", ha="right", va="top", fontsize=9, color=INK,
        )  # fmt: skip
    name_axes(axes, "learning rate, one step each", "loss before the step", "A rate that rises from step to step")
    return figure
