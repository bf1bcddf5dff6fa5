"""The run folder: run.json, epochs.jsonl, model.safetensors, figures/."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ..errors import RunError, nearest, shown
from ..records import Epoch, Stop
from .files import finite, read_json, write_json

__all__ = ["RunFolder", "as_dict", "default_output", "find_run", "list_runs", "read_epochs", "unused_folder"]

FORMAT = 1


def default_output() -> Path:
    """Where run folders go: SIGHTLINE_RUNS, or ./runs."""
    return Path(os.environ.get("SIGHTLINE_RUNS") or "runs")


class RunFolder:
    """One run being written. `run.json` is rewritten whole, `epochs.jsonl` grows a line at a time."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self._epochs: IO[str] | None = None

    @classmethod
    def create(cls, output: Path, manifest: Mapping[str, Any]) -> RunFolder:
        """A new folder under `output` with a short id that no other run has."""
        try:
            output.mkdir(parents=True, exist_ok=True)
            path = unused_folder(output)
            (path / "figures").mkdir()
        except OSError as error:
            raise RunError(
                f"cannot write runs to {output}: {error.strerror}; choose another place with --output"
            ) from None
        started = datetime.now(UTC).isoformat(timespec="seconds")
        folder = cls(path, {"format": FORMAT, "run": path.name, "status": "running", "started": started, **manifest})
        write_json(path / "run.json", folder.manifest)
        folder._epochs = open(path / "epochs.jsonl", "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - closed by finish
        return folder

    @property
    def id(self) -> str:
        """The run's short name."""
        return self.path.name

    def append(self, epoch: Epoch) -> None:
        """One record, one line, one write."""
        assert self._epochs is not None
        self._epochs.write(json.dumps(finite(as_dict(epoch)), allow_nan=False) + "\n")

    def finish(self, status: str, **more: Any) -> None:
        """Close the records and write the final run.json."""
        if self._epochs is not None:
            self._epochs.close()
            self._epochs = None
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self.manifest = {**self.manifest, "status": status, "finished": finished, **more}
        write_json(self.path / "run.json", self.manifest)


def unused_folder(output: Path, prefix: str = "") -> Path:
    """A new folder under `output`: the prefix and a short id that no other has."""
    for attempt in range(64):
        path = output / f"{prefix}{secrets.token_hex(2 if attempt < 32 else 4)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise RunError(f"no free run id under {output}: choose another place with --output")


def as_dict(epoch: Epoch) -> dict[str, Any]:
    """A record as plain values."""
    values = {f.name: getattr(epoch, f.name) for f in fields(epoch)}
    values["parameters"] = dict(epoch.parameters)
    if epoch.stop is not None:
        values["stop"] = {"reason": epoch.stop.reason, "sentence": epoch.stop.sentence}
    return values


def read_epochs(folder: Path) -> Iterator[Epoch]:
    """The records of a run; a last line that a crash cut short is left out."""
    path = folder / "epochs.jsonl"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}; give the id or the folder of a run") from None
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
            stop = values.pop("stop", None)
            yield Epoch(**values, stop=Stop(**stop) if stop else None)
        except (ValueError, TypeError, AttributeError):
            if number == len(lines):
                return
            raise RunError(f"{path} line {number} is damaged: restore the folder from a copy or train again") from None


def find_run(name: str | os.PathLike[str], output: Path | None = None) -> Path:
    """The folder of a run given by its folder, its id, or the beginning of its id."""
    path = Path(name)
    if (path / "run.json").is_file():
        return path
    output = output or default_output()
    known = [p.parent for p in sorted(output.glob("*/run.json"))]
    matches = [p for p in known if p.name.startswith(str(name))] if str(name) else []
    exact = [p for p in matches if p.name == str(name)]
    if len(exact or matches) == 1:
        return (exact or matches)[0]
    if matches:
        raise RunError(
            f"{shown(name)} fits {len(matches)} runs: {', '.join(p.name for p in matches)}; give more of the id"
        )
    raise RunError(f"no run {shown(name)} in {output}: {nearest(str(name), [p.name for p in known])}")


def list_runs(output: Path | None = None) -> list[dict[str, Any]]:
    """The run.json of every run under `output`, oldest first; folders that cannot be read are passed over."""
    found = []
    for path in (output or default_output()).glob("*/run.json"):
        try:
            found.append({**read_json(path), "folder": str(path.parent)})
        except RunError:
            continue
    return sorted(found, key=lambda run: str(run.get("started", "")))
