"""What this machine can do: how fast memory is read and products are added up, and what is installed."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

__all__ = ["Machine", "described"]

ROUNDS = 7
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "statsmodels")


class Machine:
    """Calibrated when it is made: `read` in GB/s, `products` in GFLOP/s of float64 and float32 by dtype."""

    def __init__(self) -> None:
        self.threads = torch.get_num_threads()
        self.read = _read()
        self.products = {dtype: _products(dtype) for dtype in (torch.float64, torch.float32)}

    def lines(self) -> list[str]:
        """For the head of a table."""
        f64, f32 = (self.products[d] for d in (torch.float64, torch.float32))
        return [
            f"{described()}, {self.threads} threads",
            f"reads {self.read:.0f} GB/s, multiplies {f64:.0f} GFLOP/s in float64 and {f32:.0f} in float32",
            ", ".join(f"{name} {version(name)}" for name in PACKAGES) + f", Python {platform.python_version()}",
        ]


def described() -> str:
    """The processor by its name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} processors"


def _read() -> float:
    """GB/s of a sum over 400 MB of float32."""
    x = torch.ones(100_000_000, dtype=torch.float32)
    return x.numel() * 4 / _seconds(lambda: x.sum()) / 1e9


def _products(dtype: torch.dtype) -> float:
    """GFLOP/s of a product of two 2,000 × 2,000 matrices."""
    a = torch.ones(2000, 2000, dtype=dtype)
    return 2 * 2000**3 / _seconds(lambda: a @ a) / 1e9


def _seconds(work: object) -> float:
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        work()  # type: ignore[operator]
        times.append(perf_counter() - began)
    return median(times)
