"""`sightline predict` and `sightline evaluate`."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import RunError, UsageError, shown
from .options import memory_option
from .reading import Reading

if TYPE_CHECKING:
    from ..data.sources import Source
    from ..predictor import Answer

UNSEEN_HELP = "A category that training did not have: error (default), reference (take it for that category), other "


@click.command("predict", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.argument("data")
@click.option("-o", "--output", metavar="FILE", help="Write CSV there instead of to stdout.")
@click.option(
    "--interval", type=float, metavar="P", help="Add columns low and high: the interval at this level, such as 0.95."
)
@click.option(
    "--kind",
    default="prediction",
    metavar="WHAT",
    help="What the interval is of: a new row (prediction, default) or the mean of such rows (confidence).",
)
@click.option("--unseen", default="error", metavar="WHAT", help=UNSEEN_HELP + "(no prediction).")
@memory_option
def predict_command(run: str, data: str, output: str | None, interval: float | None, kind: str, **options: Any) -> int:
    """Predictions of RUN (an id or a folder) for the rows of DATA, as CSV; empty where a value is missing.

    Classes come with the probability of each.
    """
    from ..data.sources import open_source
    from ..predictor import Asked
    from ..run import load

    path = None if output in (None, "-") else _output(str(output))
    model, source = load(run), open_source(data)
    if model.design.classes and interval is not None:
        raise UsageError("--interval is for predictions of a number, and these are classes: leave it out")
    told = path is None and sys.stdout.isatty()  # a line that changes would stand between the rows
    asked = Asked(options["unseen"], options["memory"], None if told else Reading(data))
    counts: Counter[str] = Counter()
    with closing(model.predictor.predictions(source, asked, interval, kind=kind)) as answers:
        _write(_csv(answers, counts), path)
    _say_unseen(source, counts, asked.unseen, otherwise="left without a prediction")
    return 0


def _output(name: str) -> Path:
    """The file to write, of which the folder has to be there before anything is read."""
    if not Path(name).resolve().parent.is_dir():
        raise RunError(f"cannot write {name}: there is no folder {Path(name).parent}; make it first")
    return Path(name)


def _write(texts: Iterator[str], path: Path | None) -> None:
    """To stdout as they come, or into a file that has its name when all of them are there."""
    if path is None:
        for text in texts:
            click.echo(text, nl=False)
        return
    from ..runs.files import write_parts

    write_parts(path, (text.encode() for text in texts))


def _csv(answers: Iterable[Answer], counts: Counter[str]) -> Iterator[str]:
    """The rows of each answer as lines, the names of the columns above the first; adds up the unseen categories."""
    for number, answer in enumerate(answers):
        counts.update(answer.unseen)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not number:
            writer.writerow(answer.columns)
        for row in zip(*(values.tolist() for values in answer.columns.values()), strict=True):
            writer.writerow([_cell(v) for v in row])
        yield text.getvalue()


def _say_unseen(source: Source, counts: Mapping[str, int], unseen: str, *, otherwise: str) -> None:
    from ..words import count

    for name, rows in counts.items():
        what = "taken as the reference category" if unseen == "reference" else otherwise
        said = f"column {shown(name)} of {source.name}: {count(rows, 'row')} with a category not trained on, {what}"
        click.echo(said, err=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return "" if value is None else str(value)


@click.command("evaluate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.argument("data")
@click.option("--unseen", default="error", metavar="WHAT", help=UNSEEN_HELP + "(leave the row out).")
@memory_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def evaluate_command(run: str, data: str, unseen: str, memory: str | None, as_json: bool) -> int:
    """The metrics of RUN (an id or a folder) on the rows of DATA, which must have the target too."""
    from ..data.sources import open_source
    from ..evaluating import evaluated
    from ..predictor import Asked
    from ..run import load
    from ..runs.files import finite, json_text

    model, source = load(run), open_source(data)
    found = evaluated(model.predictor, source, Asked(unseen, memory, None if as_json else Reading(data)))
    _say_unseen(source, found.unseen, unseen, otherwise="left out")
    if as_json:
        click.echo(json_text(finite(found.metrics)))
        return 0
    if model.design.classes:
        from ..views.class_report import evaluation_lines
    else:
        from ..views.number_report import evaluation_lines
    click.echo("\n".join(evaluation_lines(found.metrics)))
    return 0
