"""The rows that are worked on, made from a fixed seed; the seconds of making them are counted apart."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

import numpy as np

__all__ = ["SCALE", "Making", "made", "scaled", "table", "tensors"]

SCALE = "SIGHTLINE_BENCH_SCALE"  # the environment variable that shrinks the largest tables
P = ParamSpec("P")
T = TypeVar("T")


class Making:
    """Seconds that this process has spent on making rows."""

    seconds = 0.0
    depth = 0


def made(function: Callable[P, T]) -> Callable[P, T]:
    """A function that makes rows: once for the same arguments, its seconds counted."""

    @cache
    @wraps(function)
    def making(*args: Any, **kwargs: Any) -> T:
        began, Making.depth = perf_counter(), Making.depth + 1
        try:
            return function(*args, **kwargs)
        finally:
            Making.depth -= 1
            if not Making.depth:
                Making.seconds += perf_counter() - began

    return making  # type: ignore[return-value]


def scaled(rows: int, power: float = 1.0) -> int:
    """So many rows by the scale asked for."""
    return max(round(rows * float(os.environ.get(SCALE, "1")) ** power), 1)


@made
def table(n: int, p: int, dtype: str = "float32", mean: float = 0.0) -> tuple[Any, Any]:
    """X `(n, p)` and y `(n,)` of a linear model with noise; the first column has that mean, in standard deviations."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, p), dtype=np.dtype(dtype))
    w, noise = rng.standard_normal(p).astype(dtype), rng.standard_normal(n, dtype=np.dtype(dtype))
    x[:, 0] += mean
    return x, x @ w + noise


@made
def tensors(n: int, p: int, dtype: str = "float32", mean: float = 0.0) -> tuple[Any, Any]:
    """The same for PyTorch, the target `(n, 1)`."""
    import torch

    x, y = table(n, p, dtype, mean)
    return torch.from_numpy(x), torch.from_numpy(y)[:, None]
