"""Model and training state as safetensors and JSON, two generations with checksums: no pickle, nothing executed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import UsageError, shown
from ..records import Epoch
from .files import rename, sync_folder, write_aside, write_bytes
from .store import RunFolder

__all__ = ["Checkpoint", "Checkpoints", "check_state", "read_checkpoints", "save_model", "save_state"]

FORMAT = 1
NAMES = ("state", "state.previous")  # the newer generation, and the one before it
PAUSE = 2.0  # seconds between two checkpoints, at least
SHARE = 0.02  # of the time, at most, that goes into them


@dataclass(frozen=True)
class Checkpoint:
    """Everything the epoch after `epoch` depends on, and the seconds of training until then; `file` is its name."""

    file: str
    state: dict[str, Any]
    epoch: int
    seconds: float


def save_model(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """`model.safetensors` with these keys, as `torch.nn.Linear.load_state_dict` takes them."""
    from safetensors.torch import save

    write_bytes(
        folder / "model.safetensors", save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    )


class Checkpoints:
    """A sink that saves the state, as `state` gives it, every two seconds, or more rarely where that costs much."""

    def __init__(self, folder: RunFolder, state: Callable[[], Mapping[str, Any]]) -> None:
        self._folder, self._state = folder, state
        self._next = perf_counter() + PAUSE
        self._last: Epoch | None = None

    def __call__(self, record: Epoch) -> None:
        """Save, if it is time to."""
        self._last = record
        if perf_counter() >= self._next:
            self.save(record)

    def within_epoch(self) -> None:
        """Save in the middle of the epoch after the last record, if it is time to: the state knows its position."""
        if self._last is not None and perf_counter() >= self._next:
            self.save(self._last)

    def save(self, record: Epoch) -> None:
        """Save the state that this record describes; the records first, so that none is missing that leads to it."""
        began = perf_counter()
        self._folder.sync()
        state = self._state()
        save_state(self._folder.path, state, epoch=record.number, seconds=record.seconds, run=self._folder.id)
        ended = perf_counter()
        self._next = ended + max(PAUSE, (ended - began) / SHARE)


def save_state(folder: Path, state: Mapping[str, Any], *, epoch: int, seconds: float, run: str = "") -> None:
    """Tensors in state.safetensors, the rest in state.json; what was there becomes the previous generation.

    The JSON names its tensors by their SHA-256, and a JSON and its tensors are found together whichever of the names
    they have. So there is a whole generation after each of the four renames, wherever a crash falls between them. The
    disk may be late with renames and in another order, so the folder is synced after each two of them: the older
    generation has its names there before the newer takes them.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    values = {"format": FORMAT, "run": run, "epoch": epoch, "seconds": seconds, "state": _split(state, "", tensors)}
    content = save(tensors)
    values["tensors"] = hashlib.sha256(content).hexdigest()
    values["checksum"] = _checksum(values)
    newest, previous = NAMES
    text = (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()
    written = {
        ".safetensors": write_aside(folder / f"{newest}.safetensors", [content]),
        ".json": write_aside(folder / f"{newest}.json", [text]),
    }
    for ending in (".json", ".safetensors"):
        if (folder / f"{newest}{ending}").exists():
            rename(folder / f"{newest}{ending}", folder / f"{previous}{ending}")
    sync_folder(folder)
    for ending, path in written.items():
        rename(path, folder / f"{newest}{ending}")
    sync_folder(folder)


def check_state(state: Mapping[str, Any]) -> None:
    """Refuse, before anything is trained, a state that could not be saved."""
    _split(state, "", {})


def read_checkpoints(folder: Path, run: str = "") -> Iterator[Checkpoint | str]:
    """The checkpoints of that run, the newest first; of one that cannot be used, a clause that says why."""
    tensors = {name: _bytes(folder / f"{name}.safetensors") for name in NAMES}
    by_checksum = {hashlib.sha256(content).hexdigest(): content for content in tensors.values() if content is not None}
    for name in NAMES:
        content = _bytes(folder / f"{name}.json")
        if content is not None:
            yield _read(f"{name}.json", content, run, by_checksum)


def _bytes(path: Path) -> bytes | None:
    """What the file holds; None where there is none, nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        return b""


def _read(file: str, content: bytes, run: str, tensors: Mapping[str, bytes]) -> Checkpoint | str:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        values = json.loads(content)
        if values["format"] != FORMAT:
            return f"{file} has format {shown(values['format'], quote=False)}, and this sightline reads {FORMAT}"
        if values.pop("checksum") != _checksum(values):
            return f"{file} is damaged (its checksum is another)"
        if values["run"] != run:
            return f"{file} belongs to run {shown(values['run'], quote=False)}"
        if values["tensors"] not in tensors:
            return f"{file.removesuffix('json')}safetensors is damaged, missing or of another run"
        state = _join(values["state"], load(tensors[values["tensors"]]))
        return Checkpoint(file, state, int(values["epoch"]), float(values["seconds"]))
    except (SafetensorError, RecursionError, AttributeError, LookupError, TypeError, ValueError):
        return f"{file} is damaged"


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()


# A nested state becomes plain JSON in which {"tensor": key} stands for a tensor, {"tuple": [...]} for a tuple,
# {"float": "inf"} for a number that JSON cannot write, {"numpy": dtype, "value": number} for one of numpy, and
# {"items": [[key, value], ...]} for a dict, whose keys may be whole numbers.


def _split(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": path}
    if isinstance(value, Mapping):
        return {"items": [[k, _split(v, f"{path}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_split(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":  # whose arithmetic rounds in its own way
        return {"numpy": value.dtype.name, "value": _split(value.item(), path, tensors)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UsageError(
        f"the state of the training holds a {type(value).__name__} at {path}, which no checkpoint can hold: keep "
        "tensors and plain values there, or keep no run folder with output=False"
    )


def _join(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_join(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(_join(v, tensors) for v in value["tuple"])
    if "numpy" in value:
        return np.dtype(value["numpy"]).type(_join(value["value"], tensors))
    if "float" in value:
        return float(value["float"])
    return {k: _join(v, tensors) for k, v in value["items"]}
