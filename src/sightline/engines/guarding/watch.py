"""What is looked at while a loop runs, so that nothing goes wrong in silence."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD

from ...errors import UsageError
from ...linear.curvature import Curvature, limit_formula
from ...words import plain
from ..devices import is_of_device
from ..feeds import TensorFeed, device_of, moved, predicted, rows_in
from ..hessian import HessianProduct
from ..lanczos import largest_eigenvalues
from ..problem import Problem
from .checks import (
    broadcast,
    check_call,
    check_classes,
    check_input,
    check_loss_value,
    check_prediction,
    loss_name,
    reached_by_gradients,
)
from .dead_units import DeadUnits
from .faults import finite, in_rows, why_not_finite
from .loss_kinds import check_target
from .onlooker import Onlooker, column_and_row
from .refusals import of_a_layer, of_torch

__all__ = ["Watch", "looked_at"]

KEPT = 1_000_000  # parameters of which a copy of the start is kept, to know why a run diverged


class Watch:
    """Shapes of every new kind, the first loss and its gradients, units that die, and the first loss that is not
    finite.
    """

    def __init__(self, problem: Problem, *, last: int | None = None) -> None:
        self.problem = problem
        self.dead = DeadUnits(problem.module, problem.tell, last=last)
        self.fault = ""
        self._shapes: Any = None
        self._first_shapes = ""
        self._first = True
        self._start: tuple[nn.Module, Any, Any] | None = None
        self._epoch = self._batch = 0
        self._inputs: Any = None
        self._stream = not isinstance(problem.feed, TensorFeed)
        self._before: tuple[int, int, Any, Any] | None = None
        self._now: tuple[int, int, Any, Any] | None = None

    def begin(self, epoch: int) -> None:
        """A new epoch."""
        self.dead.begin(epoch)
        self._epoch, self._batch = epoch, 0

    def batch(self, inputs: Any, target: Any) -> None:
        """Before a forward pass that trains."""
        self._note(inputs, target)
        if self._first:
            if self._stream:
                self._check_first(inputs, target)
            self._keep_start(inputs, target)

    def called(self, inputs: Any, target: Any) -> None:
        """Before a step function gets this batch."""
        self._note(inputs, target)
        if self._first:
            self._first_shapes = _shapes(inputs if target is None else (inputs, target))

    def _note(self, inputs: Any, target: Any) -> None:
        """Where the loop is; rows of a stream have not been looked at, so those of the batch before are kept."""
        self._batch += 1
        self._inputs = inputs
        if self._stream:
            self._before, self._now = self._now, (self._epoch, self._batch, inputs, target)

    @property
    def place(self) -> str:
        """Which batch it is."""
        return f"batch {self._batch} of epoch {self._epoch}"

    def rows_before(self) -> str:
        """The rows of the batch before, where they have made the parameters nan behind a loss that was finite."""
        if self._before is None or all(finite(p) for p in self.problem.module.parameters()):
            return ""
        epoch, batch, inputs, target = self._before
        found = in_rows(inputs, target)
        return f"in batch {batch} of epoch {epoch}, the one before, {found}" if found else ""

    def begun(self) -> None:
        """After a step that was not looked at."""
        self._first = False

    def stepped(self) -> None:
        """After a step function has taken a step."""
        self._first = False
        if self.dead.looking:
            self.dead.look()

    def _check_first(self, inputs: Any, target: Any) -> None:
        """Of a stream, what is checked of rows in memory before."""
        check_call(self.problem.module, inputs)
        if self.problem.autocast is None:
            check_input(self.problem.module, inputs)
        if isinstance(target, Tensor):
            check_target(self.problem.loss, target)

    def loss_of(self, prediction: Any, inputs: Any, target: Any) -> Any:
        """The loss of this prediction: whatever has the shapes of the last one has been looked at."""
        shapes = getattr(prediction, "shape", None), getattr(target, "shape", None)
        if shapes == self._shapes:
            return self.problem.loss(prediction, target)
        loss, feed = self.problem.loss, self.problem.feed
        if self._shapes is None and isinstance(feed, TensorFeed) and isinstance(feed.target, Tensor):
            check_classes(loss, prediction, feed.target)  # of all rows, before the first step
        if isinstance(target, Tensor) and target.ndim and rows_in(inputs) != len(target):
            got = rows_in(inputs)
            raise self._located(f"x has {got} rows and y has {len(target)}: give one target for each row")
        try:
            value = looked_at(loss, prediction, target)
        except UsageError as error:
            raise self._located(error.message) from None
        self._shapes = shapes
        return value

    def loss(self, loss: object) -> None:
        """After the first loss was computed."""
        if self._first:
            check_loss_value(loss)

    def backward(self) -> None:
        """After a backward pass."""
        if self._first:
            reached_by_gradients(self.problem.module, self.problem.tell)
            self._first = False
        if self.dead.looking:
            self.dead.look()

    def end(self, loss: float) -> None:
        """The epoch is over; `loss` is its running loss."""
        self.dead.end(self._epoch, loss, self._inputs)
        self._inputs = None

    def not_finite(self, loss: float, inputs: Any, target: Any, *, at_rest: bool = False) -> None:
        """The loss of these rows is not a finite number: find out why, for the record to say."""
        epoch, batch = self._epoch, self._batch
        where = f"epoch {epoch}" if at_rest or self.problem.full_batch else f"batch {batch} of epoch {epoch}"
        module = self.problem.module
        why = (
            self.rows_before()
            or self._above_limit()
            or why_not_finite(module, self.problem.loss, inputs, target, new=self._first)
        )
        self.fault = f"at {where} the loss is {'nan' if math.isnan(loss) else 'infinite'}: {why}"

    def refused(self, error: Exception, inputs: Any, target: Any) -> Exception:
        """What torch says of a batch, as a sentence where it is known; else the error as it is."""
        if is_of_device(error):
            return error
        known = of_torch(error, inputs) or of_a_layer(error, self.problem.module, inputs)
        if isinstance(self.problem.loss, (nn.CrossEntropyLoss, nn.NLLLoss)) and isinstance(error, IndexError):
            return self._located(
                f"the loss refuses the classes of this batch ({_first_line(error)}): number them from 0"
            )
        shapes = _shapes(inputs if target is None else (inputs, target))
        if self._first or self._first_shapes == shapes:
            return self._located(known) if known else error
        return self._located(
            f"the batch has the shapes {shapes} and batch 1 of epoch 1 had {self._first_shapes}, and the model refuses "
            f"that ({_first_line(error)}): give batches that are alike but for the number of rows"
        )

    def _located(self, message: str) -> UsageError:
        epoch, batch = self._epoch, self._batch
        return UsageError(message if batch <= 1 and epoch <= 1 else f"batch {batch} of epoch {epoch}: {message}")

    def _keep_start(self, inputs: Any, target: Any) -> None:
        """Of a run of SGD, what its largest stable rate can be computed from, should it diverge."""
        self._first_shapes = _shapes(inputs if target is None else (inputs, target))
        module = self.problem.module
        if type(self.problem.optimizer) is SGD and sum(p.numel() for p in module.parameters()) <= KEPT:
            try:
                self._start = copy.deepcopy(module), inputs, target
            except (RuntimeError, TypeError, AttributeError):  # a module that cannot be copied
                self._start = None

    def _above_limit(self) -> str:
        """That the rate is above the limit of gradient descent where the training began; empty where it is not."""
        if self._start is None:
            return ""
        module, *rows = self._start
        inputs, target = moved(tuple(rows), device_of(module))
        group = self.problem.optimizer.param_groups[0]
        parameters = [p for p in module.parameters() if p.requires_grad]
        dtype = max((p.dtype for p in parameters), key=lambda d: torch.finfo(d).bits)
        start = torch.ones(sum(p.numel() for p in parameters), dtype=dtype, device=parameters[0].device)
        try:
            with torch.enable_grad():
                value = self.problem.loss(predicted(module.eval(), inputs), target)
                top = largest_eigenvalues(
                    HessianProduct(value, parameters), start, k=1, tolerance=1e-2, most=64
                ).values[0]
        except (RuntimeError, UsageError):
            return ""
        beta, lr, kind = float(group["momentum"]), float(group["lr"]), {k: group[k] for k in ("dampening", "nesterov")}
        limit = Curvature(np.array([top]), np.eye(1), 1).lr_limit(beta, **kind) if top > 0.0 else math.inf
        if not lr > limit:
            return ""
        formula = limit_formula(beta, **kind)
        return (
            f"the learning rate {plain(lr)} is above the largest that is stable where the training began, "
            f"{plain(limit)} ({formula}, of the Hessian): use a rate below it, such as {plain(0.5 * limit, 2)}"
        )


def looked_at(loss: Any, prediction: Any, target: Any) -> Any:
    """The loss of a prediction of a new shape, with all that can be wrong with it refused."""
    check_prediction(loss, prediction, target)
    pair = ""
    if column_and_row(prediction, target):
        pair = broadcast(loss_name(loss), tuple(prediction.shape), tuple(target.shape))
    with Onlooker(pair):
        return loss(prediction, target)


def _shapes(value: Any) -> str:
    """Shapes without the number of rows."""
    if isinstance(value, Tensor):
        return f"(n{''.join(f', {size}' for size in value.shape[1:])})" if value.ndim else "()"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_shapes(part)}" for name, part in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return ", ".join(_shapes(part) for part in value)
    return type(value).__name__


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
