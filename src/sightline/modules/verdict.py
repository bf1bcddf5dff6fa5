"""How a training of a module ended, in a sentence with numbers; and its result as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..engines.feeds import TensorFeed
from ..engines.guarding.checks import loss_name
from ..engines.problem import Problem
from ..engines.random_streams import undisturbed
from ..errors import UsageError
from ..guards import check_whole
from ..rate_tests import top_curvature
from ..records import Epoch, Verdict, Warning
from ..training import Training
from ..words import count, plain

__all__ = ["Curvature", "judge_module", "result_of"]

STATIONARY = 1e-6  # of the first gradient norm: below it the run counts as arrived
STILL = 1e-3  # relative fall of the loss in an epoch that is worth another one


class Curvature:
    """A reader that measures the largest curvature of the loss at every k-th epoch, on all rows in memory, or on the
    first batch of a stream; `found` are plain values.
    """

    def __init__(self, problem: Problem, every: Any) -> None:
        if every is not None:
            check_whole("curvature", every, at_least=1)
            if problem.loss is None:
                raise UsageError("curvature needs a loss of prediction and target: give it with loss=...")
        self.found: list[dict[str, float]] = []
        self._problem, self._every = problem, every
        self._batch: Any = None

    def __call__(self, record: Epoch) -> None:
        """Measure, where this epoch is one of those."""
        if self._every is None or (record.number % self._every and record.stop is None):
            return
        if record.stop is not None and record.stop.reason == "diverged":
            return
        if self._batch is None:
            feed = self._problem.feed
            with undisturbed(getattr(feed, "source", None)):
                self._batch = feed.whole() if isinstance(feed, TensorFeed) else next(iter(feed.epoch(0)))
        if self.found and self.found[-1]["epoch"] == record.number:
            return
        top = top_curvature(self._problem.module, self._batch, loss=self._problem.loss)
        self.found.append({"epoch": record.number, "value": top.value, "lr_limit": top.lr_limit, "lr": record.lr})


def judge_module(epochs: Sequence[Epoch], kept: Epoch | None, notes: Sequence[Warning]) -> Verdict:
    """The verdict on these records; `kept` is the one whose parameters the model has, None for the last."""
    last = epochs[-1]
    reason, sentence = (last.stop.reason, last.stop.sentence) if last.stop else ("epochs", "")
    if reason == "diverged":
        explained = ": " in sentence  # a fault that was found says itself what to do
        return Verdict(
            "DIVERGED", f"{sentence}{_of(kept, last)}", tuple(notes) if explained else (*notes, _diverged(epochs))
        )
    if reason != "epochs":
        return Verdict("STOPPED_EARLY", f"{sentence}{_of(kept, last)}", tuple(notes))
    if _is_stationary(epochs):
        norm = plain(last.gradient_norm)
        sentence = f"after {count(last.number, 'epoch')} the gradient is {norm}, so nothing pulls any more"
        return Verdict("CONVERGED", f"{sentence}{_of(kept, last)}", tuple(notes))
    return Verdict("NOT_CONVERGED", f"{_trend(epochs)}{_of(kept, last)}", tuple(notes))


def _is_stationary(epochs: Sequence[Epoch]) -> bool:
    first, last = epochs[0].gradient_norm, epochs[-1].gradient_norm
    return first is not None and last is not None and last <= STATIONARY * first


def _trend(epochs: Sequence[Epoch]) -> str:
    """The loss, and whether it was still falling."""
    losses = [record.loss for record in epochs if record.loss is not None]
    number = count(epochs[-1].number, "epoch")
    if not losses:
        return f"after {number} no loss was measured"
    if len(losses) < 2 or not losses[-2]:
        return f"after {number} the loss is {plain(losses[-1])}"
    fall = (losses[-2] - losses[-1]) / abs(losses[-2])
    if fall > STILL:
        return f"after {number} the loss is {plain(losses[-1])}, {plain(100 * fall, 2)} % lower than one epoch before"
    lowest = min(losses)
    if losses[-1] > lowest * (1.0 + STILL) and lowest > 0:
        return f"after {number} the loss is {plain(losses[-1])}, and it was lower before, {plain(lowest)}"
    return f"after {number} the loss is {plain(losses[-1])} and hardly falls any more"


def _of(kept: Epoch | None, last: Epoch) -> str:
    if kept is None:
        return ""
    if kept.number == last.number:
        return f"; the validation loss {plain(kept.valid_loss)} is the best so far"
    loss = plain(kept.valid_loss)
    return f"; the model has the parameters of epoch {kept.number:,}, whose validation loss {loss} is the best"


def _diverged(epochs: Sequence[Epoch]) -> Warning:
    lr = epochs[-1].lr
    finite = [e.loss for e in epochs if e.loss is not None and math.isfinite(e.loss)]
    best = f" (the lowest loss before was {plain(min(finite))})" if finite else ""
    return Warning(
        "SL-DIVERGED",
        f"the loss grew beyond all bounds at rate {plain(lr)}{best}: sightline.lr_range_test finds a rate for it, "
        "and clip_norm=1.0 bounds a step",
    )


def result_of(
    training: Training, epochs: Sequence[Epoch], kept: Epoch | None, verdict: Verdict, curvature: Curvature
) -> dict[str, Any]:
    """What run.json and `to_dict` say."""
    problem, shown = training.problem, kept or epochs[-1]
    module = getattr(problem.module, "_orig_mod", problem.module)
    return {
        "module": type(module).__name__,
        "parameters": sum(p.numel() for p in module.parameters()),
        "trainable": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "rows": epochs[-1].rows - epochs[-2].rows if len(epochs) > 1 else problem.feed.rows,  # of an epoch
        "held_out": None if training.validate is None else training.validate.feed.rows,
        "loss_name": None if problem.loss is None else loss_name(problem.loss),
        "loss": shown.loss,
        "running_loss": shown.running_loss,
        "train_loss": shown.train_loss,
        "valid_loss": shown.valid_loss,
        "epochs": epochs[-1].number,
        "kept_epoch": shown.number,
        "verdict": verdict.name,
        "engine": {"name": type(training.engine).__name__.lower(), "reason": training.reason},
        "curvature": list(curvature.found),
        "warnings": [{"code": w.code, "text": w.text, "fix": list(w.fix)} for w in verdict.warnings],
    }
