"""Rows are measured in processes of their own, which have so many threads and processors and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.suite.data import SCALE
from benchmarks.suite.measure import Found, Measured

__all__ = ["calibrated", "measured", "scaling"]

ROOT = Path(__file__).resolve().parents[2]
POOLS = ("OMP", "MKL", "OPENBLAS", "NUMBA", "RAYON")
COLD_ROUNDS, COLD_BUDGET = 3, 3.0  # rounds of cold starts, fewer where they take more than so many seconds


def calibrated(threads: int) -> dict[str, float]:
    """What the machine can do."""
    return _child("machine", str(threads), threads=threads)[0]


def scaling(name: str, threads: int) -> dict[str, Any]:
    """The points of one plot."""
    return _child("scaling", name, threads=threads)[0]


def measured(name: str, *, threads: int, rounds: int, scale: float, cold: bool) -> Measured:
    """One row: the peers in turns in one process, then each in fresh ones."""
    values, _ = _child("warm", name, str(threads), str(rounds), threads=threads, scale=scale)
    found = Measured.of(values)
    if not cold or not found.agrees:
        return found
    ours, *peers = (_with_cold(name, peer, threads=threads, scale=scale) for peer in (found.ours, *found.peers))
    return replace(found, ours=ours, peers=peers)


def _with_cold(name: str, peer: Found, *, threads: int, scale: float) -> Found:
    """Its seconds in a fresh interpreter and its memory: medians. Making the rows does not count; of what does a part
    of the work, the rest is added as it was measured warm."""
    if not peer.times:
        return peer
    seconds: list[float] = []
    memory: list[float] = []
    began = perf_counter()
    while len(seconds) < COLD_ROUNDS and perf_counter() - began < COLD_BUDGET:
        once, wall = _child("cold", name, peer.name, threads=threads, scale=scale)
        seconds.append(wall - once["made"] + peer.seconds * (1.0 - 1.0 / peer.scale))
        memory.append(once["memory"])
    return replace(peer, cold=median(seconds), memory=median(memory))


def environment(threads: int, scale: float) -> dict[str, str]:
    """So that every library keeps to so many threads."""
    pools = {f"{name}_NUM_THREADS": str(threads) for name in POOLS}
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ, **pools, "POLARS_MAX_THREADS": str(threads), "KERAS_BACKEND": "torch", SCALE: str(scale),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }  # fmt: skip


def _child(*arguments: str, threads: int, scale: float = 1.0) -> tuple[dict[str, Any], float]:
    """What a process found, and its seconds from start to end."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, "-m", "benchmarks.suite.child", str(result), *arguments]
        began = perf_counter()
        done = subprocess.run(
            command, cwd=folder, env=environment(threads, scale), preexec_fn=lambda: _keep_to(threads),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        wall = perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(result.read_text()), wall


def _keep_to(threads: int) -> None:
    """The last processors that this process may use, so many of them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
