"""Where the numbers of a large file are kept: in a temporary folder, or in one that stays for the next time."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
import weakref
from dataclasses import asdict
from pathlib import Path

from .data.scratch import NO_ROOM
from .data.storing import Wanted
from .errors import RunError, UsageError, shown
from .runs.lock import Lock

__all__ = ["KeptFolder", "TemporaryFolder", "opened"]

FORMAT = 2  # of what is in the folder; another one is read anew


class TemporaryFolder:
    """One that goes when this object goes."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sightline-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class KeptFolder:
    """One in `directory` for these columns of a file as it is now; those of the file as it was before are taken away.

    It is locked until `release`: one process at a time writes into it, and what is whole is changed no more.
    Raises RunError where another process writes, UsageError where nothing can be written there, OSError where there is
    no room.
    """

    def __init__(self, directory: str, path: str, before: os.stat_result, wanted: Wanted) -> None:
        columns = asdict(wanted) | {"coded": sorted(wanted.coded)}
        name = f"{Path(path).name}-{_key(FORMAT, os.path.abspath(path), columns)}-"
        self.path = Path(directory) / f"{name}{_key(before.st_size, before.st_mtime_ns)}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for other in Path(directory).glob(f"{glob.escape(name)}*"):
                if other != self.path:
                    shutil.rmtree(other, ignore_errors=True)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise UsageError(
                f"--cache: {shown(directory, limit=200)} cannot be written ({error.strerror}); name another folder"
            ) from None
        self.release = Lock(self.path).release

    def sums(self, *what: object) -> Path:
        """A folder in it for the sums of a design that these say."""
        path = self.path / f"sums-{_key(*what)}"
        path.mkdir(exist_ok=True)
        return path


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=list).encode()).hexdigest()[:12]


def opened(
    directory: str | None, path: str, before: os.stat_result, wanted: Wanted
) -> tuple[TemporaryFolder | KeptFolder, str]:
    """The folder for the numbers of a file, and what should be said about it."""
    if directory is None:
        return TemporaryFolder(), ""
    try:
        folder = KeptFolder(directory, path, before, wanted)
    except RunError:
        return TemporaryFolder(), f"{directory} is in use by another process, so these numbers are not kept"
    except OSError as error:
        return TemporaryFolder(), f"{directory} has no room ({error.strerror}), so these numbers are not kept"
    return folder, ""
