"""Training at many learning rates at once: which rates, and the loop that yields the records of all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from numbers import Integral, Real
from time import perf_counter
from typing import Any

import numpy as np

from .engines.stacked import Stacked
from .errors import UsageError, shown
from .records import Epoch, Stop
from .stopping import Rule

__all__ = ["EXAMPLE", "MOST_RATES", "between", "read_rates", "run_all"]

MOST_RATES = 1000
EXAMPLE = "give low:high:count such as 1e-4:1:24, or rates such as 0.01,0.1"


def run_all(engine: Stacked, *, epochs: int, rules: Callable[[], Sequence[Rule]]) -> Iterator[dict[int, Epoch]]:
    """Run every rate epoch by epoch and yield the records of those still in training, by their place.

    Each is the record that a run of its own would have, but for `seconds`, which all share. A rate that a rule of its
    own, made by `rules`, ends is trained no more; the generator is paused while a reader looks.
    """
    own = [rules() for _ in engine.rates]
    seconds, running = 0.0, dict[int, float]()
    for number in range(epochs + 1):
        began = perf_counter()
        if number:
            running = engine.run_epoch(number)
        measured = engine.measure()
        seconds += perf_counter() - began
        records = {}
        for i, now in measured.items():
            record = Epoch(
                number, running.get(i), now.train_loss, None, now.gradient_norm, now.lr, engine.rows * number, seconds,
                now.parameters, Stop("epochs", f"all {epochs:,} epochs were run") if number == epochs else None,
            )  # fmt: skip
            stop = None if record.stop else next(filter(None, (rule(record) for rule in own[i])), None)
            records[i] = record if stop is None else replace(record, stop=stop)
        yield records
        engine.drop([i for i, record in records.items() if record.stop is not None])
        if not engine.models:
            return


def read_rates(lr: Any) -> tuple[float, ...]:
    """Rates from the smallest to the largest: a geometric grid from "low:high:count" or a tuple of these with a whole
    count, or else the rates listed, as text with commas or as any sequence.

    >>> [round(rate, 12) for rate in read_rates("0.001:0.1:3")], read_rates("0.5,0.1")
    ([0.001, 0.01, 0.1], (0.1, 0.5))

    Raises UsageError for rates that are not finite and above 0, and for fewer than 2 or more than 1,000.
    """
    if isinstance(lr, str):
        if lr.strip().lower() == "auto":
            raise UsageError(f"--lr auto is one rate, and a sweep compares many: {EXAMPLE}")
        parts = lr.split(":" if ":" in lr else ",")
        if ":" not in lr:
            return _listed([_rate(part, lr) for part in parts])
        if len(parts) != 3:
            raise UsageError(f"--lr {shown(lr)} has {len(parts)} parts between its colons, not 3: {EXAMPLE}")
        return _grid(_rate(parts[0], lr), _rate(parts[1], lr), _count(parts[2], lr))
    try:
        values = list(lr)
    except TypeError:
        raise UsageError(f"--lr {shown(lr)} is no range of rates: {EXAMPLE}") from None
    if isinstance(lr, tuple) and len(values) == 3 and _is_whole(values[2]) and values[2] > 1:
        return _grid(_rate(values[0], lr), _rate(values[1], lr), _count(values[2], lr))
    return _listed([_rate(value, lr) for value in values])


def between(low: float, high: float, count: int) -> tuple[float, ...]:
    """That many rates strictly between the two, at equal ratios."""
    return tuple(np.geomspace(low, high, count + 2)[1:-1].tolist())


def _grid(low: float, high: float, count: int) -> tuple[float, ...]:
    if not low < high:
        swap = f": give {high:g}:{low:g}:{count}" if high < low else ": give a higher end, or one rate to sightline fit"
        raise UsageError(f"--lr goes from {low:g} to {high:g}, and the first must be the smaller one{swap}")
    exact = np.geomspace(low, high, count)
    return (low, *exact[1:-1].tolist(), high)


def _listed(rates: list[float]) -> tuple[float, ...]:
    if len(rates) < 2:
        raise UsageError(f"--lr has {len(rates)} rate{'s' * (len(rates) != 1)}, and a sweep compares them: {EXAMPLE}")
    if len(rates) > MOST_RATES:
        raise UsageError(f"--lr lists {len(rates):,} rates: give at most {MOST_RATES:,}")
    if twice := [rate for rate in rates if rates.count(rate) > 1]:
        raise UsageError(f"--lr lists {twice[0]:g} twice: leave one of them out")
    return tuple(sorted(rates))


def _rate(value: Any, given: Any) -> float:
    """One rate, as a double."""
    number: Any = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            what = f"{shown(value.strip())}, which is no number" if value.strip() else "an empty place"
            raise UsageError(f"--lr {shown(given)} holds {what}: {EXAMPLE}") from None
    if isinstance(number, bool) or not isinstance(number, Real):
        raise UsageError(f"--lr holds {shown(value)}, which is no number: {EXAMPLE}")
    rate = _as_double(number)
    if not (rate > 0.0 and math.isfinite(rate)):
        raise UsageError(f"--lr holds {rate:g}: give finite rates above 0")
    return rate


def _as_double(number: Real) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _count(value: Any, given: Any) -> int:
    try:
        count = int(value)
    except ValueError:
        count = None
    if count is None or not 2 <= count <= MOST_RATES:
        what = shown(str(value).strip())
        raise UsageError(f"--lr {shown(given)} asks for {what} rates: give a whole number from 2 to {MOST_RATES:,}")
    return count


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
