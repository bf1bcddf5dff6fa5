"""One row of the table: agreement first, then times, the peers taking turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter
from typing import Any

__all__ = ["Measured", "Peer", "Row", "measure"]

ROUNDS = 7


@dataclass(frozen=True)
class Peer:
    """Does the work, or a part of it that is `scale` times smaller."""

    name: str
    run: Callable[[], Any]
    scale: float = 1.0


@dataclass(frozen=True)
class Row:
    """One workload. `deviation` is that of sightline from the plain loop in float64, at most `tolerance`.

    `targets` are the ratios to reach, by the name of the peer; `note` says what limits them.
    """

    number: str
    title: str
    ours: Peer
    peers: Sequence[Peer]
    deviation: Callable[[], float]
    tolerance: float
    targets: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Measured:
    """What was found: seconds by peer, `ratios` of peers to sightline round by round."""

    row: Row
    deviation: float
    seconds: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, list[float]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether it may be timed."""
        return self.deviation <= self.row.tolerance

    def lines(self) -> list[str]:
        """For a terminal and for the page."""
        head = f"#{self.row.number} {self.row.title}: largest deviation {self.deviation:.1e}"
        if not self.agrees:
            return [f"{head}, above {self.row.tolerance:.0e}: DISAGREE"]
        lines = [head, f"    {self.row.ours.name:<44}{_time(self.seconds[self.row.ours.name])}"]
        for peer in self.row.peers:
            low, _, high = quantiles(self.ratios[peer.name], n=4)
            ratio, goal = median(self.ratios[peer.name]), self.row.targets.get(peer.name)
            asked = "" if goal is None else f"   asked {goal:g}: {'reached' if ratio >= goal else 'short'}"
            scaled = "" if peer.scale == 1.0 else f" (a part of it, × {peer.scale:g})"
            lines.append(
                f"    {peer.name + scaled:<44}{_time(self.seconds[peer.name])}{ratio:>10.3g} ×"
                f"  ({low:.3g} to {high:.3g}){asked}"
            )
        return [*lines, *([f"    {self.row.note}"] if self.row.note else [])]


def measure(row: Row, *, rounds: int = ROUNDS) -> Measured:
    """Compare, warm up, then let everyone take turns."""
    deviation = row.deviation()
    if not deviation <= row.tolerance:
        return Measured(row, deviation)
    everyone = [row.ours, *row.peers]
    times: dict[str, list[float]] = {peer.name: [] for peer in everyone}
    for number in range(rounds + 1):
        for peer in everyone if number % 2 else reversed(everyone):
            began = perf_counter()
            peer.run()
            if number:
                times[peer.name].append((perf_counter() - began) * peer.scale)
    ours = times[row.ours.name]
    ratios = {p.name: [t / o for t, o in zip(times[p.name], ours, strict=True)] for p in row.peers}
    return Measured(row, deviation, {name: median(t) for name, t in times.items()}, ratios)


def _time(seconds: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:>9.3g} {unit:<2}"
    return f"{seconds / 1e-9:>9.3g} ns"
