"""Sums over the rows of a file, kept beside its numbers: those of the same columns need not be added up again."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["keep_sums", "kept_sums"]


def keep_sums(path: Path, sums: Mapping[str, Any]) -> None:
    """Write them, all or nothing; a disk without room leaves them out."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            np.savez(file, **sums)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)


def kept_sums(path: Path, names: Sequence[str]) -> dict[str, Any] | None:
    """Those that were written, of these names; None where there are none, or others."""
    try:
        with np.load(path, allow_pickle=False) as found:
            sums = dict(found)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return sums if set(sums) == set(names) else None
