"""Rows that take no part in the training: their loss at every record, and the parameters that did best on them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from ..errors import DataError, UsageError
from ..records import Epoch
from .at_rest import MeanLoss, resting, weight_in_mean
from .feeds import Feed
from .guarding.faults import in_rows
from .guarding.refusals import checked
from .guarding.watch import looked_at
from .random_streams import undisturbed

__all__ = ["Best", "HeldOut"]


class HeldOut:
    """The loss of the rows of a feed at the parameters as they are, in evaluation mode.

    It draws nothing from the random streams of the training. `casting` is in which precision the model computes.
    """

    def __init__(
        self, module: nn.Module, loss: Any, feed: Feed, casting: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        self.module, self.loss, self.feed, self.casting = module, loss, feed, casting
        self._shapes: Any = None
        self._mean = getattr(loss, "reduction", "mean") == "mean"

    def __call__(self) -> float:
        """Measure; the mode of the module is left as it was."""
        together = MeanLoss(mean=self._mean)
        with resting(self.module), torch.no_grad(), undisturbed(getattr(self.feed, "source", None)):
            for number, (inputs, target) in enumerate(self.feed.epoch(0), start=1):
                loss = float(self._loss_of(inputs, target, number))
                together.add(loss, weight_in_mean(self.loss, target, inputs))
        return together.value

    def _loss_of(self, inputs: Any, target: Any, number: int) -> Any:
        """Of one batch; shapes that are new are looked at, and rows that are not finite are refused."""
        with self.casting():
            prediction = checked(self.module, inputs, where=f"batch {number} of the validation rows: ")
            shapes = getattr(prediction, "shape", None), getattr(target, "shape", None)
            if shapes == self._shapes:
                loss = self.loss(prediction, target)
            else:
                loss = self._looked_at(prediction, target, number)
                self._shapes = shapes
        if not math.isfinite(loss) and (place := in_rows(inputs, target)):
            raise DataError(f"in batch {number} of the validation rows {place}")
        return loss

    def _looked_at(self, prediction: Any, target: Any, number: int) -> Any:
        try:
            return looked_at(self.loss, prediction, target)
        except UsageError as error:
            raise UsageError(f"batch {number} of the validation rows: {error.message}") from None


class Best:
    """A reader of records that keeps a copy of the module where its validation loss was smallest."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.record: Epoch | None = None
        self._state: dict[str, Any] = {}
        self._epoch: int | None = None

    def __call__(self, record: Epoch) -> None:
        """Keep the parameters of this record if no other did better."""
        loss = record.valid_loss
        if loss is None or not math.isfinite(loss):
            return
        if self.record is None or self.record.valid_loss is None or loss < self.record.valid_loss:
            self.record, self._state = record, copy.deepcopy(self.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """The epoch of that record, and the parameters there; nothing where there are none."""
        return {} if self.record is None else {"epoch": self.record.number, "module": self._state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave; the record itself comes with `take_up`."""
        self._epoch, self._state = state.get("epoch"), dict(state.get("module", {}))

    def take_up(self, done: Sequence[Epoch]) -> None:
        """Find the record among those that are done."""
        self.record = next((record for record in done if record.number == self._epoch), None)

    def restore(self) -> None:
        """Put them back into the module; nothing where no record had a validation loss."""
        if self.record is not None:
            self.module.load_state_dict(self._state)
