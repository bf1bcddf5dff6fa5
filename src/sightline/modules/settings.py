"""What a training of a module is, as plain values: kept with the run, and compared when it is gone on with."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

from ..engines.feeds import Feed, TensorFeed, tensors_in
from ..engines.guarding.checks import loss_name
from ..engines.stepping import settings_used
from ..errors import RunError, UsageError, shown
from ..runs.files import finite
from ..runs.store import RunFolder
from ..training import Training
from .run import KIND

__all__ = ["check_same", "told"]


def told(training: Training, options: Mapping[str, Any]) -> dict[str, Any]:
    """Module, loss, optimizer, data and what the loop does with them."""
    problem, step = training.problem, options.get("step")
    module = getattr(problem.module, "_orig_mod", problem.module)
    autocast = options.get("autocast")
    values = {
        "module": type(module).__name__,
        "layers": Counter(type(m).__name__ for m in module.modules()),
        "loss": None if options.get("loss") is None else loss_name(options["loss"]),
        "optimizer": {"name": type(problem.optimizer).__name__, **settings_used(problem.optimizer, problem.stepping)},
        "epochs": training.epochs,
        "batch_size": options.get("batch_size"),
        "seed": options.get("seed", 0),
        "autocast": None if autocast is None else str(autocast).removeprefix("torch."),
        "step": None if step is None else getattr(step, "__name__", type(step).__name__),
        "data": _data(problem.feed),
        "validation": None if training.validate is None else _data(training.validate.feed),
    }
    plain: dict[str, Any] = json.loads(json.dumps(finite(values)))
    return plain


def _data(feed: Feed) -> dict[str, Any]:
    """Rows in memory by their number and checksum; of a stream what it says of itself, and holds."""
    if isinstance(feed, TensorFeed):
        return {"rows": feed.rows, "fingerprint": _fingerprint((feed.inputs, feed.target))}
    source = feed.source  # type: ignore[attr-defined]
    held = _held(source)
    known = {} if next(tensors_in(held), None) is None else {"fingerprint": _fingerprint(held)}
    return {"source": type(source).__name__, "batches": feed.batches, **known}


def _held(source: Any) -> Any:
    """What a loader or a list of batches holds in memory; nothing where it reads from elsewhere."""
    if isinstance(source, DataLoader):
        return _held(source.dataset)
    if isinstance(source, Subset):
        return _held(source.dataset), torch.as_tensor(source.indices)
    if isinstance(source, TensorDataset):
        return source.tensors
    return source if isinstance(source, (list, tuple)) else ()


def _fingerprint(values: Any) -> str:
    """SHA-256 of shapes, dtypes and bytes of all tensors."""
    digest = hashlib.sha256()
    for tensor in tensors_in(values):
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def check_same(folder: RunFolder, now: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that was another one: of a table, on other data, or with other settings."""
    name, values = folder.path.name, folder.manifest
    if values.get("kind") != KIND:
        raise UsageError(f"run {name} is a fit of a table: go on with it by sightline.resume({name!r})")
    was = values.get("settings")
    if not isinstance(was, dict):
        raise RunError(f"{folder.path / 'run.json'} is damaged: restore the folder from a copy or train again")
    for key, value in now.items():
        before = was.get(key)
        if key == "epochs" or before == value:
            continue
        if key in ("data", "validation") and before is not None and value is not None:
            what = "validation rows" if key == "validation" else "data"
            raise RunError(f"the {what} have changed since run {name} was trained on them: restore them, or fit again")
        part = _first_difference(before, value)
        raise UsageError(
            f"run {name} was trained with {key} {part[0]} and this call has {part[1]}: give what it had, or fit anew"
        )


def _first_difference(before: Any, value: Any) -> tuple[str, str]:
    if isinstance(before, dict) and isinstance(value, dict):
        for key in {**before, **value}:
            if before.get(key) != value.get(key):
                return f"{key} {shown(before.get(key), quote=False)}", f"{key} {shown(value.get(key), quote=False)}"
    return shown(before, quote=False), shown(value, quote=False)
