"""Cross-validation of a training of a module: made anew for each fold, measured on the rows left out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Unpack, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..engines.at_rest import resting
from ..engines.feeds import TensorFeed, device_of, predicted
from ..engines.held_out import HeldOut
from ..errors import SightlineError, UsageError
from ..feeding import training_feed
from ..guards import check_arguments, check_model, check_whole
from ..linear.folds import assign_folds
from ..loop_settings import LoopOptions
from ..training import Training

__all__ = ["ModuleFold", "ModuleFolds", "k_fold_module"]

Made = tuple[nn.Module, Optimizer] | tuple[nn.Module, Optimizer, Any]
Score = Callable[[Any, Any], Any]
OWN = ("optimizer", "schedule", "start", "step")  # options that belong to a model, or to one training


@dataclass(frozen=True, slots=True)
class ModuleFold:
    """One training on the rows of all other folds: `loss` and `score` of the rows held out, `trained_loss` of those
    that were trained on, both at rest; `epochs` run, and why it ended.
    """

    number: int
    trained: int
    held_out: int
    epochs: int
    loss: float
    score: float | None
    trained_loss: float
    stop: str


@dataclass(frozen=True)
class ModuleFolds:
    """`fold (n,)` is the number of the fold that holds each row out, `predictions (n, ...)` what the training on the
    others says of it, None where the model gives no tensor with a row each.
    """

    folds: tuple[ModuleFold, ...]
    seed: int
    fold: Tensor = field(repr=False)
    predictions: Tensor | None = field(repr=False)

    @property
    def mean(self) -> float:
        """The mean over the folds of the loss of rows held out."""
        return statistics.fmean(f.loss for f in self.folds)

    @property
    def sd(self) -> float:
        """Its standard deviation over the folds (divisor k - 1)."""
        losses = [f.loss for f in self.folds]
        return statistics.stdev(losses) if all(map(math.isfinite, losses)) else math.nan

    @property
    def score(self) -> float | None:
        """The score of all rows together: the mean over the folds, each by its rows."""
        if any(f.score is None for f in self.folds):
            return None
        return sum((f.score or 0.0) * f.held_out for f in self.folds) / len(self.fold)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "folds": [asdict(f) for f in self.folds], "seed": self.seed, "mean": self.mean, "sd": self.sd,
            "score": self.score, "fold": self.fold.tolist(),
            "predictions": None if self.predictions is None else self.predictions.tolist(),
        }  # fmt: skip

    def __str__(self) -> str:
        from ..views.module_report import fold_lines

        return "\n".join(fold_lines(self.to_dict()))


def k_fold_module(
    make: Callable[[], Made],
    data: Any,
    *,
    folds: int = 5,
    fold_seed: int = 0,
    score: Score | None = None,
    **options: Unpack[LoopOptions],
) -> ModuleFolds:
    """Train a module anew for each fold, on the rows of all others, and measure it on the rows left out.

    `make()` builds what is trained: a fresh model and its optimizer, and a schedule if there is one. `data` are rows in
    memory as `train` takes them, `options` those of `train` without optimizer and schedule; `valid` as a fraction is
    held out of the rows that are trained on. `score(prediction, target)` is a number that counts beside the loss;
    for class numbers and for 0 and 1 it is the accuracy. Folds are drawn by `fold_seed`, every class over all of them.

    Raises UsageError for folds that cannot be made, or where `make` gives something else.

    >>> x = torch.linspace(-1.0, 1.0, 30)[:, None]
    >>> def make():
    ...     model = torch.nn.Linear(1, 1)
    ...     return model, torch.optim.SGD(model.parameters(), lr=0.5)
    >>> found = k_fold_module(make, (x, 2.0 * x), folds=3, loss=torch.nn.MSELoss(), epochs=60)
    >>> len(found.folds), found.mean < 1e-6
    (3, True)
    """
    for name in OWN:
        if options.get(name):
            where = "in make()" if name in ("optimizer", "schedule") else "out: every fold is one plain training"
            raise UsageError(f"{name} is of one training and k_fold_module makes several: leave it {where}")
    if score is not None:
        if not callable(score):
            raise UsageError(f"score is a {type(score).__name__}: give a function of prediction and target")
        check_arguments("score", score, "(prediction, target)", "prediction and target")
    check_whole("folds", folds, at_least=2)
    check_whole("fold_seed", fold_seed, at_least=0)
    model, _ = _made(make)
    feed = training_feed(data, model, options.get("loss"))
    if not isinstance(feed, TensorFeed):
        raise UsageError("data is an iterable of batches, and folds need rows in memory: give tensors")
    strata = _strata(feed.target)
    chosen = torch.from_numpy(assign_folds(feed.rows, folds, seed=fold_seed, strata=strata))
    found, predictions = [], list[tuple[Tensor, Any]]()
    for number in range(folds):
        held = chosen == number
        try:
            fold, prediction = _one(make, feed, held, number + 1, score, options)
        except SightlineError as error:
            raise type(error)(f"fold {number + 1} of {folds}: {error.message}") from None
        found.append(fold)
        predictions.append((held, prediction))
    return ModuleFolds(tuple(found), fold_seed, chosen + 1, _together(predictions, feed.rows))


def _one(
    make: Callable[[], Made], feed: TensorFeed, held: Tensor, number: int, score: Score | None, options: LoopOptions
) -> tuple[ModuleFold, Any]:
    """One training, and what it says of the rows held out."""
    model, more = _made(make)
    rows, rest = feed.part(held), feed.part(~held)
    device = device_of(model)
    training = Training.of(model, (rest.inputs, rest.target), cast(LoopOptions, {**options, **more}))
    *_, last = training.records()
    loss, casting = training.problem.loss, training.problem.casting
    inputs, target = TensorFeed(rows.inputs, rows.target, device=device).whole()
    with resting(model), torch.no_grad(), casting():
        prediction = predicted(model, inputs)
        held_out = float(loss(prediction, target))
    trained = HeldOut(model, loss, TensorFeed(rest.inputs, rest.target, device=device), casting)()
    stop = "" if last.stop is None else last.stop.reason
    value = _scored(score, loss, prediction, target)
    return ModuleFold(number, rest.rows, rows.rows, last.number, held_out, value, trained, stop), prediction


def _made(make: Callable[[], Made]) -> tuple[nn.Module, dict[str, Any]]:
    if not callable(make) or isinstance(make, nn.Module):
        raise UsageError(f"make is a {type(make).__name__}: give a function that returns a new model and its optimizer")
    check_arguments("make", make, "()", "nothing")
    made = make()
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        raise UsageError(f"make() gives a {type(made).__name__}: return the model and its optimizer, return model, sgd")
    check_model(made[0])
    return made[0], {"optimizer": made[1], **({"schedule": made[2]} if len(made) == 3 else {})}


def _strata(target: Any) -> Any:
    """The classes of the rows, where the target is one class number or label each."""
    if not isinstance(target, Tensor) or target.numel() != len(target):
        return None
    values, codes = torch.unique(target.reshape(-1), return_inverse=True)
    classes = not target.is_floating_point() or bool(((values == 0) | (values == 1)).all())
    return codes.cpu().numpy() if classes and 1 < len(values) < len(target) else None


def _scored(score: Score | None, loss: Any, prediction: Any, target: Any) -> float | None:
    if score is not None:
        value = score(prediction, target)
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            raise UsageError(f"score gives a {type(value).__name__}: return one number") from None
    if not isinstance(prediction, Tensor) or not isinstance(target, Tensor):
        return None
    if isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)) and not target.is_floating_point():
        return float((prediction.argmax(1) == target).double().mean())
    if isinstance(loss, (nn.BCEWithLogitsLoss, nn.BCELoss)):
        cut = 0.5 if isinstance(loss, nn.BCELoss) else 0.0
        return float(((prediction > cut) == (target > 0.5)).double().mean())
    return None


def _together(parts: Sequence[tuple[Tensor, Any]], rows: int) -> Tensor | None:
    """The predictions in the order of the rows."""
    if not all(isinstance(p, Tensor) and len(p) == int(held.sum()) for held, p in parts):
        return None
    first = parts[0][1]
    if any(p.shape[1:] != first.shape[1:] for _, p in parts):
        return None
    whole = torch.empty((rows, *first.shape[1:]), dtype=first.dtype)
    for held, prediction in parts:
        whole[held] = prediction.cpu()
    return whole
