"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

__all__ = [
    "NumberOr",
    "cache_option",
    "colored",
    "data_options",
    "device_option",
    "inference_options",
    "loss_options",
    "memory_option",
    "output_option",
    "read_loss",
    "read_options",
    "read_start",
    "read_validation",
    "result_options",
    "step_options",
    "stopping_options",
]

F = TypeVar("F", bound=Callable[..., Any])


class NumberOr(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A number, or one given word."""

    def __init__(self, word: str, kind: type = float) -> None:
        self.word, self.kind = word, kind
        self.name = f"NUMBER|{word}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or the word itself."""
        if value == self.word or not isinstance(value, str):
            return value
        try:
            return self.kind(value)
        except ValueError:
            whole = "a whole number" if self.kind is int else "a number"
            self.fail(f"'{value}' is neither {whole} nor '{self.word}'", param, ctx)


def read_start(text: str | None) -> dict[str, float]:
    """`Intercept=-35,height=0.45` as a dict; commas inside parentheses belong to the name.

    >>> read_start("Intercept=-35,poly(x, 2)=0.5")
    {'Intercept': -35.0, 'poly(x, 2)': 0.5}
    """
    parts, depth = [""], 0
    for c in text or "":
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    start: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in parts)):
        term, equals, value = part.rpartition("=")
        try:
            start[term.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not term.strip():
            raise click.UsageError(f"--start cannot read '{part}': write --start \"Intercept=-35,height=0.45\"")
    return start


def read_options(flag: str, texts: Iterable[str]) -> dict[str, str]:
    """`betas=0.9,0.95,eps=1e-8` as a dict; a part without "=" goes on with the value before it.

    >>> read_options("--opt", ["betas=0.9,0.95", "eps=1e-8"])
    {'betas': '0.9,0.95', 'eps': '1e-8'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name = ""
        for part in text.split(","):
            before, equals, value = (piece.strip() for piece in part.partition("="))
            if equals and before:
                if before in found:
                    raise click.UsageError(f"{flag} gives {before} twice: leave one of them out")
                name, found[before] = before, value
            elif name and part.strip() and not equals:
                found[name] += f",{part.strip()}"
            else:
                raise click.UsageError(f"{flag} cannot read '{text}': write {flag} name=value")
    return found


def colored(text: str, word: str, color: str) -> str:
    """The text with its first `word` in color, unless NO_COLOR is set; click takes colors out where no terminal is."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return text.replace(word, click.style(word, fg=color, bold=True), 1)


def _stack(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def loss_options(function: F) -> F:
    """The loss and its own options."""
    return _stack(
        click.option(
            "--loss",
            metavar="NAME",
            help="For numbers mse, l1, huber, smooth-l1, poisson-nll (counts) or gaussian-nll; for classes bce (two), "
            "cross-entropy or hinge (default: mse, bce or cross-entropy, as the target is).",
        ),
        click.option(
            "--loss-opt", multiple=True, metavar="K=V", help="An option of the loss, such as delta=1.5 for huber."
        ),
        click.option(
            "--class-weight", metavar="W", help="Weight the classes: balanced, or by label, such as yes=2,no=1."
        ),
    )(function)


def read_loss(options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `loss_options` as settings."""
    given = {name: _float(value) for name, value in read_options("--loss-opt", options["loss_opt"]).items()}
    weight = options["class_weight"]
    if weight is not None and "=" in weight:
        weight = {label: _float(value) for label, value in read_options("--class-weight", [weight]).items()}
    return {"loss": options["loss"], "loss_opt": given, "class_weight": weight}


def _float(text: str) -> float | str:
    """The number, or what is none, for the settings to refuse."""
    try:
        return float(text)
    except ValueError:
        return text


def step_options(function: F) -> F:
    """The optimizer's own options, the schedule of the rate, and what goes around a step."""
    return _stack(
        click.option("--opt", multiple=True, metavar="K=V", help="An option of the optimizer, such as betas=0.9,0.95."),
        click.option(
            "--schedule",
            metavar="NAME",
            help="How the rate changes: step, multi-step, exponential, cosine, cosine-restarts, one-cycle, cyclic, "
            "linear, constant, polynomial or plateau.",
        ),
        click.option(
            "--schedule-opt", multiple=True, metavar="K=V", help="An option of the schedule, such as eta_min=1e-6."
        ),
        click.option("--warmup", type=int, metavar="N", help="Raise the rate over the first N epochs."),
        click.option("--clip-norm", type=float, metavar="X", help="Scale a gradient with a larger norm down to it."),
        click.option("--clip-value", type=float, metavar="X", help="Cut each entry of the gradient to ±X."),
        click.option("--accumulate", type=int, metavar="N", help="Make one step from every N batches."),
    )(function)


def stopping_options(function: F) -> F:
    """Validation rows, and when to stop."""
    return _stack(
        click.option("--validation", metavar="X|FILE", help="Hold out this fraction of the rows, or take a file's."),
        click.option("--patience", type=int, metavar="N", help="Stop after N epochs without a better validation loss."),
        click.option("--min-improvement", type=float, metavar="X", help="What counts as better (default any)."),
        click.option(
            "--restore-best/--no-restore-best",
            default=None,
            help="Keep the weights with the best validation loss (default), or the last ones.",
        ),
        click.option("--time-limit", type=float, metavar="S", help="Stop after so many seconds of training."),
        click.option("--target-loss", type=float, metavar="X", help="Stop at this loss (on validation rows, if any)."),
    )(function)


def read_validation(text: str | None) -> float | str | None:
    """A fraction where it is a number, else the name of a file."""
    return None if text is None else _float(text)


def data_options(function: F) -> F:
    """DATA, FORMULA and --target."""
    return _stack(
        click.argument("data"),
        click.argument("formula", required=False),
        click.option("--target", metavar="NAME", help="The column to predict from all others, instead of FORMULA."),
    )(function)


def result_options(function: F) -> F:
    """--json and --quiet."""
    return _stack(
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."),
        click.option("--quiet", is_flag=True, help="Print the coefficients only, tab separated."),
    )(function)


memory_option = click.option(
    "--memory",
    metavar="SIZE",
    help="What the rows may take, such as 500MB: a larger file is read piece by piece (default: half of all memory).",
)

cache_option = click.option(
    "--cache",
    metavar="DIR",
    help="Keep the numbers of the file in this folder: what was interrupted goes on; the next time nothing is read.",
)

device_option = click.option(
    "--device",
    metavar="NAME",
    help="Add up the rows, and train what needs them, on: cpu (auto, the default) or a GPU (cuda, cuda:1).",
)

output_option = click.option(
    "--output", metavar="DIR", help="Where run folders go (default: SIGHTLINE_RUNS, or ./runs)."
)


def inference_options(function: F) -> F:
    """Weights, ridge, and the kind of standard errors and intervals."""
    return _stack(
        click.option("--weights", metavar="COLUMN", help="Weight each row's loss by this column."),
        click.option("--l1", type=float, metavar="X", help="Lasso: add X Σ|slope| to the loss; trained by sgd only."),
        click.option(
            "--l2", type=float, metavar="X", help="Ridge: add X/2 Σ slope² to the loss; the intercept is free."
        ),
        click.option("--robust", metavar="KIND", help="Allow for unequal variances: hc0, hc1, hc2 or hc3."),
        click.option("--cluster", metavar="COLUMN", help="Allow for rows that come in groups, named in this column."),
        click.option("--level", type=float, metavar="P", help="Level of the confidence intervals (default 0.95)."),
    )(function)
