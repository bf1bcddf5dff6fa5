"""What was measured as text: a summary in Markdown, and the lines of each row."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles
from textwrap import wrap

from benchmarks.suite.measure import Found, Measured

__all__ = ["limit_of", "lines", "size", "summary", "time", "verdict"]

Machine = dict[str, float]
WIDTHS = (6, 20, 7, 14, 20, 19, 12)
SHORT = {"memory": "memory", "arithmetic": "flops"}
NAMES = {"torch.compile": "compiled", "SGDRegressor": "sklearn", "scikit-learn": "sklearn"}
HEAD = ("#", "workload", "ours", "fastest peer", "asked", "found", "limit")


def time(seconds: float) -> str:
    """Three digits and a unit."""
    for one, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= one:
            return f"{_three(seconds / one)} {unit}"
    return f"{_three(seconds / 1e-9)} ns"


def size(number: float) -> str:
    """Bytes in the unit that suits."""
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def _three(number: float) -> str:
    """Three digits, without an exponent."""
    digits = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{digits}f}"


def verdict(ratio: float, goal: float) -> str:
    """Whether a ratio reaches its target, or what is missing of it."""
    lacking = min(max(1.0 - ratio / goal, 0.01), 0.99)  # neither "0 %" nor "100 %"
    return "reached" if ratio >= goal else f"short {_percent(lacking)}"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 else "< 1 %"


def limit_of(found: Measured, machine: Machine) -> tuple[str, float] | None:
    """What bounds the row, memory or arithmetic, and the seconds that it needs at least."""
    seconds = {
        "memory": found.about["bytes"] / machine["read"],
        "arithmetic": found.about["flops"] / machine[found.about["dtype"]],
    }
    name = max(seconds, key=lambda n: seconds[n])
    return (name, seconds[name]) if seconds[name] else None


def summary(rows: Sequence[Measured], machine: Machine) -> str:
    """One line for each target of each row."""
    lines = [_cells(HEAD), _cells(["-" * width for width in WIDTHS])]
    for found in rows:
        lines += [_cells(cells) for cells in _summary_of(found, machine)]
    return "\n".join(lines)


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(f"{c[:w].rstrip(' ,'):<{w}}" for c, w in zip(cells, WIDTHS, strict=True)) + " |"


def _summary_of(found: Measured, machine: Machine) -> list[list[str]]:
    name = [found.about["number"], found.about["short"] or found.about["title"]]
    if not found.agrees:
        return [[*name, "", "", "", f"DISAGREE {found.deviation:.0e}", ""]]
    if found.ours.missing:
        return [[*name, "", "", "", found.ours.missing, ""]]
    best, bound = found.fastest(), limit_of(found, machine)
    limit = found.about["limit"]
    if not limit and bound:
        limit = f"{SHORT[bound[0]]} {_percent(bound[1] / found.ours.seconds)}"
    peer = "" if best is None else best.name.split()[0]
    head = [*name, time(found.ours.seconds), f"{time(best.seconds)} {NAMES.get(peer, peer)}" if best else ""]
    asked = [*_asked(found), *_asked_memory(found), *_asked_agreement(found)] or [("", "")]
    first = [*head, *asked[0], limit]
    return [first, *(["", "", "", "", *pair, ""] for pair in asked[1:])]


def _asked(found: Measured) -> list[tuple[str, str]]:
    """What was asked and what was found, target by target."""
    told = []
    for name, goal in found.about["targets"].items():
        peer = found.against(name)
        ratio = median(found.ratios(peer)) if peer else None
        told.append((_wish(goal, name), "not measured" if ratio is None else _answer(ratio, goal)))
    return told


def _wish(goal: float, name: str) -> str:
    """A ratio below 1 is told as the most that sightline may take."""
    name = name.split(",")[0]
    return f"{goal:.3g} × {name}" if goal >= 1.0 else f"≤ {1.0 / goal:.3g} × {name}"


def _answer(ratio: float, goal: float) -> str:
    return f"{_three(ratio if goal >= 1.0 else 1.0 / ratio)} ×, {verdict(ratio, goal)}"


def _asked_memory(found: Measured) -> list[tuple[str, str]]:
    asked, used = found.about["memory"], found.ours.memory
    if asked is None or used is None:
        return []
    return [(f"below {size(asked)}", f"{size(used)}, {verdict(asked / used, 1.0)}")]


def _asked_agreement(found: Measured) -> list[tuple[str, str]]:
    asked = found.about["within"]
    if asked is None:
        return []
    return [(f"within {asked:.0e}", f"{found.deviation:.1e}, {verdict(asked / found.deviation, 1.0)}")]


def lines(found: Measured, machine: Machine) -> list[str]:
    """All that is known of a row, for a terminal and for the page."""
    about, threads = found.about, f"{found.threads} thread{'s' * (found.threads > 1)}"
    own = "" if found.own is None else f"; the plain float32 loop: {found.own:.1e}"
    head = [
        f"#{about['number']} {about['title']}, {threads}",
        f"    largest deviation from {about['reference']} {found.deviation:.1e}{own}",
    ]
    if not found.agrees:
        return [*head, f"    DISAGREE: above {found.allowed:.1e}, not timed"]
    if found.ours.missing:
        return [*head, f"    {found.ours.name}: {found.ours.missing}"]
    return [
        *head, *_columns(found), *(_line(found, peer) for peer in (found.ours, *found.peers)), *_targets(found),
        *_limit(found, machine), *wrap(about["note"], 116, initial_indent="    ", subsequent_indent="    "),
    ]  # fmt: skip


def _columns(found: Measured) -> list[str]:
    warm = f"{'median':>10}" if not found.about["commands"] else f"{'command':>10}"
    step = f"{'a step':>9}" if found.about["steps"] else ""
    return [f"    {'':<40}{warm}{step}{'cold':>9}{'memory':>9}   {'× ours (quarters)'}"]


def _line(found: Measured, peer: Found) -> str:
    part = "" if peer.scale == 1.0 else f", a part × {peer.scale:.4g}"
    if peer.missing:
        return f"    {peer.name:<40}{peer.missing}"
    steps = found.about["steps"]
    step = f"{time(peer.seconds / steps):>9}" if steps else ""
    cold = "-" if peer.cold is None or found.about["commands"] else time(peer.cold)
    memory = "-" if peer.memory is None else size(peer.memory)
    text = f"    {peer.name + part:<40}{time(peer.seconds):>10}{step}{cold:>9}{memory:>9}"
    return f"{text}   {_ratio(found, peer)}{_apart(peer)}".rstrip()


def _ratio(found: Measured, peer: Found) -> str:
    if peer is found.ours:
        return f"{len(peer.times)} rounds, {time(min(peer.times))} to {time(max(peer.times))}"
    ratios = found.ratios(peer)
    low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return f"{_three(median(ratios))} ({_three(low)} to {_three(high)})"


def _apart(peer: Found) -> str:
    return "" if peer.deviation is None else f", off by {peer.deviation:.0e}"


def _targets(found: Measured) -> list[str]:
    told = [*_asked(found), *_asked_memory(found), *_asked_agreement(found)]
    return [f"    asked {what}: {result}" for what, result in told]


def _limit(found: Measured, machine: Machine) -> list[str]:
    bound, about = limit_of(found, machine), found.about
    work = f"reads {size(about['bytes'])}, {about['flops'] / 1e9:,.3g} GFLOP" if bound else ""
    share = f": {_percent(bound[1] / found.ours.seconds)} of the limit, {bound[0]}" if bound else ""
    named = f"limited by {about['limit']}" if about["limit"] else ""
    told = "; ".join(filter(None, [work + share, named]))
    return [f"    {told}"] if told else []
