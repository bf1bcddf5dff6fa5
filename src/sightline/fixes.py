"""What leads to the answer from here: options to add to the command as they are, with their cost."""

from __future__ import annotations

import shlex

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence
from .linear.curvature import Curvature, best_momentum, epochs_needed, epochs_per_digit, steady_momentum
from .words import count

__all__ = ["fixes"]

Array = NDArray[np.float64]
TOO_MANY = 200_000  # epochs: no way to the answer worth naming


def fixes(e: Evidence) -> list[str]:
    """Each of these, added to the command, makes the run converge; the cheapest first, the command without epochs
    last.
    """
    found = []
    exact = e.truth.exact
    here = e.start - exact.theta
    if not e.truth.design.standardize and not exact.penalized:  # standardizing a penalized fit changes its answer
        basis, inverse = _standardizing(exact.R, exact.rows, intercept=exact.intercept)
        curvature = Curvature.of(exact.R @ basis, rows=exact.rows, rank=exact.rank)
        found += _by_training(e, "--standardize ", curvature, inverse @ here)
    found += _by_training(e, "", e.truth.curvature, here, momentum=True)
    if not exact.penalized:
        found.append(_solve(e))
    return found


def _by_training(
    e: Evidence, prefix: str, curvature: Curvature, distance: Array, *, momentum: bool = False
) -> list[str]:
    """The best rate (and momentum, where it pays) for this curvature, with as many epochs as it needs from here."""
    momentum = momentum or curvature.condition > 50.0
    lr, beta = steady_momentum(curvature) if momentum else (curvature.best_lr, 0.0)
    needed = epochs_needed(curvature, distance, lr, beta, goal=e.tolerance / 100.0, limit=TOO_MANY)
    s = e.settings
    if needed is None or s.opt or s.schedule is not None or s.clip_norm or s.clip_value:  # no option takes these back
        return []
    options = f"{prefix}--lr auto" + (" --momentum auto" if momentum or s.momentum else "")
    options += "" if s.optimizer.lower() == "sgd" else " --optimizer sgd"
    options += " --no-nesterov" if s.nesterov else ""
    options += "" if s.batch_size is None else " --batch-size full"
    too_coarse = s.dtype == "float32" and (bool(momentum) or _float32_stops(e))
    options += " --dtype float64" if too_coarse else ""
    if s.epochs is not None and s.epochs < needed:
        options += f" --epochs {needed}"
    options += (" --warmup 0" if s.warmup else "") + (" --accumulate 1" if (s.accumulate or 1) > 1 else "")
    digit = epochs_per_digit(float(curvature.contraction(lr, beta).max(initial=0.0)))
    calm = ", held back from overshooting" if momentum and lr < best_momentum(curvature)[0] else ""
    few = count(min(needed, 1) if digit < 0.1 else needed, "epoch")
    cost = f"{digit:,.0f} epochs per digit{calm}" if digit >= 2.0 else few
    return [f"{options}  # {cost}"]


def _float32_stops(e: Evidence) -> bool:
    """Whether float32 parameters are too coarse to come as close as converged means, even in standardized
    coordinates.
    """
    return e.truth.exact.resolution(float(np.finfo(np.float32).eps)) / 16.0 > e.tolerance


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


def _solve(e: Evidence) -> str:
    formula = e.truth.design.formula
    if not e.from_file:
        return f"sightline.solve(data, {formula!r})  # no epochs"
    return f"sightline solve {shlex.quote(e.source)} {shlex.quote(formula)}  # no epochs"
