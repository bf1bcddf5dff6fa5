"""`sightline resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..signals import signals
from .fit import draw, progress, report
from .options import result_options

if TYPE_CHECKING:
    from ..resuming import Resumption


@click.command("resume", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.option("--epochs", type=int, metavar="N", help="To N epochs in all (default: to what was asked for).")
@click.option("--log", is_flag=True, help="Print one line for every epoch.")
@result_options
@click.option("--require-converged", is_flag=True, help="Exit with code 4 unless the run has converged.")
def resume_command(
    run: str, epochs: int | None, *, log: bool, as_json: bool, quiet: bool, require_converged: bool
) -> int:
    """Go on with RUN, an id or a folder, from its last checkpoint: after Ctrl-C, a crash, or a kill.

    The numbers are those of the run that was never stopped, bit for bit. A run that has had its epochs goes on to
    N of them with --epochs N. Exit codes are those of fit.
    """
    from ..resuming import resuming
    from ..run import load
    from ..views.statistics import wrapped

    silent = as_json or quiet
    with resuming(run, epochs) as found, signals() as received:
        if isinstance(found, str):
            click.echo("\n".join(wrapped(found, indent="  ")), err=True)
            trained = None
        else:
            _announce(found, silent=silent)
            sinks = [] if silent else [progress(found.job, every=log)]
            trained = found.run(sinks=sinks, rules=[received.rule])
    if trained is None:
        if silent:
            report(load(run), as_json=as_json, quiet=quiet)
        return 0
    report(trained, as_json=as_json, quiet=quiet)
    if trained.settings.figures != "none":
        draw(trained, every=trained.settings.figures == "every", silent=silent)
    if received:
        return 128 + received.numbers[0]
    failed = trained.verdict.name == "DIVERGED" or (require_converged and trained.verdict.name != "CONVERGED")
    return 4 if failed else 0


def _announce(found: Resumption, *, silent: bool) -> None:
    """What was found damaged, and where it goes on."""
    from ..views.statistics import wrapped
    from ..words import count

    lines = [*found.notes]
    if not silent:
        reached = found.done[-1].number if found.done else 0
        settings, job = found.settings, found.job
        goal = "until the answer is reached" if settings.epochs is None else f"to {count(job.epochs, 'epoch')}"
        lines.append(
            f"run {found.folder.path.name} goes on after epoch {reached:,}, {goal}: {settings.optimizer.lower()}, "
            f"{job.engine_name} engine, {job.prepared.name}"
        )
    for line in lines:
        click.echo("\n".join(wrapped(line, indent="  ")), err=True)
