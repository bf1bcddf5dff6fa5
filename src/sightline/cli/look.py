"""`sightline show` and `sightline runs`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from .fit import report
from .options import output_option, result_options
from .questions import Findings, ask, question_options
from .sections import Sectioned

if TYPE_CHECKING:
    from ..account import Account

KILLED = "killed: the process that wrote the run is gone"


@click.command("show", cls=Sectioned, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@question_options
@result_options
def show_command(run: str, as_json: bool, quiet: bool, **options: Any) -> int:
    """The table and the verdict of RUN, an id or a folder; questions are asked of its exact answer."""
    from ..runs.store import find_run, read_manifest, status_of
    from ..words import count, plain

    if read_manifest(find_run(run)).get("kind") == "module":
        return _show_module(run, options, as_json=as_json, quiet=quiet)
    found, findings = _asked(run, options)
    assert found.folder is not None
    findings.values["status"] = status_of(found.folder, read_manifest(found.folder))
    if not (as_json or quiet):
        o, epochs = found.result["optimizer"], found.result["epochs"]
        how = f"{o['name']}, rate {plain(o['lr'])}, {count(epochs, 'epoch')}" if "lr" in o else "solved, no training"
        click.echo(f"{found.source.get('name')}: {how}")
    report(found, as_json=as_json, quiet=quiet, findings=findings)
    if not as_json and (note := _going_on(findings.values["status"], run)):
        click.echo(note, err=True)
    return 0


def _asked(run: str, options: dict[str, Any]) -> tuple[Account, Findings]:
    """The run with its numbers only where a question needs them."""
    if not any(options.values()):
        from ..account import account

        return account(run), Findings()
    from ..run import load

    found = load(run)
    return found, ask(found, options, load)


def _going_on(status: str, run: str) -> str:
    """What is to be known where the result is that of before the run was gone on with."""
    if status == "running":
        return "the run is going on at this moment; this is its result before"
    return f"{KILLED}; this is its result before; {_resume(run)}" if status == "killed" else ""


def _resume(run: str) -> str:
    return f"go on with: sightline resume {shlex.quote(run)}"


def _show_module(run: str, options: dict[str, Any], *, as_json: bool, quiet: bool) -> int:
    """A training of a module; the questions are about the exact answer of a table, which it has not."""
    import json

    from ..modules.run import load_module

    if asked := [name for name, value in options.items() if value]:
        name = asked[0].replace("_", "-").removesuffix("s")
        raise click.UsageError(
            f"--{name} asks the exact answer of a table, and run {run} trained a module: leave it out"
        )
    found = load_module(run)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        click.echo(str(found.verdict) if quiet else found.summary())
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
    click.echo(f"{'run':<9}{'started':<18}{'verdict':<15}{'loss':>11}{'epochs':>9}  {_heading(found)}")
    for r in found:
        b = _brief(r)
        started = str(r.get("started", ""))[:16].replace("T", " ")
        epochs = "-" if b["epochs"] is None else f"{b['epochs']:,}"
        verdict = b["verdict"] if b["verdict"] and r["status"] not in ("running", "killed") else r["status"]
        formula = str(b["formula"])
        formula = formula if len(formula) <= room else formula[: room - 3] + "..."
        click.echo(f"{r['run']:<9}{started:<18}{verdict:<15}{plain(b['loss'], 6):>11}{epochs:>9}  {formula}")
    if killed := [r for r in found if r["status"] == "killed"]:
        click.echo(f"\n{KILLED}; {_resume(str(killed[-1]['folder' if output else 'run']))}")
    return 0


def _heading(found: list[dict[str, Any]]) -> str:
    return "formula, or module" if any(run.get("kind") == "module" for run in found) else "formula"


def _brief(run: dict[str, Any]) -> dict[str, Any]:
    result = run.get("result")
    values = result if isinstance(result, dict) else {}
    design = run.get("design")
    formula = design.get("formula") if isinstance(design, dict) else None
    if run.get("kind") == "module":
        settings = run.get("settings")
        formula = settings.get("module") if isinstance(settings, dict) else None
    return {"formula": formula, **{key: values.get(key) for key in ("verdict", "loss", "epochs")}}
