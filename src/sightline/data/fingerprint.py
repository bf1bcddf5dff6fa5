"""The SHA-256 of a file, taken in a thread while its rows are read."""

from __future__ import annotations

import hashlib
import threading

__all__ = ["Fingerprint"]

CHUNK = 2**20  # bytes


class Fingerprint:
    """A thread takes it from `start` to `stop`, or until it is done; called, it gives the hexadecimals.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     print(Fingerprint(file.name)()[:8])
    e3b0c442
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._digest, self._stopped = hashlib.sha256(), threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Leave it: nobody will ask."""
        self._stopped.set()

    def __call__(self) -> str:
        """The digest of the whole file; OSError where it cannot be read."""
        if self._thread.ident is None:
            self.start()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def _run(self) -> None:
        try:
            with open(self.path, "rb", buffering=0) as file:
                while not self._stopped.is_set() and (chunk := file.read(CHUNK)):
                    self._digest.update(chunk)
        except OSError as error:
            self._error = error
