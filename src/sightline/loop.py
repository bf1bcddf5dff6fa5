"""The loop: it only yields; everything else reads. This is the one place that loops over epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter

from .engines.base import Engine
from .records import Epoch, Stop

__all__ = ["run"]


def run(
    engine: Engine,
    *,
    epochs: int,
    start: int = 0,
    after: Epoch | None = None,
    measure_every: int | None = 1,
    validate: Callable[[], float] | None = None,
) -> Iterator[Epoch]:
    """Run the engine epoch by epoch and yield the record of what each left behind: epochs - start + 1 of them.

    The first record is the state before any update. `measure_every` k measures the loss at rest at every k-th
    epoch, at the first and at the last; None never does. `validate` gives the loss of rows that are not trained on,
    which costs no training time. Where the loss is no finite number, the record ends the run and says why. The
    generator is paused while a reader looks, so nothing is half-updated.

    After the record `after`, which describes the engine as it is, the first one is that record again, as it was written
    but for the end it had; rows and seconds are counted on from it.
    """
    running: float | None = None
    start, rows, seconds = (start, engine.rows * start, 0.0) if after is None else (
        after.number, after.rows, after.seconds,
    )  # fmt: skip
    for number in range(start, epochs + 1):
        began = perf_counter()
        if number > start:
            running = engine.run_epoch(number)
            rows += engine.rows
        last = number == epochs
        measure = measure_every is not None and (last or number == start or number % measure_every == 0)
        now = engine.measure(loss=measure)
        seconds += perf_counter() - began
        valid = None if validate is None else validate()
        stop = Stop("epochs", f"all {epochs:,} epochs were run") if last else None
        stop = Stop("diverged", now.fault) if now.fault else stop
        if after is not None and number == start:
            yield replace(after, stop=stop)
        else:
            yield Epoch(
                number, running, now.train_loss, valid, now.gradient_norm, now.lr, rows, seconds, now.parameters, stop
            )
        if now.fault:
            return
