"""Rows that take no part in the training: their loss at every record, and the parameters that did best on them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..records import Epoch

__all__ = ["Best", "HeldOut"]


class HeldOut:
    """The loss of rows `x (m, ...)`, `y (m, ...)` at the parameters as they are, in evaluation mode."""

    def __init__(self, module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> None:
        self.module, self.loss, self.x, self.y = module, loss, x, y

    def __call__(self) -> float:
        """Measure; the mode of the module is left as it was."""
        training = self.module.training
        self.module.eval()
        try:
            with torch.no_grad():
                return float(self.loss(self.module(self.x), self.y))
        finally:
            self.module.train(training)


class Best:
    """A reader of records that keeps a copy of the module where its validation loss was smallest."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.record: Epoch | None = None
        self._state: dict[str, Any] = {}

    def __call__(self, record: Epoch) -> None:
        """Keep the parameters of this record if no other did better."""
        loss = record.valid_loss
        if loss is None or not math.isfinite(loss):
            return
        if self.record is None or self.record.valid_loss is None or loss < self.record.valid_loss:
            self.record, self._state = record, copy.deepcopy(self.module.state_dict())

    def restore(self) -> None:
        """Put them back into the module; nothing where no record had a validation loss."""
        if self.record is not None:
            self.module.load_state_dict(self._state)
