"""How far a file is read, where that takes a while: one line that changes in a terminal, a few lines elsewhere."""

from __future__ import annotations

import sys
import time

import click

__all__ = ["Reading"]

EVERY = 0.2  # seconds between two changes of the line
PATIENCE = 1.0  # seconds before anything is said


class Reading:
    """Hears how many rows and bytes are behind, and says so on stderr with MB/s and the time that is left.

    Off a terminal the lines come when twice as much is read as at the last one.
    """

    def __init__(self, name: str) -> None:
        self._name, self._began, self._last, self._next = name, time.perf_counter(), 0.0, 0.01
        self._terminal = sys.stderr.isatty()
        self._said = False

    def __call__(self, rows: int, end: int, size: int) -> None:
        """So much of it is behind."""
        now = time.perf_counter()
        share, passed = end / size if size else 1.0, now - self._began
        if passed < PATIENCE or (not self._said and share >= 1.0):
            return
        if self._terminal and (now - self._last >= EVERY or share >= 1.0):
            self._last = now
            click.echo(f"\r{self._line(rows, end, share, passed)}\x1b[K", nl=share >= 1.0, err=True)
            self._said = True
        elif not self._terminal and (share >= self._next or share >= 1.0):
            self._next = max(2.0 * share, self._next)
            click.echo(self._line(rows, end, share, passed), err=True)
            self._said = True

    def _line(self, rows: int, end: int, share: float, passed: float) -> str:
        left = "" if share >= 1.0 else f", {_clock(passed * (1.0 - share) / share)} left"
        return f"reading {self._name}: {100 * share:.0f} %, {rows:,} rows, {end / passed / 1e6:.0f} MB/s{left}"


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
