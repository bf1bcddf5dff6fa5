"""Sums over the rows of a file, kept beside its numbers: those of the same columns need not be added up again."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
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


def kept_sums(path: Path) -> dict[str, Any] | None:
    """Those that were written; None where there are none."""
    try:
        with np.load(path, allow_pickle=False) as found:
            return dict(found)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
