"""One process at a time writes a run: a lock that the operating system takes back from a process that was killed."""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import RunError

__all__ = ["Lock", "is_held"]

HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
BEHIND = 1 << 30  # Windows locks bytes, and others cannot read those: one far behind the text


class Lock:
    """The file lock.json in a run folder, locked while the run is written, with who holds it since when.

    The file of a process that was killed is left behind and locked no longer, so it stops nobody. A file system that
    knows no locks protects nothing, and stops nobody either.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock.json"
        self._file: int | None = _locked(self._path, folder.name)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "host": platform.node(), "since": since}
        try:
            os.ftruncate(self._file, 0)
            os.write(self._file, (json.dumps(holder) + "\n").encode())
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Take the file away, and with it the lock; a second time does nothing."""
        if self._file is None:
            return
        if sys.platform == "win32":  # where an open file cannot be removed
            os.close(self._file)
            self._path.unlink(missing_ok=True)
        else:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
        self._file = None


def is_held(folder: Path) -> bool:
    """Whether a process writes this run; also where that cannot be told. Nothing in the folder is changed."""
    try:
        file = os.open(folder / "lock.json", os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not _shares(file)
    finally:
        os.close(file)


def _shares(file: int) -> bool:
    """Whether the lock is free, or held for a moment by those who look, as this does."""
    try:
        _take(file, shared=True)
    except OSError:
        return False
    return True


def _locked(path: Path, name: str) -> int:
    """The open and locked file; another is opened where the one that was waited for has been taken away meanwhile."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"cannot write to {path.parent}: {error.strerror}; check who may write there") from None
        try:
            _take(file)
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in HELD:
                return file
            if not _shares(file):
                os.close(file)
                raise RunError(f"run {name} is in use{_by(path)}: wait until it ends, or stop that process") from None
        os.close(file)


def _take(file: int, *, shared: bool = False) -> None:
    """Lock it, or raise OSError; shared with others who look only, where the system can."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, BEHIND, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _by(path: Path) -> str:
    """Who holds the lock, where the file says it."""
    try:
        holder: dict[str, Any] = json.loads(path.read_bytes())
        since = str(holder["since"])[:19].replace("T", " ")
        return f" by process {int(holder['pid'])} on {holder['host']} since {since} UTC"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
