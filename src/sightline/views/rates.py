"""A sweep of learning rates as text: the loss at each rate as a bar, with the limit and the best in their places."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..rate_words import TOO_LARGE, Judged, Outcome
from ..words import about, count, plain
from .statistics import above, wrapped

__all__ = ["BARS", "WORD_AT", "sweep_head", "sweep_table"]

BARS = "█░"  # what is left of the loss, and a loss that left all bounds
WIDTH, BAR, LINES = 80, 21, 30
WORD_AT = slice(22 + BAR, 32 + BAR)  # where the word of a rate stands in its line


def sweep_head(subject: Mapping[str, Any], rates: int) -> list[str]:
    """What is swept, before it is."""
    o = dict(subject["optimizer"])
    name = o.pop("name")
    options = "".join(f", {k.replace('_', ' ')} {_shortly(v)}" for k, v in o.items())
    batch = "full batch" if subject["batch_size"] is None else f"batches of {subject['batch_size']:,}"
    columns = "standardized" if subject["standardize"] else "not standardized"
    lines = [
        f"{subject['formula']}: {count(subject['rows'], 'row')}, loss {subject['loss_name']}, columns {columns}",
        f"{name}{options}, {batch}, {subject['dtype']}: {count(rates, 'rate')} at once, "
        f"{count(subject['epochs'], 'epoch')}",
    ]
    return [part for line in lines for part in wrapped(line, indent="  ")]


def sweep_table(judged: Judged, subject: Mapping[str, Any], *, bars: str = BARS, where: str = "") -> list[str]:
    """A line for each rate (for at most 30 of many), the limit as a line of its own, what was seen, `where` it all is,
    and the verdict.
    """
    what = "objective above its optimum" if subject["penalized"] else "loss above exact"
    shown = _chosen(judged)
    low, high = _range(judged, shown)
    lines = [f"{'rate':>10}  {what} after {count(judged.ground.epochs, 'epoch')}, logarithmic bars"]
    limit = judged.ground.limit
    drawn = limit is None
    for o in shown:
        if not drawn and limit is not None and o.lr >= limit:
            lines.append(_limit_line(judged))
            drawn = True
        lines.append(_line(o, judged, low, high, bars))
    if not drawn:
        lines.append(_limit_line(judged))
    return [*lines, "", *_found(judged), *([where] if where else []), "", *wrapped(judged.sentence)]


def _line(o: Outcome, judged: Judged, low: float, high: float, bars: str) -> str:
    best = judged.best is not None and o.lr == judged.best.lr
    value = above(float(f"{o.excess:.3g}"), o.loss) if o.excess is not None else "-"
    note = f"{'best: ' if best else ''}{_note(o, judged)}"
    return f"{o.lr:>10.3e}{value:>10} {_bar(o, low, high, bars):<{BAR}} {o.word:<10}  {note}".rstrip()


def _bar(o: Outcome, low: float, high: float, bars: str) -> str:
    """Full where the loss is as large as any that settles, one cell where it is the smallest."""
    if o.diverged is not None or o.excess is None or o.excess > high:
        return bars[1] * BAR
    share = math.log(max(o.excess, low) / low) / math.log(high / low)
    return bars[0] * (1 + round(share * (BAR - 1)))


def _range(judged: Judged, shown: Sequence[Outcome]) -> tuple[float, float]:
    """The smallest and the largest excess on the bars."""
    floor = judged.ground.tolerance
    seen = [max(o.excess, floor) for o in shown if o.excess is not None and o.diverged is None]
    high = max([judged.start, floor, *[v for v in seen if v <= 10.0 * judged.start]])
    low = min([*seen, high / 10.0])
    return (low, high) if 0.0 < low < high else (1.0, 10.0)


def _note(o: Outcome, judged: Judged) -> str:
    if o.diverged is not None:
        return f"diverged in epoch {o.diverged:,}" if o.diverged < 1e4 else "diverged"
    if not o.settles:
        return "never settles"
    if judged.ground.forbids(o.lr):
        return "above the limit"
    if o.reached is not None:
        return f"in {count(o.reached, 'epoch')}"
    if o.needs is not None:
        return f"needs {about(o.needs)}"
    return "overshoots" if o.word == TOO_LARGE else "not there yet"


def _limit_line(judged: Judged) -> str:
    g = judged.ground
    assert g.limit is not None
    where = " at the optimum" if g.local else ""
    text = f"{g.limit:>10.3e} -- the limit: {g.rule}{where} "
    return text + "-" * (WIDTH - 1 - len(text))


def _found(judged: Judged) -> list[str]:
    """Where the sweep itself saw the limit."""
    low, high = judged.bracket
    what = "settles" if judged.ground.settling else "stays finite"
    if high is None or low is None:
        text = f"every rate {what}" if high is None else f"no rate {what}"
    else:
        text = f"{plain(low, 5)} {what}, {plain(high, 5)} does not"
    limit = judged.ground.limit
    return wrapped(f" seen: {text}" + (f"; computed: {plain(limit, 5)}" if limit is not None else ""))


def _chosen(judged: Judged) -> list[Outcome]:
    """At most 30 of the rates: the ends, the best, both sides of every change of word, the others evenly."""
    every = judged.outcomes
    if len(every) <= LINES:
        return list(every)
    must = {0, len(every) - 1}
    for i, o in enumerate(every):
        if judged.best is not None and o.lr == judged.best.lr:
            must.add(i)
        if i and o.word != every[i - 1].word and len(must) < LINES - 2:
            must |= {i - 1, i}
    span = math.log(every[-1].lr / every[0].lr)
    for j in range(LINES - len(must)):
        at = every[0].lr * math.exp(span * (j + 0.5) / (LINES - len(must)))
        must.add(min(range(len(every)), key=lambda i: abs(math.log(every[i].lr / at))))
    return [every[i] for i in sorted(must)]


def _shortly(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_shortly, value))
    return plain(value) if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
