"""The newest checkpoint of a run folder that holds, taken up by what is to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from .engines.base import Engine
from .engines.devices import is_of_device
from .errors import RunError
from .records import Epoch
from .runs.checkpoint import Checkpoint, read_checkpoints
from .runs.store import RunFolder, read_epochs

__all__ = ["Restorable", "readable_records", "restored"]


class Restorable(Protocol):
    """What goes on."""

    @property
    def engine(self) -> Engine:
        """What trains."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of a checkpoint."""


def readable_records(folder: Path) -> list[Epoch]:
    """The records up to the first that cannot be read; whether they are enough is judged by the checkpoint."""
    found: list[Epoch] = []
    try:
        for number, record in enumerate(read_epochs(folder)):
            if record.number != number:
                break
            found.append(record)
    except RunError:
        pass
    return found


def restored(
    folder: RunFolder, to: Restorable, records: Sequence[Epoch], *, begun: bool
) -> tuple[Sequence[Epoch], Sequence[str]]:
    """The engine at the newest checkpoint that holds; the records until there; what was found damaged.

    `begun` says that there must be one. Raises RunError where none can be used.
    """
    name = folder.path.name
    faults: list[str] = []
    for found in read_checkpoints(folder.path, folder.id):
        fault = found if isinstance(found, str) else _fault(found, to, records)
        if isinstance(found, Checkpoint) and not fault:
            end = f": run {name} goes on from the checkpoint before it, at epoch {found.epoch:,}"
            return records[: found.epoch + 1], [f"{fault}{end}" for fault in faults]
        faults.append(str(fault))
    remedy = "restore the folder from a copy or train again"
    if faults:
        raise RunError(f"run {name} cannot go on, for {' and '.join(faults)}: {remedy}")
    if begun or (folder.path / "state.safetensors").exists():
        raise RunError(f"run {name} cannot go on, for its state.json is missing: {remedy}")
    return [], [f"run {name} was stopped before its first checkpoint: it begins again"]


def _fault(found: Checkpoint, to: Restorable, records: Sequence[Epoch]) -> str:
    """What stands against this checkpoint, as a clause; else the engine has taken it up."""
    own = to.engine.state_dict()
    try:
        held, wanted = _shapes(found.state["module"]), _shapes(own["module"])
        if held != wanted:
            return f"{found.file} holds another model ({_brief(held)}, and the run trains {_brief(wanted)})"
        if _options(found.state) != _options(own):
            return f"{found.file} holds the state of another optimizer or schedule"
        if found.epoch >= len(records):
            return f"{found.file} is of epoch {found.epoch:,}, and epochs.jsonl ends before"
        to.load_state_dict(found.state)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        if is_of_device(error):
            raise
        return f"{found.file} holds the state of another optimizer or schedule"
    return ""


def _shapes(module: Mapping[str, Any]) -> list[str]:
    tensors = {key: v for key, v in module.items() if isinstance(v, Tensor)}
    return [f"{key} {str(v.dtype).removeprefix('torch.')} {tuple(v.shape)}" for key, v in tensors.items()]


def _brief(shapes: Sequence[str]) -> str:
    return ", ".join(shapes[:4]) + (f" and {len(shapes) - 4} more" if len(shapes) > 4 else "")


def _options(state: Mapping[str, Any]) -> list[list[str]]:
    """By which names the state of an optimizer and of a schedule is told from that of others."""
    stepping = state["stepping"]
    return [sorted(names) for names in (*state["optimizer"]["param_groups"], stepping, stepping.get("schedule", ()))]
