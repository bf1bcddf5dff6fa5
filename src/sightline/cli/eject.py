"""`sightline eject`."""

from __future__ import annotations

import click


@click.command("eject", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.option("-o", "--output", metavar="FILE.py", required=True, help="Where the script goes.")
@click.option("--force", is_flag=True, help="Replace FILE.py, and the table beside it, if they exist.")
def eject_command(run: str, output: str, force: bool) -> int:
    """RUN, an id or a folder, as a plain PyTorch script that needs no sightline.

    The script repeats the run step by step and leaves the trained module in the name `model`. It reads the data of the
    run, or a table beside it with the columns as the run encoded them.
    """
    from ..ejection import eject
    from ..run import load
    from ..words import count

    made = eject(load(run), output, overwrite=force)
    click.echo(f"wrote {output}, {count(made.lines, 'line')} of plain PyTorch")
    click.echo(f"{'wrote' if made.prepared else 'it reads'} {made.data}{', which it reads' * made.prepared}")
    return 0
