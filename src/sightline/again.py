"""The rows of a finished run, read again from where it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import RunError, SightlineError, shown
from .prepare import prepare_for
from .prepared import Prepared
from .run import Run
from .settings import RunSettings

__all__ = ["prepare_again", "prepared_again"]


def prepared_again(run: Run) -> Prepared:
    """The rows of a run as they were.

    Raises RunError where they are in no file, gone, or changed.
    """
    name = str(run.result["run"])
    otherwise = "save them to a file and fit that"
    return prepare_again(name, run.source, run.settings, run.design.formula, otherwise=otherwise)


def prepare_again(
    run: str, source: Mapping[str, Any], settings: RunSettings, formula: str, *, data: object = None, otherwise: str
) -> Prepared:
    """The rows that a run was trained on, read again from their file, or from `data` where they are given.

    Raises RunError where they are gone or changed; `otherwise` says what to do where they are in no file.
    """
    path = source.get("path")
    if data is None and not path:
        raise RunError(f"run {run} was trained on data that are in no file: {otherwise}")
    if data is None and not Path(str(path)).is_file():
        raise RunError(f"run {run} was trained on {shown(path, limit=200)}, which is gone: put it back, or fit again")
    try:
        prepared = prepare_for(settings, path if data is None else data, formula, target=None)
    except SightlineError:  # what stands there now is other data, of which these rows cannot be made
        prepared = None
    if prepared is None or prepared.fingerprint != source.get("fingerprint"):
        what = shown(path, limit=200) if data is None else prepared.name if prepared else "what was given"
        raise RunError(f"{what} has changed since run {run} was trained on it: restore it, or fit again")
    return replace(prepared, label=str(source.get("name", prepared.label)))
