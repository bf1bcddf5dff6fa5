"""`sightline tutorial`: the classic exercise, and what its script does not tell."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from .announce import announce
from .fit import show_window, train_with_signals
from .lesson.exercise import Exercise, exercise_for, loss_for, rate_for
from .options import colored, output_option

if TYPE_CHECKING:
    from ..job import Job
    from ..records import Epoch, Warning
    from ..run import Run
    from .lesson.plan import Plan
    from .lesson.script import Script

__all__ = ["ClassicLines", "tutorial_command"]


@click.command("tutorial", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--task",
    default="regression",
    show_default=True,
    metavar="NAME",
    help="regression, classification (two classes) or multiclass (three).",
)
@click.option("--loss", metavar="NAME", help="For regression: mse (default), l1, huber or smooth-l1.")
@click.option(
    "--optimizer", default="sgd", show_default=True, metavar="NAME", help="Any of torch.optim, such as adam or rmsprop."
)
@click.option("--lr", type=float, metavar="X", help="Learning rate (default: one that suits; for sgd and mse 3e-6).")
@click.option("--epochs", type=int, default=20, show_default=True, metavar="N", help="How many epochs.")
@click.option("--plain", is_flag=True, help="No lesson: only what the script prints, and what it hides.")
@click.option("--figures/--no-figures", default=True, help="A figure for every epoch in the run folder (default yes).")
@click.option("--show", is_flag=True, help="Open windows, where there is a screen.")
@output_option
def tutorial_command(task: str, loss: str | None, output: str | None, **options: Any) -> int:
    """Fit weight against height for five people, as every PyTorch tutorial does it, and see every step.

    Tensors of shape (5, 1), nn.Linear(1, 1) with weight 0.45 and bias -35, SGD with rate 3e-6, MSELoss, 20 epochs,
    float32. Each step of the script is explained and shown (on stderr), then run: for every epoch it prints the loss
    before that epoch's update and the parameters after it. Then it tells what the script hides.

    The same for two classes (passed or not, by hours of study) with --task classification, and for three (green, ripe
    or brown, by days) with --task multiclass.
    """
    from ..runs.store import default_output

    figures, lesson = options["figures"], not options["plain"]
    folder = Path(output) if output else default_output()
    plan = _plan(exercise_for(task), loss, folder, options)
    script = _script(plan, figures=figures)
    if lesson:
        _teach(plan, script)
    else:
        announce(plan.job)
    run, signalled = train_with_signals(plan.job, folder, sinks=[ClassicLines(plan.job)])
    _keep(script, run)
    if figures:
        _save(run, plan.exercise)
        if lesson and len(run.epochs) > 1:
            _say_figures(plan, script, last=run.epochs[-1].number)
    _tell(run, plan, figures=figures, lesson=lesson)
    if options["show"]:
        show_window(run)
    return 128 + signalled if signalled else 4 if run.verdict.name == "DIVERGED" else 0


def _plan(exercise: Exercise, loss: str | None, folder: Path, options: dict[str, Any]) -> Plan:
    """Everything checked, the rows written, the job made."""
    from ..settings import RunSettings

    loss, name, lr, epochs = loss_for(exercise, loss), options["optimizer"], options["lr"], options["epochs"]
    if epochs < 1:
        raise UsageError(f"--epochs cannot be {epochs}: give a whole number of at least 1")
    settings = RunSettings(
        loss=None if loss == exercise.losses[0] else loss,
        optimizer=name,
        lr=rate_for(exercise, loss, name) if lr is None else lr,
        momentum=0.0 if name.lower() == "sgd" else None,
        epochs=epochs,
        standardize=False,
        start=exercise.coefficients,
        dtype="float32",
        engine="autograd",
    )
    from ..engines.optimizers import optimizer_options  # torch, only where the settings are right
    from ..job import Job
    from ..prepare import prepare_for
    from .lesson.plan import Plan

    optimizer_options(name, {})  # refuses a name that torch does not have
    prepared = prepare_for(settings, _data(folder, exercise), exercise.formula, target=None)
    return Plan(exercise, loss, Job.of(prepared, settings), lr is not None)


def _script(plan: Plan, *, figures: bool) -> Script:
    from .lesson.script import whole_script

    return whole_script(
        plan.exercise, plan.loss, optimizer=plan.optimizer, lr=plan.lr, epochs=plan.epochs, figures=figures
    )


def _teach(plan: Plan, script: Script) -> None:
    """The steps up to the loop, and a rate that must diverge said before it does."""
    from ..views.console import warning_text
    from .lesson.text import text_of

    for number, step in enumerate(script, start=1):
        if step != "Figures":
            _say(f"{number}. {step}", text_of(step, plan), script[step])
    click.echo("", err=True)
    for warning in plan.job.warnings:
        if warning.code == "SL-LR-LIMIT":
            click.echo(warning_text(_as_commands(warning, plan)) + "\n", err=True)


def _say_figures(plan: Plan, script: Script, *, last: int) -> None:
    from .lesson.text import figures_text

    _say(f"{len(script)}. Figures", figures_text(plan, last), script["Figures"])


def _say(title: str, text: str, code: list[str]) -> None:
    """One step of the script: its name, a paragraph, its lines."""
    from ..views.statistics import wrapped

    click.echo("\n" + colored(title, title, "cyan"), err=True)
    click.echo("\n".join(wrapped(text)) + "\n", err=True)
    click.echo("\n".join(f"    {line}" if line else "" for line in code), err=True)


class ClassicLines:
    """The lines of the classic script for each epoch: the loss (and of classes the accuracy) before its update, the
    parameters after it.
    """

    def __init__(self, job: Job) -> None:
        self._problem, self._classes = job.problem, bool(job.prepared.design.classes)
        self._accuracy = 0.0

    def __call__(self, epoch: Epoch) -> None:
        """Print one epoch; number 0 has none."""
        if epoch.number > 0:
            weight, bias = (_numbers(p.flatten().tolist()) for p in self._problem.module.parameters())
            click.echo(f"Epoch: {epoch.number}, train loss: {epoch.running_loss:.4f}")
            click.echo(f"Weight: {weight}, Bias: {bias}")
            if self._classes:
                click.echo(f"Accuracy: {self._accuracy:.4f}")
            click.echo("-" * 20)
        if self._classes:
            self._accuracy = self._right()

    def _right(self) -> float:
        """The share of rows whose likeliest class is theirs."""
        scores, y = self._problem.module(self._problem.x), self._problem.y
        right = (scores > 0) == (y > 0) if scores.shape[1] == 1 else scores.argmax(1) == y
        return float(right.float().mean())


def _numbers(values: list[float]) -> str:
    return " ".join(f"{v:.4f}" for v in values)


def _data(folder: Path, exercise: Exercise) -> Path:
    """The rows as a file, so that every command the verdict names can be run on it."""
    from ..errors import RunError
    from ..runs.files import write_bytes

    path = folder / exercise.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}; choose another place with --output") from None
    write_bytes(path, exercise.csv.encode())
    return path


def _keep(script: Script, run: Run) -> None:
    """The whole script in the run folder."""
    from ..runs.files import write_bytes

    assert run.folder is not None
    parts = ("\n".join([f"# {step}", *lines, ""]) for step, lines in script.items())
    write_bytes(run.folder / "script.py", "\n".join(parts).encode())


def _save(run: Run, exercise: Exercise) -> None:
    from ..views import figures as draw
    from ..views.drawing import save

    assert run.folder is not None
    folder, width = run.folder / "figures", max(2, len(str(run.epochs[-1].number)))
    rows = run.rows
    assert rows is not None
    raw = draw.scatter_figure(rows.X[:, 0], rows.y, exercise.x_name, exercise.y_name, labels=exercise.labels)
    save(raw, folder / "raw-data.png")
    for epoch in run.epochs[1:]:
        save(draw.epoch_figure(run, epoch), folder / f"epoch-{epoch.number:0{width}d}.png")
    save(draw.loss_figure(run), folder / "loss.png")


def _tell(run: Run, plan: Plan, *, figures: bool, lesson: bool) -> None:
    from ..views.console import warnings_text
    from ..views.statistics import wrapped
    from .lesson.untold import untold

    title = "What the script does not tell:"
    click.echo(f"\n{colored(title, title, 'cyan')}\n")
    for paragraph in untold(plan, run) if lesson else []:
        click.echo("\n".join(wrapped(paragraph)) + "\n")
    click.echo(run.summary())
    drawn = ", with its figures" if figures else ""
    click.echo(f" run {run.folder.name if run.folder else ''} in {run.folder}{drawn}\n")
    told = replace(run.verdict, warnings=tuple(_as_commands(w, plan) for w in run.verdict.warnings))
    click.echo("\n".join([*wrapped(str(run.verdict)), warnings_text(told)]))


def _as_commands(warning: Warning, plan: Plan) -> Warning:
    """The same warning, its fixes as whole commands: this one has no such options."""
    fixes = (f if not f.startswith("--") else _whole(f, plan) for f in warning.fix)
    return replace(warning, fix=tuple(fixes))


def _whole(options: str, plan: Plan) -> str:
    """The fit of the same rows by the same loss; without standardized columns from the same start."""
    loss = "" if plan.job.settings.loss is None else f" --loss {plan.loss}"
    command = f"sightline fit {shlex.quote(plan.job.prepared.label)} {shlex.quote(plan.exercise.formula)}{loss}"
    if options.startswith("--standardize --lr auto "):
        return f"{command}  # {options.partition('# ')[2]}"
    start = ",".join(f"{name}={value:g}" for name, value in plan.exercise.coefficients.items())
    return f"{command} --no-standardize{f' --start {start}' if start else ''} {options}"
