"""The first steps of a step function: what it does with gradients, losses and the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError
from ..problem import Problem
from .checks import unreached
from .onlooker import Onlooker
from .optimizer_checks import foreign_parameters, lacking, left_out, refuse_foreign

__all__ = ["DOES", "FirstSteps"]

LOOKED_AT = 3  # steps in which gradients are compared with those of the step before
DOES = "forward, loss, optimizer.zero_grad(), loss.backward(), optimizer.step(), return loss"


class FirstSteps:
    """Watches for gradients that are never zeroed, or zeroed before the step; a backward pass that reaches nothing; an
    optimizer that is never stepped; parameters that nothing trains.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.looking = True
        self._taken = 0  # steps of the optimizer
        self._named = {name: p for name, p in problem.module.named_parameters() if p.requires_grad}
        self._versions = {name: p._version for name, p in self._named.items()}
        self._after: dict[nn.Parameter, Tensor] = {}
        self._reached: set[str] = set()
        lacks = left_out(problem.optimizer, problem.module)
        self._zeroed = {p for name, p in self._named.items() if name not in lacks}  # by optimizer.zero_grad()
        self._pulled = False  # whether backward has given a gradient that is not zero

    @contextmanager
    def around(self) -> Iterator[None]:
        """One call of the step function."""
        handles: list[Any] = [self.problem.optimizer.register_step_post_hook(self._stepped)]
        handles += [
            p.register_hook(self._comparer(name, p))  # type: ignore[no-untyped-call]
            for name, p in self._named.items()
        ]
        try:
            with Onlooker():
                yield
        finally:
            for handle in handles:
                handle.remove()
        self.looking = self._taken < LOOKED_AT

    def end_epoch(self, number: int) -> None:
        """After the first epoch."""
        if not self._versions:
            return
        if not self._taken:
            raise UsageError(f"the step function never called optimizer.step() in epoch {number}: it does {DOES}")
        still = [name for name, p in self._named.items() if p._version == self._versions[name]]
        lacks = left_out(self.problem.optimizer, self.problem.module)
        forgotten = [name for name in still if name in lacks]
        missed = [name for name in still if name not in lacks and name not in self._reached]
        if forgotten:
            self.problem.tell(lacking(forgotten))
        if missed:
            self.problem.tell(unreached(missed))
        self._versions = {}

    def _stepped(self, *_: Any) -> None:
        self._taken += 1
        self._after = {p: p.grad.detach().clone() for p in self._named.values() if p.grad is not None}
        if self._taken == 1:
            self._check_pull()
            self._check_foreign()

    def _check_pull(self) -> None:
        if self._pulled and not any(bool(gradient.any()) for gradient in self._after.values()):
            raise UsageError(
                "the gradients are zero again when optimizer.step() uses them, so the step changes nothing: call "
                "optimizer.zero_grad() before loss.backward(), not after it"
            )
        if self._named and not self._after:
            raise UsageError(
                "the step function left no parameter with a gradient, so its step changed nothing: call "
                f"loss.backward() on a loss that is not detached; it does {DOES}"
            )

    def _check_foreign(self) -> None:
        """What another model has gets no gradient; what the step function has beside the model does."""
        optimizer, module = self.problem.optimizer, self.problem.module
        lost = [p for p in foreign_parameters(optimizer, module, [self.problem.loss]) if p.grad is None]
        if lost:
            refuse_foreign(lost, optimizer, module)

    def _comparer(self, name: str, p: nn.Parameter) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            self._reached.add(name)
            self._pulled = self._pulled or bool(gradient.any())
            before = self._after.pop(p, None)
            if before is None or p.grad is None or p not in self._zeroed:
                return
            if not bool(before.any()) or not torch.equal(before, p.grad):
                return
            raise UsageError(
                f"the gradient of {name} still is that of the last step when backward adds the next one to it, so "
                "every step follows the sum of all gradients: call optimizer.zero_grad() before loss.backward()"
            )

        return hook
