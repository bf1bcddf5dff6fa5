"""The page beside a fit: a process of its own, which reads the run folder and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import click

__all__ = ["BESIDE", "LivePage", "end_with"]

BESIDE = "SIGHTLINE_BESIDE"  # in the environment of a page: the process that it belongs to


class LivePage:
    """`sightline live` on a run that begins."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, folder: Path) -> None:
        """In a session of its own, so that Ctrl-C ends the training first; what it prints goes where messages go, so
        that the result stays alone on stdout.
        """
        words = [sys.executable, "-m", "sightline", "live", str(folder)]
        beside = {**os.environ, BESIDE: str(os.getpid())}
        self._process = subprocess.Popen(words, stdout=sys.stderr.fileno(), env=beside, start_new_session=True)

    def stay(self) -> None:
        """Wait until the page is ended, by Ctrl-C or by itself."""
        if self._process is None:
            return
        click.echo("the page stays open; Ctrl-C ends it", err=True)
        with suppress(KeyboardInterrupt):
            self._process.wait()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                self._process.wait(5)
        if self._process.poll() is None:
            self._process.kill()


def end_with(process: int) -> None:
    """End this process when that one has gone, however it went."""

    def watch() -> None:
        while os.getppid() == process:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()
