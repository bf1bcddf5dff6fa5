"""One fit from beginning to end: table, design, truth, problem, engine, loop, verdict, run folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import loop
from .answer_of_many import are_many
from .engines.autograd import Autograd
from .engines.base import Engine
from .engines.choose import choose, why_not_from_moments
from .engines.devices import device_named, explained
from .engines.feeds import TensorFeed, device_of
from .engines.forecast import Freeze, forecast_freeze
from .engines.held_out import Best, HeldOut
from .engines.losses import torch_loss
from .engines.problem import Problem
from .engines.quadratic import Quadratic
from .evidence import Evidence
from .linear.curvature import epochs_per_digit
from .linear.exact import EPS
from .outcome import outcome
from .prepared import Prepared
from .records import Epoch, Stop, Warning
from .rows import Rows
from .run import Run, save_run
from .runs.checkpoint import Checkpoints, save_model
from .runs.store import RunFolder
from .settings import RunSettings
from .squared_truth import SquaredTruth
from .stopping import Rule, diverged, frozen, patience, stalled, stop_when, target_loss, time_limit
from .trainable import form_of, make_problem, tensors, theta_of
from .truth import Truth, measured_excess
from .truths import truth_of
from .tuning import Step, choose_step
from .verdict import warnings_before
from .version import versions

__all__ = ["Job", "Sink"]

Sink = Callable[[Epoch], None]
Array = NDArray[np.float64]
MOST_EPOCHS = 200_000  # without --epochs: where even the best settings stop being a way to the answer
LIKELY_EPOCHS = 1000  # without --epochs, of a loss that is no quadratic: what machine code must pay for
LIKELY = 1e-5  # of the baseline loss: so near by a float32 measure that it is worth looking closer
STALLED = 500  # epochs without a better loss after which an optimizer without a closed form has given what it has
ENDLESS_EPOCHS = 1000  # where the loss falls for ever, as of separated classes: more only repeats that
OTHER_EPOCHS = 10_000  # likewise for optimizers without a closed form, and for mini-batches


@dataclass(frozen=True)
class Job:
    """A fit that is ready to run: everything known before the first epoch."""

    prepared: Prepared
    truth: Truth
    settings: RunSettings
    step: Step
    problem: Problem
    engine: Engine
    reason: str
    freeze: Freeze | None
    start: Array

    @classmethod
    def of(cls, prepared: Prepared, settings: RunSettings) -> Job:
        """Choose step and engine, forecast the freeze."""
        device, rows = device_named(settings.device), prepared.rows
        truth = truth_of(prepared, settings)
        start = truth.layout.from_units(settings.start)
        step = choose_step(settings, truth, start)
        problem = make_problem(truth.layout, settings, step, rows, start)
        form = form_of(truth, rows, device)
        few = problem.full_batch and not isinstance(truth, SquaredTruth)
        epochs = settings.epochs or (LIKELY_EPOCHS if few else MOST_EPOCHS)
        if device.type != "cpu" and why_not_from_moments(problem, engine=settings.engine, epochs=epochs):
            with explained(device, (rows.X, rows.y)):
                problem = make_problem(truth.layout, settings, step, rows, start, device=device)
        engine, reason = choose(problem, engine=settings.engine, epochs=epochs, form=form)
        reason += _where(device, truth, problem, rows)
        limit = _forecast_epochs(settings, engine, math.prod(prepared.rows.X.shape))
        freeze = forecast_freeze(engine, problem, form, limit=limit) if limit and form is not None else None
        return cls(prepared, truth, settings, step, problem, engine, reason, freeze, start)

    @cached_property
    def evidence(self) -> Evidence:
        """What the verdict will be spoken on, as far as it is known now."""
        f = self.freeze
        matters = f is not None and f.loss - self.truth.loss > 1e-10 * self.truth.scale
        return Evidence(
            self.truth, self.start, self.settings, self.step, self.prepared.label, self.prepared.path is not None,
            decoupled_decay=self.problem.optimizer.defaults["weight_decay"] if self.settings.decoupled else 0.0,
            frozen_at=f.epoch if f and matters else None, frozen_loss=f.loss if f and matters else None,
        )  # fmt: skip

    @cached_property
    def warnings(self) -> list[Warning]:
        """What the reader should know before the first epoch."""
        return warnings_before(self.evidence)

    @property
    def engine_name(self) -> str:
        """`autograd`, `quadratic` or `kernel`."""
        return self.engine.name

    @property
    def epochs(self) -> int:
        """How many epochs at most."""
        if self.settings.epochs is not None:
            return self.settings.epochs
        if self.truth.optimum is None:
            return ENDLESS_EPOCHS
        if not self.evidence.is_gradient_descent:
            return OTHER_EPOCHS
        contraction = float(self.evidence.contraction().max(initial=0.0))
        needed = 12.0 * epochs_per_digit(contraction) + 1000.0  # of a loss that is not quadratic, near the optimum
        return int(needed) if needed < MOST_EPOCHS else MOST_EPOCHS

    def rules(self) -> list[Rule]:
        """What ends the run: divergence always; the answer, and rounding, only where no number of epochs was asked
        for.
        """
        baseline = self.truth.scale
        rules: list[Rule] = [diverged(baseline)]
        if self.settings.epochs is None:
            momentum = self.step.momentum
            still = 1 if self.evidence.is_gradient_descent and not momentum else int(40 / (1.0 - min(momentum, 0.9)))
            rules += [self._arrived, frozen(still)]
            if not self.evidence.is_gradient_descent:
                rules.append(stalled(STALLED))
        return [*rules, *self._asked_for()]

    def _asked_for(self) -> list[Rule]:
        """The rules that the settings name."""
        s, rules = self.settings, []
        if s.patience is not None:
            rules.append(patience(s.patience, s.min_improvement or 0.0))
        if s.time_limit is not None:
            rules.append(time_limit(s.time_limit))
        if s.target_loss is not None:
            rules.append(target_loss(s.target_loss))
        return rules

    def _arrived(self, record: Epoch) -> Stop | None:
        """Stop at the answer: the objective within 1e-14 of the baseline loss of its optimum."""
        truth = self.truth
        if record.train_loss is None or truth.optimum is None:
            return None
        enough, theta = self._enough, theta_of(self.problem.module)
        excess = measured_excess(truth, record.train_loss, theta)
        near = 100.0 * enough if self._measures_exactly else LIKELY * truth.scale
        if excess <= near and (truth.objective.penalized or not self._measures_exactly):  # worth a pass over the rows
            excess = truth.excess(theta)
        return (
            Stop("converged", f"at epoch {record.number:,} the exact answer was reached") if excess <= enough else None
        )

    @cached_property
    def _enough(self) -> float:
        """The excess at which the answer counts as reached."""
        return max(1e-14 * self.truth.scale, self.truth.resolution(EPS) / 256.0)

    @property
    def _measures_exactly(self) -> bool:
        """Whether the loss of a record has the digits that tell it from the exact one."""
        return isinstance(self.engine, Quadratic) or self.settings.dtype == "float64"

    def run(self, *, output: Path | None, sinks: Sequence[Sink] = (), rules: Sequence[Rule] = ()) -> Run:
        """Train, into a new run folder under `output`; None saves nothing."""
        folder = RunFolder.create(output, self.manifest()) if output else None
        return self.go_on(folder, sinks=sinks, rules=rules)

    def go_on(
        self, folder: RunFolder | None, done: Sequence[Epoch] = (), *, sinks: Sequence[Sink] = (),
        rules: Sequence[Rule] = (),
    ) -> Run:  # fmt: skip
        """Train on after the records `done`, the last of which describes the engine as it is: drain the loop into the
        run folder and the sinks; speak the verdict; save.
        """
        own, epochs = self.rules(), list(done[:-1])
        for rule in own:
            for record in epochs if rule != self._arrived else ():  # that one looks at the parameters as they are
                rule(record)
        self.best.take_up(done)
        rows = self.prepared.rows
        with explained(device_of(self.problem.module), (rows.X, rows.y)):
            return self._trained(folder, epochs, done, [*rules, *own], sinks)

    def _trained(
        self, folder: RunFolder | None, epochs: list[Epoch], done: Sequence[Epoch], rules: Sequence[Rule],
        sinks: Sequence[Sink],
    ) -> Run:  # fmt: skip
        """The records from the last of those that are done to the end that a rule makes, and what they say."""
        checkpoints = Checkpoints(folder, self.state_dict) if folder else None
        if checkpoints and isinstance(self.engine, Autograd) and not self.problem.full_batch:
            self.engine.progress.on_step = checkpoints.within_epoch
        every: list[Sink] = [self.best, *sinks]
        if folder and checkpoints:
            every = [self.best, folder.append, checkpoints, *sinks]
        try:
            records = loop.run(
                self.engine, epochs=self.epochs, after=done[-1] if done else None, validate=self.validate
            )
            for record in stop_when(records, *rules):
                epochs.append(record)
                for sink in every:
                    sink(record)
            if checkpoints:
                checkpoints.save(epochs[-1])
            kept = self.best.record if self.settings.restore_best else None
            if kept is not None:
                self.best.restore()
            return self._finish(epochs, kept, folder)
        except BaseException:
            if folder:
                folder.finish("failed")
            raise

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on depends on: that of the engine, and the parameters that did best."""
        best = self.best.state_dict()
        return {**self.engine.state_dict(), **({"best": best} if best else {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self.engine.load_state_dict(dict(state))
        self.best.load_state_dict(state.get("best", {}))

    @cached_property
    def best(self) -> Best:
        """Keeps the parameters that did best on validation rows."""
        return Best(self.problem.module)

    @cached_property
    def validate(self) -> Callable[[], float] | None:
        """The loss of the validation rows at the parameters as they are; None where there are none."""
        rows = self.prepared.valid
        if rows is None:
            return None
        x, y = tensors(self.truth.layout, self.settings, rows)
        loss = torch_loss(self.truth.layout.loss, self.settings.loss_opt, weighted=rows.weight is not None)
        return HeldOut(self.problem.module, loss, TensorFeed(x, y, device=device_of(self.problem.module)))

    def manifest(self) -> dict[str, Any]:
        """What run.json says from the start."""
        return {
            "settings": self.settings.to_dict(),
            "design": self.prepared.design.to_dict(),
            "source": self.prepared.manifest(),
            "versions": versions(),
        }

    def _finish(self, epochs: list[Epoch], kept: Epoch | None, folder: RunFolder | None) -> Run:
        """Speak the verdict on the parameters as they are, those of the last record or of the one that is kept."""
        run = outcome(self, epochs, kept, folder)
        if folder:
            last = epochs[-1]
            save_model(folder.path, run.model.state_dict())
            stopped = last.stop is not None and last.stop.reason == "interrupted"
            save_run(run, folder, "interrupted" if stopped else "done")
        return run


def _where(device: torch.device, truth: Truth, problem: Problem, rows: Rows) -> str:
    """What a device has to do with the training, as the end of the engine's reason."""
    if device.type == "cpu":
        return ""
    if device_of(problem.module).type != "cpu":
        return f"; rows and parameters are on {device}"
    if isinstance(truth, SquaredTruth) and (truth.answer.moments is not None or are_many(*rows.X.shape)):
        return f"; {device} added up the moments, and the CPU steps"
    return f"; on the CPU, for it does not pay to send these rows to {device}"


def _forecast_epochs(settings: RunSettings, engine: Engine, size: int) -> int:
    """How far to look for the freeze: far where float32 makes it likely, not at all where it would cost too much."""
    if settings.dtype == "float32":
        return 20_000 if isinstance(engine, Quadratic) else 5_000 if size <= 10_000 else 0
    return 500 if settings.lr is not None and isinstance(engine, Quadratic) else 0
