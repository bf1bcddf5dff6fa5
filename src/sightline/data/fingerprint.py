"""The SHA-256 of a file, taken in a thread while its rows are read."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future

__all__ = ["Fingerprint"]

CHUNK = 2**20  # bytes


class Fingerprint:
    """Called, it gives the hexadecimals; a thread takes it meanwhile from `start` on, until `stop`.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     print(Fingerprint(file.name)()[:8])
    e3b0c442
    """

    def __init__(self, path: str) -> None:
        self.path, self._stopped = path, threading.Event()
        self._found: Future[str] | None = None

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._found = Future()
        threading.Thread(target=self._run, args=(self._found,), daemon=True).start()

    def stop(self) -> None:
        """Leave it."""
        self._stopped.set()

    def __call__(self) -> str:
        """The digest of the whole file; OSError where it cannot be read, or was stopped."""
        if self._found is None:
            return self._digest()
        try:
            return self._found.result()
        except BaseException:
            self.stop()
            raise

    def _run(self, found: Future[str]) -> None:
        try:
            found.set_result(self._digest())
        except BaseException as error:
            found.set_exception(error)

    def _digest(self) -> str:
        digest = hashlib.sha256()
        with open(self.path, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                if self._stopped.is_set():
                    raise InterruptedError("the fingerprint of the file was stopped")
                digest.update(chunk)
        return digest.hexdigest()
