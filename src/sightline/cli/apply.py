"""`sightline predict` and `sightline evaluate`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import RunError, UsageError, shown

if TYPE_CHECKING:
    from ..data.sources import Source


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
def predict_command(run: str, data: str, output: str | None, interval: float | None, kind: str, unseen: str) -> int:
    """Predictions of RUN (an id or a folder) for the rows of DATA, as CSV; empty where a value is missing.

    Classes come with the probability of each.
    """
    from ..data.sources import open_source
    from ..prediction import classes_of, unseen_counts
    from ..run import load

    model, source = load(run), open_source(data)
    columns: dict[str, Any]
    if classes := model.design.classes:
        if interval is not None:
            raise UsageError("--interval is for predictions of a number, and these are classes: leave it out")
        p = model.probabilities(source, unseen=unseen)
        columns = {"prediction": classes_of(p, classes), **{f"p({c})": p[:, k] for k, c in enumerate(classes)}}
    else:
        result = model.predict(source, interval, kind=kind, unseen=unseen)
        columns = result if isinstance(result, dict) else {"prediction": result}
    if unseen != "error":
        otherwise = "left without a prediction"
        _say_unseen(source, unseen_counts(model.design, source), unseen, otherwise=otherwise)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*(values.tolist() for values in columns.values()), strict=True):
        writer.writerow([_cell(v) for v in row])
    if output in (None, "-"):
        click.echo(text.getvalue(), nl=False)
        return 0
    from pathlib import Path

    from ..runs.files import write_bytes

    assert output is not None
    if not Path(output).resolve().parent.is_dir():
        raise RunError(f"cannot write {output}: there is no folder {Path(output).parent}; make it first")
    write_bytes(Path(output), text.getvalue().encode())
    return 0


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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def evaluate_command(run: str, data: str, unseen: str, as_json: bool) -> int:
    """The metrics of RUN (an id or a folder) on the rows of DATA, which must have the target too."""
    from ..data.sources import open_source
    from ..prediction import unseen_counts
    from ..run import load
    from ..runs.files import finite, json_text

    model, source = load(run), open_source(data)
    metrics = model.evaluate(source, unseen=unseen)
    if metrics["unseen"]:
        counts = unseen_counts(model.design, source, target=True)
        _say_unseen(source, counts, unseen, otherwise="left out")
    if as_json:
        click.echo(json_text(finite(metrics)))
        return 0
    if model.design.classes:
        from ..views.class_report import evaluation_lines
    else:
        from ..views.number_report import evaluation_lines
    click.echo("\n".join(evaluation_lines(metrics)))
    return 0
