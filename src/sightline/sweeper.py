"""A sweep of learning rates over one fit: all rates trained at once, and judged beside the computed limit."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .engines.choose import choose_for_rates, why_not_quadratic
from .engines.stacked import Stacked
from .errors import UsageError, nearest, shown
from .evidence import Evidence
from .linear.curvature import epochs_needed
from .lr_sweep import between, read_rates, run_all
from .prepare import prepare_for
from .prepared import Prepared
from .rate_words import Ground, Judged, judge_rates, outcome_of
from .records import Epoch
from .settings import RunSettings
from .stopping import Rule, diverged
from .sweeps import Sweep, saved
from .trainable import form_of, make_problem, theta_of
from .truth import Truth, measured_excess
from .truths import truth_of
from .tuning import choose_step

if TYPE_CHECKING:
    from .engines.problem import Problem

__all__ = ["Sweeper", "sweep"]

EPOCHS = 100
NO_SETTINGS = {  # of a fit, and why a sweep has none of them
    **dict.fromkeys(("schedule", "schedule_opt", "warmup"), "every rate stays what it is"),
    **dict.fromkeys(("clip_norm", "clip_value", "accumulate", "l1"), "nothing but steps of the optimizer is compared"),
    **dict.fromkeys(("robust", "cluster", "level"), "it makes no table of coefficients"),
    **dict.fromkeys(("validation", "restore_best"), "it measures the rows that it trains on"),
    **dict.fromkeys(("patience", "min_improvement", "time_limit", "target_loss"), "every rate gets the same epochs"),
    "figures": "it draws one picture",
}
SHARPEST = 1.001  # ratio of the two rates between which a refined limit lies
ROUNDS, EACH_ROUND = 6, 8
LONGEST = 10**12


def sweep(
    data: object,
    formula: str | None = None,
    *,
    lr: Any,
    target: str | None = None,
    refine: bool = False,
    output: str | os.PathLike[str] | bool | None = None,
    **settings: Any,
) -> Sweep:
    """Train a linear model at many learning rates at once, and say which are too small, just right and too large.

    `lr` is a geometric grid (low, high, count), or the rates themselves in a list, or either as text. Each rate gives
    the records of a `fit` with it; one matrix product predicts with all of them. `settings` are those of `fit` on data,
    loss and optimizer; `epochs` is 100 unless given. With `refine` more rates are trained between the largest that
    settles and the smallest that does not, until they are a thousandth apart. The folder goes to `output` (default
    ./runs or SIGHTLINE_RUNS; False writes none).

    >>> heights = {"height": [150, 160, 170, 175, 185], "weight": [55, 70, 64, 80, 75]}
    >>> found = sweep(heights, "weight ~ height", lr=(0.01, 2.0, 3), output=False)
    >>> found.words, round(found.limit, 12)
    (('too small', 'just right', 'too large'), 1.0)
    """
    sweeper = Sweeper.of(data, formula, lr=lr, target=target, settings=settings)
    found = sweeper.run(refine=refine)
    if output is False:
        return found
    return saved(found, None if output is None or output is True else Path(output))


@dataclass(frozen=True)
class Sweeper:
    """A sweep that is ready to run."""

    prepared: Prepared
    settings: RunSettings
    truth: Truth
    problem: Problem
    evidence: Evidence
    rates: tuple[float, ...]

    @classmethod
    def of(
        cls, data: object, formula: str | None, *, lr: Any, target: str | None, settings: Mapping[str, Any]
    ) -> Sweeper:
        """Refuse what makes no sense before anything is read; then read, encode, solve."""
        rates = read_rates(lr)
        chosen = _settings(settings, rates)
        prepared = prepare_for(chosen, data, formula, target=target)
        if prepared.rows.coded:
            prepared.at_once("a sweep")
        truth = truth_of(prepared, chosen)
        start = truth.layout.from_units(chosen.start)
        step = choose_step(chosen, truth, start)
        problem = make_problem(truth.layout, chosen, step, prepared.rows, start)
        evidence = Evidence(truth, start, chosen, step, prepared.label, prepared.path is not None)
        Stacked(problem, rates[:1])  # refuses optimizers that cannot be swept
        return cls(prepared, chosen, truth, problem, evidence, rates)

    def run(self, *, refine: bool = False, rules: Sequence[Rule] = ()) -> Sweep:
        """Train all rates, and where asked more of them near the limit; `rules` may end every one."""
        runs = self._train(self.engine, rules)
        for _ in range(ROUNDS if refine else 0):
            low, high = self._judge(runs).bracket
            if low is None or high is None or high / low <= SHARPEST:
                break
            runs |= self._train(self._engine(between(low, high, EACH_ROUND)), rules)
        rates = sorted(runs)
        return Sweep(
            tuple(rates), tuple(runs[r][0] for r in rates), tuple(runs[r][1] for r in rates), self._judge(runs),
            self.subject,
        )  # fmt: skip

    @cached_property
    def engine(self) -> Stacked:
        """What trains the rates that were asked for."""
        return self._engine(self.rates)

    def _engine(self, rates: Sequence[float]) -> Stacked:
        epochs, asked = self.settings.epochs or EPOCHS, self.settings.engine
        return choose_for_rates(self.problem, rates, engine=asked, epochs=epochs, form=self.form)[0]

    def _train(self, engine: Stacked, rules: Sequence[Rule]) -> dict[float, tuple[list[Epoch], list[float]]]:
        """Records and excess of each rate."""
        rates, scale = engine.rates, self.truth.scale
        runs: dict[float, tuple[list[Epoch], list[float]]] = {rate: ([], []) for rate in rates}
        for records in run_all(engine, epochs=self.settings.epochs or EPOCHS, rules=lambda: [*rules, diverged(scale)]):
            for i, record in records.items():
                known, above = runs[rates[i]]
                known.append(record)
                above.append(self._excess(record, engine.models[i]))
        return runs

    def _excess(self, record: Epoch, model: torch.nn.Module) -> float:
        """The objective of a record above its optimum, as far as float64 tells the two apart."""
        assert record.train_loss is not None
        return measured_excess(self.truth, record.train_loss, theta_of(model))

    @cached_property
    def form(self) -> Any:
        """The squared error as a quadratic, where the moments can train it."""
        obstacle = why_not_quadratic(self.problem)
        if self.settings.engine == "quadratic" and obstacle:
            raise UsageError(f"the quadratic engine cannot train this: {obstacle}; use engine autograd or auto")
        if obstacle or self.settings.engine == "autograd":
            return None
        return form_of(self.truth, self.prepared.rows)

    def _judge(self, runs: Mapping[float, tuple[list[Epoch], list[float]]]) -> Judged:
        outcomes = [outcome_of(records, excess, self.ground) for records, excess in runs.values()]
        return judge_rates(outcomes, self.ground, runs[self.rates[0]][1][0])

    @cached_property
    def ground(self) -> Ground:
        """What is known without training."""
        e, eps = self.evidence, float(np.finfo(self.settings.dtype).eps)
        descent = e.is_gradient_descent
        known = descent and self.truth.optimum is not None and math.isfinite(e.lr_limit)
        return Ground(
            max(e.tolerance, self.truth.resolution(eps)), self.settings.epochs or EPOCHS,
            e.lr_limit if known else None, e.lr_formula if known else "", not self.truth.quadratic, descent,
            self._needs, self._remedy(), eps,
        )  # fmt: skip

    def _needs(self, lr: float) -> float | None:
        """The epochs to the answer of gradient descent on a quadratic, with the heavy ball or without."""
        e, options = self.evidence, self.evidence.step.options
        plain = not (options.get("nesterov") or options.get("dampening"))
        if not (e.is_gradient_descent and self.truth.quadratic and plain and self.truth.optimum is not None):
            return None
        distance = e.start - self.truth.optimum
        goal = self.ground.tolerance
        return epochs_needed(self.truth.curvature, distance, lr, e.step.momentum, goal=goal, limit=LONGEST)

    def _remedy(self) -> str:
        """What helps more than epochs do where no rate arrives."""
        if not self.settings.standardize:
            return "--standardize --lr 0.001:10:24"
        return "--momentum 0.9" if self.evidence.is_gradient_descent and not self.settings.momentum else ""

    @property
    def subject(self) -> dict[str, Any]:
        """What was swept, as plain values."""
        s, p = self.settings, self.prepared
        options = {k: v for k, v in self.evidence.step.options.items() if k != "lr"}
        return {
            "data": p.label, "formula": p.design.formula, "rows": len(p.rows), "loss_name": p.loss,
            "exact_loss": self.truth.loss, "baseline_loss": self.truth.baseline,
            "optimizer": {"name": s.optimizer.lower(), **options},
            "epochs": s.epochs or EPOCHS, "batch_size": s.batch_size, "dtype": s.dtype, "seed": s.seed,
            "standardize": s.standardize, "engine": self.engine.name,
            "penalized": self.truth.objective.penalized,
        }  # fmt: skip


def _settings(given: Mapping[str, Any], rates: tuple[float, ...]) -> RunSettings:
    """Settings of a fit with the first of the rates, and what a sweep has no use for refused."""
    known = [f.name for f in fields(RunSettings) if f.name not in {*NO_SETTINGS, "lr", "auto_momentum"}]
    present = {name: value for name, value in given.items() if value not in (None, (), {})}
    for name in present:
        if name in NO_SETTINGS:
            raise UsageError(f"sweep takes no setting {shown(name)}, for {NO_SETTINGS[name]}: leave it out, or use fit")
        if name not in known:
            raise UsageError(f"sweep takes no setting {shown(name)}: {nearest(name, sorted(known))}")
    if present.get("momentum") == "auto":
        raise UsageError("--momentum auto is made for one rate, and a sweep has many: give a number such as 0.9")
    settings = RunSettings.of({**present, "lr": rates[0]})
    if settings.device not in ("auto", "cpu"):
        raise UsageError(
            f"--device {settings.device} trains one rate, and a sweep many at once on the CPU: leave it out"
        )
    if settings.epochs == 0:
        raise UsageError("--epochs 0 trains nothing, so all rates would be the same: give at least 1")
    if rates[-1] > float(np.finfo(settings.dtype).max):
        raise UsageError(f"--lr {rates[-1]:g} is more than {settings.dtype} holds: give smaller rates")
    return settings
