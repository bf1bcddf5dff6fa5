"""The runs that a page can show: found by their ids, read on as they grow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import RunError, SightlineError, nearest
from ..pages.commands import said_settings
from ..pages.scene import scene_of
from ..runs.files import finite, read_json
from ..runs.lock import is_held
from ..runs.series import Series
from ..runs.store import status_of
from ..settings import RunSettings

__all__ = ["Shelf"]

SPARK = 60
MOST_BLOCKS = 2  # of 4 MB, read of a growing file at a time


class Shelf:
    """One run and those that are started from its page, or all runs in a folder; an id is only ever looked up among
    them, so that it can be no path.
    """

    def __init__(self, folder: Path, only: str | None = None) -> None:
        self.folder = folder
        self._only = None if only is None else [only]
        self._series: dict[str, Series] = {}
        self._scenes: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}
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
                found.append(self._short(path))
            except (SightlineError, OSError, KeyError, TypeError, ValueError, AttributeError):
                found.append({"run": path.name, "status": "damaged", "started": "", "formula": "", "spark": []})
        return sorted(found, key=lambda run: str(run["started"]), reverse=True)

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
        scene = self.scene(run)
        with self._lock(run):
            series = self.series(path)
            table = series.table(series.places(after=after), [c["term"] for c in scene["coef"]])
            return {**table, "generation": series.generation, "of": len(series)}

    def scene(self, run: str) -> dict[str, Any]:
        """What a page shows of a run, made anew where the run folder has changed."""
        path = self.find(run)
        stamp = _stamp(path)
        with self._lock(run):
            kept = self._scenes.get(run)
            if kept is None or kept[0] != stamp:
                kept = (stamp, {**scene_of(path), "id": run})
                self._scenes[run] = kept
            return kept[1]

    def _stamps(self, path: Path) -> tuple[Any, Any] | None:
        """What tells that a run has changed, and that it has grown; of one that says that it is running, too whether
        somebody writes it.
        """
        try:
            run = (path / "run.json").stat()
            records = (path / "epochs.jsonl").stat()
            written = (run.st_mtime_ns, run.st_ino)
            if self._said.get(path.name, (None,))[0] != written:
                self._said[path.name] = (written, read_json(path / "run.json").get("status"))
        except (OSError, RunError):
            return None
        writing = self._said[path.name][1] == "running" and is_held(path)
        return (*written, writing), (records.st_size, records.st_ino)

    def news(self, seen: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What has changed since the last call with the same `seen`: runs that came or went, grew or ended."""
        names = [path.name for path in self.runs()]
        if seen.get("") != names:
            if "" in seen:
                yield {"type": "runs"}
                for gone in set(seen[""]) - set(names):
                    yield {"type": "gone", "run": gone}
            seen[""] = names
        for path in self.runs():
            before, now = seen.get(path.name), self._stamps(path)
            if now is None and before is not None:
                yield {"type": "gone", "run": path.name}
            seen[path.name] = now
            if before is None or now is None or before == now:
                continue
            if before[0] != now[0]:
                yield {"type": "changed", "run": path.name}
            if before[1] != now[1]:
                series = self.series(path, whole=False)
                yield {"type": "grew", "run": path.name, "last": series.last, "generation": series.generation}


def _loss(series: Series, i: int) -> float:
    loss = series.columns["train_loss"][i]
    return loss if loss == loss else series.columns["running_loss"][i]


def _stamp(path: Path) -> tuple[int, ...]:
    """When run.json was written, and whether somebody is writing the run."""
    try:
        at = (path / "run.json").stat()
    except OSError:
        raise RunError(f"the folder of run {path.name} is gone: give another run") from None
    layers = path / "layers.jsonl"
    status = status_of(path, read_json(path / "run.json"))
    return at.st_mtime_ns, at.st_ino, hash(status), layers.stat().st_size if layers.exists() else 0
