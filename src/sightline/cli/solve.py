"""`sightline solve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .announce import left_out
from .fit import report
from .options import (
    cache_option,
    data_options,
    device_option,
    inference_options,
    loss_options,
    memory_option,
    output_option,
    read_loss,
    result_options,
)
from .questions import Findings, ask, question_options
from .reading import Reading
from .sections import Sectioned

if TYPE_CHECKING:
    from ..prepared import Prepared
    from ..run import Run


@click.command("solve", cls=Sectioned, context_settings={"help_option_names": ["-h", "--help"]})
@data_options
@loss_options
@inference_options
@question_options
@click.option("--prove", is_flag=True, help="Solve again in exact rational arithmetic, and compare.")
@memory_option
@cache_option
@device_option
@output_option
@result_options
def solve_command(data: str, formula: str | None, target: str | None, **options: Any) -> int:
    """The exact answer for DATA and FORMULA, without training; a run folder only with --output.

    FORMULA is such as "weight ~ height + C(city)"; DATA is .csv .tsv .parquet .json .jsonl .arrow, or - for stdin.
    """
    from ..data.sources import open_source
    from ..prepare import prepare_for
    from ..settings import RunSettings
    from ..solution import solved

    names = ("level", "weights", "l1", "l2", "robust", "cluster", "memory", "cache", "device")
    given = {name: options[name] for name in names}
    settings = RunSettings.of({**given, **read_loss(options)})

    source = open_source(data) if data == "-" else data  # standard input can be read once

    def answer(formula: str | None, output: Path | None) -> tuple[Prepared, Run]:
        heard = None if options["quiet"] or options["as_json"] else Reading(data)
        prepared = prepare_for(settings, source, formula, target=None if formula else target, heard=heard)
        return prepared, solved(prepared, settings, output)

    prepared, run = answer(formula, Path(options["output"]) if options["output"] else None)
    findings = ask(run, options, lambda other: answer(other, None)[1])
    if options["prove"]:
        _prove(prepared, run, findings)
    if not (options["as_json"] or options["quiet"]):
        _tell(prepared)
    report(run, as_json=options["as_json"], quiet=options["quiet"], findings=findings)
    return 0


def _tell(prepared: Prepared) -> None:
    """Which rows were left out, and how a large file was read."""
    from ..views.statistics import wrapped

    told = "; ".join(part for part in (left_out(prepared), prepared.reading) if part)
    if told:
        click.echo("\n".join(wrapped(f"{prepared.name}: {told}", indent="  ")) + "\n", err=True)


def _prove(prepared: Prepared, run: Run, findings: Findings) -> None:
    from ..errors import UsageError
    from ..proof import prove
    from ..views.statistics import wrapped

    s = run.settings
    if s.l2 or prepared.design.classes:
        raise UsageError("--prove is for least squares without a penalty: leave --l2 out, and predict a number")
    prepared.at_once("--prove")
    proof = prove(
        run.coefficients, *prepared.fractions(), prepared.rows.weight,
        intercept=prepared.design.intercept, classical=s.robust is None and s.cluster is None,
    )  # fmt: skip
    findings.add("proof", proof.to_dict(), wrapped(proof.sentence(), indent="  "))
