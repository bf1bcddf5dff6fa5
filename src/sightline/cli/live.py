"""`sightline live`: a page of a run, of all runs in a folder, or of a fit that is started now."""

from __future__ import annotations

import os
import shlex
import socket
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import RunError, UsageError, shown
from .beside import BESIDE, end_with

if TYPE_CHECKING:
    from ..live.server import Address

EPILOG = """\b
Examples:
  sightline live runs/
  sightline live 7c1f --no-browser
  sightline live examples/heights.csv "weight ~ height" --present
"""


@click.command("live", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", metavar="RUN|FOLDER|DATA")
@click.argument("formula", required=False)
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Port (default 8765, or the next free one).")
@click.option("--host", default="127.0.0.1", metavar="H", help="Address to listen on (default: this machine).")
@click.option("--token", metavar="T", help="What others must know to see the page; needed with another --host.")
@click.option("--no-browser", is_flag=True, help="Print the address, open nothing.")
@click.option("--present", is_flag=True, help="For a projector: large type, five stories (Page Down).")
def live_command(
    what: str, formula: str | None, port: int | None, host: str, token: str | None, no_browser: bool, present: bool
) -> int:
    """A local web page of RUN, of all runs in FOLDER, or of a fit of DATA by FORMULA that is started now.

    It reads run folders and never the process that trains: runs that go on, have ended, were copied or crashed. It ends
    with Ctrl-C.
    """
    from ..live.server import serve
    from ..live.shelf import Shelf

    folder, run = _place(what) if formula is None else _fitted(what, formula)
    shelf = Shelf(folder, only=None if run is None or formula is not None else run)

    def ready(address: Address, note: str) -> None:
        url = address.url + ("#present=1&guess=1" if present else "")
        if note:
            click.echo(note, err=True)
        click.echo(url)
        if address.elsewhere:
            click.echo(f"showing {run or folder}; Ctrl-C ends it; for others: {address.elsewhere}", err=True)
        else:
            click.echo(f"showing {run or folder}; Ctrl-C ends it; from another machine:", err=True)
            click.echo(f"  ssh -L {address.port}:127.0.0.1:{address.port} {socket.gethostname()}", err=True)
        if not no_browser:
            _open(url)

    if owner := os.environ.get(BESIDE):
        end_with(int(owner))
    serve(shelf, host=host, port=port, token=token, default=run, ready=ready)
    return 0


def _place(what: str) -> tuple[Path, str | None]:
    """The folder of runs and the run in it; no run where a folder of runs was given."""
    from ..runs.store import find_run

    path = Path(what)
    if path.is_dir() and not (path / "run.json").is_file():
        if not any(path.glob("*/run.json")) and any(p.is_file() for p in path.iterdir()):
            where = shown(path, quote=False, limit=200)
            raise RunError(f"{where} holds no runs: give the folder that runs are written to")
        return path, None
    if path.suffix and path.is_file():
        raise UsageError(f'{what} is data: give a formula too, as in sightline live {shlex.quote(what)} "y ~ x"')
    found = find_run(what)
    return found.parent, found.name


def _fitted(data: str, formula: str) -> tuple[Path, str | None]:
    """The run of a fit that is started in a process of its own; why it cannot be is said as it says it."""
    from ..live.starts import Refusal, begin

    begun = begin(["--", data, formula])
    if isinstance(begun, Refusal):
        click.echo(begun.text, err=True, nl=False)
        raise SystemExit(begun.code)
    return begun.parent, begun.name


def _open(url: str) -> None:
    """Open a browser, where there is a screen."""
    has_screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not has_screen or not webbrowser.open(url):
        click.echo("no screen here: open the address in a browser", err=True)
