"""The page of results and the plots beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from textwrap import fill

from benchmarks.suite.machine import described, versions
from benchmarks.suite.measure import Measured
from benchmarks.suite.report import Machine, lines, summary
from benchmarks.suite.scaling import Plot

__all__ = ["draw", "machine_lines", "renewed", "written"]

PAGE = """# Speed

Made by `scripts/bench` on {date}. Ratios are those of one process, in which the peers take turns for seven
rounds (at least three where a round is long): the median, and the quarters in parentheses. Before anything is timed,
sightline's results are compared with those of a reference in float64; a row that misses its tolerance is printed
DISAGREE and has no times. Rows that lose are here like all others.

- **ours**: the median of the rounds, warm. **cold**: a fresh interpreter, from its start to its end, imports included,
  making the rows excluded; with the largest number of threads alone, as is **memory**.
- The plain loop is that of tutorials, the tuned one has index slices for its DataLoader. torch.compile is left out on
  mini-batches, where it costs more for each step than it saves.
- **a part × k**: a k-th of the work was done and its time multiplied, as the whole takes minutes.
- **memory**: the most that a fresh process needed beyond what it held when the rows were ready, imports included.
- **limit**: the time in which this machine could read the bytes or do the arithmetic that the work needs at least, as
  measured at the start, in percent of the time that ours took.
- Numbers that are asked for are aims; "short" says how much is missing of them.
{scale}
{machine}

{versions}.

{summaries}

## Growth

{plots}

## Row by row

{details}
"""
SUMMARY = "## Summary, {threads}\n\n{table}"
DETAIL = "```text\n{}\n```"


def machine_lines(machines: dict[int, Machine]) -> list[str]:
    """What the machine is, and its limits by the number of threads."""
    return [described(), *(_limits(threads, machine) for threads, machine in machines.items())]


def _limits(threads: int, machine: Machine) -> str:
    rates = [machine[name] / 1e9 for name in ("read", "float64", "float32")]
    return "{}: reads {:.0f} GB/s, {:.0f} GFLOP/s in float64, {:.0f} in float32".format(_threads(threads), *rates)


def _threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"


def written(
    path: Path, rows: Sequence[Measured], machines: dict[int, Machine], *, plots: Sequence[Plot], scale: float
) -> None:
    """The page, and a picture beside it for each plot."""
    summaries = [
        SUMMARY.format(threads=_threads(k), table=summary([r for r in rows if r.threads == k], machine))
        for k, machine in machines.items()
    ]
    about = [f"- {line}" for line in machine_lines(machines)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        PAGE.format(
            date=date.today().isoformat(), machine="\n".join(about), versions=fill(versions(), 118),
            summaries="\n\n".join(summaries), plots="\n\n".join(_shown(plot, path.parent) for plot in plots),
            details="\n\n".join(DETAIL.format("\n".join(lines(r, machines[r.threads]))) for r in rows),
            scale="" if scale == 1.0 else f"- The tables of rows 8 grouped, 11 and 12 are scaled by {scale:g}.\n",
        )
    )  # fmt: skip


def renewed(path: Path, rows: Sequence[Measured], machines: dict[int, Machine], *, scale: float) -> None:
    """The same page with these rows in place of those that it has of the same number and threads; others come last.

    The rows say when, and on which tables, where that differs from the page.
    """
    text = path.read_text()
    for row in rows:
        told = [*lines(row, machines[row.threads]), f"    measured on {date.today().isoformat()}, tables × {scale:g}"]
        table = summary([row], machines[row.threads]).split("\n")[2:]
        text = _in_summary(text, row, "\n".join(table))
        text = _in_details(text, row, DETAIL.format("\n".join(told)))
    path.write_text(text)


def _in_summary(text: str, row: Measured, table: str) -> str:
    """The lines of a row, and those below it that go on."""
    head, found, rest = text.partition(f"## Summary, {_threads(row.threads)}\n\n")
    assert found
    own = re.compile(rf"^\| {re.escape(str(row.about['number']))} +\|.*\n(?:\|  +\|.*\n)*", re.M)
    body, end, tail = rest.partition("\n\n")
    body += "\n"
    body = own.sub(lambda _: table + "\n", body, count=1) if own.search(body) else body + table + "\n"
    return head + found + body.rstrip("\n") + end + tail


def _in_details(text: str, row: Measured, told: str) -> str:
    """The block of a row."""
    number = re.escape(str(row.about["number"]))
    own = re.compile(rf"```text\n#{number} [^`]*?, {_threads(row.threads)}\n[^`]*```")
    if own.search(text):
        return own.sub(lambda _: told, text, count=1)
    return text.rstrip("\n") + "\n\n" + told + "\n"


def _shown(plot: Plot, folder: Path) -> str:
    """A picture, and the slopes in words."""
    name = f"growth-{plot.name}.png"
    draw(plot, folder / name)
    told = "; ".join(f"{line} {text}" for line, text in plot.slopes().items())
    caption = fill(f"{plot.title[0].upper()}{plot.title[1:]}. Expected: {plot.law}. Found: {told}.", 118)
    return f"![Seconds by {plot.axis}]({name})\n\n{caption}"


def draw(plot: Plot, path: Path) -> None:
    """Both axes logarithmic, the slopes in the legend."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    slopes = plot.slopes()
    for (name, points), marker in zip(plot.lines.items(), "os^v", strict=False):
        axes.loglog(*zip(*points, strict=True), marker=marker, label=f"{name}: {slopes[name]}")
    axes.set(xlabel=plot.axis, ylabel="seconds", title=plot.title)
    sizes = sorted({x for points in plot.lines.values() for x, _ in points})
    axes.set_xticks(sizes, [f"{x:,.10g}" for x in sizes])
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=100)
