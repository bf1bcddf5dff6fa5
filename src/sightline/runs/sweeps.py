"""The folder of a sweep: sweep.json, epochs.jsonl, figures/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..records import Epoch
from .files import finite, write_bytes, write_json
from .store import as_dict, unused_folder

__all__ = ["save_sweep"]


def save_sweep(output: Path, values: dict[str, Any], runs: Sequence[Sequence[Epoch]]) -> Path:
    """A new folder `sweep-<id>` under `output` with the values in sweep.json and, rate after rate, every record in
    epochs.jsonl.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        path = unused_folder(output, "sweep-")
        (path / "figures").mkdir()
    except OSError as error:
        raise RunError(
            f"cannot write sweeps to {output}: {error.strerror}; choose another place with --output"
        ) from None
    lines = [json.dumps(finite(as_dict(record)), allow_nan=False) for records in runs for record in records]
    write_bytes(path / "epochs.jsonl", ("\n".join(lines) + "\n").encode())
    write_json(path / "sweep.json", {**values, "sweep": path.name})
    return path
