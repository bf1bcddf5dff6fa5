"""The loop around a module of one's own, kept in a run folder, with a verdict."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor, nn

from ..engines.autograd import Autograd
from ..engines.base import Engine
from ..engines.custom import CustomStep
from ..engines.devices import explained
from ..engines.feeds import device_of
from ..engines.held_out import Best
from ..engines.random_streams import load_streams, snapshot, streams
from ..errors import UsageError, shown
from ..guards import check_number
from ..loop_settings import LoopOptions
from ..records import Epoch, Warning
from ..restoring import readable_records, restored
from ..runs.checkpoint import Checkpoints, check_state, save_model
from ..runs.store import RunFolder, default_output, find_run
from ..signals import InterruptedStep, Signals, signals
from ..stopping import Rule, diverged, stop_when
from ..stopping import patience as patience_of
from ..stopping import target_loss as target_of
from ..stopping import time_limit as limit_of
from ..training import CPU, LESS, Training
from ..version import versions
from ..words import count
from .layers import LayerSizes
from .run import KIND, ModuleRun, load_module
from .settings import check_same, told
from .verdict import Curvature, judge_module, result_of

__all__ = ["fit_module"]

Sink = Callable[[Epoch], None]


def fit_module(
    model: nn.Module,
    data: Any,
    *,
    output: str | os.PathLike[str] | bool | None = None,
    resume: str | os.PathLike[str] | ModuleRun | None = None,
    curvature: int | None = None,
    min_improvement: float = 0.0,
    time_limit: float | None = None,
    target_loss: float | None = None,
    sinks: Sequence[Sink] = (),
    **options: Unpack[LoopOptions],
) -> ModuleRun:
    """Train any module as `train` does, keep every record in a run folder, and say in a verdict how it ended.

    `options` are those of `train`: loss, optimizer, epochs, batch_size, valid, patience, step, ... The folder goes to
    `output` (default ./runs or SIGHTLINE_RUNS; False writes none): records as they come, the state of model, optimizer,
    schedule and random streams every few seconds, also within an epoch, and at the end the parameters as safetensors.
    `resume` goes on with such a run from its last checkpoint, to `epochs` epochs in all, with the same call otherwise;
    the numbers are those of the straight run, bit for bit, and a run that has had them is returned as it is.

    `curvature` k measures the largest curvature λmax of the loss at every k-th epoch, so that 2 / λmax stands beside
    the rate. `patience` counts only what is `min_improvement` better; `time_limit` (seconds, looked at after each
    epoch) and `target_loss` (of the validation loss, where there is one) end the run too. `sinks` are called with each
    record. Ctrl-C ends the run after the step in progress, saved.

    Raises UsageError and DataError as `train`; RunError where the folder cannot be gone on with.

    >>> import torch
    >>> x = torch.linspace(-1.0, 1.0, 20)[:, None]
    >>> model = torch.nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> run = fit_module(model, (x, 2 * x), loss=torch.nn.MSELoss(), optimizer=sgd, epochs=50, output=False)
    >>> len(run.epochs), run.epochs[-1].train_loss < 1e-6
    (51, True)
    """
    if options.get("start"):
        raise UsageError("start is for train, which keeps no records: go on with a run by resume=...")
    _check_places(output, resume, sinks)
    rules = [diverged(), *_rules(options.get("patience"), min_improvement, time_limit, target_loss)]
    where = _where(output)
    notes: list[Warning] = []
    training = Training.of(model, data, options, tell=notes.append, resumed=resume is not None)
    if min_improvement:
        rules.append(patience_of(int(options["patience"] or 0), float(min_improvement)))
    else:
        rules.extend(training.rules)
    fit = ModuleFit(training, notes, Curvature(training.problem, curvature), rules, told(training, options))
    if resume is not None:
        return fit.resume(resume, sinks)
    if where is None:
        return fit.run(None, (), sinks)
    check_state(fit.state_dict())
    return fit.run(RunFolder.create(where, fit.manifest), (), sinks)


def _check_places(output: Any, resume: Any, sinks: Any) -> None:
    if output is not None and not isinstance(output, (bool, str, os.PathLike)):
        raise UsageError(f"output is {shown(output, quote=False)}: give a folder, or False for none")
    if resume is not None and not isinstance(resume, (str, os.PathLike, ModuleRun)):
        raise UsageError(f"resume is {shown(resume, quote=False)}: give the folder or the id of a run")
    if not isinstance(sinks, (list, tuple)) or not all(callable(sink) for sink in sinks):
        raise UsageError(f"sinks is {shown(sinks, quote=False)}: give a list of functions of a record")


def _where(output: Any) -> Path | None:
    if output is None or output is True:
        return default_output()
    return None if output is False else Path(output)


def _rules(patience: Any, min_improvement: Any, time_limit: Any, target_loss: Any) -> list[Rule]:
    rules: list[Rule] = []
    if min_improvement or not isinstance(min_improvement, (int, float)):
        check_number("min_improvement", min_improvement)
        if patience is None:
            raise UsageError("min_improvement says what patience counts as better: give patience=... as well")
    if time_limit is not None:
        check_number("time_limit", time_limit)
        rules.append(limit_of(float(time_limit)))
    if target_loss is not None:
        real = isinstance(target_loss, (int, float)) and not isinstance(target_loss, bool)
        if not real or not -math.inf < target_loss < math.inf:
            raise UsageError(f"target_loss is {shown(target_loss, quote=False)}: give a finite number")
        rules.append(target_of(float(target_loss)))
    return rules


@dataclass(frozen=True)
class ModuleFit:
    """One training with its folder, its rules and what reads its records."""

    training: Training
    notes: list[Warning]
    curvature: Curvature
    rules: Sequence[Rule]
    told: Mapping[str, Any]

    @property
    def engine(self) -> Engine:
        """What trains."""
        return self.training.engine

    @cached_property
    def best(self) -> Best:
        """The parameters that did best on validation rows."""
        return self.training.best or Best(self.training.problem.module)

    @property
    def manifest(self) -> dict[str, Any]:
        """What run.json says from the start."""
        return {"kind": KIND, "settings": self.told, "versions": versions()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on depends on."""
        best = self.best.state_dict()
        return {
            **self.engine.state_dict(), **({"best": best} if best else {}),
            "streams": streams(snapshot(self._source)), "curvature": self.curvature.found,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave; the streams last."""
        self.engine.load_state_dict(dict(state))
        self.best.load_state_dict(state.get("best", {}))
        self.curvature.found[:] = state["curvature"]
        load_streams(state["streams"], self._source)

    @property
    def _source(self) -> Any:
        return getattr(self.training.problem.feed, "source", None)

    def resume(self, run: str | os.PathLike[str] | ModuleRun, sinks: Sequence[Sink]) -> ModuleRun:
        """Go on from the last checkpoint that holds; a run that has had its epochs is returned as it is."""
        path = run.folder if isinstance(run, ModuleRun) else find_run(run)
        if path is None:
            raise UsageError("this run was written to no folder: fit it with output, or fit it again")
        folder = RunFolder.open(path)
        try:
            check_same(folder, self.told)
            done, notes = restored(folder, self, readable_records(path), begun="result" in folder.manifest)
            for note in notes:  # of the folder, not of the training, whose result is that of the straight run
                warnings.warn(note, stacklevel=3)
            last = done[-1].number if done else 0
            if self.training.epochs < last:
                raise UsageError(f"run {path.name} has {count(last, 'epoch')} already: give at least {last:,}")
            if self.training.epochs == last and folder.manifest.get("status") == "done":
                folder.close()
                finished = load_module(path)
                return replace(finished, model=finished.load_into(self.training.problem.module))
            folder.go_on(done[-1] if done else None, settings=self.told)
        except BaseException:
            folder.close()
            raise
        return self.run(folder, done, sinks)

    def run(self, folder: RunFolder | None, done: Sequence[Epoch], sinks: Sequence[Sink]) -> ModuleRun:
        """Train on after the records `done`, and speak the verdict."""
        epochs = list(done[:-1])
        for rule in self.rules:
            for record in epochs:
                rule(record)
        self.best.take_up(done)
        try:
            with explained(device_of(self.training.problem.module), cpu=CPU, less=LESS):
                with signals(saved=folder is not None) as received:
                    self._drain(folder, epochs, done, sinks, received)
                return self._finish(folder, epochs)
        except BaseException:
            if folder:
                folder.finish("failed")
            raise

    def _drain(
        self, folder: RunFolder | None, epochs: list[Epoch], done: Sequence[Epoch], sinks: Sequence[Sink],
        received: Signals,
    ) -> None:  # fmt: skip
        """Every record to everyone who reads; what a signal cuts short is saved at its step."""
        checkpoints = Checkpoints(folder, self.state_dict) if folder else None
        keepers: list[Sink] = [folder.append, checkpoints] if folder and checkpoints else []
        if folder:
            keepers.append(LayerSizes(folder.path, self.training.problem.module, done[-1].number if done else -1))
        readers: list[Sink] = [self.best, self.curvature, *keepers, *sinks]

        def after_step() -> None:
            if received:
                raise InterruptedStep
            if checkpoints:
                checkpoints.within_epoch()

        if isinstance(self.engine, (Autograd, CustomStep)):
            self.engine.progress.on_step = after_step
        try:
            for record in stop_when(self.training.stream(after=done[-1] if done else None), received.rule, *self.rules):
                epochs.append(record)
                for reader in readers:
                    reader(record)
        except InterruptedStep:
            if not epochs:
                raise KeyboardInterrupt from None
            if checkpoints:
                checkpoints.save(epochs[-1])
            epochs[-1] = replace(epochs[-1], stop=received.stop(f" within epoch {epochs[-1].number + 1}"))
            if folder:
                folder.end_with(epochs[-1])
            return
        if checkpoints:
            checkpoints.save(epochs[-1])

    def _finish(self, folder: RunFolder | None, epochs: list[Epoch]) -> ModuleRun:
        """The verdict on the parameters as they are, those of the last record or of the one that did best."""
        kept = self.best.record if self.training.best is not None else None
        if kept is not None:
            self.best.restore()
        model = self.training.problem.module
        verdict = judge_module(epochs, kept, self.notes)
        result = result_of(self.training, epochs, kept, verdict, self.curvature)
        result = {"run": folder.id if folder else None, "kind": KIND, **result, "optimizer": self.told["optimizer"]}
        if folder:
            save_model(folder.path, _saved_state(model))
            stop = epochs[-1].stop
            status = "interrupted" if stop is not None and stop.reason == "interrupted" else "done"
            folder.finish(status, result=result, sentence=verdict.sentence)
        return ModuleRun(result, verdict, epochs, folder.path if folder else None, self.told, model)


def _saved_state(model: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers by name, each with memory of its own, as safetensors wants them."""
    state = getattr(model, "_orig_mod", model).state_dict()
    return {name: t.detach().clone().contiguous() for name, t in state.items() if isinstance(t, Tensor)}
