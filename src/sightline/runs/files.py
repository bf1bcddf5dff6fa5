"""Writing files so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from ..errors import RunError

__all__ = ["finite", "read_json", "write_bytes", "write_json"]


def write_bytes(path: Path, content: bytes) -> None:
    """Write aside, fsync, rename."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}; free space there or choose another --output") from None


def write_json(path: Path, values: Any) -> None:
    """Plain JSON, numbers that are not finite as null."""
    text = json.dumps(finite(values), indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode("utf-8", "surrogatepass"))


def read_json(path: Path) -> dict[str, Any]:
    """The object that `write_json` wrote; what is missing or damaged is named."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}; give the id or the folder of a run") from None
    except ValueError:
        raise RunError(f"{path} is damaged, it holds no JSON: restore the folder from a copy or train again") from None
    if not isinstance(values, dict):
        raise RunError(f"{path} is damaged, it holds no JSON object: restore the folder from a copy or train again")
    return values


def finite(value: Any) -> Any:
    """The same values with null for every number that JSON cannot write.

    >>> finite({"loss": float("nan"), "path": [1.0, float("inf")]})
    {'loss': None, 'path': [1.0, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value
