"""Runs that are started from the page: the settings of a run with other numbers, in a process of their own."""

from __future__ import annotations

import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..pages.commands import fit_command
from ..runs.store import read_manifest
from ..settings import RunSettings
from .shelf import Shelf

__all__ = ["Refusal", "Starts", "begin"]

MOST_EPOCHS = 1_000_000


class Starts:
    """Starts `sightline fit` with numbers from the page, and nothing else from it: data, formula and everything but
    rate, momentum, start, epochs, coordinates and precision are those of the run.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def start(self, asked: Any) -> dict[str, str]:
        """The id and the command of the new run, once its folder is there."""
        if not isinstance(asked, Mapping) or not isinstance(asked.get("run"), str):
            raise UsageError("the settings name no run: start runs from the page")
        folder = self.shelf.find(asked["run"])
        manifest = read_manifest(folder)
        if manifest.get("kind") == "module":
            raise UsageError("a module of your own is trained by your own script: change its settings there")
        path = manifest.get("source", {}).get("path")
        if not path:
            raise UsageError("this run was trained on data that are in no file: save them to a file and fit that")
        settings = _changed(RunSettings(**manifest["settings"]), asked)
        command = fit_command(str(path), manifest["design"]["formula"], settings)
        begun = begin([*shlex.split(command)[2:], "--output", str(folder.parent)])
        if isinstance(begun, Refusal):
            raise UsageError(begun.text.strip().removeprefix("error: ") or "the run ended before it began")
        self.shelf.include(begun.name)
        return {"run": begun.name, "command": command}


@dataclass(frozen=True)
class Refusal:
    """A fit that ended before it began: its exit code, and what it said."""

    code: int
    text: str


def begin(words: Sequence[str]) -> Path | Refusal:
    """Start `sightline fit` with these words in a process of its own; the run folder as soon as it is there."""
    command = [sys.executable, "-m", "sightline", "fit", "--tell-folder", "--quiet", *words]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, errors="replace")
    assert process.stdout is not None
    if told := process.stdout.readline().rstrip("\n"):
        threading.Thread(target=process.communicate, daemon=True).start()  # what else it says, so that it can go on
        return Path(told)
    _, said = process.communicate()
    return Refusal(process.returncode, said)


def _changed(settings: RunSettings, asked: Mapping[str, Any]) -> RunSettings:
    """The settings with the numbers of the page; only numbers, and words from a short list, are taken."""
    start = asked.get("start")
    epochs = _number(asked, "epochs", low=1, high=MOST_EPOCHS)
    momentum = _number(asked, "momentum", low=0.0, high=1.0)
    if asked.get("dtype") not in ("float32", "float64"):
        raise UsageError("the precision is neither float32 nor float64: start runs from the page")
    changed = replace(
        settings, lr=_number(asked, "lr", low=0.0, high=1e300), momentum=momentum, auto_momentum=False,
        nesterov=bool(asked.get("nesterov")) and momentum > 0, standardize=bool(asked.get("standardize")),
        dtype=asked["dtype"], epochs=int(epochs), optimizer="sgd", opt={}, batch_size=None, engine="auto",
        schedule=None, schedule_opt={}, warmup=None, clip_norm=None, clip_value=None, accumulate=None,
        patience=None, min_improvement=None, target_loss=None, time_limit=None, restore_best=True, figures="final",
        start={},
    )  # fmt: skip
    if not isinstance(start, list):
        return changed
    if not all(isinstance(v, (int, float)) and abs(v) < 1e300 for v in start):
        raise UsageError("the start has something that is no number: start runs from the page")
    return replace(changed, start=_start(asked, start))


def _start(asked: Mapping[str, Any], values: list[float]) -> dict[str, float]:
    terms = asked.get("terms")
    if not isinstance(terms, list) or len(terms) != len(values) or not all(isinstance(t, str) for t in terms):
        raise UsageError("the start has not one number for each term: start runs from the page")
    return {term: float(value) for term, value in zip(terms, values, strict=True) if value}


def _number(asked: Mapping[str, Any], name: str, *, low: float, high: float) -> float:
    value = asked.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise UsageError(f"{name} is no number between {low:g} and {high:g}: start runs from the page")
    return float(value)
