"""`sightline validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..validation import Line

HEAD = f" {'problem':<25}{'rows':>5}{'coef':>5}{'κ':>9}{'digits':>8}{'of se':>7}{'certified':>11}{'numpy':>7}"


@click.command("validate", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--nist", metavar="DIR", help="Certified sets of your own: a folder with certified.json and the CSV files."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def validate_command(nist: str | None, as_json: bool) -> int:
    """How many digits of coefficients and standard errors are right on this machine.

    NIST's certified values are compared digit for digit; every line also with exact rational arithmetic. Exit code 4
    if a certified digit is missed or a line has fewer than 15 right.
    """
    import json
    from dataclasses import asdict
    from pathlib import Path

    from ..validation import certified_lines, rational_lines

    lines: list[Line] = []
    if not as_json:
        click.echo("Least squares on this machine, against exact answers\n\n" + HEAD)
    for found in (certified_lines(Path(nist) if nist else None), rational_lines()):
        for line in found:
            lines.append(line)
            if not as_json:
                click.echo(_row(line))
    met, printed = sum(line.certified or 0 for line in lines), sum(line.printed for line in lines)
    fewest = min(min(line.coefficient_digits, line.error_digits) for line in lines)
    if as_json:
        click.echo(
            json.dumps({"certified": met, "of": printed, "fewest_digits": fewest, "lines": [asdict(x) for x in lines]})
        )
    else:
        seconds = sum(line.seconds for line in lines)
        click.echo(
            f"\n {met} of {printed} certified numbers right in every digit\n {int(fewest)} digits right everywhere, in "
            f"{seconds:.2f} s\n κ: condition number of the columns scaled to one length; of se: digits of the\n"
            " standard errors; numpy: digits of numpy.linalg.lstsq, for comparison"
        )
    return 0 if met == printed and fewest >= 15.0 else 4


def _row(line: Line) -> str:
    certified = "" if line.certified is None else f"{line.certified}/{line.printed}"
    return (
        f" {line.name:<25}{line.rows:>5}{line.coefficients:>5}{line.condition:>9.1e}{line.coefficient_digits:>8.1f}"
        f"{line.error_digits:>7.1f}{certified:>11}{line.numpy:>7.1f}"
    )
