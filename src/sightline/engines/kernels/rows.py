"""The rows of a linear model with one output, and the loss of each with its slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..losses import Weighted
from ..problem import Problem

__all__ = ["LOSSES", "KernelRows"]

Array = np.ndarray[Any, Any]
LOSSES: dict[type[nn.Module], int] = {  # by their numbers in machine code
    nn.MSELoss: 0, nn.L1Loss: 1, nn.HuberLoss: 2, nn.SmoothL1Loss: 2, nn.BCEWithLogitsLoss: 3,
}  # fmt: skip


@dataclass(frozen=True)
class KernelRows:
    """The rows as both ways of stepping read them: `x (n, p)`, `y (n,)`, `weight (n,)` or None; their loss."""

    x: Tensor
    y: Tensor
    weight: Tensor | None
    kind: int
    delta: float
    scale: float

    @classmethod
    def of(cls, problem: Problem) -> KernelRows:
        weighted = isinstance(problem.loss, Weighted)
        loss: Any = problem.loss.inner if isinstance(problem.loss, Weighted) else problem.loss
        x, y = problem.x.detach().contiguous(), problem.y.detach()
        delta = float(getattr(loss, "delta", getattr(loss, "beta", 1.0)))
        scale = 1.0 / delta if isinstance(loss, nn.SmoothL1Loss) else 1.0
        weight = y[:, 1].contiguous() if weighted else None
        return cls(x, y[:, 0].contiguous(), weight, LOSSES[type(loss)], delta, scale)

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """Flat, for machine code; no weights are an empty array."""
        weight = self.y[:0] if self.weight is None else self.weight
        return self.x.reshape(-1).numpy(), self.y.numpy(), weight.numpy()

    @property
    def loss(self) -> tuple[int, float, float]:
        """Which it is, where Huber's becomes linear, and what it is multiplied with."""
        return self.kind, self.delta, self.scale

    def each(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each row and its slope, `(n,)`."""
        value, slope = IN_TORCH[self.kind](z, y, self.delta)
        return (value, slope) if self.scale == 1.0 else (value * self.scale, slope * self.scale)


def _squared(z: Tensor, y: Tensor, _: float) -> tuple[Tensor, Tensor]:
    r = z - y
    return r * r, 2.0 * r


def _absolute(z: Tensor, y: Tensor, _: float) -> tuple[Tensor, Tensor]:
    r = z - y
    return r.abs(), r.sign()


def _huber(z: Tensor, y: Tensor, delta: float) -> tuple[Tensor, Tensor]:
    r = z - y
    return nn.functional.huber_loss(z, y, reduction="none", delta=delta), r.clamp(-delta, delta)


def _logistic(z: Tensor, y: Tensor, _: float) -> tuple[Tensor, Tensor]:
    return nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none"), torch.sigmoid(z) - y


IN_TORCH: dict[int, Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]] = {
    0: _squared, 1: _absolute, 2: _huber, 3: _logistic,
}  # fmt: skip
