"""Learning rate and momentum chosen from the curvature, with the reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UsageError
from .linear.curvature import Curvature, epochs_per_digit, steady_momentum, steady_rate
from .settings import RunSettings
from .truth import Truth

__all__ = ["Step", "choose_step"]


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


def choose_step(settings: RunSettings, truth: Truth, rows: np.ndarray[Any, Any], distance: float) -> Step:
    """The step for these settings: what was given stays, what was not is chosen.

    `rows (n, p)` are in training coordinates; `distance` is how far the parameter with the longest way has to go.
    """
    from .engines.optimizers import optimizer_options

    options = optimizer_options(settings.optimizer, settings.opt)
    if settings.weight_decay is not None:
        options["weight_decay"] = settings.weight_decay
    if settings.optimizer.lower() != "sgd":
        return _other_optimizer(settings, options, distance)
    lr, momentum, reason = _sgd(settings, truth.curvature, rows)
    if momentum:
        options["momentum"] = momentum
        options |= {"nesterov": True} if settings.nesterov else {}
    return Step({"lr": lr, **options}, reason)


def _other_optimizer(settings: RunSettings, options: dict[str, Any], distance: float) -> Step:
    if settings.auto_momentum:
        name = settings.optimizer.lower()
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
    lr = float(f"{distance / 100.0:.2g}") if distance > 0 else 1e-3
    return Step(
        {"lr": lr, **options},
        f"auto: a hundredth of the longest way to go; {settings.optimizer.lower()} has no closed limit",
    )


def _sgd(settings: RunSettings, curvature: Curvature, rows: np.ndarray[Any, Any]) -> tuple[float, float, str]:
    lr, momentum = settings.lr, 0.0 if settings.cycles_momentum else settings.momentum
    batched = settings.batch_size is not None and settings.batch_size < len(rows)
    if lr is not None:
        if momentum is None and settings.auto_momentum:
            return lr, _critical_momentum(curvature, lr), "momentum auto: damps the flattest direction critically"
        return lr, momentum or 0.0, "as given"
    if batched:
        steepest = 2.0 * (np.einsum("ij,ij->i", rows, rows).max(initial=0.0) + 1.0)
        return float(1.0 / steepest), momentum or 0.0, "auto: half of what is stable for every single row"
    if momentum is None:
        return _best_both(curvature, settings.nesterov)
    if momentum == 0.0:
        return curvature.best_lr, 0.0, "auto: 2 / (λmin + λmax), the fastest without momentum"
    if settings.nesterov:
        return 1.0 / curvature.max if curvature.rank else 1.0, momentum, "rate auto: 1 / λmax"
    return steady_rate(curvature, momentum), momentum, "rate auto: 0.9 (1 + √momentum)² / λmax"


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
    return max(0.0, 1.0 - math.sqrt(min(lr * curvature.min, 1.0))) ** 2
