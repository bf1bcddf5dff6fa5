"""`sightline tutorial`: the classic exercise, and what its script does not tell."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .announce import announce
from .fit import show_window, train_with_signals
from .options import output_option

if TYPE_CHECKING:
    from ..records import Epoch, Warning
    from ..run import Run

HEIGHTS, WEIGHTS = (150, 160, 170, 175, 185), (55, 70, 64, 80, 75)


@click.command("tutorial", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--epochs", type=int, default=20, show_default=True, metavar="N", help="How many epochs.")
@click.option("--lr", type=float, default=3e-6, show_default=True, metavar="X", help="Learning rate.")
@click.option(
    "--optimizer", default="sgd", show_default=True, metavar="NAME", help="Any first-order optimizer of torch.optim."
)
@click.option("--figures/--no-figures", default=True, help="A figure for every epoch in the run folder (default yes).")
@click.option("--show", is_flag=True, help="Open windows, where there is a screen.")
@output_option
def tutorial_command(epochs: int, lr: float, optimizer: str, figures: bool, show: bool, output: str | None) -> int:
    """Fit weight against height for five people, as every PyTorch tutorial does it, and see every step.

    Tensors of shape (5, 1), nn.Linear(1, 1) with weight 0.45 and bias -35, SGD with rate 3e-6, MSELoss, 20 epochs,
    float32. For every epoch it prints the loss before that epoch's update and the parameters after it. Then it
    tells what the script hides.
    """
    from ..job import Job
    from ..prepare import prepare
    from ..runs.store import default_output
    from ..settings import RunSettings

    folder = Path(output) if output else default_output()
    settings = RunSettings(
        optimizer=optimizer,
        lr=lr,
        momentum=0.0 if optimizer.lower() == "sgd" else None,
        epochs=epochs,
        standardize=False,
        start={"Intercept": -35.0, "height": 0.45},
        dtype="float32",
        engine="autograd",
    )
    job = Job.of(prepare(_data(folder), "weight ~ height", standardize=False), settings)
    announce(job)
    run, signalled = train_with_signals(job, folder, sinks=[print_epoch])
    if figures:
        _save(run)
    _tell(run, figures=figures)
    if show:
        show_window(run)
    return 128 + signalled if signalled else 4 if run.verdict.name == "DIVERGED" else 0


def print_epoch(epoch: Epoch) -> None:
    """The three lines of the classic script."""
    if epoch.number == 0:
        return
    click.echo(f"Epoch: {epoch.number}, train loss: {epoch.running_loss:.4f}")
    click.echo(f"Weight: {epoch.parameters['height']:.4f}, Bias: {epoch.parameters['Intercept']:.4f}")
    click.echo("-" * 20)


def _data(folder: Path) -> Path:
    """The five people as a file, so that every command the verdict names can be run on it."""
    from ..errors import RunError
    from ..runs.files import write_bytes

    path = folder / "heights.csv"
    lines = ["height,weight", *(f"{h},{w}" for h, w in zip(HEIGHTS, WEIGHTS, strict=True))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}; choose another place with --output") from None
    write_bytes(path, ("\n".join(lines) + "\n").encode())
    return path


def _save(run: Run) -> None:
    from ..views import figures as draw
    from ..views.drawing import save

    assert run.folder is not None
    rows: Any = run.rows
    folder = run.folder / "figures"
    save(draw.scatter_figure(rows.X[:, 0], rows.y, "height", "weight"), folder / "raw-data.png")
    for epoch in run.epochs[1:]:
        save(draw.epoch_figure(run, epoch), folder / f"epoch-{epoch.number:02d}.png")
    save(draw.loss_figure(run), folder / "loss.png")


def _tell(run: Run, *, figures: bool) -> None:
    from ..views.console import warnings_text
    from ..views.statistics import wrapped

    click.echo("\nWhat the script does not tell:\n")
    click.echo(run.summary())
    where = run.folder / "figures" if figures and run.folder else run.folder
    click.echo(f" run {run.folder.name if run.folder else ''} in {where}\n")
    again = f"sightline fit {shlex.quote(run.source['name'])} 'weight ~ height'"
    told = replace(run.verdict, warnings=tuple(_as_commands(w, again) for w in run.verdict.warnings))
    click.echo("\n".join([*wrapped(str(run.verdict)), warnings_text(told)]))


def _as_commands(warning: Warning, command: str) -> Warning:
    """The same warning, its fixes as whole commands: this one has no such options."""
    fixes = (f if not f.startswith("--") else _whole(f, command) for f in warning.fix)
    return replace(warning, fix=tuple(fixes))


def _whole(options: str, command: str) -> str:
    if options.startswith("--standardize --lr auto "):
        return f"{command}  # {options.partition('# ')[2]}"
    return f"{command} --no-standardize {options}"
