"""What runs in a process of its own: all peers of a row in turns, one peer cold, or the calibration."""

from __future__ import annotations

import json
import resource
import sys
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

__all__ = ["cold", "main", "peak_during"]


def main(result: str, kind: str, *arguments: str) -> None:
    """Write what was found to the file `result`, as JSON."""
    warnings.simplefilter("ignore")
    work = {"warm": warm, "cold": cold, "machine": machine, "scaling": scaling}[kind]
    Path(result).write_text(json.dumps(work(*arguments)))


def warm(name: str, threads: str, rounds: str) -> dict[str, Any]:
    """A row measured, the peers taking turns."""
    from benchmarks.suite.measure import measure
    from benchmarks.suite.rows import row

    return measure(row(name), threads=int(threads), rounds=int(rounds)).to_dict()


def cold(name: str, peer: str) -> dict[str, float]:
    """One peer once: the most memory beyond what was held before, and the seconds that making rows took."""
    from benchmarks.suite.data import Making
    from benchmarks.suite.measure import missing
    from benchmarks.suite.rows import row

    found = row(name)
    (one,) = (p for p in (found.ours, *found.peers) if p.name == peer)
    if missing(one):
        return {}
    began = perf_counter()
    if one.ready:
        one.ready()
    ready = perf_counter() - began
    return {"memory": peak_during(one.run), "made": Making.seconds + ready}


def peak_during(work: Any) -> float:
    """Bytes of memory at most while `work` runs, beyond those held before, or of its largest child process."""
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5")  # the highest mark of resident memory begins anew
    before = _status("VmRSS")
    work()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024.0
    return max(_status("VmHWM") - before, children)


def _status(name: str) -> float:
    """Bytes that the system has noted for this process."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(f"{name}:"))
    return float(line.split()[1]) * 1024.0


def machine(threads: str) -> dict[str, float]:
    """What it can do."""
    from benchmarks.suite.machine import calibrated

    return calibrated(int(threads))


def scaling(name: str) -> dict[str, Any]:
    """The points of one plot."""
    from benchmarks.suite.scaling import PLOTS

    return PLOTS[name]().to_dict()


if __name__ == "__main__":
    main(*sys.argv[1:])
