"""One row of the table: agreement first, then times, the peers taking turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

__all__ = ["FASTEST", "Found", "Measured", "Peer", "Row", "measure", "missing"]

ROUNDS, FEWEST, BUDGET = 7, 3, 20.0  # rounds; where they take more than so many seconds, at least so few
FASTEST = "the fastest"  # the name of a target against whichever peer is fastest


@dataclass(frozen=True)
class Peer:
    """Does the work, or a part of it that is `scale` times smaller.

    `needs` are the modules that it imports; where one is not installed the row says so. `ready` puts the rows into the
    peer's own form, untimed as the making of rows is. `check` is the deviation of what `run` returns from the
    reference. `role` is "peer", or "yardstick" where it is no alternative (a product alone, another setting of
    sightline).
    """

    name: str
    run: Callable[[], Any]
    scale: float = 1.0
    needs: Sequence[str] = ()
    ready: Callable[[], Any] | None = None
    check: Callable[[Any], float] | None = None
    role: str = "peer"


@dataclass(frozen=True)
class Row:
    """One workload. `deviation` is that of sightline from the plain loop in float64, at most `tolerance`; where it is
    a pair, the second is that of the plain loop in its own dtype, and twice that is granted: parameters that are
    rounded to float32 after each step cannot stay nearer.

    `targets` are the ratios to reach, by the name of the peer or FASTEST; `memory` the bytes and `within` the deviation
    to stay below. `bytes` are read and `flops` of `dtype` are needed at least, for the fraction of the machine's limit;
    `limit` names another one. `steps` are those of the optimizer. `commands` are always cold. `reference` is what the
    deviation is from; `note` says what else is to be known.
    """

    number: str
    title: str
    ours: Peer
    peers: Sequence[Peer]
    deviation: Callable[[], float | tuple[float, float]]
    tolerance: float
    targets: dict[str, float] = field(default_factory=dict)
    note: str = ""
    short: str = ""
    bytes: float = 0.0
    flops: float = 0.0
    dtype: str = "float32"
    limit: str = ""
    steps: int = 0
    memory: float | None = None
    within: float | None = None
    commands: bool = False
    reference: str = "the plain loop in float64"


@dataclass(frozen=True)
class Found:
    """What one peer took: seconds of the whole work round by round, or why there are none (`missing`).

    `cold` seconds in a fresh interpreter, `memory` bytes beyond the rows; None where not measured.
    """

    name: str
    scale: float = 1.0
    role: str = "peer"
    times: list[float] = field(default_factory=list)
    missing: str = ""
    deviation: float | None = None
    cold: float | None = None
    memory: float | None = None

    @property
    def seconds(self) -> float:
        """The median of the rounds."""
        return median(self.times)


@dataclass(frozen=True)
class Measured:
    """What was found for a row with so many threads; `about` is the row without its functions."""

    about: dict[str, Any]
    threads: int
    deviation: float
    own: float | None  # of the plain loop in its own dtype
    ours: Found
    peers: list[Found]

    @property
    def allowed(self) -> float:
        """The largest deviation with which it is timed."""
        return float(max(self.about["tolerance"], 2.0 * (self.own or 0.0)))

    @property
    def agrees(self) -> bool:
        """Whether it may be timed."""
        return self.deviation <= self.allowed

    @property
    def timed(self) -> list[Found]:
        """The peers that ran."""
        return [peer for peer in self.peers if peer.times]

    def ratios(self, peer: Found) -> list[float]:
        """Times of the peer over ours, round by round."""
        return [theirs / ours for theirs, ours in zip(peer.times, self.ours.times, strict=True)]

    def fastest(self) -> Found | None:
        """The fastest of the alternatives."""
        return min((p for p in self.timed if p.role == "peer"), key=lambda p: p.seconds, default=None)

    def against(self, name: str) -> Found | None:
        """The peer that a target is about, where it ran."""
        return self.fastest() if name == FASTEST else next((p for p in self.timed if p.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Measured:
        """From plain values."""
        ours, peers = Found(**values["ours"]), [Found(**peer) for peer in values["peers"]]
        return cls(**{**values, "ours": ours, "peers": peers})


def missing(peer: Peer) -> str:
    """What is not installed of what a peer needs."""
    absent = [name for name in peer.needs if find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def measure(row: Row, *, threads: int = 1, rounds: int = ROUNDS, budget: float = BUDGET) -> Measured:
    """Compare, warm up, then let everyone take turns until the rounds or the seconds are over."""
    found = row.deviation()
    deviation, own = found if isinstance(found, tuple) else (found, None)
    blank = Measured(_about(row), threads, deviation, own, _blank(row.ours), [_blank(p) for p in row.peers])
    if not blank.agrees:
        return blank
    ours, *peers = _warmed([row.ours, *row.peers])
    if ours.missing:
        return replace(blank, ours=ours, peers=peers)
    running = {peer.name: peer for peer in (row.ours, *row.peers)}
    active, began = [p for p in (ours, *peers) if not p.missing], perf_counter()
    for number in range(rounds):
        if number >= FEWEST and perf_counter() - began > budget:
            break
        for found in active if number % 2 else reversed(active):
            found.times.append(_seconds(running[found.name]) * found.scale)
    return replace(blank, ours=ours, peers=peers)


def _about(row: Row) -> dict[str, Any]:
    left_out = ("ours", "peers", "deviation")
    return {name: value for name, value in vars(row).items() if name not in left_out}


def _blank(peer: Peer) -> Found:
    return Found(peer.name, peer.scale, peer.role)


def _warmed(everyone: Sequence[Peer]) -> list[Found]:
    """Each once, untimed; a peer that fails says with what."""
    return [replace(_blank(peer), **_first(peer)) for peer in everyone]


def _first(peer: Peer) -> dict[str, Any]:
    if absent := missing(peer):
        return {"missing": absent}
    try:
        if peer.ready:
            peer.ready()
        result = peer.run()
        return {"deviation": peer.check(result) if peer.check else None}
    except Exception as error:
        return {"missing": f"failed: {type(error).__name__}: {error}".splitlines()[0][:100]}


def _seconds(peer: Peer) -> float:
    began = perf_counter()
    peer.run()
    return perf_counter() - began
