"""Ctrl-C and SIGTERM while something is trained."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .records import Epoch, Stop

__all__ = ["InterruptedStep", "Signals", "signals"]


class InterruptedStep(Exception):  # noqa: N818 - not an error
    """A signal ended the training between two steps of an epoch."""


class Signals:
    """What has been received; `rule` ends a run after the epoch in progress. `saved` says that it is in a folder."""

    def __init__(self, *, saved: bool = True) -> None:
        self.numbers: list[int] = []
        self._saved = saved

    def __bool__(self) -> bool:
        return bool(self.numbers)

    def stop(self, where: str = "") -> Stop:
        """Why the run ends."""
        how = "Ctrl-C" if self.numbers[0] == signal.SIGINT else "SIGTERM"
        saved = ", everything so far is saved" if self._saved else ""
        return Stop("interrupted", f"stopped by {how}{where}{saved}")

    def rule(self, _: Epoch) -> Stop | None:
        """Stop after this record."""
        return self.stop() if self.numbers else None


@contextmanager
def signals(*, saved: bool = True) -> Iterator[Signals]:
    """Note Ctrl-C and SIGTERM instead of ending; a second Ctrl-C does not wait. Only the main thread can do so."""
    received = Signals(saved=saved)
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, _: Any) -> None:
        received.numbers.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
