"""`sightline report`."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import RunError


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.option("-o", "--output", "to", metavar="FILE", help="Where to write it (default RUN.html; - is stdout).")
def report_command(run: str, to: str | None) -> int:
    """One self-contained page of RUN: it opens from the disk without a network, and prints."""
    from ..pages.report import report_of, write_report
    from ..runs.store import find_run

    folder = find_run(run)
    if to == "-":
        click.echo(report_of(folder), nl=False)
        return 0
    path = Path(to or f"{folder.name}.html")
    try:
        size = write_report(folder, path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}; choose another place with -o") from None
    click.echo(f"{path} ({size / 1000:,.0f} kB)")
    return 0
