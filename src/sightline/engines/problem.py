"""What is to be trained, in one frozen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import UsageError, shown
from .stepping import Stepping

__all__ = ["SIZE_LIMIT", "Problem", "parameter_values"]

SIZE_LIMIT = 1000  # parameters that a record still lists


def parameter_values(module: nn.Module) -> dict[str, Any]:
    """The parameters as plain numbers: a float for one element, nested lists for more; empty above the size limit."""
    named = list(module.named_parameters())
    if sum(p.numel() for _, p in named) > SIZE_LIMIT:
        return {}
    return {name: p.item() if p.numel() == 1 else p.tolist() for name, p in named}


@dataclass(frozen=True)
class Problem:
    """Module, loss, optimizer and rows, checked against the mistakes people make in this loop.

    `x (n, ...)` and `y (n, ...)` are tensors; `batch_size` None is the full batch; rows are shuffled by (seed, epoch).
    `describe` turns the module into the `parameters` of a record; `stepping` is what goes around the optimizer's step.
    """

    module: nn.Module
    loss: nn.Module | Callable[[Tensor, Tensor], Tensor]
    optimizer: Optimizer
    x: Tensor
    y: Tensor
    batch_size: int | None = None
    seed: int = 0
    describe: Callable[[nn.Module], Mapping[str, Any]] = parameter_values
    stepping: Stepping = field(default_factory=Stepping)

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise UsageError(f"x has {len(self.x)} rows and y has {len(self.y)}: give one target for each row")
        if not len(self.x):
            raise UsageError("there are no training rows: give x and y at least one row")
        self._check_input()
        known = [self.module, *([self.loss] if isinstance(self.loss, nn.Module) else [])]
        own = {id(p) for module in known for p in module.parameters()}
        held = [p for group in self.optimizer.param_groups for p in group["params"]]
        if not all(id(p) in own for p in held):
            raise UsageError(
                "the optimizer holds parameters of another model, which no gradient will ever reach: "
                "build it from this model, for example torch.optim.SGD(model.parameters(), lr=...)"
            )
        self.stepping.check(self.optimizer, batches=self.batches)

    def _check_input(self) -> None:
        """Refuse rows that the first matrix product would refuse without saying what to do."""
        first = next(self.module.parameters(), None)
        if first is None or isinstance(first, nn.UninitializedParameter):
            return
        if isinstance(self.module, nn.Linear) and not self.x.is_floating_point():
            raise UsageError(
                f"x is {str(self.x.dtype).removeprefix('torch.')} and the model needs floats: convert it with x.float()"
            )
        if not self.x.is_floating_point():
            return
        if first.is_floating_point() and first.dtype != self.x.dtype:
            want, got = str(first.dtype).removeprefix("torch."), str(self.x.dtype).removeprefix("torch.")
            raise UsageError(f"x is {got} and the model is {want}: convert x and y with .to(torch.{want})")
        if isinstance(self.module, nn.Linear) and self.x.shape[-1] != self.module.in_features:
            features, shape = self.module.in_features, tuple(self.x.shape)
            remedy = (
                "reshape it to a column with x.reshape(-1, 1)"
                if (self.x.ndim, features) == (1, 1)
                else (f"give it {features} columns, or build the model with nn.Linear({shape[-1]}, ...)")
            )
            raise UsageError(
                f"x has shape {shape} and the model takes {features} features in its last dimension: {remedy}"
            )

    @property
    def full_batch(self) -> bool:
        """Whether one epoch is one step on all rows."""
        return self.batch_size is None or self.batch_size >= len(self.x)

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return 1 if self.batch_size is None else -(-len(self.x) // self.batch_size)

    @property
    def steps(self) -> int:
        """How many steps of the optimizer an epoch has."""
        return -(-self.batches // self.stepping.accumulate)

    def check_loss_value(self, loss: object) -> None:
        """Refuse what `backward` cannot start from: a loss that is not one number, or on which no parameter has a
        say.
        """
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise UsageError(f"the loss gives {got}, not one number as a tensor: return its mean or its sum")
        if not loss.requires_grad:
            raise UsageError(
                "no trainable parameter has a part in the loss: leave out detach(), or set requires_grad_(True) on some"
            )

    def check_shapes(self, prediction: object) -> None:
        """Refuse a prediction (n, 1) against a target (n,), which the loss would broadcast to (n, n); and classes that
        the prediction has no score for.
        """
        if not isinstance(prediction, Tensor) or not prediction.ndim:
            return
        if isinstance(self.loss, (nn.CrossEntropyLoss, nn.NLLLoss)):
            check_classes(self.loss, prediction, self.y)
        target = self.y[: len(prediction)]
        got, want = tuple(prediction.shape), tuple(target.shape)
        name = (
            type(self.loss).__name__ if isinstance(self.loss, nn.Module) else getattr(self.loss, "__name__", "the loss")
        )
        column_and_row = {got, want} == {(len(target),), (len(target), 1)} and target.is_floating_point()
        if got == want or not (name in ELEMENTWISE or column_and_row):
            return
        raise UsageError(
            f"the model predicts shape {got} but the target has shape {want}, which {name} would "
            f"broadcast to other pairs of rows: {_reshape_remedy(got, want)}"
        )


ELEMENTWISE = frozenset(
    {
        "MSELoss",
        "L1Loss",
        "SmoothL1Loss",
        "HuberLoss",
        "BCELoss",
        "BCEWithLogitsLoss",
        "PoissonNLLLoss",
        "SoftMarginLoss",
    }
)


def check_classes(loss: nn.Module, prediction: Tensor, y: Tensor) -> None:
    """Refuse a class beyond the scores of the model, by its row, and class weights of another number."""
    name = type(loss).__name__
    if prediction.ndim < 2:
        raise UsageError(f"{name} needs scores (n, classes) and the model predicts shape {tuple(prediction.shape)}")
    count, weight = prediction.shape[1], getattr(loss, "weight", None)
    if weight is not None and len(weight) != count:
        raise UsageError(f"{name} has {len(weight)} weights and the model predicts {count} classes: give one for each")
    if y.is_floating_point():
        if y.shape[1:] != prediction.shape[1:]:
            raise UsageError(
                f"{name} with floats as target needs a probability for each class, and the model predicts shape "
                f"{tuple(prediction.shape)} but y has {tuple(y.shape)}: give one shape, or class numbers with y.long()"
            )
        return
    if bool((y >= count).any()):
        place = torch.nonzero(y >= count)[0].tolist()
        raise UsageError(
            f"row {place[0]} of y is class {int(y[tuple(place)])} and the model predicts {count} classes, "
            f"0 to {count - 1}: number the classes from 0, or give the model {int(y.max()) + 1} outputs"
        )


def _reshape_remedy(prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    if len(prediction) == len(target) + 1 and prediction[-1] == 1:
        return "reshape the target to a column with y.reshape(-1, 1)"
    if len(target) == len(prediction) + 1 and target[-1] == 1:
        return "reshape the target to a row of numbers with y.reshape(-1)"
    return f"make the model's output and the target one shape, for example y.reshape({shown(prediction, quote=False)})"
