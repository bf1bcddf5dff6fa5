"""Temporary files, and what is said or done where the disk has no room for them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence

from ..errors import DataError

__all__ = ["NO_ROOM", "Scratch", "no_room", "scratch_with"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Scratch:
    """A temporary file that goes when this object goes."""

    def __init__(self) -> None:
        handle, self.path = tempfile.mkstemp(prefix="sightline-")
        os.close(handle)
        weakref.finalize(self, os.unlink, self.path)


class _InMemory(Scratch):
    """The same in memory, where the system can name that as a file; OSError where it cannot."""

    def __init__(self) -> None:
        if not hasattr(os, "memfd_create"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        handle = os.memfd_create("sightline")
        self.path = f"/proc/self/fd/{handle}"
        weakref.finalize(self, os.close, handle)


def scratch_with(parts: Sequence[bytes], name: str) -> Scratch:
    """A temporary file with these bytes of a file of that name, which are few: in memory where the disk is full.

    Raises DataError where neither has room for them.

    >>> scratch = scratch_with([b"a,", b"b"], "data.csv")
    >>> with open(scratch.path) as file:
    ...     print(file.read())
    a,b
    """
    for kind in (Scratch, _InMemory):
        try:
            scratch = kind()
            with open(scratch.path, "wb") as file:
                file.writelines(parts)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            failed = error
        else:
            return scratch
    raise no_room(f"a piece of {name}", failed)


def no_room(what: str, error: OSError) -> DataError:
    """What could not be written to the folder for temporary files."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free / 1e9
    return DataError(
        f"{what} cannot be written to {folder} ({error.strerror}), where {free:.1f} GB are free: make room there, or "
        "let TMPDIR name another folder"
    )
