"""What the largest curvature at a place says about the rates of gradient descent there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.optim import SGD, Optimizer

from .engines.lanczos import Eigenvalues
from .guards import check_optimizer
from .linear.curvature import Curvature, limit_formula
from .words import count, plain

__all__ = ["TopCurvature"]

SHOWN = 5  # eigenvalues that fit into a line
DECISIVE = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")


@dataclass(frozen=True, slots=True)
class TopCurvature(Eigenvalues):
    """The largest eigenvalues of the Hessian H at the parameters as they are: `values`, largest first.

    `residuals` are ‖Hv - λv‖ of their unit vectors v, so an eigenvalue of H lies within each; `converged` whether they
    are at most `tolerance` times the largest |λ|; `products` with H were made. `value` and `residual` are the first.
    """

    @property
    def value(self) -> float:
        """The largest eigenvalue λmax."""
        return self.values[0]

    @property
    def residual(self) -> float:
        """‖Hv - λmax v‖."""
        return self.residuals[0]

    def __float__(self) -> float:
        return self.value

    @property
    def lr_limit(self) -> float:
        """2 / λmax, the largest stable rate of plain gradient descent here: a local limit, for where the parameters are
        now; infinite where the loss does not curve upward.
        """
        return _limit(self.value)

    def __str__(self) -> str:
        several = len(self.values) > 1
        listed = ", ".join(plain(v) for v in self.values[:SHOWN]) + (", ..." if len(self.values) > SHOWN else "")
        limit = f"2 / λmax = {plain(self.lr_limit)}" if self.value > 0.0 else "no limit to the rate"
        how = f"{'' if self.converged else 'not '}converged: residual{'s up to' if several else ''}"
        return (
            f"top curvature{'s' if several else ''} {listed}\n"
            f"{limit} ({how} {plain(max(self.residuals), 2)}, {count(self.products, 'product')})"
        )

    def against(self, optimizer: Optimizer) -> str:
        """The rate of this optimizer beside the largest that is stable here, as a sentence.

        For SGD with momentum β the limit is 2 (1 + β) / λmax, with Nesterov's 2 (1 + β) / ((1 + 2β) λmax); its weight
        decay is added to λmax. Of other optimizers nothing is said but that 2 / λmax is not their limit.

        Raises UsageError for what is no instance of an optimizer.

        >>> import torch
        >>> top = TopCurvature((10.0,), (0.0,), 1e-8, 2, True)
        >>> sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> print(top.against(sgd))
        the rate 0.5 is above 2 / λmax = 0.2, so gradient descent leaves this place: use a rate below it
        """
        check_optimizer(optimizer)
        if unlike := _unlike_descent(optimizer):
            told = f"2 / λmax = {plain(self.lr_limit)} is the limit of" if self.value > 0.0 else "2 / λmax belongs to"
            return f"{told} plain gradient descent only, it says nothing about {unlike}"
        group = optimizer.param_groups[0]
        decay = float(group["weight_decay"])
        steepest, top = self.value + decay, f"(λmax + {plain(decay)})" if decay else "λmax"
        if not steepest > 0.0:
            return f"no rate is too large for it: the loss does not curve upward here, {top} = {plain(steepest)}"
        momentum, kind = float(group["momentum"]), {key: group[key] for key in ("dampening", "nesterov")}
        limit, formula = _limit(steepest, momentum, **kind), limit_formula(momentum, top=top, **kind)
        return self._beside(float(group["lr"]), limit, f"{formula} = {plain(limit)}")

    def _beside(self, lr: float, limit: float, named: str) -> str:
        if lr > limit:
            end = "so gradient descent leaves this place: use a rate below it"
            return f"the rate {plain(lr)} is above {named}, {end}"
        unsure = "" if self.converged else ", which is lower where λmax has not converged"
        return f"the rate {plain(lr)} is {plain(lr / limit, 2)} of the limit {named}{unsure}"


def _limit(steepest: float, momentum: float = 0.0, **kind: Any) -> float:
    """The largest stable rate for this eigenvalue."""
    if not steepest > 0.0:
        return math.inf
    return Curvature(np.array([steepest]), np.eye(1), 1).lr_limit(momentum, **kind)


def _unlike_descent(optimizer: Optimizer) -> str:
    """What this is, if the limits of gradient descent do not hold for it."""
    first, *others = optimizer.param_groups
    if type(optimizer) is not SGD:
        return f"the rate {plain(float(first['lr']))} of {type(optimizer).__name__}"
    if any(group[key] != first[key] for group in others for key in DECISIVE):
        return "groups of parameters with different settings"
    if first["maximize"]:
        return "SGD with maximize"
    if first["momentum"] >= 1.0:
        return f"SGD with momentum {plain(float(first['momentum']))}, which is never stable"
    if first["momentum"] and first["dampening"] >= 1.0:
        return f"SGD with dampening {plain(float(first['dampening']))}"
    return ""
