"""What this machine can do: how fast memory is read and products are added up, and what is installed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

__all__ = ["calibrated", "described", "versions"]

ROUNDS, SIZE, TURNS = 9, 100_000_000, 4_000_000
PACKAGES = (
    "torch", "numpy", "scipy", "numba", "duckdb", "scikit-learn", "statsmodels", "glum", "polars", "polars-ols",
    "pandas", "lightning", "skorch", "keras", "vowpalwabbit",
)  # fmt: skip


def calibrated(threads: int) -> dict[str, float]:
    """The fastest of some rounds: `read` bytes/s, and flop/s of `float32` and `float64`, with so many threads."""
    x = np.ones(SIZE, dtype=np.float32)
    parts = np.array_split(x, threads)
    rates = {dtype: _products(dtype, threads) for dtype in ("float32", "float64")}
    return {"read": x.nbytes / _fastest(_summing(), parts), **rates}


def described() -> str:
    """The processor by its name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} processors"


def versions() -> str:
    """Of what is installed of the packages that take part."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{n} {v}" for n in PACKAGES if (v := _version(n)))])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _summing() -> Callable[[Any], Any]:
    """A sum of vectors that waits for memory and for nothing else."""
    try:
        from benchmarks.suite.peak import summed
    except ImportError:
        return np.sum
    return summed  # type: ignore[no-any-return]


def _products(dtype: str, threads: int) -> float:
    """Flop/s of fused multiply-adds in registers, or of a product of matrices where there is no numba."""
    try:
        from benchmarks.suite.peak import FLOPS_A_LANE, multiplied
    except ImportError:
        a = np.ones((2000, 2000), dtype=dtype)
        return 2 * 2000**3 / _fastest(lambda part: part @ part, [a])
    parts = [np.full(16, 0.5, dtype=dtype) for _ in range(threads)]
    lanes = 64 // parts[0].itemsize
    seconds = _fastest(lambda part: multiplied(part, TURNS), parts)
    return threads * TURNS * FLOPS_A_LANE * lanes / seconds


def _fastest(work: Callable[[Any], Any], parts: list[Any]) -> float:
    """Seconds of the fastest round, the parts in a thread each."""
    times = []
    with ThreadPoolExecutor(len(parts)) as pool:
        for _ in range(ROUNDS):
            began = perf_counter()
            list(pool.map(work, parts))
            times.append(perf_counter() - began)
    return min(times[1:])
