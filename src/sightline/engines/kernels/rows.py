"""The rows of a linear model, and the loss of each with its slope in each output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..losses import Weighted
from ..problem import Problem

__all__ = ["LOSSES", "SOFTMAX", "KernelRows"]

LOSSES: dict[type[nn.Module], int] = {  # by their numbers in machine code
    nn.MSELoss: 0, nn.L1Loss: 1, nn.HuberLoss: 2, nn.SmoothL1Loss: 2, nn.BCEWithLogitsLoss: 3, nn.CrossEntropyLoss: 4,
}  # fmt: skip
SOFTMAX = 4


@dataclass(frozen=True)
class KernelRows:
    """The rows as both ways of stepping read them: `x (n, p)`, `y (n, k)` or `classes (n,)`, the other of which is
    empty, `weight (n, 1)` or None; their loss.

    `option` is where Huber's loss becomes linear, of classes how far they are smoothed; `stands_for` how many rows the
    sums are divided by, where each of these is there for several.
    """

    x: Tensor
    y: Tensor
    classes: Tensor
    weight: Tensor | None
    kind: int
    option: float
    scale: float
    stands_for: int

    @classmethod
    def of(cls, problem: Problem) -> KernelRows:
        """Those of this problem; classes as a copy of their own, for machine code takes them as places in memory."""
        weighted = isinstance(problem.loss, Weighted)
        loss: Any = problem.loss.inner if isinstance(problem.loss, Weighted) else problem.loss
        x, y, kind = problem.x.detach().contiguous(), problem.y.detach(), LOSSES[type(loss)]
        delta = float(getattr(loss, "delta", getattr(loss, "beta", 1.0)))
        option = float(loss.label_smoothing) if kind == SOFTMAX else delta
        scale = 1.0 / delta if isinstance(loss, nn.SmoothL1Loss) else 1.0
        weight = y[:, 1:].contiguous() if weighted else None
        numbers = (y[:, 0] if weighted else y) if kind == SOFTMAX else y[:0]
        targets = x[:0] if kind == SOFTMAX else y[:, :1] if weighted else y
        return cls(x, targets.contiguous(), numbers.int(), weight, kind, option, scale, len(x))

    def each(self, module: nn.Linear, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """The losses of these rows `(m,)` and their slopes in the outputs `(m, k)`."""
        z = module(self.x[rows])
        if self.kind == SOFTMAX:
            value, slope = _softmax(z, self.classes[rows].long(), self.option)
        else:
            values, slope = IN_TORCH[self.kind](z, self.y[rows], self.option)
            share = self.scale / values.shape[1]
            value, slope = values.sum(1) * share, slope * share
        if self.weight is None:
            return value, slope
        return value * self.weight[rows][:, 0], slope * self.weight[rows]


def _squared(z: Tensor, y: Tensor, _: float) -> tuple[Tensor, Tensor]:
    r = z - y
    return r * r, 2.0 * r


def _absolute(z: Tensor, y: Tensor, _: float) -> tuple[Tensor, Tensor]:
    r = z - y
    return r.abs(), r.sign()


def _huber(z: Tensor, y: Tensor, delta: float) -> tuple[Tensor, Tensor]:
    r = z - y
    return functional.huber_loss(z, y, reduction="none", delta=delta), r.clamp(-delta, delta)


def _logistic(z: Tensor, y: Tensor, _: float) -> tuple[Tensor, Tensor]:
    return functional.binary_cross_entropy_with_logits(z, y, reduction="none"), torch.sigmoid(z) - y


def _softmax(z: Tensor, classes: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    value = functional.cross_entropy(z, classes, reduction="none", label_smoothing=smoothing)
    slope = torch.softmax(z, 1)
    slope[torch.arange(len(z)), classes] -= 1.0 - smoothing
    return value, slope if smoothing == 0.0 else slope.sub_(smoothing / z.shape[1])


IN_TORCH: dict[int, Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]] = {
    0: _squared, 1: _absolute, 2: _huber, 3: _logistic,
}  # fmt: skip
