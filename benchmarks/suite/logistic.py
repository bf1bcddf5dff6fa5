"""Row 8: full-batch logistic regression, on rows that are all different and on few that repeat."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.suite.data import made, scaled, table
from benchmarks.suite.loops import compiled, deviation, full_batch, in_float64, linear, trained
from benchmarks.suite.measure import Peer, Row

__all__ = ["dense", "grouped"]

BCE = nn.BCEWithLogitsLoss()
PART = 5  # epochs of the plain loops
FEW, CHECKED = 120_000, 100  # rows and epochs that are compared


def dense() -> Row:
    """1,000,000 × 100, all rows different."""
    return _row("8", classes(1_000_000, 100), 100, ratio=3.0, short="1e6 × 100, logistic")


def grouped(epochs: int) -> Row:
    """5,000,000 × 20 with 1,000 distinct rows, fewer by the scale."""
    return _row(
        "8-1000" if epochs == 1000 else "8-100", classes(scaled(5_000_000), 20, 1000), epochs,
        ratio=40.0 if epochs == 100 else 200.0, short=f"1,000 distinct, {epochs}",
    )  # fmt: skip


def _row(number: str, data: tuple[Any, Any], epochs: int, *, ratio: float, short: str) -> Row:
    (n, p), make = data[0].shape, linear(data[0].shape[1], lambda p: torch.optim.SGD(p, lr=0.5))
    few = data[0][:FEW], data[1][:FEW]
    distinct = 1000 if "distinct" in short else n

    @cache
    def machine_code() -> Callable[[int], list[float]]:
        return compiled(make, *data, BCE)

    def in_code() -> None:
        machine_code()(PART)

    return Row(
        number, f"{n:,} × {p} float32, logistic, SGD, {epochs:,} full-batch epochs"
        + (f", {distinct:,} distinct rows" if distinct < n else ""),
        Peer("sightline.train, every record", lambda: trained(make, data, BCE, epochs=epochs)),
        [
            Peer("plain loop", lambda: full_batch(make, *data, BCE, epochs=PART), epochs / PART),
            Peer("torch.compile", in_code, epochs / PART),
        ],
        lambda: agreement(make, few), 1e-6, {"plain loop": ratio}, short=short, steps=epochs,
        bytes=4.0 * (n * (p + 1) + (distinct * (p + 2) * epochs if distinct < n else n * (p + 1) * (epochs - 1))),
        flops=4.0 * distinct * p * epochs,
    )  # fmt: skip


@made
def classes(n: int, p: int, distinct: int = 0) -> tuple[Any, Any]:
    """Rows of a logistic model; of so many distinct ones where that is asked for."""
    rng = np.random.default_rng(0)
    x, _ = table(distinct or n, p)
    if distinct:
        x = x[rng.integers(distinct, size=n)]
    z = x @ (rng.standard_normal(p, dtype=np.float32) / np.sqrt(p, dtype=np.float32))
    y = (rng.random(n, dtype=np.float32) < 1.0 / (1.0 + np.exp(-z))).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(y)[:, None]


def agreement(make: Any, data: Any) -> tuple[float, float]:
    """Of sightline, and of the plain loop in float32: the losses of all epochs and the last parameters."""
    want, states = full_batch(in_float64(make), *(t.double() for t in data), BCE, epochs=CHECKED)
    plain, ends = full_batch(make, *data, BCE, epochs=CHECKED)
    records, end = trained(make, data, BCE, epochs=CHECKED, engine="kernel")
    exact = want, states[-1]
    return deviation(([r.running_loss for r in records[1:]], end), exact), deviation((plain, ends[-1]), exact)
