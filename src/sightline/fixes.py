"""What leads to the answer from here: options to add to the command as they are, with their cost."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence
from .linear.blocks import in_memory
from .linear.curvature import (
    Curvature,
    best_momentum,
    epochs_needed,
    epochs_per_digit,
    nesterov_momentum,
    steady_momentum,
)
from .linear.objective import Objective
from .settings import RunSettings
from .squared_truth import SquaredTruth
from .tuning import ceiling_at
from .words import count

__all__ = ["fixes"]

Array = NDArray[np.float64]
TOO_MANY = 200_000  # epochs: no way to the answer worth naming
WORK, LARGE = 1_000_000_000, 2_000_000  # entries to go through for it: about a second; of rows, beyond which none
OVERHEAD = 50_000  # entries whose work the calls of one epoch are worth


def fixes(e: Evidence) -> list[str]:
    """Each of these, added to the command, makes the run converge; the cheapest first, the command without epochs
    last.
    """
    if not isinstance(e.truth, SquaredTruth):
        return [*_by_momentum(e), *_solve(e)]
    found = []
    exact = e.truth.exact
    here = e.start - exact.theta
    if (
        not e.truth.layout.design.standardize and not exact.penalized
    ):  # standardizing a penalized fit changes its answer
        basis, inverse = _standardizing(exact.factor, exact.rows, intercept=exact.intercept)
        curvature = Curvature.of(exact.factor @ basis, rows=exact.rows, rank=exact.rank)
        found += _by_training(e, "--standardize ", curvature, inverse @ here)
    found += _by_training(e, "", e.truth.curvature, here, momentum=True)
    return [*found, *_solve(e)]


def _by_training(
    e: Evidence, prefix: str, curvature: Curvature, distance: Array, *, momentum: bool = False
) -> list[str]:
    """The best rate (and momentum, where it pays) for this curvature, with as many epochs as it needs from here."""
    momentum = momentum or curvature.condition > 50.0
    lr, beta = steady_momentum(curvature) if momentum else (curvature.best_lr, 0.0)
    needed = epochs_needed(curvature, distance, lr, beta, goal=e.tolerance / 100.0, limit=TOO_MANY)
    if needed is None or _cannot_take_back(e.settings):
        return []
    too_coarse = e.settings.dtype == "float32" and (bool(momentum) or _float32_stops(e))
    options = _options(e, prefix, needed, momentum=bool(momentum or e.settings.momentum), too_coarse=too_coarse)
    digit = epochs_per_digit(float(curvature.contraction(lr, beta).max(initial=0.0)))
    calm = ", held back from overshooting" if momentum and lr < best_momentum(curvature)[0] else ""
    few = count(min(needed, 1) if digit < 0.1 else needed, "epoch")
    cost = f"{digit:,.0f} epochs per digit{calm}" if digit >= 2.0 else few
    return [f"{options}  # {cost}"]


def _options(e: Evidence, prefix: str, needed: int, *, momentum: bool, too_coarse: bool) -> str:
    """What turns the command into gradient descent at the best rate, for as many epochs as it needs."""
    s = e.settings
    options = f"{prefix}--lr auto" + (" --momentum auto" if momentum else "")
    options += "" if s.optimizer.lower() == "sgd" else " --optimizer sgd"
    options += " --no-nesterov" if s.nesterov else ""
    options += "" if s.batch_size is None else " --batch-size full"
    options += " --dtype float64" if too_coarse else ""
    options += f" --epochs {needed}" if s.epochs is not None and s.epochs < needed else ""
    return options + (" --warmup 0" if s.warmup else "") + (" --accumulate 1" if (s.accumulate or 1) > 1 else "")


def _cannot_take_back(s: RunSettings) -> bool:
    """Whether there are settings in the way that no option turns off again."""
    return bool(s.opt or s.schedule is not None or s.clip_norm or s.clip_value)


def _by_momentum(e: Evidence) -> list[str]:
    """Nesterov's momentum below the ceiling of the curvature, tried here for the epochs that it needs."""
    t, s = e.truth, e.settings
    X = t.objective.loss.X
    if not in_memory(X):
        return []
    size = X.size * t.layout.outputs
    if t.optimum is None or not t.smooth or s.l1 or _cannot_take_back(s) or size > LARGE:
        return []
    ways = [("", t.objective, e.start, t.optimum)]
    if not (s.standardize or t.objective.penalized):  # standardizing a penalized fit changes its answer
        objective, theta_of = _standardized(t.objective)
        ways.insert(0, ("--standardize ", objective, theta_of(e.start), theta_of(t.optimum)))
    found = []
    for prefix, objective, start, end in ways:
        if (needed := _tried(objective, start, end, goal=e.tolerance / 100.0)) is not None:
            options = _options(e, prefix, needed, momentum=True, too_coarse=s.dtype == "float32")
            found.append(f"{options}  # {count(needed, 'epoch')}")
    return found


def _standardized(objective: Objective) -> tuple[Objective, Callable[[Array], Array]]:
    """The loss in standardized columns, and what takes θ there."""
    loss = objective.loss
    k, p = loss.outputs, loss.X.shape[1]
    mean = np.average(loss.X, axis=0, weights=loss.weight) if loss.intercept else np.zeros(p)
    spread = np.sqrt(np.average((loss.X - mean) ** 2, axis=0, weights=loss.weight))
    spread[spread == 0.0] = 1.0

    def theta_of(theta: Array) -> Array:
        W = theta[: k * p].reshape(k, p)
        return np.concatenate([(W * spread).ravel(), theta[k * p :] + (W @ mean if loss.intercept else 0.0)])

    return Objective.plain(replace(loss, X=(loss.X - mean) / spread)), theta_of


@np.errstate(over="ignore", invalid="ignore")
def _tried(objective: Objective, start: Array, end: Array, *, goal: float) -> int | None:
    """Epochs until the objective is within `goal` of that at its minimum `end`, some to spare; None if that takes too
    many.
    """
    ceiling, _ = ceiling_at(objective, [start, end])
    if not ceiling > 0.0:
        return None
    lr, momentum = 1.0 / ceiling, nesterov_momentum(objective.curvature(end), ceiling)
    theta, velocity = start.copy(), np.zeros_like(start)
    for epoch in range(1, WORK // max(objective.loss.X.size * objective.loss.outputs, OVERHEAD)):
        g = objective.smooth_gradient(theta)
        velocity = momentum * velocity + g
        theta = theta - lr * (g + momentum * velocity)
        if epoch & (epoch - 1) == 0 or epoch % 50 == 0:
            excess = objective.excess(theta, end)
            if not np.isfinite(excess):
                return None
            if excess <= goal:
                return epoch + epoch // 20 + 1
    return None


def _float32_stops(e: Evidence) -> bool:
    """Whether float32 parameters are too coarse to come as close as converged means, even in standardized
    coordinates.
    """
    return e.truth.resolution(float(np.finfo(np.float32).eps)) / 16.0 > e.tolerance


def _standardizing(R: Array, rows: int, *, intercept: bool) -> tuple[Array, Array]:
    """The matrix `(q, q)` that standardizes the columns of [X 1], from its triangular factor, and its inverse."""
    q = R.shape[1]
    p = q - int(intercept)
    gram = R.T @ R / rows
    mean = gram[-1, :p] if intercept else np.zeros(p)
    spread = np.sqrt(np.clip(np.diag(gram)[:p] - mean**2, 0.0, None))
    spread[spread == 0.0] = 1.0
    basis, inverse = np.eye(q), np.eye(q)
    basis[:p, :p], inverse[:p, :p] = np.diag(1.0 / spread), np.diag(spread)
    if intercept:
        basis[-1, :p], inverse[-1, :p] = -mean / spread, mean
    return basis, inverse


def _solve(e: Evidence) -> list[str]:
    """The exact answer, where it is that of the same objective."""
    s, formula = e.settings, e.truth.layout.design.formula
    if s.weight_decay or e.truth.optimum is None or ((s.l2 or s.l1) and not s.standardize):
        return []
    if not e.from_file:
        more = "".join(f", {name}={value!r}" for name, value in _objective_options(s))
        return [f"sightline.solve(data, {formula!r}{more})  # no epochs"]
    more = "".join(f" --{name.replace('_', '-')} {shlex.quote(_text(value))}" for name, value in _objective_options(s))
    return [f"sightline solve {shlex.quote(e.source)} {shlex.quote(formula)}{more}  # no epochs"]


def _objective_options(s: RunSettings) -> Iterator[tuple[str, Any]]:
    for name in ("loss", "loss_opt", "class_weight", "weights", "l2", "l1"):
        if value := getattr(s, name):
            yield name, value


def _text(value: object) -> str:
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
