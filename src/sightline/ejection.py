"""A run written as a plain PyTorch script: gathered here, told in `exports`."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .again import prepared_again
from .ejected_table import plain_table, prepared_table
from .engines.problem import Problem
from .engines.schedules import SCHEDULES
from .engines.stepping import needs_closure
from .errors import UsageError, shown
from .exports.source import Around, CsvTable, Training, script
from .parameters import Layout
from .records import Epoch
from .rows import Rows
from .run import Run
from .runs.files import write_bytes
from .trainable import make_problem
from .tuning import Step

__all__ = ["Ejected", "eject"]


@dataclass(frozen=True)
class Ejected:
    """The script that was written, the table that it reads, and whether that was written for it."""

    path: Path
    data: Path
    prepared: bool
    lines: int


def eject(run: Run, path: str | os.PathLike[str], *, overwrite: bool = False) -> Ejected:
    """Write a run as a plain PyTorch script that needs no sightline and leaves the trained module in the name `model`.

    The script repeats the run step by step: the same rows in the same order, loss, optimizer, schedule, and the map
    back to the units of the data; its `model` is `run.model`. It reads the data of the run where its columns are
    numbers as they stand in a CSV file, else a table beside the script, named as it, that is written with it. The path
    of what it reads is absolute, so that the script may be moved, run from anywhere, or pasted into a notebook.

    Raises UsageError for a solved run, another ending than .py, or a file that exists (unless `overwrite`); RunError
    where the data are gone or have changed.

    >>> import sightline
    >>> run = sightline.fit("examples/heights.csv", "weight ~ height", output=False)
    >>> eject(run, "heights_alone.py").data.name
    'heights.csv'
    """
    target = Path(path).absolute()
    _check(run, target, overwrite=overwrite)
    prepared = prepared_again(run) if run.source.get("path") or run.rows is None else None
    if prepared is not None:
        prepared.at_once("eject")
    rows = run.rows if prepared is None else prepared.rows
    assert rows is not None
    problem, beside = _problem(run, rows), target.with_suffix(".csv")
    table = None if prepared is None else plain_table(prepared)
    own = table is None
    if table is None:
        _check_beside(beside, run, overwrite=overwrite)
        table, content = prepared_table(run.design, rows, None if prepared is None else prepared.table, str(beside))
        write_bytes(beside, content)
    text = script(_training(run, problem, table))
    write_bytes(target, text.encode())
    return Ejected(target, Path(table.path), own, text.count("\n"))


def _check(run: Run, path: Path, *, overwrite: bool) -> None:
    name = shown(str(path), limit=200)
    if not isinstance(run, Run):
        raise UsageError(
            "a script is written of a run of a table, as sightline.fit and sightline.load give it: a module of your "
            "own is code, which no run holds"
        )
    if not run.epochs:
        raise UsageError("this run was solved, not trained, so it has no loop to write: eject a run of sightline fit")
    if path.suffix != ".py":
        raise UsageError(f"a script is written, and {name} is no name of one: give a name that ends in .py")
    if path.exists() and not overwrite:
        raise UsageError(f"{name} exists: give another name, or --force to replace it")


def _check_beside(path: Path, run: Run, *, overwrite: bool) -> None:
    """The table is written beside the script, and never over the data of the run."""
    name, data = shown(str(path), limit=200), run.source.get("path")
    if data and path.exists() and path.samefile(data):
        raise UsageError(f"the script needs a table of its own, and {name} is the data: give the script another name")
    if path.exists() and not overwrite:
        raise UsageError(f"the script needs a table, and {name} exists: give another name, or --force to replace it")


# How the run was made


def _problem(run: Run, rows: Rows) -> Problem:
    """Module, optimizer and stepping as they were at the start of the run."""
    layout = Layout(run.design, run.result["loss_name"])
    start = layout.from_units(run.settings.start)
    return make_problem(layout, run.settings, Step(_options(run), ""), rows, start)


def _options(run: Run) -> dict[str, Any]:
    """The optimizer's options as they were used, without those that are torch's own default."""
    used = dict(run.result["optimizer"])
    if run.settings.l2:
        used["weight_decay"] = run.settings.weight_decay or 0.0  # what was used has the ridge penalty in it
    known = inspect.signature(_class(run.settings.optimizer).__init__).parameters
    given = {name: _frozen(value) for name, value in used.items() if name in known}
    changed = {name: value for name, value in given.items() if name == "lr" or value != known[name].default}
    if changed.get("max_eval") == given.get("max_iter", 0) * 5 // 4:
        changed.pop("max_eval", None)
    return changed


def _frozen(value: Any) -> Any:
    """A value of run.json as it was: tuples for lists, plain numbers."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    return float(value) if isinstance(value, float) else value


def _class(name: str) -> type[Any]:
    """The optimizer of torch of that name in any letters."""
    return next(c for n, c in vars(torch.optim).items() if n.lower() == name.lower() and isinstance(c, type))


def _training(run: Run, problem: Problem, table: CsvTable) -> Training:
    module: Any = problem.module
    options, design = _options(run), run.design
    return Training(
        str(run.result["run"] or ""),
        design.formula,
        table,
        design.center.tolist(),
        design.scale.tolist(),
        module.weight.double().tolist(),
        None if module.bias is None else module.bias.double().tolist(),
        run.settings.dtype,
        problem.optimizer.__class__.__name__,
        options,
        _around(run, problem),
        run.result["loss_name"],
        run.settings.loss_opt,
        problem.optimizer.param_groups[0]["weight_decay"] if run.settings.l2 else None,
    )


def _around(run: Run, problem: Problem) -> Around:
    how, last = problem.stepping, _last(run)
    schedule = how.schedule
    made = None if schedule is None or schedule.scheduler is None or not schedule.name else SCHEDULES.get(schedule.name)
    return Around(
        last.number,
        float(problem.optimizer.defaults["lr"]),
        _last_loss(run),
        None if problem.full_batch else problem.batch_size,
        problem.seed,
        how.accumulate,
        needs_closure(problem.optimizer),
        how.clip_norm,
        how.clip_value,
        how.l1,
        bool(problem.optimizer.defaults.get("momentum")),
        None if made is None else made.__name__,
        {} if schedule is None else schedule.options,
        0 if schedule is None else schedule.warmup,
    )


def _last(run: Run) -> Epoch:
    """The record whose parameters the run has: the last one, or the best on validation rows."""
    number = run.result.get("kept_epoch", run.epochs[-1].number)
    return next(record for record in run.epochs if record.number == number)


def _last_loss(run: Run) -> float:
    """The loss that the script prints last."""
    loss = _last(run).running_loss
    return 1.0 if loss is None else loss
