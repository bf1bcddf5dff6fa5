"""What a loss of torch is, given as a module or as a function, and which targets it can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError

__all__ = ["FUNCTIONS", "Kind", "check_target"]

FUNCTIONS = {
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
    "soft_margin_loss": "SoftMarginLoss",
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
}
OF_CLASSES = ("CrossEntropyLoss", "NLLLoss")
OF_TWO = ("BCELoss", "BCEWithLogitsLoss")
FLOAT_TARGETS = {"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "PoissonNLLLoss", *OF_TWO}


@dataclass(frozen=True)
class Kind:
    """`base` is torch's class for that loss, empty for one of the user's own; `name` how messages call it."""

    base: str
    name: str
    module: bool = False
    weight: Tensor | None = None
    ignore_index: int = -100

    @classmethod
    def of(cls, loss: Any) -> Kind:
        """Of a module, or of a function."""
        if isinstance(loss, cls):
            return loss
        name = getattr(loss, "__name__", "the loss")
        if not isinstance(loss, nn.Module):
            known = getattr(loss, "__module__", "").startswith("torch.")
            return cls(FUNCTIONS.get(name, "") if known else "", name)
        name = type(loss).__name__
        inside = isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss))
        base = next((c.__name__ for c in type(loss).__mro__ if c.__name__ in OF_CLASSES), name) if inside else name
        return cls(base, name, True, getattr(loss, "weight", None), getattr(loss, "ignore_index", -100))

    @property
    def elementwise(self) -> bool:
        """Whether it compares each number of the prediction with one of the target."""
        return self.base in FUNCTIONS.values() and not self.classes

    @property
    def classes(self) -> bool:
        """Whether its targets are class numbers, or probabilities of classes."""
        return self.base in OF_CLASSES

    @property
    def two_classes(self) -> bool:
        """Whether its targets are 0 and 1."""
        return self.base in OF_TWO


def check_target(loss: Any, y: Tensor) -> None:
    """Refuse targets of a kind that the loss cannot use."""
    kind = Kind.of(loss)
    name = kind.name
    if kind.base in FLOAT_TARGETS and (kind.module or kind.two_classes) and not y.is_floating_point():
        raise UsageError(f"{name} needs floating-point targets and y is {y.dtype}: convert it with y.float()")
    if kind.two_classes and not bool(((y >= 0) & (y <= 1)).all()):
        worst = y[(y < 0) | (y > 1)][0].item()
        raise UsageError(f"{name} needs targets between 0 and 1 and y holds {worst:g}: map the two classes to 0 and 1")
    if kind.classes:
        _check_class_numbers(kind, y)


def _check_class_numbers(kind: Kind, y: Tensor) -> None:
    name = kind.name
    if y.is_floating_point() and (y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)):
        raise UsageError(f"{name} needs class numbers and y is {y.dtype}: convert it with y.long().reshape(-1)")
    if not y.is_floating_point() and y.ndim == 2 and y.shape[1] == 1:
        raise UsageError(
            f"{name} needs class numbers of shape (n,) and y has shape {tuple(y.shape)}: use y.reshape(-1)"
        )
    if y.is_floating_point() or not y.numel():
        return
    if y.dtype not in (torch.int64, torch.uint8):
        raise UsageError(f"{name} needs class numbers as int64 and y is {y.dtype}: convert it with y.long()")
    y = y.long()
    ignored, weight = kind.ignore_index, kind.weight
    for wrong, why in (
        (
            (y < 0) & (y != ignored if y.ndim > 1 else True),
            "and classes are numbered from 0: number them from 0, or leave the row out",
        ),
        ((y == ignored) & (y.ndim == 1), f"which is the ignore_index, so {name} would pass over it: leave the row out"),
        (y >= (y.max() + 1 if weight is None else len(weight)), "for which the loss has no weight: give one more"),
    ):
        if bool(wrong.any()):
            place = torch.nonzero(wrong)[0].tolist()
            raise UsageError(f"row {place[0]} of y is class {int(y[tuple(place)])}, {why}")
