"""What the script does not tell: how to read the table, what is known of the optimizer's step, which rate is better."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ...run import Run
from ...tuning import adaptive_limit
from ...views.console import shows_distance
from ...words import about, count, plain
from .plan import STEPS_OF_LR, Plan

__all__ = ["untold"]

MOST_EPOCHS = 500  # of a run whose rates are tried
RATES = [float(f"{digit}e{exponent}") for exponent in range(-6, 2) for digit in (1, 2, 5)]


def untold(plan: Plan, run: Run) -> list[str]:
    """The paragraphs before the table."""
    parts = [_reading(plan, run), _without_limit(plan, run), _of_classes(plan, run)]
    return [part for part in parts if part]


def _reading(plan: Plan, run: Run) -> str:
    loss, running = run.result["loss"], run.epochs[-1].running_loss
    if run.verdict.name == "DIVERGED":
        return f"The script would go on for all {count(plan.epochs, 'epoch')}; here the run was ended as diverged."
    if loss is None or running is None:  # stopped before the first step
        return ""
    printed = f"The last loss printed, {running:.4f}, is that before the last step; after it the loss is {loss:.4f}."
    if not shows_distance(run):
        return printed
    table = f"{printed} Below, trained is where {count(run.result['epochs'], 'epoch')} led, exact is the answer itself"
    if all(c.std_error is None for c in run.coefficients):
        return f"{table}."
    rows = f"{len(plan.exercise.x)} other such {plan.exercise.rows}"
    return (
        f"{table}, and off by is the distance between them in standard errors: one is how much the exact answer would "
        f"typically change with {rows}."
    )


def _without_limit(plan: Plan, run: Run) -> str:
    """What is known of a rate that has no closed limit, and which of some rates would have been better."""
    job = plan.job
    if job.evidence.is_gradient_descent:
        return ""
    known = []
    if not plan.is_sgd:
        known.append(f"{plan.optimizer} has no largest stable rate in closed form.")
    guide = adaptive_limit(job.settings, job.step, job.truth, job.start)
    if guide is not None:
        known.append(f"If it always divided by the gradient of the start, it would be {plain(guide)}: a guide only.")
    return " ".join([*known, *_far(plan, run), *_better(plan)])


def _far(plan: Plan, run: Run) -> list[str]:
    """How many steps of this size the longest way would take."""
    ways = {
        c.term: abs(c.estimate - c.exact) for c in run.coefficients if c.estimate is not None and c.exact is not None
    }
    if plan.optimizer not in STEPS_OF_LR or not ways or not all(map(math.isfinite, ways.values())):
        return []
    term = max(ways, key=lambda name: ways[name])
    return [f"{term} has {plain(ways[term])} left to go: {about(ways[term] / plan.lr)} steps of size lr."]


def _better(plan: Plan) -> list[str]:
    if plan.epochs > MOST_EPOCHS or plan.optimizer == "LBFGS":  # whose epoch is many evaluations
        return []
    ends = {rate: _excess_at(plan, rate) for rate in RATES}
    best = min(ends, key=lambda rate: ends[rate])
    tried = f"Of the rates 1e-06, 2e-06, 5e-06, 1e-05 ... {plain(RATES[-1])}, tried for {count(plan.epochs, 'epoch')}, "
    arrived = "and arrives" if ends[best] <= plan.job.evidence.tolerance else "so none arrives"
    return [f"{tried}{plain(best)} ends lowest, {plain(ends[best], 3)} above the exact loss, {arrived}."]


def _excess_at(plan: Plan, rate: float) -> float:
    """How far above the exact loss the same run ends at another rate."""
    with np.errstate(all="ignore"):  # a rate that is far too large ends beyond all numbers
        excess = plan.job.truth.excess(plan.tried(replace(plan.job.settings, lr=rate)))
    return excess if math.isfinite(excess) else math.inf


def _of_classes(plan: Plan, run: Run) -> str:
    e, exact = plan.exercise, [c.exact for c in run.coefficients]
    if not e.labels or not all(value is not None and math.isfinite(value) for value in exact):
        return ""
    if e.scores > 1:
        return (
            f"Only differences between scores matter, so the table has those to {e.labels[0]}. The classes overlap, "
            "so the exact answer is finite; if days separated them without exception, it would be at infinity."
        )
    bias, weight = (value or 0.0 for value in exact)
    return (
        f"The classes overlap, so the exact answer is finite: even chances at {plain(-bias / weight, 3)} {e.x_name}. "
        f"If {e.x_name} separated them without exception, the weight would grow forever (warning SL-SEPARABLE)."
    )
