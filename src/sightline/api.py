"""The public verbs: train, fit, solve, load."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from . import loop, stopping
from .engines.choose import choose
from .engines.held_out import Best, HeldOut
from .engines.losses import named_loss
from .engines.problem import Problem
from .engines.stepping import as_stepping
from .errors import UsageError, shown
from .guards import as_pair, check_loop, check_loss, check_patience, check_steps, check_target
from .job import Job, Sink
from .prepare import prepare_for
from .records import Epoch
from .run import Run, load
from .runs.store import default_output
from .settings import RunSettings
from .solution import solved

SOLVE_SETTINGS = ("level", "loss", "loss_opt", "class_weight", "weights", "l1", "l2", "robust", "cluster")

__all__ = ["fit", "load", "solve", "train"]


def train(
    model: torch.nn.Module,
    data: tuple[Any, Any],
    *,
    loss: torch.nn.Module | Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: int,
    batch_size: int | None = None,
    engine: str = "auto",
    measure: str | int | None = "auto",
    seed: int = 0,
    start: int = 0,
    schedule: LRScheduler | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulate: int = 1,
    l1: float = 0.0,
    valid: tuple[Any, Any] | None = None,
    patience: int | None = None,
    restore_best: bool = True,
) -> Iterator[Epoch]:
    """Train any module and yield one `Epoch` record for each pass over the rows, record 0 (before any update) first.

    θ ← θ - optimizer's step on ∂loss(model(x), y)/∂θ, for `data = (x, y)` with x `(n, ...)` and y `(n, ...)`. The
    model's own parameters are updated in place. Break out whenever you like; to go on later call it again with
    `start` set to the last record's number. `measure` k asks for the loss at rest at every k-th epoch; "auto" for
    every epoch where it costs (next to) nothing, else never.

    `schedule` is a scheduler of torch for that optimizer, stepped after each step (OneCycleLR, CyclicLR) or after each
    epoch (all others; ReduceLROnPlateau with the running loss). Gradients are clipped to the norm `clip_norm` or to
    ± `clip_value` after backward, and records keep the norm before that. `accumulate` batches make one step, as one
    batch of all their rows would. `l1` adds l1 Σ|w| over the weights, biases free, by a soft threshold after each step.

    `valid = (x, y)` are rows that are not trained on: every record has their loss, and after the last record the model
    has the parameters of the one where it was smallest, unless `restore_best` is false. With `patience` k the training
    stops after k epochs without a better one.

    Raises UsageError for shapes that would broadcast, an optimizer of another model, or settings that mean nothing;
    DataError for numbers that are not finite; each says what to do.

    >>> model = torch.nn.Linear(1, 1)
    >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]])
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> [epoch.number for epoch in train(model, (x, y), loss=torch.nn.MSELoss(), optimizer=sgd, epochs=2)]
    [0, 1, 2]
    """
    check_loss(model, loss)
    check_loop(epochs=epochs, start=start, batch_size=batch_size, measure=measure, seed=seed, optimizer=optimizer)
    x, y = as_pair("data", data)
    check_target(loss, y)
    check_steps(clip_norm=clip_norm, clip_value=clip_value, accumulate=accumulate, l1=l1)
    stepping = as_stepping(schedule, clip_norm=clip_norm, clip_value=clip_value, accumulate=int(accumulate), l1=l1)
    size = None if batch_size is None else int(batch_size)
    problem = Problem(model, loss, optimizer, x, y, size, int(seed), stepping=stepping)
    if stepping.schedule is not None:
        stepping.schedule.check_length((int(epochs) - int(start)) * problem.steps)
    chosen, _ = choose(problem, engine=engine, epochs=int(epochs))
    cheap = problem.full_batch
    every = (1 if cheap else None) if measure == "auto" else measure
    validate = None if valid is None else HeldOut(model, loss, *_valid_rows(loss, x, y, valid))
    records = loop.run(chosen, epochs=int(epochs), start=int(start), measure_every=every, validate=validate)  # type: ignore[arg-type]
    check_patience(patience, validated=valid is not None, measured=every is not None)
    if patience is not None:
        records = stopping.stop_when(records, stopping.patience(patience))
    return _restoring(records, Best(model)) if valid is not None and restore_best else records


def _valid_rows(loss: Any, x: Tensor, y: Tensor, valid: Any) -> tuple[Tensor, Tensor]:
    """Validation rows of the same kind as those that are trained on."""
    x_valid, y_valid = as_pair("valid", valid)
    for name, rows, like in (("x", x_valid, x), ("y", y_valid, y)):
        if rows.shape[1:] != like.shape[1:] or rows.dtype != like.dtype:
            raise UsageError(
                f"{name} of the validation rows has shape {tuple(rows.shape)} and {rows.dtype}, where that of the data "
                f"has {tuple(like.shape)} and {like.dtype}: make them alike but for the number of rows"
            )
    check_target(loss, y_valid)
    return x_valid, y_valid


def _restoring(records: Iterator[Epoch], best: Best) -> Iterator[Epoch]:
    """The same records; after the last one the model is as it was at the best of them."""
    for record in records:
        best(record)
        yield record
    best.restore()


def fit(
    data: object,
    formula: str | None = None,
    *,
    target: str | None = None,
    output: str | os.PathLike[str] | bool | None = None,
    sinks: Sequence[Sink] = (),
    **settings: Any,
) -> Run:
    """Train a linear model on a table and put the exact answer beside it.

    Minimizes the mean of ℓ(y, Xw + b) by the optimizer asked for; ℓ is the squared error for numbers, the cross-entropy
    for classes, or what `loss` says: a name, or a module such as torch.nn.HuberLoss(). `data` is a path, a DataFrame or
    a dict of arrays; `formula` such as "weight ~ height", or `target` for "all other columns are features". `settings`
    are those of `sightline fit`, with underscores: optimizer, lr, momentum, epochs, batch_size, standardize, start, ...
    The run folder goes to `output` (default ./runs or SIGHTLINE_RUNS; False writes none). `sinks` are called with
    each record. Errors name the file, line, column and remedy.

    >>> heights = {"height": [150, 160, 170, 175, 185], "weight": [55, 70, 64, 80, 75]}
    >>> run = fit(heights, "weight ~ height", output=False)
    >>> [round(c.estimate, 4) for c in run.coefficients], run.verdict.name
    ([-26.2466, 0.5658], 'CONVERGED')
    """
    chosen = RunSettings.of(by_name(settings))
    job = Job.of(prepare_for(chosen, data, formula, target=target), chosen)
    run = job.run(output=_folder(output, default=True), sinks=sinks)
    if run.folder is not None and chosen.figures != "none":
        from .views.figures import save_figures

        save_figures(run, every=chosen.figures == "every")
    return run


def by_name(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with a loss that is given as a module under its name."""
    loss = settings.get("loss")
    if loss is None or isinstance(loss, str):
        return settings
    name, options = named_loss(loss)
    return {**settings, "loss": name, "loss_opt": {**options, **settings.get("loss_opt", {})}}


def solve(
    data: object,
    formula: str | None = None,
    *,
    target: str | None = None,
    decimal: bool = False,
    output: str | os.PathLike[str] | bool | None = None,
    **settings: Any,
) -> Run:
    """The exact answer without training: the same coefficients, statistics, summary and to_dict as `fit`, estimate =
    exact.

    w, b = argmin Σ v (y - Xw - b)² / Σ v + l2 ‖w‖² / 2, refined in double-double where the rows are few or nearly
    collinear, from moments where they are many. Takes `weights`, `l2`, `robust`, `cluster`, `level` and `loss` of the
    settings of `fit`. The numbers of text files are the decimals that were typed, those of arrays the doubles that
    they hold; with `decimal` arrays hold the shortest decimals of their doubles. Writes a run folder only if
    `output` says where.

    >>> solve({"x": [0, 1, 2], "y": [1, 3, 5]}, "y ~ x").coefficients[1].exact
    2.0
    """
    chosen = RunSettings.of(by_name(settings))
    if untaken := [name for name in settings if name not in SOLVE_SETTINGS]:
        raise UsageError(f"solve trains nothing and takes no {shown(untaken[0])}: leave it out, or use fit")
    return solved(
        prepare_for(chosen, data, formula, target=target, decimal=decimal), chosen, _folder(output, default=False)
    )


def _folder(output: str | os.PathLike[str] | bool | None, *, default: bool) -> Path | None:
    if output is None or isinstance(output, bool):
        wanted = default if output is None else output
        return default_output() if wanted else None
    return Path(output)
