"""A run as a page shows it: one object of plain values, whatever the run is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..again import prepare_again
from ..data.design import Design
from ..errors import RunError, SightlineError, UsageError
from ..job import Job
from ..records import Verdict, Warning
from ..run import load_without_records
from ..runs.files import finite
from ..runs.store import read_manifest, status_of
from ..scenes.standpoint import Standpoint
from ..scenes.truths import truth_scene
from ..settings import RunSettings
from ..views.readings import standing_readings
from .commands import commands_of, said_settings
from .modules import module_scene

__all__ = ["FORMAT", "scene_of", "stand_of", "verdict_of", "with_readings"]

FORMAT = 1


def scene_of(folder: Path) -> dict[str, Any]:
    """Everything that a page says of the run in `folder` besides its records.

    What needs the rows says why it is missing where they are gone or have changed. Raises RunError where the folder is
    missing or damaged.
    """
    manifest = read_manifest(folder)
    try:
        of = module_scene if manifest.get("kind") == "module" else _table_scene
        scene = {**_head(folder, manifest), **of(folder, manifest)}
    except (UsageError, KeyError, TypeError, ValueError, AttributeError) as error:
        path = folder / "run.json"
        raise RunError(f"{path} is damaged ({error}): restore the folder from a copy or train again") from None
    return with_readings(scene)


def with_readings(scene: Mapping[str, Any]) -> dict[str, Any]:
    """A scene of plain values, with the sentences that no epoch changes."""
    plain: dict[str, Any] = finite(scene)
    return {**plain, "said": standing_readings(plain)}


def _head(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "id": str(manifest.get("run", folder.name)),
        "status": status_of(folder, manifest),
        "started": manifest.get("started"),
        "finished": manifest.get("finished"),
        "versions": manifest.get("versions", {}),
        "resumed": [at.get("epoch") for at in manifest.get("resumed", []) if isinstance(at, dict)],
        "verdict": _verdict(manifest),
    }


def _verdict(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was said at the end of the run; None before."""
    result = manifest.get("result")
    if result is None:
        return None
    return {"name": result["verdict"], "sentence": manifest.get("sentence", ""), "warnings": result["warnings"]}


def verdict_of(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values."""
    return {"name": verdict.name, "sentence": verdict.sentence, "warnings": _plain(verdict.warnings)}


def _plain(warnings: Sequence[Warning]) -> list[dict[str, Any]]:
    return [{"code": w.code, "text": w.text, "fix": list(w.fix)} for w in warnings]


def _table_scene(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A linear, logistic or softmax model of a table."""
    settings, design = RunSettings(**manifest["settings"]), Design.from_dict(manifest["design"])
    source = manifest.get("source", {})
    run = load_without_records(folder) if "result" in manifest else None
    job, missing = _job(folder, manifest, settings, design)
    scene: dict[str, Any] = {
        "kind": "classes" if design.classes else "line",
        "name": source.get("name"), "formula": design.formula, "target": design.target,
        "rows": source.get("rows"), "fingerprint": source.get("fingerprint"),
        "settings": said_settings(settings), "dtype": settings.dtype,
        "commands": commands_of(folder, source, design.formula, settings),
        "missing": missing,
    }  # fmt: skip
    if job is not None:
        scene["before"] = _plain(job.warnings)
    stand = None if job is None else stand_of(job)
    return {**scene, **truth_scene(stand, run, settings, design)}


def stand_of(job: Job) -> Standpoint:
    """From where the page of a fit looks at it."""
    engine = {"name": job.engine_name, "reason": job.reason}
    frozen_at = job.freeze.epoch if job.freeze else None
    return Standpoint(job.truth, job.prepared.rows.pictured(), job.settings, job.step, job.evidence, engine, frozen_at)


def _job(
    folder: Path, manifest: Mapping[str, Any], settings: RunSettings, design: Design
) -> tuple[Job | None, str | None]:
    """The fit as it was before its first epoch; else why it cannot be made again."""
    source = manifest.get("source", {})
    try:
        prepared = prepare_again(folder.name, source, settings, design.formula, otherwise="save them to a file")
        return Job.of(prepared, replace(settings, device="cpu")), None  # for its numbers before training
    except SightlineError as error:
        return None, error.message
