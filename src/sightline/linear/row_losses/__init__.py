"""The losses of linear models as a blackboard has them: from each row's prediction to gradient and curvature."""

from __future__ import annotations

from ...errors import UsageError, nearest, shown
from .base import Pieces, RowLoss
from .classification import CrossEntropy, Hinge, Logistic
from .likelihood import GaussianNLL, PoissonNLL
from .regression import Absolute, Huber, SmoothL1, SquaredLoss

__all__ = [
    "LOSSES",
    "Absolute",
    "CrossEntropy",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "Logistic",
    "Pieces",
    "PoissonNLL",
    "RowLoss",
    "SmoothL1",
    "SquaredLoss",
    "row_loss",
]

BY_HAND: dict[str, type[RowLoss]] = {c.name: c for c in (SquaredLoss, Logistic, CrossEntropy)}
LOSSES: dict[str, type[RowLoss]] = BY_HAND | {
    c.name: c for c in (Absolute, Huber, SmoothL1, Hinge, PoissonNLL, GaussianNLL)
}


def row_loss(name: str) -> type[RowLoss]:
    """The loss of that name, of those that an explanation can word step by step; `LOSSES` has them all."""
    if name not in BY_HAND:
        raise UsageError(f"the loss {shown(name)} cannot be worked out by hand: {nearest(name, BY_HAND)}")
    return BY_HAND[name]
