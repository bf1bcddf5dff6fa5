"""The reference: forward, loss, zero_grad, backward, step, for any module, any loss, any optimizer of torch."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .at_rest import MeanLoss, loss_and_gradient, same_at_rest, weight_in_mean
from .base import Measured
from .feeds import Batch, TensorFeed, predicted, rows_in
from .guarding.faults import finite
from .guarding.watch import Watch
from .problem import Problem
from .progress import Progress
from .random_streams import undisturbed
from .states import state_of, take_up
from .stepping import Stepper, needs_closure

__all__ = ["Autograd"]

Kept = tuple[nn.Parameter, Tensor, Tensor | None]  # a parameter, its value, its gradient there


class Autograd:
    """The loop of the tutorial. Every other engine must give the records that this one gives.

    On the full batch the forward and backward pass that measures the loss of a record is the one that the next step
    needs, so it is done once: `measure` keeps its gradients, and `run_epoch` steps with them if every parameter still
    is what it was. What a reader does to `.grad` meanwhile is overwritten, as `zero_grad` does in the plain loop.
    `last` is the number of the last epoch, where it is known.
    """

    name: ClassVar[str] = "autograd"

    def __init__(self, problem: Problem, *, last: int | None = None) -> None:
        self.problem = problem
        self.module, self.loss, self.optimizer = problem.module, problem.loss, problem.optimizer
        self.stepper = Stepper(self.module, self.optimizer, problem.stepping, autocast=problem.autocast)
        self.watch = Watch(problem, last=last)
        self.progress = Progress(getattr(problem.feed, "source", None))
        self._needs_closure = needs_closure(problem.optimizer)
        self._casts = problem.autocast is not None
        self._is_mean = getattr(problem.loss, "reduction", "mean") == "mean"
        self._kept: tuple[float, list[Kept]] | None = None
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        self._left_out = [p for p in self._own_parameters if id(p) not in held]

    @property
    def rows(self) -> int:
        """Training rows that one epoch reads."""
        return self.problem.feed.rows

    def run_epoch(self, number: int) -> float:
        """One pass over the rows; returns the loss, each batch's at the parameters before its own step."""
        self.module.train()
        self.watch.begin(number)
        running = MeanLoss(mean=self._is_mean, rows=self._rows_before)
        with torch.enable_grad():
            for group in self.progress.begin(running, self._groups(number)):
                loss, rows = self._step_on(group)
                if self.watch.fault:
                    return loss
                self.progress.step(loss, rows)
        mean = self.progress.end()
        self.watch.end(mean)
        self.stepper.end_epoch(mean)
        return mean

    def _step_on(self, group: list[Batch]) -> tuple[float, float]:
        """One step of the optimizer on these batches; returns their mean loss and what it counts."""
        if self._kept is not None and (kept := self._recall()) is not None:
            self.watch.backward()
            loss, counts = kept, 1.0
        elif len(group) > 1:
            loss, counts = self._accumulate(group)
        else:
            inputs, target = group[0]
            counts = rows_in(inputs)
            if self._needs_closure:
                return self._step_with_closure(inputs, target), counts
            self._zero_grad()
            loss = self._forward_backward(inputs, target)
        if not self.watch.fault:
            self.stepper.step()
        return loss, counts

    def _accumulate(self, group: list[Batch]) -> tuple[float, float]:
        """The gradient of several batches as if they were one."""
        sizes = [weight_in_mean(self.loss, target) for _, target in group]
        self._zero_grad()
        together = MeanLoss(mean=self._is_mean)
        for (inputs, target), size in zip(group, sizes, strict=True):
            loss = self._forward_backward(inputs, target, share=size / sum(sizes) if self._is_mean else 1.0)
            if self.watch.fault:
                return loss, 1.0
            together.add(loss, float(rows_in(inputs)))
        return together.value, together.counts

    def _zero_grad(self) -> None:
        """Of every parameter: those that the optimizer leaves alone, and those of the loss, too."""
        self.optimizer.zero_grad()
        for p in self._left_out:
            p.grad = None

    def _forward_backward(self, inputs: Any, target: Any, *, share: float = 1.0) -> float:
        """Forward, loss, backward of the share of a step that these rows have."""
        self.watch.batch(inputs, target)
        loss = self.loss_of(inputs, target)
        self.stepper.scaled(loss if share == 1.0 else loss * share).backward()  # type: ignore[no-untyped-call]
        value = float(loss.item())
        if math.isfinite(value):
            self.watch.backward()
        else:
            self.watch.not_finite(value, inputs, target)
        return value

    def loss_of(self, inputs: Any, target: Any) -> Tensor:
        """The loss of these rows; what has not been seen before is looked at."""
        prediction: Any = None
        try:
            if self._casts:
                with self.problem.casting():
                    prediction = predicted(self.module, inputs)
                    loss: Tensor = self.watch.loss_of(prediction, inputs, target)
            else:
                prediction = predicted(self.module, inputs)
                loss = self.watch.loss_of(prediction, inputs, target)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            if prediction is not None and not finite(prediction):  # which some losses refuse, as BCELoss does
                refused: Tensor = prediction.sum() * math.nan
                return refused
            raise self.watch.refused(error, inputs, target) from error
        self.watch.loss(loss)
        return loss

    def _recall(self) -> float | None:
        """Put back the gradients that `measure` kept, and return their loss; None if a parameter has changed since."""
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        now = self._parameters
        if len(now) != len(kept[1]):
            return None
        if not all(p is q for p, (q, *_) in zip(now, kept[1], strict=True)):
            return None
        if not _all_equal([(p, value) for p, value, _ in kept[1]]):
            return None
        for p, _, gradient in kept[1]:
            p.grad = gradient
        return kept[0]

    def _step_with_closure(self, inputs: Any, target: Any) -> float:
        """One step of an optimizer that evaluates the loss itself, such as LBFGS; returns the loss before it."""
        first: list[float] = []
        self.watch.batch(inputs, target)

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            with torch.enable_grad():
                loss = self.loss_of(inputs, target)
                loss.backward()  # type: ignore[no-untyped-call]
            first.append(float(loss.item()))
            return loss

        self.stepper.step(closure)
        if not first:
            name = type(self.optimizer).__name__
            raise UsageError(f"{name}.step(closure) did not call the closure: let it, for it measures the loss")
        if math.isfinite(first[0]):
            self.watch.backward()
        else:
            self.watch.not_finite(first[0], inputs, target)
        return first[0]

    def measure(self, *, loss: bool) -> Measured:
        """Loss and gradient of all rows at the parameters as they are."""
        lr = self.stepper.lr
        if self.watch.fault or not loss:
            return Measured(None, None, lr, self.problem.describe(self.module), self.watch.fault)
        if self._first_half_of_a_step:
            value, norm = self._measure_and_keep()
        else:
            value, norm = self._measure_apart()
        return Measured(value, norm, lr, self.problem.describe(self.module), self.watch.fault)

    @property
    def _first_half_of_a_step(self) -> bool:
        """Whether measuring is what the next step begins with."""
        plain = self.problem.full_batch and not self._needs_closure and self.problem.autocast is None
        return plain and self.module.training and self._same_at_rest

    def _measure_and_keep(self) -> tuple[float, float]:
        self._zero_grad()
        with torch.enable_grad():
            value = self._forward_backward(*self._in_memory.whole())
        parameters = self._parameters
        kept = [(p, p.detach().clone(), None if p.grad is None else p.grad.clone()) for p in parameters]
        self._kept = (value, kept)
        return value, _norm([p.grad for p in parameters])

    def _measure_apart(self) -> tuple[float, float]:
        """A forward and backward pass in evaluation mode that leaves `.grad` and the mode as they were."""
        feed = self.problem.feed
        batches: Any = [feed.whole()] if isinstance(feed, TensorFeed) else feed.epoch(0)
        with undisturbed(getattr(feed, "source", None)):
            value, gradient = loss_and_gradient(self.module, self.loss, batches, self._parameters, self)
        return value, _norm(gradient)

    def not_finite(self, loss: float, inputs: Any, target: Any) -> None:
        """At rest, the loss of these rows is not a finite number."""
        self.watch.not_finite(loss, inputs, target, at_rest=True)

    @cached_property
    def _same_at_rest(self) -> bool:
        return same_at_rest(self.module, self._in_memory.inputs)

    def state_dict(self) -> dict[str, Any]:
        """Module, optimizer and what goes around its steps, as copies."""
        of_loss = {"loss": self._state_of_loss} if self._state_of_loss else {}
        return {**state_of(self.stepper), **copy.deepcopy({**of_loss, **self.progress.state_dict()})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._kept = None
        if isinstance(self.loss, nn.Module) and self._state_of_loss:
            self.loss.load_state_dict(state["loss"])
        take_up(self.stepper, state)
        self.progress.load_state_dict(state)

    def _groups(self, number: int) -> Iterator[list[Batch]]:
        """The batches of each step of the epoch."""
        rest, size = self.problem.feed.epoch(number), self.problem.stepping.accumulate
        while group := list(islice(rest, size)):
            yield group

    @property
    def _rows_before(self) -> float:
        return float(self.rows) if isinstance(self.problem.feed, TensorFeed) else 0.0

    @property
    def _in_memory(self) -> TensorFeed:
        assert isinstance(self.problem.feed, TensorFeed)
        return self.problem.feed

    @property
    def _state_of_loss(self) -> dict[str, Any]:
        """Parameters and buffers of a loss that has any."""
        return self.loss.state_dict() if isinstance(self.loss, nn.Module) else {}

    @property
    def _own_parameters(self) -> list[nn.Parameter]:
        own = list(self.loss.parameters()) if isinstance(self.loss, nn.Module) else []
        return [*self.module.parameters(), *own]

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [p for p in self._own_parameters if p.requires_grad]


def _norm(gradients: list[Tensor | None]) -> float:
    """Euclidean norm of all gradients together, accumulated in float64."""
    squares = [g.detach().abs().double().pow(2).sum() for g in gradients if g is not None]
    if _elsewhere(squares):  # they come over all at once
        return math.sqrt(sum(torch.stack(squares).tolist()))
    return math.sqrt(sum(float(square) for square in squares))


def _all_equal(pairs: list[tuple[Tensor, Tensor]]) -> bool:
    """Whether each two are the same numbers; on a device it is asked once for all."""
    if _elsewhere([p for p, _ in pairs]):
        return bool(torch.stack([(p == q).all() for p, q in pairs]).all())
    return all(torch.equal(p, q) for p, q in pairs)


def _elsewhere(tensors: list[Tensor]) -> bool:
    """Whether all are on one device that is not the CPU."""
    places = {t.device for t in tensors}
    return len(places) == 1 and places.pop().type != "cpu"
