"""How far a file is read, where that takes a while: one line that changes in a terminal, a few lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time

import click

__all__ = ["Reading"]

EVERY = 0.2  # seconds between two changes of the line
PATIENCE = 1.0  # seconds before anything is said


class Reading:
    """Hears how many rows and bytes of a file are behind, and how many rows in each pass over its numbers; says so on
    stderr with MB/s and the time that is left.

    Off a terminal the lines come when twice as much is read as at the last one. `expected` says how many passes there
    will be, where that is known.
    """

    def __init__(self, name: str) -> None:
        self._name, self._passes, self.expected = name, 1, 0
        self._terminal, self._lock = sys.stderr.isatty(), threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._began, self._last, self._next, self._behind = time.perf_counter(), 0.0, 0.01, 0
        self._said = self._over = False

    def __call__(self, rows: int, end: int, size: int) -> None:
        """So much of the file is behind."""
        share, passed = end / size if size else 1.0, time.perf_counter() - self._began
        speed = end / max(passed, 1e-9) / 1e6
        self._say(f"reading {self._name}{self._number()}", share, f"{rows:,} rows, {speed:.0f} MB/s")

    def passed(self, first: int, last: int, rows: int) -> None:
        """These of the rows are read, once more or for the first time; threads may tell so at once."""
        with self._lock:
            if first == 0 and (self._passes == 1 or self._behind >= rows):  # a look at the first rows ends no pass
                self._passes += 1
                self._begin()
            self._behind = max(self._behind, last)
            self._say(f"rows of {self._name}{self._number()}", self._behind / rows, f"{self._behind:,} rows")

    def _number(self) -> str:
        if self._passes == 1:  # how many follow is not known yet, and where none does there is nothing to count
            return ""
        return f", pass {self._passes}" + (f" of {self.expected}" if self._passes <= self.expected else "")

    def _say(self, what: str, share: float, how_far: str) -> None:
        now = time.perf_counter()
        passed = now - self._began
        if passed < PATIENCE or self._over or (not self._said and share >= 1.0):
            return
        self._over = share >= 1.0
        left = "" if share >= 1.0 else f", {_clock(passed * (1.0 - share) / share)} left"
        line = f"{what}: {100 * share:.0f} %, {how_far}{left}"
        if self._terminal and (now - self._last >= EVERY or share >= 1.0):
            self._last = now
            click.echo(f"\r{line}\x1b[K", nl=share >= 1.0, err=True)
            self._said = True
        elif not self._terminal and (share >= self._next or share >= 1.0):
            self._next = max(2.0 * share, self._next)
            click.echo(line, err=True)
            self._said = True


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
