"""The run folder: run.json, epochs.jsonl, model.safetensors, figures/."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ..errors import RunError, UsageError, nearest, shown
from ..records import Epoch, Stop
from .files import finite, read_json, sync_folder, write_bytes, write_json
from .lock import Lock, is_held

__all__ = [
    "LAYERS",
    "RunFolder",
    "as_dict",
    "default_output",
    "find_run",
    "list_runs",
    "read_epochs",
    "read_manifest",
    "status_of",
    "unused_folder",
]

FORMAT = 1
LAYERS = "layers.jsonl"  # sizes by layer, of modules


def default_output() -> Path:
    """Where run folders go: SIGHTLINE_RUNS, or ./runs."""
    return Path(os.environ.get("SIGHTLINE_RUNS") or "runs")


class RunFolder:
    """One run being written, by this process alone. `run.json` is rewritten whole, `epochs.jsonl` grows a line at a
    time.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], lock: Lock) -> None:
        self.path, self.manifest = path, manifest
        self._lock = lock
        self._epochs: IO[str] | None = None
        self._kept = -1

    @classmethod
    def create(cls, output: Path, manifest: Mapping[str, Any]) -> RunFolder:
        """A new folder under `output` with a short id that no other run has."""
        try:
            output.mkdir(parents=True, exist_ok=True)
            path = unused_folder(output)
            (path / "figures").mkdir()
        except (OSError, ValueError) as error:
            why, where = getattr(error, "strerror", None) or error, shown(output, quote=False, limit=200)
            raise RunError(f"cannot write runs to {where}: {why}; choose another place with --output") from None
        values = {"format": FORMAT, "run": path.name, "status": "running", "started": _now(), **manifest}
        folder = cls(path, values, Lock(path))
        write_json(path / "run.json", folder.manifest)
        folder._open_records()
        sync_folder(output)
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of a run that is there, to go on with; nothing is changed in it but what a crash left half
        written is taken away.

        Raises RunError where another process is writing it.
        """
        values = read_manifest(path)
        lock = Lock(path)
        for part in path.glob(".*.part"):
            part.unlink(missing_ok=True)
        return cls(path, values, lock)

    @property
    def id(self) -> str:
        """The run's short name; a copy of the folder may have another name."""
        return str(self.manifest.get("run", self.path.name))

    def go_on(self, last: Epoch | None, **changed: Any) -> None:
        """Take up writing after the record `last`: later ones are cut off, and `last` no longer ends the run; None
        begins again.
        """
        before = self.manifest.get("resumed", [])
        going = [*(before if isinstance(before, list) else []), {"epoch": last.number if last else 0, "at": _now()}]
        self.manifest = {**self.manifest, **changed, "status": "running", "resumed": going}
        write_json(self.path / "run.json", self.manifest)
        self._kept = last.number if last else -1
        self._rewrite(replace(last, stop=None) if last else None)
        self._open_records()

    def append(self, epoch: Epoch) -> None:
        """One record, one line, one write; that from which the run went on has its line, unless it ends here."""
        assert self._epochs is not None
        if epoch.number > self._kept:
            try:
                self._epochs.write(_line(epoch))
            except OSError as error:
                raise self._unwritten(error) from None
        elif epoch.stop is not None:
            self.end_with(epoch)

    def end_with(self, last: Epoch) -> None:
        """The last record as it is now, in the place of its line."""
        self._close_records()
        self._rewrite(last)
        self._open_records()

    def sync(self) -> None:
        """See that all records are on the disk."""
        if self._epochs is not None:
            os.fsync(self._epochs.fileno())

    def finish(self, status: str, **more: Any) -> None:
        """Close the records, write the final run.json, let the folder go."""
        self.manifest = {**self.manifest, "status": status, "finished": _now(), **more}
        try:
            self._close_records()
            write_json(self.path / "run.json", self.manifest)
        finally:
            self.close()

    def close(self) -> None:
        """Let the folder go as it is."""
        self._close_records()
        self._lock.release()

    def _open_records(self) -> None:
        self._epochs = open(self.path / "epochs.jsonl", "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - closed later

    def _close_records(self) -> None:
        epochs, self._epochs = self._epochs, None
        if epochs is not None:
            try:
                epochs.close()
            except OSError as error:
                raise self._unwritten(error) from None

    def _unwritten(self, error: OSError) -> RunError:
        return RunError(
            f"cannot write {self.path / 'epochs.jsonl'}: {error.strerror}; free space there or choose another --output"
        )

    def _rewrite(self, last: Epoch | None) -> None:
        """The lines before that record as they are, then its own, then nothing."""
        path = self.path / "epochs.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        kept = [*lines[: last.number], _line(last).encode()] if last else []
        if kept != lines:
            write_bytes(path, b"".join(kept))


def _line(epoch: Epoch) -> str:
    return json.dumps(finite(as_dict(epoch)), allow_nan=False) + "\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_manifest(path: Path) -> dict[str, Any]:
    """The run.json of a run, if this sightline can read it."""
    values = read_json(path / "run.json")
    if values.get("format") != FORMAT:
        raise RunError(
            f"{path} has format {values.get('format')}, this sightline reads {FORMAT}: upgrade sightline to open it"
        )
    return values


def status_of(path: Path, values: Mapping[str, Any]) -> str:
    """The status in the run.json of a run: running, done, interrupted or failed; killed where it says running and no
    process writes the run any longer.
    """
    status = str(values.get("status"))
    if status != "running" or is_held(path):
        return status
    now = str(read_json(path / "run.json").get("status"))  # it may have ended since
    return "killed" if now == "running" else now


def unused_folder(output: Path, prefix: str = "") -> Path:
    """A new folder under `output`: the prefix and a short id that no other has."""
    import secrets  # which loads OpenSSL, and those who only read runs have no use for it

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
    if not isinstance(name, (str, os.PathLike)):
        raise UsageError(f"the run is a {type(name).__name__}: give its folder or its id")
    path = Path(name)
    if _holds_run(path):
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


def _holds_run(path: Path) -> bool:
    try:
        return (path / "run.json").is_file()
    except OSError:  # a name that is too long
        return False


def list_runs(output: Path | None = None) -> list[dict[str, Any]]:
    """The run.json of every run under `output`, oldest first, with its `folder` and its `status` as of now; folders
    that cannot be read are passed over.
    """
    found = []
    for path in (output or default_output()).glob("*/run.json"):
        try:
            values = read_json(path)
            found.append({**values, "status": status_of(path.parent, values), "folder": str(path.parent)})
        except RunError:
            continue
    return sorted(found, key=lambda run: str(run.get("started", "")))
