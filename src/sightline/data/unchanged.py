"""A file that has to stay as it is while it is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DataError

__all__ = ["check_unchanged", "unchanged"]


def check_unchanged(path: str, name: str, before: os.stat_result) -> None:
    """Refuse rows of a file that was another one when its last piece was read."""
    after = _stat(path, name)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise DataError(f"{name} has changed while it was read: start again when nothing writes to it any more")


@contextmanager
def unchanged(path: str, name: str) -> Iterator[None]:
    """Of a file that has changed by the end, or when something in it is complained of, that is what is said."""
    before = _stat(path, name)
    try:
        yield
    except (DataError, OSError):
        check_unchanged(path, name, before)
        raise
    check_unchanged(path, name, before)


def _stat(path: str, name: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError:
        raise DataError(f"{name} is gone since its reading began: put it back, and start again") from None
