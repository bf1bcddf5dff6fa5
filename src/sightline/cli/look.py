"""`sightline show` and `sightline runs`."""

from __future__ import annotations

from typing import Any

import click

from .fit import report
from .options import output_option, result_options
from .questions import ask, question_options
from .sections import Sectioned


@click.command("show", cls=Sectioned, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@question_options
@result_options
def show_command(run: str, as_json: bool, quiet: bool, **options: Any) -> int:
    """The table and the verdict of RUN, an id or a folder; questions are asked of its exact answer."""
    from ..run import load
    from ..words import count, plain

    found = load(run)
    findings = ask(found, options, load)
    if not (as_json or quiet):
        o, epochs = found.result["optimizer"], found.result["epochs"]
        how = f"{o['name']}, rate {plain(o['lr'])}, {count(epochs, 'epoch')}" if "lr" in o else "solved, no training"
        click.echo(f"{found.source.get('name')}: {how}")
    report(found, as_json=as_json, quiet=quiet, findings=findings)
    return 0


@click.command("runs", context_settings={"help_option_names": ["-h", "--help"]})
@output_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array and nothing else.")
def runs_command(output: str | None, as_json: bool) -> int:
    """The runs in a folder, oldest first."""
    import json
    import shutil
    from pathlib import Path

    from ..runs.store import default_output, list_runs
    from ..words import plain

    where = Path(output) if output else default_output()
    found = list_runs(where)
    if as_json:
        keys = ("run", "status", "started", "finished", "folder")
        click.echo(json.dumps([{**{k: r.get(k) for k in keys}, **_brief(r)} for r in found]))
        return 0
    if not found:
        click.echo(f'no runs in {where}; make one with: sightline fit DATA "y ~ x"')
        return 0
    room = max(16, shutil.get_terminal_size().columns - 65)
    click.echo(f"{'run':<9}{'started':<18}{'verdict':<15}{'loss':>11}{'epochs':>9}  formula")
    for r in found:
        b = _brief(r)
        started = str(r.get("started", ""))[:16].replace("T", " ")
        epochs = "-" if b["epochs"] is None else f"{b['epochs']:,}"
        verdict = b["verdict"] or str(r.get("status"))
        formula = str(b["formula"])
        formula = formula if len(formula) <= room else formula[: room - 3] + "..."
        click.echo(f"{r['run']:<9}{started:<18}{verdict:<15}{plain(b['loss'], 6):>11}{epochs:>9}  {formula}")
    return 0


def _brief(run: dict[str, Any]) -> dict[str, Any]:
    result = run.get("result")
    values = result if isinstance(result, dict) else {}
    design = run.get("design")
    formula = design.get("formula") if isinstance(design, dict) else None
    return {"formula": formula, **{key: values.get(key) for key in ("verdict", "loss", "epochs")}}
