"""The runs that a page can show: found by their ids, read on as they grow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import RunError, SightlineError, nearest
from ..pages.commands import said_settings
from ..pages.scene import scene_of
from ..runs.files import finite, read_json
from ..runs.lock import is_held
from ..runs.series import Series
from ..runs.store import LAYERS, status_of
from ..settings import RunSettings

__all__ = ["Shelf"]

SPARK = 60
MOST_BLOCKS = 2  # of 4 MB, read of a growing file at a time


class Seen(NamedTuple):
    """What tells that a run has changed (its result, whether somebody writes it, its layers), and that it has grown."""

    result: tuple[Any, ...]
    records: tuple[int, int] | None


class Shelf:
    """One run and those that are started from its page, or all runs in a folder; an id is only ever looked up among
    them, so that it can be no path.
    """

    def __init__(self, folder: Path, only: str | None = None) -> None:
        self.folder = folder
        self._only = None if only is None else [only]
        self._series: dict[str, Series] = {}
        self._scenes: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._shorts: dict[str, tuple[Seen, dict[str, Any]]] = {}
        self._terms: dict[str, list[str]] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._all = threading.Lock()
        self._said: dict[str, tuple[Any, ...]] = {}

    def _lock(self, run: str) -> threading.RLock:
        """One for each run: a large one keeps nobody waiting who asks for another."""
        with self._all:
            return self._locks.setdefault(run, threading.RLock())

    def runs(self) -> list[Path]:
        """The folders of the runs, by name."""
        if self._only is not None:
            return [self.folder / name for name in self._only]
        try:
            return sorted(path.parent for path in self.folder.glob("*/run.json"))
        except OSError:
            return []

    def include(self, run: str) -> None:
        """Show a run that was started from the page."""
        if self._only is not None:
            self._only = [*self._only, run]

    def find(self, run: str) -> Path:
        """The folder of a run; raises RunError where there is none of that id, with near names."""
        known = {path.name: path for path in self.runs()}
        if run not in known:
            raise RunError(f"no run {run[:40]!r} here: {nearest(run[:40], list(known))}")
        return known[run]

    def listed(self) -> list[dict[str, Any]]:
        """Each run in short, newest first."""
        found = []
        for path in self.runs():
            try:
                found.append(self._listed(path))
            except (SightlineError, OSError, KeyError, TypeError, ValueError, AttributeError):
                found.append({"run": path.name, "status": "damaged", "started": "", "formula": "", "spark": []})
        return sorted(found, key=lambda run: str(run["started"]), reverse=True)

    def _listed(self, path: Path) -> dict[str, Any]:
        """A run in short, made anew where it has changed or grown."""
        with self._lock(path.name):
            now = self._seen(path)
            kept = self._shorts.get(path.name)
            if kept is None or kept[0] != now:
                kept = (now, self._short(path))
                self._shorts[path.name] = kept
            return kept[1]

    def _short(self, path: Path) -> dict[str, Any]:
        values = read_json(path / "run.json")
        result = values.get("result") or {}
        module = values.get("kind") == "module"
        series = self.series(path)
        losses = series.columns["train_loss"] if series.columns["train_loss"] else []
        places = series.places(SPARK)
        return dict(finite({
            "run": path.name,
            "status": status_of(path, values),
            "started": values.get("started"),
            "formula": values["settings"].get("module") if module else values["design"]["formula"],
            "verdict": result.get("verdict"),
            "loss": result.get("loss", losses[-1] if losses else None),
            "epochs": max(series.last, 0),
            "spark": [_loss(series, i) for i in places][-4 * SPARK:],
            "settings": [] if module else said_settings(RunSettings(**values["settings"])),
        }))  # fmt: skip

    def series(self, path: Path, *, whole: bool = True) -> Series:
        """The records of a run, read on to their end, or a part of the way."""
        with self._lock(path.name):
            series = self._series.setdefault(path.name, Series(path))
            series.read(None if whole else MOST_BLOCKS)
            return series

    def records(self, run: str, after: int) -> dict[str, Any]:
        """Records after that number as columns, thinned."""
        path = self.find(run)
        with self._lock(run):
            terms = self._terms.get(run)
            if terms is None:
                terms = self._terms[run] = [c["term"] for c in self.scene(run)["coef"]]
            series = self.series(path)
            table = series.table(series.places(after=after), terms)
            return {**table, "generation": series.generation, "of": len(series)}

    def scene(self, run: str) -> dict[str, Any]:
        """What a page shows of a run, made anew where the run folder has changed."""
        path = self.find(run)
        with self._lock(run):
            now = self._seen(path).result
            kept = self._scenes.get(run)
            if kept is None or kept[0] != now:
                kept = (now, {**scene_of(path), "id": run})
                self._scenes[run] = kept
            return kept[1]

    def _seen(self, path: Path) -> Seen:
        """The run folder as it is, by what costs no reading; raises RunError where it is gone."""
        try:
            run = (path / "run.json").stat()
        except OSError:
            raise RunError(f"the folder of run {path.name} is gone: give another run") from None
        written = (run.st_mtime_ns, run.st_ino)
        if self._said.get(path.name, (None,))[0] != written:
            self._said[path.name] = (written, read_json(path / "run.json").get("status"))
        going = self._said[path.name][1] == "running" and is_held(path)
        return Seen((*written, going, _file(path / LAYERS)), _file(path / "epochs.jsonl"))

    def news(self, seen: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What has changed since the last call with the same `seen`: runs that came or went, grew or ended."""
        names, first = [path.name for path in self.runs()], "" not in seen
        if seen.get("") != names:
            if not first:
                yield {"type": "runs"}
                for gone in set(seen[""]) - set(names):
                    yield {"type": "gone", "run": gone}
            seen[""] = names
        for path in self.runs():
            before, now = seen.get(path.name), None
            with suppress(RunError):
                now = self._seen(path)
            if now is None and before is not None:
                yield {"type": "gone", "run": path.name}
            seen[path.name] = now
            if first or now is None or before == now:
                continue
            if before is None or before.result != now.result:
                yield {"type": "changed", "run": path.name}
            if before is not None and before.records != now.records:
                series = self.series(path, whole=False)
                yield {"type": "grew", "run": path.name, "last": series.last, "generation": series.generation}


def _file(path: Path) -> tuple[int, int] | None:
    """How long a file is, and which one; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_ino


def _loss(series: Series, i: int) -> float:
    loss = series.columns["train_loss"][i]
    return loss if loss == loss else series.columns["running_loss"][i]
