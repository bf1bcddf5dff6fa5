"""`python -m benchmarks.suite [ROW ...]`: measure rows, print them, write the page and its plots."""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

from benchmarks.suite import page, processes
from benchmarks.suite.measure import ROUNDS, Measured
from benchmarks.suite.report import lines
from benchmarks.suite.rows import ROWS
from benchmarks.suite.scaling import PLOTS, Plot

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """All rows, or those that are named; 1 where one disagrees or cannot be measured."""
    given = _given(arguments)
    machines = {threads: processes.calibrated(threads) for threads in given.threads}
    print("\n".join(page.machine_lines(machines)), flush=True)
    most = max(given.threads)
    plots = [Plot(**processes.scaling(name, most)) for name in PLOTS] if given.page else []
    measured: list[Measured] = []
    failed = False
    for name, threads in product(given.rows or ROWS, given.threads):
        found = _measured(name, threads, given, cold=not given.warm and threads == most)
        failed |= found is None or not found.agrees
        if found is None:
            continue
        measured.append(found)
        print("\n".join(["", *lines(found, machines[threads])]), flush=True)
        if given.page:  # after each row, so that a run that is stopped leaves what it found
            page.written(given.page, measured, machines, plots=plots, scale=given.scale)
    if given.into:
        page.renewed(given.into, measured, machines, scale=given.scale)
    return int(failed)


def _measured(name: str, threads: int, given: argparse.Namespace, *, cold: bool) -> Measured | None:
    """One row, or what went wrong on the screen."""
    try:
        return processes.measured(name, threads=threads, rounds=given.rounds, scale=given.scale, cold=cold)
    except RuntimeError as error:
        print(f"\n#{name}: {error}", file=sys.stderr, flush=True)
        return None


def _given(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all without")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads, one after another")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the rows of the largest tables (8 grouped, 11, 12)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="in which the peers take turns")
    parser.add_argument("--warm", action="store_true", help="leave out fresh interpreters and memory")
    parser.add_argument("--page", type=Path, help="write the results to this page, and the plots beside it")
    parser.add_argument("--into", type=Path, help="put the results in place of the same rows of this page")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.rows if name not in ROWS]:
        parser.error(f"no row {unknown[0]}: give some of {', '.join(ROWS)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
