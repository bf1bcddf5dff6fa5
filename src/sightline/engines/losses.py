"""The losses of a fit by name: torch's own modules, with the weights of the rows beside the targets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..data.table import names_of
from ..errors import UsageError, shown
from ..settings import LOSS_OPTIONS

__all__ = [
    "BCEOfProbability",
    "GaussianNLL",
    "HingeLoss",
    "Weighted",
    "named_loss",
    "row_losses",
    "target_tensor",
    "torch_loss",
]


class _Reduced(nn.Module):
    """A loss of a row each, reduced to their mean unless `reduction` is "none"."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, `(n, 1)`."""
        raise NotImplementedError

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over the rows."""
        each = self.each(prediction, target)
        return each if self.reduction == "none" else each.mean()


class HingeLoss(_Reduced):
    """max(0, 1 - s z) for a score z and the sign s = 2 y - 1 of a class y that is 0 or 1.

    >>> HingeLoss()(torch.tensor([[0.5], [2.0]]), torch.tensor([[1.0], [0.0]])).item()
    1.75
    """

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Of each row."""
        return torch.relu(1.0 - (2.0 * target - 1.0) * prediction)


class BCEOfProbability(_Reduced):
    """`torch.nn.BCELoss` of the probability that a sigmoid makes of the score; it ends at 100, where p rounds to 0 or 1
    (`BCEWithLogitsLoss` does not).
    """

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Of each row."""
        return functional.binary_cross_entropy(torch.sigmoid(prediction), target, reduction="none")


class GaussianNLL(_Reduced):
    """`torch.nn.GaussianNLLLoss` for predictions `(n, 2)`: the mean, and the logarithm of the variance."""

    def __init__(self, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.eps = eps

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Of each row."""
        mean, variance = prediction[:, :1], prediction[:, 1:].exp()
        return functional.gaussian_nll_loss(mean, target, variance, eps=self.eps, reduction="none")


class Weighted(nn.Module):
    """Σ w ℓ(ŷ, y) / n for targets `(n, 2)` that hold y and w beside each other, the weights w with mean 1, so that they
    travel with their rows through every batch; `inner` gives the loss of each row.
    """

    reduction = "mean"

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Of each row, times its weight, `(n, 1)`."""
        y = target[:, 0].long() if isinstance(self.inner, nn.CrossEntropyLoss) else target[:, :1]
        each: Tensor = self.inner(prediction, y)
        return target[:, 1:] * each.reshape(len(target), -1)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The weighted mean."""
        return self.each(prediction, target).mean()


MODULES: dict[str, Callable[..., nn.Module]] = {
    "mse": nn.MSELoss,
    "l1": nn.L1Loss,
    "huber": nn.HuberLoss,
    "smooth-l1": nn.SmoothL1Loss,
    "bce": nn.BCEWithLogitsLoss,
    "bce-probability": BCEOfProbability,
    "cross-entropy": nn.CrossEntropyLoss,
    "hinge": HingeLoss,
    "poisson-nll": nn.PoissonNLLLoss,
    "gaussian-nll": GaussianNLL,
}


def torch_loss(name: str, options: Mapping[str, Any], *, weighted: bool = False) -> nn.Module:
    """The module of that name with torch's own defaults for what is not given.

    >>> torch_loss("huber", {"delta": 2.0})
    HuberLoss()
    """
    if weighted:
        return Weighted(MODULES[name](reduction="none", **options))
    return MODULES[name](**options)


def row_losses(loss: nn.Module, prediction: Tensor, target: Tensor) -> Tensor:
    """What a mean loss of this module averages over, `(n, ...)`.

    >>> row_losses(nn.MSELoss(), torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [4.0]])).tolist()
    [[0.0], [4.0]]
    """
    if isinstance(loss, Weighted):
        return loss.each(prediction, target)
    each = copy.copy(loss)
    each.reduction = "none"  # type: ignore[assignment]
    result: Tensor = each(prediction, target)
    return result


def target_tensor(name: str, y: NDArray[np.float64], weight: NDArray[np.float64] | None, dtype: torch.dtype) -> Tensor:
    """Targets as the module takes them: `(n, 1)`, class numbers `(n,)`, or `(n, 2)` with the weights beside."""
    if weight is not None:
        return torch.from_numpy(np.column_stack([y, weight])).to(dtype)
    if name == "cross-entropy":
        return torch.from_numpy(y.astype(np.int64))
    return torch.from_numpy(y[:, None]).to(dtype)


NAMES: dict[type[nn.Module], str] = {
    nn.MSELoss: "mse",
    nn.L1Loss: "l1",
    nn.HuberLoss: "huber",
    nn.SmoothL1Loss: "smooth-l1",
    nn.BCEWithLogitsLoss: "bce",
    nn.BCELoss: "bce-probability",
    nn.CrossEntropyLoss: "cross-entropy",
    nn.PoissonNLLLoss: "poisson-nll",
    nn.GaussianNLLLoss: "gaussian-nll",
}


def named_loss(loss: object) -> tuple[str, dict[str, float]]:
    """The name and the options of a loss module of torch, as a fit has them.

    Raises UsageError for one that a fit cannot minimize, with what can.

    >>> named_loss(nn.HuberLoss(delta=2.0))
    ('huber', {'delta': 2.0})
    """
    kind = type(loss)
    if isinstance(loss, type) and loss in NAMES:
        raise UsageError(f"the loss is the class {loss.__name__}: give an instance, {loss.__name__}()")
    if kind not in NAMES:
        raise UsageError(
            f"fit knows no loss {shown(kind.__name__)}: give one of {names_of(sorted(c.__name__ for c in NAMES))}, or "
            "train any loss with sightline.train"
        )
    name = NAMES[kind]
    module: Any = loss
    if module.reduction != "mean":
        raise UsageError(f"the loss has reduction={module.reduction!r}: fit minimizes the mean, leave it out")
    if any(getattr(module, weight, None) is not None for weight in ("weight", "pos_weight")):
        raise UsageError("the loss has weights by the number of the class: give class_weight by label instead")
    if getattr(module, "full", False) or not getattr(module, "log_input", True):
        raise UsageError("the loss has full=True or log_input=False: fit minimizes torch's own default, leave it out")
    given = {option: float(getattr(module, option)) for option in LOSS_OPTIONS.get(name, {})}
    default: Any = kind()
    return name, {option: value for option, value in given.items() if value != getattr(default, option)}
