"""`sightline solve`."""

from __future__ import annotations

from typing import Any

import click

from .fit import report
from .options import data_options, level_option, output_option, result_options


@click.command("solve", context_settings={"help_option_names": ["-h", "--help"]})
@data_options
@click.option("--loss", metavar="NAME", help="mse, the mean squared error (default).")
@level_option
@output_option
@result_options
def solve_command(data: str, formula: str | None, target: str | None, **options: Any) -> int:
    """The exact answer for DATA and FORMULA, without training; a run folder only with --output."""
    from pathlib import Path

    from ..prepare import prepare
    from ..settings import RunSettings
    from ..solution import solved

    settings = RunSettings.of({"level": options["level"], "loss": options["loss"]})
    prepared = prepare(data, formula, target=target)
    run = solved(prepared, settings, Path(options["output"]) if options["output"] else None)
    report(run, as_json=options["as_json"], quiet=options["quiet"])
    return 0
