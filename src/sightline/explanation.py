"""One epoch of a run worked out: the loop is run again to its beginning, watched for a step, and taken apart."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .again import prepared_again
from .data.batches import epoch_order
from .engines.stepping import NOT_SETTINGS
from .errors import RunError, UsageError
from .job import Job
from .linear.learning_rate import judge_rate
from .linear.row_losses import RowLoss, row_loss
from .records import Epoch
from .run import Run, load
from .runs.files import read_json
from .runs.store import find_run, read_epochs
from .settings import RunSettings
from .trainable import theta_of
from .words import plain
from .worked import Batch, Step, Worked

__all__ = ["explain", "explainable"]

Array = NDArray[np.float64]
LARGEST = 1e100
MOST_STEPS = 6  # of an epoch in mini-batches: enough to see how it goes on


def explainable(name: str | os.PathLike[str], epoch: int | None) -> Run:
    """The run of that id or folder, if its steps can be worked out by hand.

    Raises RunError for a run of a module that is not linear, with what its records tell of that epoch.
    """
    folder = find_run(name)
    values = read_json(folder / "run.json")
    if "design" not in values and (folder / "epochs.jsonl").is_file():
        raise RunError(_not_linear(folder, 1 if epoch is None else epoch))
    return load(folder)


def _not_linear(folder: Path, number: int) -> str:
    records = list(read_epochs(folder))
    before, after = (next((r for r in records if r.number == k), None) for k in (number - 1, number))
    if before is None or after is None:
        raise UsageError(_no_such_epoch(folder.name, records, number))
    norm = "" if before.gradient_norm is None else f", from a gradient of norm {plain(before.gradient_norm, 6)}"
    return (
        f"run {folder.name} trained a module that is not linear: epoch {number:,} took its loss from "
        f"{plain(before.loss, 6)} to {plain(after.loss, 6)} at rate {plain(before.lr)}{norm}, and that is all its "
        "records tell, for its gradient has no formula of one line: explain a run of sightline fit"
    )


def explain(run: Run, epoch: int = 1) -> Worked:
    """Work out the first step of an epoch; on the full batch it is the whole epoch.

    The run is repeated up to that epoch, by the same engine in the same dtype, for what its records do not keep: the
    optimizer's state and the gradient of the step before. `Worked.apart` says how well that met the records.

    Raises UsageError for an epoch that the run does not have, RunError where its rows are gone.
    """
    _check(run, epoch)
    prepared = prepared_again(run)
    if prepared.rows.coded:
        prepared.at_once("explain")
    job = Job.of(prepared, _repeated(run))
    for number in range(1, epoch):
        job.engine.run_epoch(number)
    with _watching(job) as seen:
        job.engine.run_epoch(epoch)
    theta = job.truth.layout.in_units(theta_of(job.problem.module))
    _check_size(seen, job, epoch, str(run.result["run"]))
    return _worked(run, job, epoch, seen, theta)


def _repeated(run: Run) -> RunSettings:
    """How the run is repeated: on the CPU, by the engine that it had, where it was trained on another device."""
    s = run.settings
    return s if s.device in ("auto", "cpu") else replace(s, device="cpu", engine=run.result["engine"]["name"])


def _check(run: Run, epoch: int) -> None:
    if not run.epochs:
        raise UsageError(
            "this run was solved, not trained, so it has no epochs: train one with sightline fit, "
            "or see the mathematics with sightline explain --symbols"
        )
    s = run.settings
    if s.optimizer.lower() == "lbfgs" or s.clip_norm or s.clip_value or s.l1 or (s.accumulate or 1) > 1:
        raise UsageError(
            "explain writes out steps of one gradient as it is, not those of lbfgs, nor with clipping, l1 or "
            "accumulation: explain a run without them"
        )
    if not 1 <= epoch <= run.epochs[-1].number:
        raise UsageError(_no_such_epoch(str(run.result["run"]), run.epochs, epoch))


def _check_size(seen: _Seen, job: Job, epoch: int, name: str) -> None:
    """Refuse a step to where squares overflow."""
    assert seen.first is not None
    if all(np.abs(v).max(initial=0.0) < LARGEST for v in (seen.first.gradient, *seen.thetas)):
        return
    raise UsageError(
        f"epoch {epoch:,} of run {name} leads beyond {LARGEST:g}, where nothing can be worked out: the rate "
        f"{plain(job.step.lr)} is far too large, fit again with --lr auto"
    )


def _no_such_epoch(name: str, records: Sequence[Epoch], epoch: int) -> str:
    last = records[-1].number if records else 0
    if not last:
        return f"run {name} has no epoch but 0, the state before any step: train it again with --epochs 1 or more"
    what = "epoch 0 is the state before any step" if epoch == 0 else f"run {name} has no epoch {epoch:,}"
    return f"{what}: give --epoch a number from 1 to {last:,}"


@dataclass
class _Seen:
    """What is kept of the steps of an epoch: the first one whole, of the others where they began."""

    left: Array | None
    first: Step | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    thetas: tuple[Array, ...] = ()
    steps: int = 0


@contextmanager
def _watching(job: Job) -> Iterator[_Seen]:
    """Look before and after each step of the optimizer."""
    optimizer, module = job.problem.optimizer, job.problem.module
    seen, step = _Seen(_gradient(job)), optimizer.step

    @wraps(step)
    def watched() -> None:
        before, state, options = theta_of(module), _state(job), _options(job)
        step()
        if seen.first is None:
            gradient = _gradient(job)
            assert gradient is not None
            seen.first = Step(before, gradient, seen.left, state, theta_of(module), _state(job))
            seen.thetas, seen.options = (before,), options
        if len(seen.thetas) <= MOST_STEPS:
            seen.thetas = (*seen.thetas, theta_of(module))
        seen.steps += 1

    setattr(optimizer, "step", watched)  # noqa: B010 - a method of one object, on purpose
    yield seen
    setattr(optimizer, "step", step)  # noqa: B010


def _gradient(job: Job) -> Array | None:
    found = [p.grad for p in job.problem.module.parameters() if p.numel()]
    if any(g is None for g in found):
        return None
    return np.concatenate([g.detach().numpy().ravel() for g in found if g is not None]).astype(np.float64)


def _state(job: Job) -> dict[str, Any]:
    """The optimizer's state by torch's names, `(q,)` where each parameter has its own."""
    held = job.problem.optimizer.state
    states = [held[p] for p in job.problem.module.parameters() if p.numel() and p in held]
    if not states or any(not s for s in states):
        return {}
    found: dict[str, Any] = {}
    for name, value in states[0].items():
        parts = [s[name] for s in states]
        if name == "step":
            found[name] = int(value)
        elif all(hasattr(part, "numel") for part in parts):
            found[name] = np.concatenate([part.detach().numpy().ravel() for part in parts]).astype(np.float64)
    return found


def _options(job: Job) -> dict[str, Any]:
    """The optimizer's settings; `weight_decay (q,)` where a ridge penalty leaves the intercept free."""
    groups = job.problem.optimizer.param_groups
    options = {k: v for k, v in groups[0].items() if k not in NOT_SETTINGS}
    if len(groups) > 1:
        parts = [np.full(p.numel(), g["weight_decay"]) for g in groups for p in g["params"]]
        options["weight_decay"] = np.concatenate(parts)
    return options


def _loss(job: Job) -> RowLoss:
    """The loss of all rows, as the engine has them, in their dtype."""
    x, target = (t.detach().numpy().astype(np.float64) for t in (job.problem.x, job.problem.y))
    layout, weighted = job.truth.layout, job.prepared.rows.weight is not None
    y = target.reshape(len(target), -1)
    weight = y[:, 1] if weighted else None
    return row_loss(layout.loss)(x, y[:, 0], layout.design.intercept, weight, layout.outputs)


def _batch_rows(job: Job, epoch: int, steps: int) -> list[list[int]]:
    """The rows of the first batches of the epoch."""
    problem, n = job.problem, len(job.problem.x)
    if problem.full_batch or problem.batch_size is None:
        return [list(range(n))]
    order, size = epoch_order(n, seed=problem.seed, epoch=epoch).tolist(), problem.batch_size
    return [order[k * size : (k + 1) * size] for k in range(steps)]


def _worked(run: Run, job: Job, epoch: int, seen: _Seen, theta: Array) -> Worked:
    assert seen.first is not None
    whole, options = _loss(job), seen.options
    parts = _batch_rows(job, epoch, min(seen.steps, MOST_STEPS))
    batches = []
    for rows, before, after in zip(parts, seen.thetas[:-1], seen.thetas[1:], strict=False):
        loss = whole.of_rows(rows)
        batches.append(Batch(rows, loss.value(before), loss.value(after)))
    decay = 0.0 if job.settings.decoupled else options.get("weight_decay", 0.0)
    records = {r.number: r for r in run.epochs}
    gradient_descent = job.settings.optimizer.lower() == "sgd"
    return Worked(
        str(run.result["run"]), epoch, run.epochs[-1].number, run.design, job.settings.dtype,
        job.settings.optimizer.lower(), options, seen.first, whole if seen.steps == 1 else whole.of_rows(parts[0]),
        parts[0], whole, np.broadcast_to(np.asarray(decay, dtype=float), seen.first.before.shape), batches, seen.steps,
        job.truth.curvature, job.truth.optimum,
        _rate(job, options) if gradient_descent and job.truth.optimum is not None else None,
        records[epoch - 1], records[epoch],
        _apart(theta, records[epoch].parameters, run), run.result["frozen_at"], run.folder,
    )  # fmt: skip


def _rate(job: Job, options: Mapping[str, Any]) -> Any:
    return judge_rate(
        job.truth.curvature, float(options["lr"]), float(options["momentum"]), nesterov=options["nesterov"],
        dampening=float(options["dampening"]),
    )  # fmt: skip


def _apart(theta: Array, recorded: Mapping[str, Any], run: Run) -> float:
    """The largest relative distance of the repeated parameters from those of the record, in the units of the data."""
    if not recorded:
        return 0.0
    values = np.array([np.nan if recorded[c.term] is None else recorded[c.term] for c in run.coefficients], dtype=float)
    size = float(np.abs(values).max(initial=0.0)) or 1.0
    return float(np.abs(theta - values).max(initial=0.0)) / size
