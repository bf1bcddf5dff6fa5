"""`sightline fit`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..signals import signals
from .announce import announce
from .folds import ask_folds, fold_options, plan_folds
from .options import (
    NumberOr,
    cache_option,
    colored,
    data_options,
    device_option,
    inference_options,
    loss_options,
    memory_option,
    output_option,
    read_loss,
    read_options,
    read_start,
    read_validation,
    result_options,
    step_options,
    stopping_options,
)
from .questions import Findings
from .reading import Reading
from .sections import Sectioned

if TYPE_CHECKING:
    from ..account import Account
    from ..job import Job
    from ..run import Run
    from .beside import LivePage


EPILOG = """\b
Examples:
  sightline fit examples/heights.csv "weight ~ height"
  sightline fit shop.csv "bought ~ age + city" --optimizer adam --lr 0.1
  sightline fit shop.csv "visits ~ age" --loss poisson-nll --robust hc1
"""
WAYS = (
    "show", "live", "tell_folder", "log", "as_json", "quiet", "require_converged", "output", "folds", "fold_seed",
)  # fmt: skip
COLORS = {"CONVERGED": "green", "NOT_CONVERGED": "yellow", "STOPPED_EARLY": "yellow", "DIVERGED": "red"}


@click.command("fit", cls=Sectioned, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@data_options
@loss_options
@click.option("--optimizer", metavar="NAME", help="Any optimizer of torch.optim, such as adam (default sgd).")
@click.option(
    "--lr", type=NumberOr("auto"), metavar="X|auto", help="Learning rate (default auto: the best by the curvature)."
)
@click.option(
    "--momentum",
    type=NumberOr("auto"),
    metavar="X|auto",
    help="Momentum (default auto; 0 where --lr is a number).",
)
@click.option("--nesterov/--no-nesterov", default=None, help="Nesterov's momentum.")
@click.option("--weight-decay", type=float, metavar="X", help="The optimizer's own, on all parameters; see also --l2.")
@step_options
@click.option("--epochs", type=int, metavar="N", help="Train N epochs (default: until the answer is reached).")
@click.option(
    "--batch-size", type=NumberOr("full", int), metavar="N|full", help="Rows in a step (default full: all rows)."
)
@stopping_options
@fold_options
@click.option("--seed", type=int, metavar="N", help="Decides the order of the rows in batches (default 0).")
@click.option("--standardize/--no-standardize", default=None, help="Train on standardized columns (default yes).")
@click.option("--start", metavar="TERMS", help='Where to start, such as "Intercept=-35,height=0.45".')
@click.option("--dtype", metavar="NAME", help="Train in float32 or float64 (default).")
@device_option
@click.option(
    "--engine", metavar="NAME", help="auto (default), autograd (the plain loop), quadratic (from moments) or kernel."
)
@click.option("--figures", metavar="WHICH", help="Figures in the run folder: none, final (default) or every epoch.")
@click.option("--show", is_flag=True, help="Open the figure in a window, where there is a screen.")
@inference_options
@memory_option
@cache_option
@output_option
@click.option("--live", is_flag=True, help="Show the run on a local web page while it trains; Ctrl-C ends the page.")
@click.option("--tell-folder", is_flag=True, help="Print the run folder first, as soon as it is there.")
@click.option("--log", is_flag=True, help="Print one line for every epoch.")
@result_options
@click.option("--require-converged", is_flag=True, help="Exit with code 4 unless the run has converged.")
def fit_command(data: str, formula: str | None, target: str | None, **options: Any) -> int:
    """Train a linear model on DATA (.csv .tsv .parquet .json .jsonl .arrow, or - for stdin), beside the exact answer.

    FORMULA is such as "weight ~ height + C(city)". Exit codes: 0 done, 2 usage, 3 data, 4 diverged (or not
    converged, with --require-converged), 130 and 143 after Ctrl-C and SIGTERM, both after saving.
    """
    from ..data.sources import open_source
    from ..runs.store import default_output
    from ..settings import RunSettings

    ways = {name: options.pop(name) for name in WAYS}
    read = {name: read_options(f"--{name.replace('_', '-')}", options[name]) for name in ("opt", "schedule_opt")}
    settings = RunSettings.of(
        {
            **options,
            **read,
            **read_loss(options),
            "start": read_start(options["start"]),
            "validation": read_validation(options["validation"]),
        }
    )
    from ..engines.devices import device_named
    from ..job import Job
    from ..prepare import prepare_for

    device_named(settings.device)  # before the rows are read

    source = open_source(data) if data == "-" else data  # standard input can be read once
    folding = plan_folds(settings, source, formula, target=target, ways=ways)
    heard = None if ways["quiet"] or ways["as_json"] else Reading(data)
    job = Job.of(prepare_for(settings, source, formula, target=target, heard=heard), settings)
    output = Path(ways["output"]) if ways["output"] else default_output()
    silent = ways["as_json"] or ways["quiet"]
    if not silent:
        announce(job)
    sinks = [] if silent else [progress(job, every=ways["log"])]
    begun, page = hearers(ways)
    run, signalled = train_with_signals(job, output, sinks=sinks, begun=begun)
    findings, ended = Findings(), signalled
    try:
        ended = ended or ask_folds(folding, findings, silent=silent)
    finally:  # a fold that cannot be trained does not take the fit away
        report(run, as_json=ways["as_json"], quiet=ways["quiet"], findings=findings)
    if settings.figures != "none":
        draw(run, every=settings.figures == "every", silent=silent)
    if ways["show"]:
        show_window(run)
    if page:
        page.stay()
    if ended:
        return 128 + ended
    failed = run.verdict.name == "DIVERGED" or (ways["require_converged"] and run.verdict.name != "CONVERGED")
    return 4 if failed else 0


def hearers(ways: dict[str, Any]) -> tuple[list[Callable[[Path], object]], LivePage | None]:
    """Who hears of the run folder when it is there, and the page among them, if one is wanted."""
    told: list[Callable[[Path], object]] = [click.echo] if ways["tell_folder"] else []
    if not ways["live"]:
        return told, None
    from .beside import LivePage

    page = LivePage()
    return [*told, page.open], page


def progress(job: Job, *, every: bool) -> Any:
    """A sink that prints epochs to stderr."""
    from ..views.console import Progress

    return Progress(
        sys.stderr,
        exact_loss=None if job.truth.objective.penalized else job.truth.loss,
        epochs=job.epochs,
        every=every,
        animate=sys.stderr.isatty(),
    )


def train_with_signals(
    job: Job, output: Path, *, sinks: list[Any], begun: Sequence[Callable[[Path], object]] = ()
) -> tuple[Run, int]:
    """Train; Ctrl-C and SIGTERM end the run after the epoch in progress, and everything is saved. Those of `begun` hear
    of the run folder as soon as it is there.
    """
    from ..runs.store import RunFolder

    with signals() as received:
        folder = RunFolder.create(output, job.manifest())
        for hear in begun:
            hear(folder.path)
        run = job.go_on(folder, sinks=sinks, rules=[received.rule])
    return run, received.numbers[0] if received else 0


def report(run: Account, *, as_json: bool, quiet: bool, findings: Findings | None = None) -> None:
    """The result on stdout, with what else was asked; warnings, the last thing on the screen, on stderr."""
    from ..runs.files import finite, json_text
    from ..views.console import quiet_table, warnings_text
    from ..views.statistics import wrapped

    if as_json:
        click.echo(json_text({**run.to_dict(), **finite(findings.values if findings else {})}))
        return
    if quiet:
        click.echo(quiet_table(run))
    else:
        if run.epochs:
            click.echo("", err=True)
        click.echo(run.summary())
    if findings and findings.lines:
        click.echo("\n".join(findings.lines))
    if not quiet:
        if run.folder is not None:
            click.echo(f" run {run.folder.name} in {run.folder}")
        click.echo("")
    quiet_and_well = quiet and run.verdict.name == "CONVERGED"
    if not quiet_and_well:
        text = "\n".join(wrapped(str(run.verdict)))
        click.echo(colored(text, run.verdict.name, COLORS[run.verdict.name]), err=quiet)
    if warned := warnings_text(run.verdict):
        click.echo(colored(warned, "warning", "yellow"), err=True)


def draw(run: Run, *, every: bool, silent: bool) -> None:
    """The figures, with a word where there are so many that it takes a while."""
    from ..views.figures import save_figures

    if every and len(run.epochs) > 100 and not silent:
        click.echo(f"drawing {len(run.epochs):,} figures ...", err=True)
    save_figures(run, every=every)


def show_window(run: Run) -> None:
    """A window with the figure, or a word on why there is none."""
    from ..views.screen import show

    if not show(run.figure()):
        where = f"; the figures are in {run.folder / 'figures'}" if run.folder else ""
        click.echo(f"no window: there is no screen here{where}", err=True)
