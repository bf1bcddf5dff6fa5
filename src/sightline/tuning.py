"""Learning rate and momentum chosen from the curvature, with the reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_blocks import ByCodes
from .coded_rows import CodedRows
from .errors import UsageError
from .linear.curvature import (
    LARGEST_MOMENTUM,
    MOST_PARAMETERS,
    STANDARD_MOMENTUM,
    Curvature,
    epochs_per_digit,
    nesterov_momentum,
    steady_momentum,
    steady_rate,
    steepest_slope,
)
from .linear.objective import Objective
from .settings import RunSettings
from .truth import Truth

__all__ = ["Step", "adaptive_limit", "ceiling_at", "ceiling_of", "choose_step"]

Array = NDArray[np.float64]
OWN_RATE = {"adadelta": 1.0}  # its steps have the size of the problem already
ADAPTIVE = ("adam", "adamw", "nadam", "rmsprop")
UNKNOWN_WAY = 10.0  # to an optimum at infinity, in standardized columns: odds of e to that power are near certainty
FIRST_EPOCHS = 1000  # that a rate for steps over kinks is made for, where no number of epochs was asked for


@dataclass(frozen=True)
class Step:
    """The optimizer's settings that the curvature decides: `options` go to torch, `reason` to the reader."""

    options: dict[str, Any]
    reason: str

    @property
    def lr(self) -> float:
        """Learning rate."""
        return float(self.options["lr"])

    @property
    def momentum(self) -> float:
        """Momentum, 0 where the optimizer has none."""
        return float(self.options.get("momentum", 0.0))


def choose_step(settings: RunSettings, truth: Truth, start: Array) -> Step:
    """The step for these settings: what was given stays, what was not is chosen; θ begins at `start (k q,)`."""
    from .engines.optimizers import optimizer_options

    options = optimizer_options(settings.optimizer, settings.opt)
    if settings.weight_decay is not None:
        options["weight_decay"] = settings.weight_decay
    if settings.optimizer.lower() != "sgd":
        return _other_optimizer(settings, options, _way(truth, start))
    rate = _Rate(settings, truth, start)
    lr, momentum, nesterov, reason = rate.chosen()
    if momentum:
        options["momentum"] = momentum
        options |= {"nesterov": True} if nesterov else {}
    return Step({"lr": lr, **options}, reason)


def _way(truth: Truth, start: Array) -> float:
    """How far the parameter with the longest way has to go."""
    if truth.optimum is None:
        return UNKNOWN_WAY
    return float(np.abs(truth.optimum - start).max(initial=0.0))


def _other_optimizer(settings: RunSettings, options: dict[str, Any], distance: float) -> Step:
    name = settings.optimizer.lower()
    if settings.auto_momentum:
        raise UsageError(f"--momentum auto is known for sgd only, not for {name}: give a number or leave it out")
    if settings.momentum is not None:
        options["momentum"] = settings.momentum
    if settings.nesterov:
        options["nesterov"] = True
    if settings.lr is not None:
        return Step({"lr": settings.lr, **options}, "as given")
    if settings.optimizer.lower() == "lbfgs":
        return Step(
            {"lr": 1.0, "line_search_fn": "strong_wolfe", **options}, "auto: whole steps of Newton's kind, line search"
        )
    if name in OWN_RATE:
        return Step({"lr": OWN_RATE[name], **options}, f"auto: {OWN_RATE[name]:g}, the rate that {name} is made for")
    lr = float(f"{distance / 100.0:.2g}") if distance > 0 else 1e-3
    return Step({"lr": lr, **options}, f"auto: a hundredth of the longest way to go; {name} has no closed limit")


@dataclass(frozen=True)
class _Rate:
    """Rate, momentum, whether Nesterov's, and why, for SGD."""

    settings: RunSettings
    truth: Truth
    start: Array

    @property
    def momentum(self) -> float | None:
        """As given; a schedule that moves the momentum begins without."""
        return 0.0 if self.settings.cycles_momentum else self.settings.momentum

    def chosen(self) -> tuple[float, float, bool, str]:
        s = self.settings
        if s.lr is not None:
            if self.momentum is None and s.auto_momentum and not self.truth.smooth:
                loss = self.truth.layout.loss
                raise UsageError(f"--momentum auto needs a curvature, and the {loss} loss has kinks: give a number")
            if self.momentum is None and s.auto_momentum:
                momentum = _critical_momentum(self.truth.curvature, s.lr)
                return s.lr, momentum, s.nesterov, "momentum auto: damps the flattest direction critically"
            return s.lr, self.momentum or 0.0, s.nesterov, "as given"
        if not self.truth.smooth:
            return self._over_kinks()
        if s.batch_size is not None and s.batch_size < self.truth.rows:
            return self._for_single_rows()
        if self.truth.quadratic:
            return self._quadratic(self.truth.curvature)
        return self._below_ceiling()

    def _quadratic(self, curvature: Curvature) -> tuple[float, float, bool, str]:
        momentum, nesterov = self.momentum, self.settings.nesterov
        if momentum is None:
            lr, momentum, reason = _best_both(curvature, nesterov)
            return lr, momentum, nesterov, reason
        if momentum == 0.0:
            return curvature.best_lr, 0.0, False, "auto: 2 / (λmin + λmax), the fastest without momentum"
        if nesterov:
            return 1.0 / curvature.max if curvature.rank else 1.0, momentum, True, "rate auto: 1 / λmax"
        return steady_rate(curvature, momentum), momentum, False, "rate auto: 0.9 (1 + √momentum)² / λmax"

    def _below_ceiling(self) -> tuple[float, float, bool, str]:
        """1 / L with Nesterov's momentum, which converges for every convex loss of curvature below L (Nesterov 2004,
        Introductory Lectures on Convex Optimization, section 2.2); a heavy ball may cycle.
        """
        ceiling, kind = ceiling_of(self.truth, self.start)
        lr = 1.0 / ceiling if ceiling > 0 else 1.0
        what = f"1 / L, L = {ceiling:.4g} {kind} of the curvature"
        if self.momentum is not None:
            return lr, self.momentum, self.settings.nesterov, f"rate auto: {what}"
        if self.settings.l1:  # the proximal step follows the gradient itself
            return lr, 0.0, False, f"auto: {what}"
        momentum = nesterov_momentum(self.truth.curvature, ceiling)
        if momentum < 1e-3:
            return lr, 0.0, False, f"auto: {what}"
        return lr, momentum, True, f"auto: {what}, and the Nesterov momentum for it"

    def _for_single_rows(self) -> tuple[float, float, bool, str]:
        loss = self.truth.objective.loss
        if isinstance(loss.X, CodedRows | ByCodes):
            largest = loss.X.longest() + 1.0
        else:
            largest = loss.over(lambda part: float(_squares(part.X).max(initial=0.0)), add=max) + 1.0
        lr = 1.0 / (_steepest(self.truth, self.start) * largest)
        return lr, self.momentum or 0.0, self.settings.nesterov, "auto: half of what is stable for every row"

    def _over_kinks(self) -> tuple[float, float, bool, str]:
        """R / (G √E), the best constant rate for E subgradient steps of length G to an answer R away."""
        momentum = self.momentum or 0.0
        epochs = max(self.settings.epochs or FIRST_EPOCHS, 1)
        way = 1.0 if self.truth.optimum is None else float(np.linalg.norm(self.truth.optimum - self.start))
        lr = (way or 1.0) / (_slope(self.truth.objective) * math.sqrt(epochs)) * (1.0 - momentum)
        reason = f"auto: way / (slope √{epochs:,} epochs), for a loss with kinks"
        ridge = float(self.truth.objective.ridge.max(initial=0.0))
        if lr * ridge > 1.0:
            lr, reason = 1.0 / ridge, "auto: 1 / the curvature of the penalty, for a loss with kinks"
        return lr, momentum, self.settings.nesterov, reason


def ceiling_of(truth: Truth, start: Array) -> tuple[float, str]:
    """The largest curvature that training from `start` meets, and what kind of knowledge that is."""
    if truth.quadratic:
        return truth.curvature.max, "the largest eigenvalue"
    return ceiling_at(truth.objective, [start, *([] if truth.limit is None else [truth.limit])])


def ceiling_at(objective: Objective, points: Sequence[Array]) -> tuple[float, str]:
    """The same for an objective that is not quadratic, on the way between the points `(q,)`."""
    if objective.loss.steepest is not None:
        ridge = float(objective.ridge.max(initial=0.0))
        return objective.loss.steepest * _slope(objective) ** 2 + ridge, "a bound"
    return max(objective.curvature(point).max for point in points), "the larger at the start and at the optimum"


def adaptive_limit(settings: RunSettings, step: Step, truth: Truth, start: Array) -> float | None:
    """The rate at which an optimizer that divides by the size of the gradient would be stable if it kept dividing by
    that of the start: 2 (1 + β) / ((1 - β) λmax(D⁻¹H)), D = |gradient|, β its momentum; None for other optimizers.

    A guide only: the divisor changes all the time (Cohen et al. 2022, Adaptive gradient methods at the edge of
    stability).
    """
    name = settings.optimizer.lower()
    if name not in ADAPTIVE or not truth.smooth or len(start) > MOST_PARAMETERS:
        return None
    gradient = np.abs(truth.objective.smooth_gradient(start))
    if not gradient.min(initial=math.inf) > 0.0:
        return None
    root = 1.0 / np.sqrt(gradient)
    steepest = float(np.linalg.eigvalsh(truth.objective.hessian(start) * root * root[:, None])[-1])
    beta = float(step.options.get("betas", (0.9, 0.0))[0]) if name != "rmsprop" else 0.0
    return 2.0 * (1.0 + beta) / ((1.0 - beta) * steepest) if steepest > 0 else None


def _slope(objective: Objective) -> float:
    loss = objective.loss
    return steepest_slope(loss.X, loss.weight, intercept=loss.intercept)


def _steepest(truth: Truth, start: Array) -> float:
    """The largest second derivative of a row's loss by its score."""
    loss = truth.objective.loss
    if loss.steepest is not None:
        return loss.steepest
    points = [start, *([] if truth.limit is None else [truth.limit])]

    def largest(point: Array) -> float:
        return loss.over(lambda part: float(np.abs(part.bend(part.predictor(point))).max(initial=0.0)), add=max)

    return max(map(largest, points))


def _squares(X: Array) -> Array:
    return np.asarray(np.einsum("ij,ij->i", X, X))


def _best_both(curvature: Curvature, nesterov: bool) -> tuple[float, float, str]:
    if nesterov and curvature.rank:
        root = math.sqrt(3.0 * curvature.condition + 1.0)
        return (
            4.0 / (3.0 * curvature.max + curvature.min),
            (root - 2.0) / (root + 2.0),
            "auto: fastest with Nesterov's momentum",
        )
    lr, momentum = steady_momentum(curvature)
    if momentum < 1e-6:
        return curvature.best_lr, 0.0, "auto: 2 / (λmin + λmax)"
    digits = epochs_per_digit(float(curvature.contraction(lr, momentum).max()))
    cost = f": {digits:,.0f} epochs per digit" if digits >= 2 else ""
    return lr, momentum, f"auto: fastest for this curvature{cost}"


def _critical_momentum(curvature: Curvature, lr: float) -> float:
    if not curvature.min > 0.0:
        return STANDARD_MOMENTUM
    return min((1.0 - math.sqrt(min(lr * curvature.min, 1.0))) ** 2, LARGEST_MOMENTUM)
