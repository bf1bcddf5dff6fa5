"""The public verbs that train: train and fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from .engines.custom import Step
from .engines.devices import device_named
from .job import Job, Sink
from .loop_settings import LoopOptions
from .prepare import prepare_for
from .records import Epoch
from .run import Run
from .settings import RunSettings
from .solving import by_name, output_folder
from .training import Training

__all__ = ["fit", "train"]


def train(
    model: torch.nn.Module,
    data: Any,
    *,
    loss: torch.nn.Module | Callable[[Any, Any], Tensor] | None = None,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    batch_size: int | None = None,
    engine: str = "auto",
    measure: str | int | None = "auto",
    seed: int = 0,
    start: int = 0,
    step: Step | None = None,
    schedule: LRScheduler | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulate: int = 1,
    l1: float = 0.0,
    valid: Any = None,
    patience: int | None = None,
    restore_best: bool = True,
    device: str | torch.device | None = None,
    autocast: torch.dtype | None = None,
) -> Iterator[Epoch]:
    """Train any module and yield one `Epoch` record for each pass over the rows, record 0 (before any update) first.

    θ ← θ - optimizer's step on ∂loss(model(x), y)/∂θ. The model's own parameters are updated in place. `data` is the
    pair (x, y) with x `(n, ...)` and y `(n, ...)`, a TensorDataset, a DataLoader, or any iterable of batches that
    begins anew for each epoch. A batch is (x, y), (x1, x2, y) for model(x1, x2), or a dict whose entries are given to
    `forward` by name but for the one left over, the target. Rows in memory are shuffled by (seed, epoch) into batches
    of `batch_size`. Break out whenever you like; to go on later call it again with `start` set to the last record's
    number. `measure` k asks for the loss at rest at every k-th epoch; "auto" for every epoch where it costs (next to)
    nothing, else never.

    `step(model, batch, optimizer)` is a step of your own, from forward to `optimizer.step()`, that returns the loss.
    `device` moves the model first; batches follow the model. `autocast` computes the forward pass in torch.bfloat16, or
    in torch.float16 with scaled gradients.

    `schedule` is a scheduler of torch for that optimizer, stepped after each step (OneCycleLR, CyclicLR) or after each
    epoch (all others; ReduceLROnPlateau with the running loss). Gradients are clipped to the norm `clip_norm` or to
    ± `clip_value` after backward, and records keep the norm before that. `accumulate` batches make one step, as one
    batch of all their rows would. `l1` adds l1 Σ|w| over the weights, biases free, by a soft threshold after each step.

    `engine` "auto" trains a plain linear model on the moments of its rows where that is faster, to the same numbers but
    for rounding; "autograd" always does forward, loss, zero_grad, backward, step.

    `valid` are rows that are not trained on, as data or as a fraction of the rows in memory, chosen by `seed`: every
    record has their loss, and after the last record the model has the parameters of the one where it was smallest,
    unless `restore_best` is false. With `patience` k the training stops after k epochs without a better one.

    A loss that is no finite number ends the training; the record says which batch, rows or layer it comes from.

    Raises UsageError for shapes that would broadcast, an optimizer of another model, or settings that mean nothing;
    DataError for numbers that are not finite, or data that end early; each says what to do.

    >>> model = torch.nn.Linear(1, 1)
    >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]])
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> [epoch.number for epoch in train(model, (x, y), loss=torch.nn.MSELoss(), optimizer=sgd, epochs=2)]
    [0, 1, 2]
    """
    options = LoopOptions(
        loss=loss, optimizer=optimizer, epochs=epochs, batch_size=batch_size, engine=engine, measure=measure, seed=seed,
        start=start, step=step, schedule=schedule, clip_norm=clip_norm, clip_value=clip_value, accumulate=accumulate,
        l1=l1, valid=valid, patience=patience, restore_best=restore_best, device=device, autocast=autocast,
    )  # fmt: skip
    return Training.of(model, data, options).records()


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
    device_named(chosen.device)  # before the rows are read
    job = Job.of(prepare_for(chosen, data, formula, target=target), chosen)
    run = job.run(output=output_folder(output, default=True), sinks=sinks)
    if run.folder is not None and chosen.figures != "none":
        from .views.figures import save_figures

        save_figures(run, every=chosen.figures == "every")
    return run
