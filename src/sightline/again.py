"""The rows of a finished run, read again from where it was trained."""

from __future__ import annotations

from pathlib import Path

from .errors import RunError, SightlineError, shown
from .prepare import Prepared, prepare_for
from .run import Run

__all__ = ["prepared_again"]


def prepared_again(run: Run) -> Prepared:
    """The rows as they were, read again.

    Raises RunError where they are in no file, gone, or changed.
    """
    name, path = run.result["run"], run.source.get("path")
    if not path:
        raise RunError(f"run {name} was trained on data that are in no file: save them to a file and fit that")
    if not Path(path).is_file():
        raise RunError(f"run {name} was trained on {shown(path, limit=200)}, which is gone: put it back, or fit again")
    try:
        prepared = prepare_for(run.settings, path, run.design.formula, target=None)
    except SightlineError:  # what stands there now is other data, of which these rows cannot be made
        prepared = None
    if prepared is None or prepared.fingerprint != run.source.get("fingerprint"):
        raise RunError(
            f"{shown(path, limit=200)} has changed since run {name} was trained on it: restore it, or fit again"
        )
    return prepared
