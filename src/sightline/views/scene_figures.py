"""The panels of the page as figures: each draws into axes of yours, or into a figure of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import UsageError
from .drawing import EXACT, INK, OK, POINT, TRAINED, as_text, log_epochs, name_axes
from .panels import head
from .readings import COLUMNS, READINGS, loss_at, num
from .scene_marks import BAD, all_finite, as_array, draw_rings, draw_smooth, hessian_of_pair, line_at, name_points
from .way_readings import WAY_READINGS

__all__ = ["Figures"]

TINY = 1e-12  # of the start: where a picture of the excess ends


class Figures:
    """The pictures of a run, one method for each; nothing of matplotlib's global state is touched.

    Every method takes `ax`, the axes to draw into, and returns them; without it a figure is made, which is
    `axes.figure`. Solid is recorded, dashed is exact. Raises UsageError where a run has no such picture, with the
    reason.

    >>> import sightline
    >>> run = sightline.fit({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}, "y ~ x", output=False)
    >>> run.figures.loss().get_xlabel()
    'epoch'
    """

    def __init__(self, scene: Mapping[str, Any], table: Mapping[str, Any]) -> None:
        self._scene, self._table = scene, table

    def reading(self, name: str) -> str:
        """The sentence of a picture, as the page has it below the panel."""
        if (reason := self.reason(name)) is not None:
            raise UsageError(f"there is no picture {name!r} of this run: {reason}")
        return {**READINGS, **WAY_READINGS}[name](self._scene, self._table)

    def reason(self, name: str) -> str | None:
        """Why there is no such picture; None where there is."""
        scene = self._scene
        if name not in PICTURES:
            return f"there are {', '.join(PICTURES)}"
        lacks = scene.get("missing") or "the rows of the run are not at hand"
        if name == "fit":
            return None if "points" in scene else f"it is for one column: {lacks}" if scene.get("missing") else (
                "it is for one column and a target that is a number"
            )  # fmt: skip
        if name in ("path", "spectrum"):
            few = name == "path" and len(scene["coef"]) < 2
            return None if scene["systems"] and not few else scene.get("whatif") or "there is one coefficient"
        if name in ("calibration", "roc"):
            return None if "scored" in scene else "it is for classes with probabilities"
        if name == "coefficients":
            return None if any(c["std_error"] for c in scene["coef"]) else "no standard errors are known"
        if name == "loss":
            return None if self._table["number"] else "the run was solved, without training"
        if "residuals" not in scene:
            return f"it is for a target that is a number: {lacks}"
        there = ("cook" if name == "leverage" else COLUMNS[name]) in scene["residuals"]
        return None if there else (
            "it needs standardized residuals: of squared error, more rows than coefficients, not every residual 0"
        )  # fmt: skip

    def __dir__(self) -> list[str]:
        """Those that there are."""
        return [name for name in PICTURES if self.reason(name) is None]

    def fit(self, ax: Axes | None = None) -> Axes:
        """The data with the line of the last record, the exact line and the band for new rows."""
        scene, axes = self._begin("fit", ax)
        x, y = as_array(scene["points"]["x"]), as_array(scene["sample"]["y"])
        band, b = scene.get("band"), self._now()
        margin = (x.max() - x.min()) / 7.0 or 1.0
        link = scene.get("link")
        wide = np.linspace(x.min() - margin, x.max() + margin, 101 if link else 2)
        exact = [c["exact"] for c in scene["coef"]]
        if band and all_finite(exact):
            at = as_array(band["x"])
            center, half = line_at(exact, at, link), as_array(band["half"])
            label = f"{100 * band['level']:g} % of new rows"
            axes.fill_between(at, center - half, center + half, color=EXACT, alpha=0.09, linewidth=0, label=label)
        axes.scatter(x, y, s=26, facecolors="none", edgecolors=POINT, linewidths=1.2, zorder=3)
        if b is not None:
            axes.plot(wide, line_at(b, wide, link), color=TRAINED, linewidth=2.2, label="now")
        if all_finite(exact):
            axes.plot(wide, line_at(exact, wide, link), color=EXACT, linestyle="--", linewidth=1.6, label="exact")
        spread = float(np.ptp(y)) or 1.0
        axes.set_ylim(y.min() - spread, y.max() + spread)
        return self._end("fit", axes, "Data and line", scene["points"]["name"], scene["target"])

    def loss(self, ax: Axes | None = None) -> Axes:
        """The loss above the exact one, or the loss itself where none is known to be the lowest."""
        scene, axes = self._begin("loss", ax)
        table, exact = self._table, scene["loss"]["exact"]
        numbers = list(table["number"])
        losses = as_array([loss_at(table, i) for i in range(len(numbers))])
        floor = bool(scene["loss"]["floor"] and exact is not None and scene["loss"]["attained"] is not False)
        values = np.maximum(losses - exact, 4e-16 * np.abs(losses)) if floor else losses
        marker = "o" if len(numbers) <= 40 else ""
        axes.plot(numbers, values, color=TRAINED, linewidth=2.0, marker=marker, markersize=3.5, label="recorded")
        held = as_array(table["valid_loss"])
        if np.isfinite(held).any():
            axes.plot(numbers, held - exact if floor else held, color=OK, linewidth=1.6, label="validation rows")
        positive = values[np.isfinite(values) & (values > 0)]
        if len(positive) and (floor or positive.max() > 20.0 * positive.min()):
            axes.set_yscale("log")
            axes.set_ylim(max(positive.min() / 3.0, positive[0] * TINY), positive.max() * 3.0)
        log_epochs(axes, numbers)
        title = f"Loss above the exact {num(exact, 6)}" if floor else "Loss"
        return self._end("loss", axes, title, "epoch", "loss above exact" if floor else "loss")

    def path(self, ax: Axes | None = None, terms: tuple[str, str] | None = None) -> Axes:
        """Two coefficients on their way over ellipses of equal loss, the others held at their exact values."""
        scene, axes = self._begin("path", ax)
        names = [c["term"] for c in scene["coef"]]
        across, up = terms or (names[1], names[0])
        for name in (across, up):
            if name not in names:
                raise UsageError(f"no coefficient {name!r}: choose of {', '.join(names[:20])}")
        a, b = names.index(across), names.index(up)
        center = np.array([scene["coef"][a]["exact"], scene["coef"][b]["exact"]], dtype=np.float64)
        rows = [row for row in self._table["parameters"] if row]
        seen = np.array([[row[a], row[b]] for row in rows], dtype=np.float64).reshape(-1, 2)
        H = hessian_of_pair(scene["systems"][0], a, b)
        draw_rings(axes, H, center, seen)
        axes.plot(seen[:, 0], seen[:, 1], color=TRAINED, linewidth=2.0, marker="o", markersize=2.5, label="recorded")
        axes.plot(*seen[:1].T, marker="o", markersize=9, color=TRAINED, fillstyle="none", linestyle="", label="start")
        axes.plot(*center, marker="+", markersize=13, markeredgewidth=2.4, color=EXACT, linestyle="", label="exact")
        everything = np.vstack([seen, center])
        pad = np.where(np.ptp(everything, axis=0) > 0, 0.16 * np.ptp(everything, axis=0), 1.0)
        (x0, y0), (x1, y1) = everything.min(axis=0) - pad, everything.max(axis=0) + pad
        axes.set_xlim(x0, x1)
        axes.set_ylim(y0, y1)
        return self._end("path", axes, "Where the parameters went", across, up)

    def spectrum(self, ax: Axes | None = None) -> Axes:
        """The curvature of each direction, and up to which one the rate is stable."""
        scene, axes = self._begin("spectrum", ax)
        values = as_array(scene["systems"][0]["values"])
        places = np.arange(len(values))[::-1]
        if len(values) <= 24:
            axes.barh(places, values, color=OK, height=0.6)
        else:
            axes.plot(values, places, "o", color=OK, markersize=3)
        step = scene["step"]
        if step.get("lr") and (step.get("name") or "sgd").lower() == "sgd":
            beta = step.get("momentum") or 0.0
            limit = 2.0 * (1.0 + beta) / ((1.0 + 2.0 * beta if step.get("nesterov") else 1.0) * step["lr"])
            if values.min() / 1e3 < limit < values.max() * 1e3:
                axes.axvline(limit, color=BAD, linestyle="--", linewidth=1.6, label="stable up to here")
        axes.set_xscale("log")
        axes.set_yticks([places[0], places[-1]] if len(values) > 1 else [0], ["steepest", "flattest"][: len(values)])
        return self._end("spectrum", axes, "Curvature: one bar for each direction", "curvature", "")

    def coefficients(self, ax: Axes | None = None) -> Axes:
        """Where training is beside the exact coefficients and their intervals, in standard errors."""
        scene, axes = self._begin("coefficients", ax)
        now = self._now()
        shown = [(i, c) for i, c in enumerate(scene["coef"]) if c["std_error"]][:40]
        for place, (i, c) in enumerate(reversed(shown)):
            low, high = ((c[end] - c["exact"]) / c["std_error"] for end in ("low", "high"))
            axes.plot([low, high], [place, place], color=INK, linewidth=1.6, zorder=2)
            axes.plot(0.0, place, marker="+", markersize=10, markeredgewidth=2.2, color=EXACT, zorder=3)
            if now is not None:
                axes.plot((now[i] - c["exact"]) / c["std_error"], place, "o", color=TRAINED, markersize=6, zorder=4)
        axes.set_yticks(range(len(shown)), [as_text(c["term"], 22) for _, c in reversed(shown)])
        return self._end("coefficients", axes, "Coefficients", "standard errors from exact", "")

    def residuals(self, ax: Axes | None = None) -> Axes:
        """Residuals against fitted values, as R's first plot of a linear model."""
        scene, axes = self._begin("residuals", ax)
        r = scene["residuals"]
        axes.axhline(0.0, color=EXACT, linestyle="--", linewidth=1.2)
        draw_smooth(axes, r["smooth"])
        self._cloud(axes, r["fitted"], r["residual"], r["extreme"]["residual"])
        return self._end("residuals", axes, "Residuals against fitted", "fitted (exact answer)", "residual")

    def qq(self, ax: Axes | None = None) -> Axes:
        """Standardized residuals against normal quantiles."""
        scene, axes = self._begin("qq", ax)
        r = scene["residuals"]
        quantiles = as_array(r["quantile"])
        ends = [float(np.nanmin(quantiles)), float(np.nanmax(quantiles))]
        axes.plot(ends, ends, color=EXACT, linestyle="--", linewidth=1.2)
        self._cloud(axes, r["quantile"], r["standardized"], r["extreme"]["standardized"])
        return self._end("qq", axes, "Normal quantiles", "normal quantile", "standardized residual")

    def scale_location(self, ax: Axes | None = None) -> Axes:
        """The root of the absolute standardized residuals against fitted values."""
        scene, axes = self._begin("scale_location", ax)
        r = scene["residuals"]
        root = np.sqrt(np.abs(as_array(r["standardized"]))).tolist()
        draw_smooth(axes, r.get("spread"))
        self._cloud(axes, r["fitted"], root, r["extreme"]["standardized"])
        axes.set_ylim(bottom=0.0)
        name = "√|standardized residual|"
        return self._end("scale_location", axes, "Scale and location", "fitted (exact answer)", name)

    def leverage(self, ax: Axes | None = None) -> Axes:
        """Standardized residuals against leverage, with the curves where Cook's distance is 0.5 and 1."""
        scene, axes = self._begin("leverage", ax)
        r = scene["residuals"]
        self._cloud(axes, r["leverage"], r["standardized"], r["extreme"].get("cook", []))
        bottom, top = axes.get_ylim()
        end = 1.1 * max((v for v in r["leverage"] if v is not None), default=1.0)
        h = np.linspace(end / 200.0, min(end, 0.999), 200)
        for distance in (0.5, 1.0):
            curve = np.sqrt(distance * (scene["rank"] or len(scene["coef"])) * (1.0 - h) / h)
            for sign in (1.0, -1.0):
                axes.plot(h, sign * curve, color=INK, linestyle=":", linewidth=1.0)
                seen = np.flatnonzero((sign * curve > bottom) & (sign * curve < top))
                if len(seen):
                    at = (h[seen[-1]], sign * curve[seen[-1]])
                    style: dict[str, Any] = {"fontsize": 8, "color": INK}
                    axes.annotate(f"{distance:g}", at, xytext=(-14, 3), textcoords="offset points", **style)
        axes.set_xlim(0.0, end)
        axes.set_ylim(bottom, top)
        return self._end("leverage", axes, "Leverage", "leverage", "standardized residual")

    def calibration(self, ax: Axes | None = None) -> Axes:
        """Stated probabilities beside what happened, with Wilson's intervals."""
        scene, axes = self._begin("calibration", ax)
        bins = scene["scored"]["calibration"]
        x, y = [b["predicted"] for b in bins], [b["observed"] for b in bins]
        axes.plot([0, 1], [0, 1], color=EXACT, linestyle="--", linewidth=1.2, label="as stated")
        axes.vlines(x, [b["low"] for b in bins], [b["high"] for b in bins], color=INK, linewidth=1.6)
        axes.plot(x, y, color=TRAINED, marker="o", linewidth=1.8, label="observed")
        return self._end("calibration", axes, "Calibration", "stated probability", "share observed")

    def roc(self, ax: Axes | None = None) -> Axes:
        """True positives against false positives at every threshold, of each class."""
        scene, axes = self._begin("roc", ax)
        curves, classes = scene["scored"]["roc"], scene["classes"]
        axes.plot([0, 1], [0, 1], color=EXACT, linestyle="--", linewidth=1.2)
        for k, curve in enumerate(curves):
            name = classes[1] if len(curves) == 1 else classes[k]
            axes.plot(curve["x"], curve["y"], linewidth=1.8, color=(TRAINED, OK, EXACT, INK)[k % 4],
                      label=f"{as_text(name, 18)}: {num(curve['area'], 3)}")  # fmt: skip
        return self._end("roc", axes, "ROC curve", "false positives", "true positives")

    # What they share.

    def _begin(self, name: str, ax: Axes | None) -> tuple[Mapping[str, Any], Axes]:
        if (reason := self.reason(name)) is not None:
            raise UsageError(f"there is no picture {name!r} of this run: {reason}")
        if ax is not None:
            return self._scene, ax
        figure = Figure(figsize=(6.4, 5.2))
        figure.subplots_adjust(left=0.14, right=0.97, top=0.83, bottom=0.12)
        return self._scene, figure.subplots()

    def _end(self, name: str, axes: Axes, title: str, x: str, y: str) -> Axes:
        name_axes(axes, x, y, "")
        head(axes, title, self.reading(name))
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=9, frameon=False)
        return axes

    def _now(self) -> list[float] | None:
        return next((row for row in reversed(self._table["parameters"]) if row), None)

    def _cloud(self, axes: Axes, x: Sequence[Any], y: Sequence[Any], extreme: Sequence[int]) -> None:
        size = 12 if len(x) > 200 else 24
        axes.scatter(as_array(x), as_array(y), s=size, facecolors="none", edgecolors=POINT, linewidths=1.1, zorder=3)
        name_points(axes, as_array(x), as_array(y), extreme, self._scene["sample"]["places"])


PICTURES = (
    "fit", "loss", "path", "spectrum", "coefficients", "residuals", "qq", "scale_location", "leverage", "calibration",
    "roc",
)  # fmt: skip
