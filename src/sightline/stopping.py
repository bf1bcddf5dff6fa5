"""When to stop: pure functions of records, applied to a stream of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from .records import Epoch, Stop
from .words import count

__all__ = [
    "Rule", "converged", "diverged", "frozen", "patience", "stalled", "stop_when", "target_loss", "time_limit",
]  # fmt: skip

Rule = Callable[[Epoch], Stop | None]


def stop_when(records: Iterable[Epoch], *rules: Rule) -> Iterator[Epoch]:
    """Pass records through until a rule names a reason to stop; that record is the last one and carries it."""
    for record in records:
        stop = record.stop or next(filter(None, (rule(record) for rule in rules)), None)
        if stop is not None:
            yield replace(record, stop=stop)
            return
        yield record


def diverged(baseline: float = 0.0) -> Rule:
    """Stop when the loss is not finite or above 1,000 times the larger of `baseline` and the loss of the first
    record.
    """
    ceiling: list[float] = []

    def rule(record: Epoch) -> Stop | None:
        loss = record.loss
        if loss is None:
            return None
        if not ceiling:
            ceiling.append(1e3 * max(baseline, loss))
        if math.isfinite(loss) and loss <= ceiling[0]:
            return None
        grown = (
            f"the loss is {loss:.3g} and growing" if math.isfinite(loss) else "the loss is no longer a finite number"
        )
        return Stop("diverged", f"at epoch {record.number:,} {grown}")

    return rule


def converged(exact_loss: float, tolerance: float) -> Rule:
    """Stop when the loss at rest is within `tolerance` of the exact loss."""

    def rule(record: Epoch) -> Stop | None:
        if record.train_loss is None or not record.train_loss - exact_loss <= tolerance:
            return None
        return Stop("converged", f"at epoch {record.number:,} the exact answer was reached")

    return rule


def frozen(epochs: int = 1) -> Rule:
    """Stop when no parameter has changed for that many epochs."""
    before: list[Epoch] = []

    def rule(record: Epoch) -> Stop | None:
        if not before or not record.parameters or before[0].parameters != record.parameters:
            before[:] = [record]
            return None
        if record.number - before[0].number < epochs:
            return None
        return Stop(
            "frozen", f"no parameter has changed since epoch {before[0].number:,}: rounding swallows every step"
        )

    return rule


def stalled(epochs: int) -> Rule:
    """Stop when the loss has not been below its best for that many epochs."""
    best: list[Epoch] = []

    def rule(record: Epoch) -> Stop | None:
        if record.loss is None:
            return None
        if not best or record.loss < (best[0].loss or 0.0):
            best[:] = [record]
        if record.number - best[0].number < epochs:
            return None
        return Stop("stalled", f"the loss has not improved since epoch {best[0].number:,}")

    return rule


def patience(epochs: int, min_improvement: float = 0.0) -> Rule:
    """Stop when the validation loss (without one, the loss) has not been more than `min_improvement` below its best for
    that many epochs.
    """
    best: list[tuple[int, float]] = []

    def rule(record: Epoch) -> Stop | None:
        loss = record.loss if record.valid_loss is None else record.valid_loss
        if loss is None:
            return None
        if not best or loss < best[0][1] - min_improvement:
            best[:] = [(record.number, loss)]
        if record.number - best[0][0] < epochs:
            return None
        which = "loss" if record.valid_loss is None else "validation loss"
        improved = f"fallen by more than {min_improvement:g}" if min_improvement else "improved"
        return Stop(
            "patience", f"the {which} has not {improved} for {count(epochs, 'epoch')}, since epoch {best[0][0]:,}"
        )

    return rule


def target_loss(loss: float) -> Rule:
    """Stop when the loss (the validation loss, where there is one) is at or below that number."""

    def rule(record: Epoch) -> Stop | None:
        now = record.loss if record.valid_loss is None else record.valid_loss
        if now is None or not now <= loss:
            return None
        which = "loss" if record.valid_loss is None else "validation loss"
        return Stop("target", f"at epoch {record.number:,} the {which} reached {loss:g}")

    return rule


def time_limit(seconds: float) -> Rule:
    """Stop after that many seconds of training."""

    def rule(record: Epoch) -> Stop | None:
        if record.seconds < seconds:
            return None
        return Stop("time", f"the time limit of {seconds:g} s was reached at epoch {record.number:,}")

    return rule
