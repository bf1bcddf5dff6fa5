"""`sightline sweep`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..signals import signals
from .options import (
    NumberOr,
    colored,
    data_options,
    loss_options,
    output_option,
    read_loss,
    read_options,
    read_start,
)
from .sections import Sectioned

if TYPE_CHECKING:
    from ..sweeper import Sweeper
    from ..sweeps import Sweep

COLORS = {"too small": "blue", "just right": "green", "too large": "yellow"}


@click.command("sweep", cls=Sectioned, context_settings={"help_option_names": ["-h", "--help"]})
@data_options
@click.option(
    "--lr", metavar="LOW:HIGH:COUNT", help="The rates: a geometric grid such as 1e-4:1:24, or a list such as 0.1,0.3."
)
@click.option("--refine", is_flag=True, help="Train more rates around the limit, to find it to 1/1000.")
@loss_options
@click.option("--optimizer", metavar="NAME", help="Any optimizer of torch.optim but lbfgs (default sgd).")
@click.option("--momentum", type=NumberOr("auto"), metavar="X", help="Momentum (default 0).")
@click.option("--nesterov/--no-nesterov", default=None, help="Nesterov's momentum.")
@click.option("--weight-decay", type=float, metavar="X", help="The optimizer's own, on all parameters; see also --l2.")
@click.option("--opt", multiple=True, metavar="K=V", help="An option of the optimizer, such as betas=0.9,0.95.")
@click.option("--epochs", type=int, metavar="N", help="Epochs for every rate (default 100).")
@click.option(
    "--batch-size", type=NumberOr("full", int), metavar="N|full", help="Rows in a step (default full: all rows)."
)
@click.option("--seed", type=int, metavar="N", help="Decides the order of the rows in batches (default 0).")
@click.option("--standardize/--no-standardize", default=None, help="Train on standardized columns (default yes).")
@click.option("--start", metavar="TERMS", help='Where to start, such as "Intercept=-35,height=0.45".')
@click.option("--dtype", metavar="NAME", help="Train in float32 or float64 (default).")
@click.option("--engine", metavar="NAME", help="auto (default), autograd (the plain loop), quadratic or kernel.")
@click.option("--weights", metavar="COLUMN", help="Weight each row's loss by this column.")
@click.option("--l2", type=float, metavar="X", help="Ridge: add X/2 Σ slope² to the loss; the intercept is free.")
@output_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def sweep_command(data: str, formula: str | None, target: str | None, **options: Any) -> int:
    """Train DATA and FORMULA at many learning rates at once: too small, just right, too large, and the limit.

    Each rate gives the epochs that sightline fit gives with it; all are trained together. The folder of the sweep
    holds sweep.json, epochs.jsonl and figures/sweep.png.
    """
    from ..errors import UsageError
    from ..lr_sweep import EXAMPLE

    ways = {name: options.pop(name) for name in ("lr", "refine", "as_json", "output")}
    if ways["lr"] is None:
        raise UsageError(f"sweep needs --lr, the rates to compare: {EXAMPLE}")
    read = {"opt": read_options("--opt", options["opt"]), "start": read_start(options["start"]), **read_loss(options)}
    from ..sweeper import Sweeper
    from ..sweeps import saved

    sweeper = Sweeper.of(data, formula, lr=ways["lr"], target=target, settings={**options, **read})
    if not ways["as_json"]:
        _announce(sweeper)
    found, signalled = _train(sweeper, refine=ways["refine"])
    found = saved(found, Path(ways["output"]) if ways["output"] else None)
    _report(found, as_json=ways["as_json"])
    return 128 + signalled if signalled else 0


def _announce(sweeper: Sweeper) -> None:
    from ..views.rates import sweep_head

    click.echo("\n".join(sweep_head(sweeper.subject, len(sweeper.rates))) + "\n", err=True)


def _train(sweeper: Sweeper, *, refine: bool) -> tuple[Sweep, int]:
    """Train; Ctrl-C and SIGTERM end every rate after the epoch in progress, and everything is saved."""
    with signals() as received:
        found = sweeper.run(refine=refine, rules=[received.rule])
    return found, received.numbers[0] if received else 0


def _report(found: Sweep, *, as_json: bool) -> None:
    """The table, the folder and the verdict, which is the last thing on the screen."""
    from ..runs.files import finite, json_text
    from ..views.rates import BARS, sweep_table

    if as_json:
        click.echo(json_text(finite(found.to_dict())))
        return
    try:
        BARS.encode(sys.stdout.encoding or "ascii")
        bars = BARS
    except UnicodeEncodeError:
        bars = "#."
    where = f" sweep in {found.folder}" if found.folder else ""
    lines = sweep_table(found.judged, found.subject, bars=bars, where=where)
    click.echo("\n".join(_painted(line) for line in lines))


def _painted(line: str) -> str:
    """The word of a rate in its color; it is told by the word, not by the color."""
    from ..views.rates import WORD_AT

    for word, color in COLORS.items():
        if line[WORD_AT].strip() == word:
            return line[: WORD_AT.start] + colored(line[WORD_AT.start :], word, color)
    return line
