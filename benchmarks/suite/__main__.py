"""`python -m benchmarks.suite [ROW ...] [--page FILE]`: measure rows, print them, write the page."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import torch

from benchmarks.suite.machine import Machine
from benchmarks.suite.measure import measure
from benchmarks.suite.rows import ROWS

PAGE = """# Speed

Measured by `python -m benchmarks.suite --page docs/benchmarks.md`, which `scripts/bench` runs. Ratios are those of one
run in one process, peers taking turns, seven rounds: the median, and the quarters in parentheses. Before anything is
timed, sightline's records are compared with those of the plain loop in float64; a row that misses its tolerance is
printed DISAGREE. "A part of it" was run and its time multiplied.

```text
{}
```
"""


def main() -> None:
    """All rows, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; all without")
    parser.add_argument("--page", type=Path, help="write the table to this page too")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    lines = Machine().lines()
    print("\n".join(lines), flush=True)
    for name in given.rows or ROWS:
        found = measure(ROWS[name]()).lines()
        print("\n".join(["", *found]), flush=True)
        lines += ["", *found]
    if given.page:
        given.page.write_text(PAGE.format("\n".join(lines)))


if __name__ == "__main__":
    main()
