"""Writing files so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..digits import Digits
from ..errors import RunError

__all__ = [
    "finite", "json_text", "read_json", "rename", "sync_folder", "write_aside", "write_bytes", "write_json",
    "write_parts",
]  # fmt: skip


NO_SUCH_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # of a file system that cannot sync a folder


def write_bytes(path: Path, content: bytes) -> None:
    """Write aside, fsync, rename, fsync the folder."""
    write_parts(path, [content])


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """The same of what comes part by part; where that fails, or is interrupted, nothing is left of it."""
    rename(write_aside(path, parts), path)
    sync_folder(path.parent)


def write_aside(path: Path, parts: Iterable[bytes]) -> Path:
    """A file beside `path`, on the disk, that only has to be renamed."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _told(path):
            file = open(aside, "wb")  # noqa: SIM115  closed below
        with file:
            for part in parts:
                with _told(path):
                    file.write(part)
            with _told(path):
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}; free space there or choose another --output") from None


def rename(path: Path, to: Path) -> None:
    """Give a file the name of another, which it replaces."""
    try:
        os.replace(path, to)
    except OSError as error:
        raise RunError(f"cannot write {to}: {error.strerror}; check who may write there") from None


def sync_folder(folder: Path) -> None:
    """See that what was renamed there is on the disk under its new name; nothing where folders cannot be opened, as on
    Windows, or cannot be synced.
    """
    try:
        entry = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(entry)
    except OSError as error:
        if error.errno not in NO_SUCH_SYNC:
            raise RunError(f"cannot write to {folder}: {error.strerror}; free space there or check the disk") from None
    finally:
        os.close(entry)


def write_json(path: Path, values: Any) -> None:
    """Plain JSON, numbers that are not finite as null."""
    write_bytes(path, (json_text(finite(values), indent="\n") + "\n").encode("utf-8", "surrogatepass"))


def json_text(value: Any, indent: str = "") -> str:
    """Plain JSON in which a number with more digits than a double holds has them all; `indent` "\\n" breaks lines.

    >>> json_text({"third": Digits(1 / 3, 1.850371707708594e-17, 20.0), "none": None})
    '{"third": 0.33333333333333333333, "none": null}'
    """
    inner = indent + " " if indent else ""
    if isinstance(value, Digits):
        return value.text()
    if isinstance(value, dict):
        parts, ends = [f"{_plain(str(k))}: {json_text(v, inner)}" for k, v in value.items()], "{}"
    elif isinstance(value, (list, tuple)):
        parts, ends = [json_text(v, inner) for v in value], "[]"
    else:
        return _plain(value)
    if not parts or not indent:
        return ends[0] + ", ".join(parts) + ends[1]
    return ends[0] + inner + ("," + inner).join(parts) + indent + ends[1]


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_json(path: Path) -> dict[str, Any]:
    """The object that `write_json` wrote; what is missing or damaged is named."""
    try:
        values = json.loads(path.read_bytes(), parse_float=Digits.read)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}; give the id or the folder of a run") from None
    except ValueError:
        raise RunError(f"{path} is damaged, it holds no JSON: restore the folder from a copy or train again") from None
    if not isinstance(values, dict):
        raise RunError(f"{path} is damaged, it holds no JSON object: restore the folder from a copy or train again")
    return values


def finite(value: Any) -> Any:
    """The same values, arrays as lists, with null for every number that JSON cannot write.

    >>> finite({"loss": float("nan"), "path": [1.0, float("inf")]})
    {'loss': None, 'path': [1.0, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return finite(value.tolist()) if hasattr(value, "tolist") else value  # an array, without loading numpy to see
