"""`sightline warm`."""

from __future__ import annotations

import click

from ..errors import UsageError

__all__ = ["warm_command"]


@click.command("warm", context_settings={"help_option_names": ["-h", "--help"]})
def warm_command() -> None:
    """Make the machine code of training now, and keep it.

    Long runs need it; without this the first of them waits some seconds for it.
    """
    from ..compiled import available

    if not available():
        raise UsageError("numba is not installed, and training goes without machine code: pip install numba")
    from ..compiled.warm import warm

    click.echo(warm())
