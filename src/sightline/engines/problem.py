"""What is to be trained, in one frozen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import UsageError
from ..records import Warning
from .feeds import Feed, TensorFeed, device_of, rows_in
from .guarding.checks import check_call, check_input
from .guarding.notes import warn
from .guarding.optimizer_checks import check_optimizer
from .stepping import Stepping, needs_closure

__all__ = ["SIZE_LIMIT", "Problem", "parameter_values"]

SIZE_LIMIT = 1000  # parameters that a record still lists


def parameter_values(module: nn.Module) -> dict[str, Any]:
    """The parameters as plain numbers: a float for one element, nested lists for more; real and imaginary part of one
    that is complex; empty above the size limit.
    """
    named = [(name, torch.view_as_real(p) if p.is_complex() else p) for name, p in module.named_parameters()]
    if sum(p.numel() for _, p in named) > SIZE_LIMIT:
        return {}
    return {name: p.item() if p.numel() == 1 else p.tolist() for name, p in named}


@dataclass(frozen=True)
class Problem:
    """Module, loss, optimizer and rows, checked against the mistakes people make in this loop.

    `feed` gives the batches. `describe` turns the module into the `parameters` of a record; `stepping` is what goes
    around the optimizer's step; `autocast` the dtype in which torch computes what it can, None as the parameters are;
    `own_step` says that a step function of the user trains; `tell` hears what the reader should know and does not stop
    the training.
    """

    module: nn.Module
    loss: nn.Module | Callable[[Any, Any], Tensor]
    optimizer: Optimizer
    feed: Feed
    describe: Callable[[nn.Module], Mapping[str, Any]] = parameter_values
    stepping: Stepping = field(default_factory=Stepping)
    autocast: torch.dtype | None = None
    own_step: bool = False
    tell: Callable[[Warning], None] = warn

    def __post_init__(self) -> None:
        if isinstance(self.feed, TensorFeed):
            rows, target = self.feed.rows, self.feed.target
            targets = rows if target is None else rows_in(target)
            if rows != targets:
                raise UsageError(f"x has {rows} rows and y has {targets}: give one target for each row")
            if not rows:
                raise UsageError("there are no training rows: give x and y at least one row")
            if not self.own_step:
                check_call(self.module, self.feed.inputs)
            if self.autocast is None:
                check_input(self.module, self.feed.inputs)
        check_optimizer(self.optimizer, self.module, [self.loss], self.tell, own_step=self.own_step)
        self.stepping.check(self.optimizer, batches=self.feed.batches)
        if self.autocast is torch.float16 and needs_closure(self.optimizer):
            raise UsageError(
                f"float16 needs its gradients scaled, which {type(self.optimizer).__name__} has no place for within "
                "one step: use autocast=torch.bfloat16, or another optimizer"
            )

    def casting(self) -> AbstractContextManager[Any]:
        """In which precision torch computes the forward pass."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(device_of(self.module).type, dtype=self.autocast)

    @property
    def x(self) -> Tensor:
        """The rows in memory, `(n, ...)`."""
        inputs: Tensor = self._in_memory.inputs
        return inputs

    @property
    def y(self) -> Tensor:
        """Their targets, `(n, ...)`."""
        target: Tensor = self._in_memory.target
        return target

    @property
    def batch_size(self) -> int | None:
        """Rows of a batch; None for all of them."""
        return self._in_memory.batch_size

    @property
    def seed(self) -> int:
        """What shuffles the rows, with the number of the epoch."""
        return self._in_memory.seed

    @property
    def _in_memory(self) -> TensorFeed:
        assert isinstance(self.feed, TensorFeed)
        return self.feed

    @property
    def full_batch(self) -> bool:
        """Whether one epoch is one step on all rows."""
        return self.feed.full_batch

    @property
    def steps(self) -> int | None:
        """How many steps of the optimizer an epoch has, where it is known."""
        batches = self.feed.batches
        return None if batches is None else -(-batches // self.stepping.accumulate)
