"""A run in the terminal: at most 80 columns, a table that a statistician recognizes, the distance from the exact
answer.
"""

from __future__ import annotations

import math
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import TextIO

from ..records import Coefficient, Epoch, Verdict, Warning
from ..words import count, duration, plain
from .class_report import metrics_lines
from .statistics import above, distance_lines, p_value, statistics_lines, wrapped
from .subject import Told

__all__ = [
    "Progress",
    "column_text",
    "interval_text",
    "or_dash",
    "quiet_table",
    "shows_distance",
    "summary",
    "t_text",
    "warning_text",
    "warnings_text",
]

WIDTH = 80


def summary(run: Told) -> str:
    """The table of coefficients, the fit statistics and the verdict of a run."""
    title = run.result["formula"]
    df = run.result["df"]
    right = f"{count(run.result['rows'], 'row')}, {count(df, 'degree')} of freedom"
    head = (
        [title + right.rjust(WIDTH - len(title))] if len(title) + len(right) + 2 <= WIDTH else [*wrapped(title), right]
    )
    table = _distance_table(run) if shows_distance(run) else _answer_table(run)
    return "\n".join([*head, *table, "", *statistics_lines(run), *metrics_lines(run), *distance_lines(run)])


def shows_distance(run: Told) -> bool:
    """Whether the table has trained and exact coefficients side by side, because they differ."""
    trained = run.result["engine"]["name"] != "exact"
    apart = [abs(c.off_by) for c in run.coefficients if c.off_by is not None]
    near = not trained or (bool(apart) and max(apart) < 5e-4)
    return run.verdict.name == "DIVERGED" or not (near or run.verdict.name == "CONVERGED")


def _answer_table(run: Told) -> list[str]:
    """Estimate, standard error, t (z of classes), p, interval, as `summary(lm)` has them."""
    coefficients = run.coefficients
    columns = [
        ("estimate", column_text([c.estimate for c in coefficients])),
        ("std. error", column_text([c.std_error for c in coefficients])),
        (
            "z" if run.design.classes or run.result["fit"].get("normal") else "t",
            [or_dash(c.t, t_text) for c in coefficients],
        ),
        ("p", [or_dash(c.p, p_value) for c in coefficients]),
        (f"{100 * run.level:g} % interval", [interval_text(c) for c in coefficients]),
    ]
    return _table([c.term for c in coefficients], columns, _gone(run))


def _distance_table(run: Told) -> list[str]:
    """Trained, exact, standard error, and how many standard errors lie between."""
    coefficients = run.coefficients
    columns = [
        ("trained", column_text([c.estimate for c in coefficients])),
        ("exact", column_text([c.exact for c in coefficients])),
        ("std. error", column_text([c.std_error for c in coefficients])),
        (
            "off by",
            [or_dash(c.off_by, lambda v: f"{v:+.2f} se" if abs(v) < 1e4 else f"{v:+.1e} se") for c in coefficients],
        ),
    ]
    return _table([c.term for c in coefficients], columns, _gone(run))


def _gone(run: Told) -> list[str]:
    """Why a coefficient has no value, empty where it has one."""
    terms = run.design.terms  # once for each class that has coefficients
    why = ["constant column, not estimable" if name in run.design.constant else "not estimable" for name in terms]
    gone = [c.exact is None and (c.estimate is None or not run.design.classes) for c in run.coefficients]
    return [why[i % len(terms)] if lost else "" for i, lost in enumerate(gone)]


def _table(names: Sequence[str], columns: Sequence[tuple[str, list[str]]], gone: Sequence[str]) -> list[str]:
    widths = [max(len(title), *map(len, cells)) + 2 for title, cells in columns]
    room = max(8, WIDTH - 1 - sum(widths))
    first = min(max(len(n) for n in names), room)
    lines = [" " * (first + 1) + "".join(title.rjust(w) for (title, _), w in zip(columns, widths, strict=True))]
    for i, name in enumerate(names):
        if len(name) > first:  # a long name has a line of its own
            lines += [f" {part}" for part in textwrap.wrap(name, WIDTH - 2, break_on_hyphens=False)]
            name = ""
        cells = "".join(cells[i].rjust(w) for (_, cells), w in zip(columns, widths, strict=True))
        lines.append(f" {name:<{first}}" + (f"   {gone[i]}" if gone[i] else cells))
    return lines


def column_text(values: Sequence[float | None]) -> list[str]:
    """One number of decimals for the whole column, where its sizes allow."""
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0.0]
    if not sizes or min(sizes) < 1e-3 or max(sizes) >= 1e6:
        return [or_dash(v, lambda v: f"{v:.4e}" if v and not 1e-3 <= abs(v) < 1e6 else f"{v:.4f}") for v in values]
    decimals = max(2, min(6, 3 - math.floor(math.log10(min(sizes)))))
    return [or_dash(v, lambda v: f"{v:.{decimals}f}") for v in values]


def or_dash(value: float | None, text: Callable[[float], str]) -> str:
    """The number as `text` writes it, a dash where there is none."""
    if value is None:
        return "-"
    if math.isinf(value):
        return f"{value:+}"
    return text(value) if math.isfinite(value) else "not finite"


def t_text(t: float) -> str:
    """A t or z as it is usually printed."""
    return f"{t:.2f}" if abs(t) < 1e6 else f"{t:.2e}"


def interval_text(c: Coefficient) -> str:
    """The ends of the interval, to the digits that its standard error gives a meaning."""
    if c.low is None or c.high is None:
        return "-"
    if not c.std_error or not 1e-6 < c.std_error < 1e6:
        return f"{plain(c.low)} .. {plain(c.high)}"
    decimals = max(0, 2 - math.floor(math.log10(c.std_error)))
    return f"{c.low:.{decimals}f} .. {c.high:.{decimals}f}"


def warnings_text(verdict: Verdict) -> str:
    """Every warning, then what fixes them, the last thing on the screen; what divergence proved right is not said
    again.
    """
    lines: list[str] = []
    fixes: list[str] = []
    for warning in verdict.warnings:
        if not (verdict.name == "DIVERGED" and warning.code == "SL-LR-LIMIT"):
            lines += wrapped(f"warning {warning.code}: {warning.text}", indent="  ")
        fixes += [fix for fix in warning.fix if fix not in fixes]
    return "\n".join([*lines, *_fix_lines(fixes)])


def warning_text(warning: Warning) -> str:
    """One warning, as it is shown before the first epoch."""
    lines = wrapped(f"warning {warning.code}: {warning.text}", indent="  ")
    return "\n".join([*lines, *_fix_lines(warning.fix)])


def _fix_lines(fixes: Sequence[str]) -> list[str]:
    if not fixes:
        return []
    lead = "  any one of these fixes it:" if len(fixes) > 1 else "  this fixes it:"
    return [lead, *map(_fix_line, fixes)]


def _fix_line(fix: str) -> str:
    """A fix as it can be pasted, its cost beside it, or below it where the line would be too long."""
    options, _, cost = fix.partition("  # ")
    if len(fix) + 4 <= WIDTH or not cost:
        return f"    {fix}"
    return f"    {_broken(options)}\n      # {cost}"


def _broken(command: str) -> str:
    """A long command on several lines, as a shell reads them."""
    lines = [""]
    for part in re.split(r" (?=--)", command):
        if lines[-1] and len(lines[-1]) + len(part) + 7 > WIDTH:
            lines.append(part)
        else:
            lines[-1] += f" {part}" if lines[-1] else part
    return " \\\n      ".join(lines)


def quiet_table(run: Told) -> str:
    """Coefficients only, tab separated."""
    return "\n".join(f"{c.term}\t{'' if c.estimate is None else repr(c.estimate)}" for c in run.coefficients)


class Progress:
    """Epochs as they come: a line at 0, 1, 2, 4, 8, ... and at the last (or at every one); between, on a terminal, one
    line that is redrawn at most ten times a second.
    """

    def __init__(self, stream: TextIO, *, exact_loss: float | None, epochs: int, every: bool, animate: bool) -> None:
        self.stream, self.exact_loss, self.epochs, self.every, self.animate = stream, exact_loss, epochs, every, animate
        self._next, self._shown, self._live = 0, -1.0, False

    def __call__(self, epoch: Epoch) -> None:
        if epoch.number == 0 or self._next == 0:
            valid = "" if epoch.valid_loss is None else f" {'validation':>14}"
            self._write(f"{'epoch':>9} {'loss':>14} {'above exact':>13} {'gradient':>12}{valid}")
        if self.every or epoch.stop is not None or epoch.number >= self._next:
            self._write(self._line(epoch))
            self._next = max(1, epoch.number * 2)
        elif self.animate and epoch.seconds - self._shown >= 0.1:
            self._shown, self._live = epoch.seconds, True
            line = self._line(epoch) + self._time_left(epoch)
            self.stream.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
            self.stream.flush()

    def _write(self, line: str) -> None:
        self.stream.write(("\r\x1b[K" if self._live else "") + line + "\n")
        self.stream.flush()
        self._live = False

    def _line(self, epoch: Epoch) -> str:
        loss = epoch.loss
        excess = None if loss is None or self.exact_loss is None else loss - self.exact_loss
        valid = "" if epoch.valid_loss is None else f" {_loss(epoch.valid_loss):>14}"
        return f"{epoch.number:>9,} {_loss(loss):>14} {above(excess, loss):>13} {plain(epoch.gradient_norm):>12}{valid}"

    def _time_left(self, epoch: Epoch) -> str:
        left = epoch.seconds / max(epoch.number, 1) * (self.epochs - epoch.number)
        return f"   {duration(left)} left" if left >= 1.0 else ""


def _loss(loss: float | None) -> str:
    if loss is None:
        return "-"
    return f"{loss:.4f}" if 1e-3 <= abs(loss) < 1e8 else f"{loss:.5g}"
