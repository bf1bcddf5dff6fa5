"""The command line: one small function per command; results on stdout, everything else on stderr."""

from __future__ import annotations

import io
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from ..errors import SightlineError, Terminated, nearest
from ..version import __version__
from .options import colored

__all__ = ["main"]

COMMANDS = {
    "fit": ("fit", "Train a linear model on a table, beside the exact answer."),
    "solve": ("solve", "The exact answer and its table, without training."),
    "sweep": ("sweep", "Many learning rates at once: too small, just right, too large."),
    "tutorial": ("tutorial", "The classic exercise: five points, twenty epochs, every step shown."),
    "show": ("look", "The table and the verdict of a run."),
    "compare": ("compare", "Runs side by side."),
    "resume": ("resume", "Go on with a run where it stopped, or to more epochs."),
    "explain": ("explain", "One epoch of a run worked out, number by number, and drawn."),
    "eject": ("eject", "A run as plain PyTorch: a script that needs no sightline."),
    "runs": ("look", "The runs in a folder."),
    "live": ("live", "A local web page of runs, while they train and afterwards."),
    "report": ("report", "A run as one web page in one file."),
    "animate": ("animate", "A run as a moving picture."),
    "predict": ("apply", "Predictions of a trained model for the rows of a table."),
    "evaluate": ("apply", "How well a trained model does on other data."),
    "validate": ("validate", "How many digits are right on this machine."),
    "warm": ("warm", "Make the machine code of long mini-batch runs ahead."),
}


class LazyGroup(click.Group):
    """Commands are imported when they are called, so that `--help` loads neither torch nor matplotlib."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f".{COMMANDS[cmd_name][0]}", __name__), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"no command '{args[0]}': {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


EPILOG = """\b
Examples:
  sightline fit examples/heights.csv "weight ~ height"
  sightline solve examples/heights.csv "weight ~ height"
  sightline predict RUN new.csv --interval 0.95
  sightline sweep examples/heights.csv "weight ~ height" --lr 1e-3:10:24
  sightline tutorial
"""


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"sightline {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup, invoke_without_command=True, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def sightline(ctx: click.Context, debug: bool) -> None:  # noqa: ARG001 - main looks for --debug itself
    """Train models in plain sight: see every step, and know how far you are from the answer."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code: 0 done, 1 internal error, 2 usage, 3 data, 4 diverged or not
    converged.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without λ prints ? for it
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    try:
        with _sigterm():
            code = sightline.main(args=arguments, prog_name="sightline", standalone_mode=False)
    except SightlineError as error:
        if debug:
            raise
        code = _complain(error.message, error.detail, error.exit_code)
    except click.ClickException as error:
        if debug:
            raise
        code = _complain(_sentence(error), "", 2)
    except (KeyboardInterrupt, click.Abort) as stopped:
        cause = stopped.__cause__ or stopped  # click raises an Abort from it
        said = str(cause) or "stopped at once; what was already written is kept"
        code = _complain(said, "", 143 if isinstance(cause, Terminated) else 130)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except OSError as error:
        if debug:
            raise
        code = _complain(f"cannot write the output: {error.strerror or error}; free space or write elsewhere", "", 3)
    except Exception as error:
        if debug:
            raise
        text = f"internal error, {type(error).__name__}: {error}; run again with --debug and report what it prints"
        code = _complain(text, "", 1)
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _sigterm() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does meanwhile, so that its temporary files go with it."""

    def end(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _sentence(error: click.ClickException) -> str:
    message = error.format_message()
    message = message if message.endswith("...") else message.rstrip(".")
    takes = [p.name for p in error.ctx.command.params] if isinstance(error, click.UsageError) and error.ctx else []
    if "unexpected extra argument" in message and "formula" in takes:
        return 'there are too many arguments: put the formula into quotes, as in "weight ~ height"'
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = f" {context.info_name}" if context and context.parent else ""
    message = message.replace(". Did you mean", "; did you mean")
    end = " see" if message.endswith("?") else "; see"
    return f"{message[:1].lower()}{message[1:]}{end} sightline{command} --help"


def _complain(message: str, detail: str, code: int) -> int:
    """One sentence on stderr, and where the place is shown, the lines for it; broken at words on a terminal."""
    text = f"error: {message}"
    if sys.stderr.isatty():
        text = textwrap.fill(text, shutil.get_terminal_size().columns - 1, break_on_hyphens=False)
    click.echo(colored(text, "error:", "red"), err=True)
    if detail:
        click.echo(detail, err=True)
    return code
