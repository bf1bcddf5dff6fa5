"""`sightline compare`."""

from __future__ import annotations

import click


@click.command("compare", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def compare_command(runs: tuple[str, ...], as_json: bool) -> int:
    """Two or more RUNS (ids or folders) side by side: coefficients, statistics, and what was set otherwise."""
    from ..errors import UsageError
    from ..run import load
    from ..runs.files import finite, json_text
    from ..views.compare import compared, comparison

    if not 2 <= len(runs) <= 5:
        raise UsageError(f"compare takes 2 to 5 runs, not {len(runs)}: name their ids or folders")
    found = [load(run) for run in runs]
    click.echo(json_text(finite(compared(found))) if as_json else "\n".join(comparison(found)))
    return 0
