"""A live view of a run in a notebook: Jupyter, VS Code, Colab and marimo, through one anywidget."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from time import perf_counter
from typing import Any

from .account import Account, read_account
from .errors import RunError, SightlineError, UsageError
from .pages.scene import scene_of, verdict_of
from .runs.files import finite
from .runs.series import Series
from .runs.store import find_run, read_manifest, status_of
from .views.page_files import widget_script
from .views.readings import num, whole

__all__ = ["Follower", "live"]

PAUSE = 0.3  # seconds between two looks at the folder, at least
SHARE = 10  # of the time at most one part in so many is spent looking
MOST_POINTS, MOST_TERMS = 700, 100
KEPT = ("id", "kind", "name", "formula", "target", "rows", "status", "verdict", "loss", "level", "missing")


def live(run: Any) -> Any:
    """A widget that shows a run as it grows: loss above the exact one, verdict, coefficients; in any notebook that has
    anywidgets.

    `run` is what `fit` or `fit_module` returned, a run folder, or an id as `sightline runs` lists them. It reads the
    folder alone, never the training, until the run has ended or the widget is closed; a run that has ended is shown as
    it is.

    Raises UsageError where anywidget is not installed or the run has no folder, RunError where the folder is missing or
    damaged.
    """
    widget = _widget()
    folder = getattr(run, "folder", run)
    if folder is None:
        raise UsageError("this run was written to no folder: fit it with output=True, or display the run itself")
    return widget(find_run(folder))


class Follower:
    """What a view is told of a run folder, each time it looks there; `ended` when there will be no more.

    The rows are read and the exact answer is found at the start only, so that no work on tensors goes on beside a
    training in the same process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.ended = folder, False
        self._series = Series(folder)
        found = scene_of(folder)
        coef, warnings = found.get("coef") or [], found.get("before") or []
        self._scene = {
            **{name: found.get(name) for name in KEPT}, "warnings": warnings, **_first_terms(coef),
        }  # fmt: skip
        self._told: dict[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """What has changed since: `scene`, `table`, both or neither."""
        try:
            manifest = read_manifest(self.folder)
            self._scene["status"] = status_of(self.folder, manifest)
            if self._scene["status"] != "running":
                self._end(manifest)
        except SightlineError as error:
            self._scene.update(status="lost", trouble=error.message)
            self.ended = True
        grew = self._series.read() or "table" not in self._told
        now = {"scene": dict(finite(self._scene)), **({"table": self._table()} if grew else {})}
        news = {name: value for name, value in now.items() if self._told.get(name) != value}
        self._told.update(news)
        return news

    def _end(self, manifest: Mapping[str, Any]) -> None:
        """Take up the result, if there is one."""
        self.ended = True
        result = manifest.get("result")
        if result is None:
            return
        try:
            if self._scene["kind"] == "module":
                self._scene["verdict"] = {
                    "name": result["verdict"], "sentence": manifest["sentence"], "warnings": result["warnings"],
                }  # fmt: skip
            else:
                self._scene.update(_result(read_account(self.folder, manifest, records=False)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            where = self.folder / "run.json"
            raise RunError(f"{where} is damaged ({error}): restore the folder from a copy or train again") from None

    def _table(self) -> dict[str, Any]:
        """The records as a picture needs them, and the parameters of the last one."""
        table = self._series.table(self._series.places(MOST_POINTS))
        last = self._series.record(self._series.last) or {}
        terms = [line["term"] for line in self._scene["coef"]]
        known = last.get("parameters") or {}
        at_rest, running = table["train_loss"], table["running_loss"]
        return dict(
            finite({
                "number": table["number"],
                "loss": [b if a is None else a for a, b in zip(at_rest, running, strict=True)],
                "valid": table["valid_loss"],
                "parameters": {term: known.get(term) for term in terms},
                "last": {name: last.get(name) for name in ("gradient_norm", "lr", "seconds")},
            })
        )  # fmt: skip


def _result(told: Account) -> dict[str, Any]:
    """What a finished run says beyond what was known at its start."""
    lines = [
        {name: getattr(c, name) for name in ("term", "estimate", "exact", "std_error", "p", "low", "high")}
        for c in told.coefficients
    ]
    attained = not any(c.exact is not None and math.isinf(c.exact) for c in told.coefficients)
    exact = {
        "name": told.result["loss_name"], "exact": told.result["exact_loss"],
        "floor": not told.settings.penalizes, "attained": attained,
    }  # fmt: skip
    return {"verdict": verdict_of(told.verdict), "loss": exact, "missing": None, **_first_terms(lines)}


def _first_terms(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"coef": lines[:MOST_TERMS], "more": max(0, len(lines) - MOST_TERMS)}


@cache
def _widget() -> type[Any]:
    """The class, made where anywidget is installed."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise UsageError("the live view in a notebook needs anywidget: pip install 'sightline[notebook]'") from None

    class LiveView(anywidget.AnyWidget):
        """A run as it grows."""

        _esm = widget_script()
        _css = (files("sightline") / "views" / "widget" / "widget.css").read_text(encoding="utf-8")
        scene = traitlets.Dict().tag(sync=True)
        table = traitlets.Dict().tag(sync=True)

        def __init__(self, folder: Path) -> None:
            follower = Follower(folder)
            super().__init__(**follower.look())
            self._closed = threading.Event()
            self._thread = _thread_class()(target=self._follow, args=(follower,), daemon=True)
            if not follower.ended:
                self._thread.start()

        def _follow(self, follower: Follower) -> None:
            pause = PAUSE
            while not follower.ended and not self._closed.wait(pause):
                began = perf_counter()
                for name, value in follower.look().items():
                    setattr(self, name, value)
                pause = max(PAUSE, (SHARE - 1) * (perf_counter() - began))

        def close(self) -> None:
            """End it; the run itself goes on."""
            self._closed.set()
            super().close()

        def __repr__(self) -> str:
            losses = [loss for loss in self.table.get("loss", ()) if loss is not None]
            at = f"epoch {whole(self.table['number'][-1])}, loss {num(losses[-1], 6)}" if losses else "no records yet"
            return f"live view of run {self.scene.get('id')}, {self.scene.get('status')}: {at}"

    return LiveView


def _thread_class() -> type[threading.Thread]:
    """Of marimo its own, whose words reach the page; elsewhere the usual one."""
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        found: type[threading.Thread] = marimo.Thread
        return found
    return threading.Thread
