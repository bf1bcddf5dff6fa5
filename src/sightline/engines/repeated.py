"""The plain loop on rows that repeat: the loss of each different one, times how many of them there are."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .at_rest import weight_in_mean
from .autograd import Autograd
from .feeds import TensorFeed, predicted
from .kernels.grouped import different_rows
from .losses import BCEOfProbability, GaussianNLL, HingeLoss, Weighted, row_losses
from .problem import Problem

__all__ = ["Repeated", "is_by_row", "repeated"]

OF_NUMBERS = (
    nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.PoissonNLLLoss,
    nn.SoftMarginLoss, nn.HingeEmbeddingLoss, nn.MultiLabelMarginLoss, nn.MultiLabelSoftMarginLoss,
)  # fmt: skip
OF_CLASSES = (nn.CrossEntropyLoss, nn.MultiMarginLoss, nn.NLLLoss)
OWN = (Weighted, BCEOfProbability, GaussianNLL, HingeLoss)
LOOKED_AT = 1024  # rows


class Repeated(Autograd):
    """A linear model on the full batch, whose loss is Σ n_g ℓ(ŷ_g, y_g) / n over the different rows: of any loss of a
    row, by any optimizer. Its records are those of `Autograd` but for the order in which rows are added up.
    """

    def __init__(self, problem: Problem, first: NDArray[np.int64], counts: NDArray[np.float64], *, last: int) -> None:
        super().__init__(problem, last=last)
        places = torch.from_numpy(first)
        self._x, self._y = problem.x[places], problem.y[places]
        self._counts, self._looked = torch.from_numpy(counts).to(problem.x.dtype), False

    @property
    def different(self) -> int:
        """Rows that a pass reads."""
        return len(self._x)

    def loss_of(self, inputs: Any, target: Any) -> Tensor:
        """The loss of all rows; what is wrong with them is said as `Autograd` says it."""
        try:
            if not self._looked:
                self._look()
            each = row_losses(self.loss, predicted(self.module, self._x), self._y)  # type: ignore[arg-type]
        except (RuntimeError, IndexError, TypeError, ValueError):
            return super().loss_of(inputs, target)
        each = each.reshape(self.different, -1)
        loss = self._counts @ each.sum(dim=1)
        if self._is_mean:
            loss = loss / (self._in_mean * each.shape[1])
        self.watch.loss(loss)
        return loss

    @cached_property
    def _in_mean(self) -> float:
        """The rows, or the weights of their classes, that the mean is over."""
        return weight_in_mean(self.loss, self.problem.y)

    def _look(self) -> None:
        """At some of the rows and their loss, as `Autograd` looks at its first batch."""
        self._looked = True
        x, y = self.problem.x[:LOOKED_AT], self.problem.y[:LOOKED_AT]
        with torch.no_grad():
            self.watch.loss_of(predicted(self.module, x), x, y)


def repeated(problem: Problem, *, last: int) -> Repeated | None:
    """The engine for a linear model whose rows repeat, with a loss of each by itself; None where most are different."""
    found = different_rows(problem.x.detach(), problem.y.detach(), None)
    return None if found is None else Repeated(problem, *found, last=last)


def is_by_row(problem: Problem) -> bool:
    """Whether the rows are a table on the CPU, and the loss is known to be one of each row by itself."""
    loss, kind, feed = problem.loss, type(problem.loss), problem.feed
    if problem.own_step or type(problem.module) is not nn.Linear or not isinstance(feed, TensorFeed):
        return False
    if not all(isinstance(t, Tensor) and t.device.type == "cpu" for t in (feed.inputs, feed.target)):
        return False
    x, y = problem.x, problem.y
    if x.dtype not in (torch.float32, torch.float64) or problem.module.weight.device.type != "cpu":
        return False
    if kind in OWN:
        return x.ndim == y.ndim == 2
    if getattr(loss, "reduction", "") not in ("mean", "sum") or x.ndim != 2:
        return False
    outputs = problem.module.out_features
    if kind in OF_CLASSES and y.ndim == 1:
        return y.dtype == torch.int64
    of_columns = [getattr(loss, name, None) for name in ("weight", "pos_weight")]
    if any(w is not None and (w.ndim > 1 or w.numel() not in (1, outputs)) for w in of_columns):
        return False
    return y.ndim == 2 and y.shape[1] == outputs and kind in (*OF_NUMBERS, nn.CrossEntropyLoss)
