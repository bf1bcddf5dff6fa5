"""A design and its rows as something to train: layer, optimizer, tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .data.design import Design
from .engines.modules import linear_layer
from .engines.optimizers import make_optimizer
from .engines.problem import Problem
from .settings import RunSettings
from .tuning import Step

__all__ = ["make_problem", "theta_of"]

Array = NDArray[np.float64]


def make_problem(design: Design, settings: RunSettings, step: Step, X: Array, y: Array, start: Array) -> Problem:
    """The linear layer at its start, the optimizer with its step, rows `X (n, p)` and `y (n,)` in the run's dtype."""
    p = X.shape[1]
    module = linear_layer(start[None, :p], start[p:] if design.intercept else None, dtype=settings.dtype)
    optimizer = make_optimizer(settings.optimizer, [p for p in module.parameters() if p.numel()], step.options)
    terms = design.terms

    def describe(_: torch.nn.Module) -> dict[str, float]:
        return dict(zip(terms, design.in_units(theta_of(module)).tolist(), strict=True))

    dtype = getattr(torch, settings.dtype)
    x, target = torch.from_numpy(X).to(dtype), torch.from_numpy(y[:, None]).to(dtype)
    few = len(terms) <= 1000
    return Problem(
        module,
        torch.nn.MSELoss(),
        optimizer,
        x,
        target,
        settings.batch_size,
        settings.seed,
        describe if few else lambda _: {},
    )


def theta_of(module: torch.nn.Module) -> Array:
    """Weights, then bias, in float64, shape `(q,)`."""
    return np.concatenate([p.detach().numpy().ravel() for p in module.parameters()]).astype(np.float64)
