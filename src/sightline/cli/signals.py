"""Ctrl-C and SIGTERM while something is trained."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..records import Epoch, Stop

__all__ = ["signals"]


@contextmanager
def signals() -> Iterator[tuple[list[int], Callable[[Epoch], Stop | None]]]:
    """Ctrl-C and SIGTERM are noted in a list, and the rule ends a run after the epoch in progress."""
    from ..records import Stop

    received: list[int] = []

    def interrupted(_: Epoch) -> Stop | None:
        if not received:
            return None
        how = "Ctrl-C" if received[0] == signal.SIGINT else "SIGTERM"
        return Stop("interrupted", f"stopped by {how}, everything so far is saved")

    def note(number: int, _: Any) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received, interrupted
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
