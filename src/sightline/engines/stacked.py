"""Many learning rates at once: copies of one linear model that share every forward and backward pass."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import LBFGS, Optimizer

from ..errors import UsageError
from ..linear.squared_error import SquaredError
from .base import Measured
from .losses import row_losses
from .optimizers import make_optimizer
from .problem import Problem

__all__ = ["Stacked"]

BLOCK = 2**18  # predictions at a time, so that they stay in the processor's cache


class Stacked:
    """The model of `problem`, R times, each with a rate of its own; one matrix product predicts with all of them.

    The optimizer is the very one of torch, with the groups of each model apart, so that nothing passes between models.
    From the moments of the rows in `form`, where it is given, else from the rows. `models` are those still in training;
    what is dropped costs nothing any more.
    """

    def __init__(self, problem: Problem, rates: Sequence[float], form: SquaredError | None = None) -> None:
        if isinstance(problem.optimizer, LBFGS):
            raise UsageError(
                "lbfgs searches the rate of each step itself, so there is nothing to sweep: use --optimizer sgd or adam"
            )
        assert isinstance(problem.module, nn.Linear)
        assert isinstance(problem.loss, nn.Module)
        self.problem, self.form, self.loss = problem, form, problem.loss
        self.rates = tuple(rates)
        self.rows: int = problem.feed.rows
        self.models = {i: copy.deepcopy(problem.module) for i in range(len(rates))}
        self.optimizer = _optimizer_of_all(problem, self.models, self.rates)
        self._losses: dict[int, float] = {}
        self._norms: list[float] = []

    @property
    def name(self) -> str:
        """The engine of one rate whose records it gives."""
        return "autograd" if self.form is None else "quadratic"

    def run_epoch(self, number: int) -> dict[int, float]:
        """One pass over the rows for every model; the loss of each, each batch's before its own step."""
        if self.problem.full_batch:
            losses = self._losses if self._losses else self._evaluate()
            self.optimizer.step()
        else:
            losses = self._run_batches(number)
        self._losses = {}
        return losses

    def _run_batches(self, number: int) -> dict[int, float]:
        total = dict.fromkeys(self.models, 0.0)
        for x, y in self.problem.feed.epoch(number):
            for i, loss in self._on_rows(x, y).items():
                total[i] += loss * (len(x) / self.rows)
            self.optimizer.step()
        return total

    def measure(self) -> dict[int, Measured]:
        """Loss and gradient norm of all rows at the parameters as they are; the gradients stay for the next step."""
        self._losses = self._evaluate()
        return {
            i: Measured(loss, norm, self.rates[i], self.problem.describe(self.models[i]))
            for (i, loss), norm in zip(self._losses.items(), self._norms, strict=True)
        }

    def drop(self, gone: Iterable[int]) -> None:
        """Train these models no more."""
        for i in gone:
            held = {id(p) for p in self.models.pop(i).parameters()}
            kept = [g for g in self.optimizer.param_groups if not any(id(p) in held for p in g["params"])]
            self.optimizer.param_groups[:] = kept
            for p in [p for p in self.optimizer.state if id(p) in held]:
                del self.optimizer.state[p]
            self._losses.pop(i, None)

    def _evaluate(self) -> dict[int, float]:
        return self._on_moments(self.form) if self.form else self._on_rows(self.problem.x, self.problem.y)

    def _on_moments(self, form: SquaredError) -> dict[int, float]:
        weight, bias = self._stack()
        W = weight[:, 0].double().numpy()
        b = np.zeros(len(W)) if bias is None else bias[:, 0].double().numpy()
        excess, by_weight, by_bias = form.evaluate_each(W, b)
        self._hand_out(torch.from_numpy(by_weight[:, None]), torch.from_numpy(by_bias[:, None]))
        return dict(zip(self.models, (form.minimum + excess).tolist(), strict=True))

    def _on_rows(self, x: Tensor, y: Tensor) -> dict[int, float]:
        """Losses of these rows, and their gradients in the models."""
        weight, bias = self._stack()
        R, k, p = weight.shape
        leaves = [t.requires_grad_() for t in (weight, bias) if t is not None]
        total = torch.zeros(R, dtype=x.dtype)
        for part in _blocks(len(x), BLOCK // (R * k)):
            flat = functional.linear(x[part], weight.reshape(R * k, p), None if bias is None else bias.reshape(R * k))
            target = y[part].unsqueeze(1).expand(-1, R, *y.shape[1:]).reshape(-1, *y.shape[1:])
            each = row_losses(self.loss, flat.reshape(-1, k), target).reshape(len(x[part]), R, -1)
            losses = each.sum(dim=(0, 2)) / (len(x) * each.shape[2])
            losses.sum().backward()  # type: ignore[no-untyped-call]
            total += losses.detach()
        by_weight, by_bias = [*(t.grad for t in leaves), None][:2]
        assert by_weight is not None
        self._hand_out(by_weight, by_bias)
        return dict(zip(self.models, total.tolist(), strict=True))

    def _stack(self) -> tuple[Tensor, Tensor | None]:
        """Weights `(R, k, p)` and biases `(R, k)` of all models, as copies."""
        models = list(self.models.values())
        weight = torch.stack([m.weight.detach() for m in models])
        return weight, None if models[0].bias is None else torch.stack([m.bias.detach() for m in models])

    def _hand_out(self, by_weight: Tensor, by_bias: Tensor | None) -> None:
        """Each model its own part of the gradients, rounded to the dtype of its parameters; and their norms."""
        squares = by_weight.double().square().sum(dim=(1, 2))
        if self.problem.module.bias is not None and by_bias is not None:
            squares += by_bias.double().square().sum(dim=1)
            for model, part in zip(self.models.values(), by_bias.to(self.problem.x.dtype), strict=True):
                model.bias.grad = part
        for model, part in zip(self.models.values(), by_weight.to(self.problem.x.dtype), strict=True):
            model.weight.grad = part
        self._norms = squares.sqrt().tolist()


def _optimizer_of_all(problem: Problem, models: Mapping[int, nn.Linear], rates: Sequence[float]) -> Optimizer:
    """The optimizer of the problem, with its groups once for each model, at the model's rate."""
    groups: list[dict[str, Any]] = []
    for i, model in models.items():
        twin = dict(zip(map(id, problem.module.parameters()), model.parameters(), strict=True))
        for group in problem.optimizer.param_groups:
            groups.append({**group, "params": [twin[id(p)] for p in group["params"]], "lr": rates[i]})
    return make_optimizer(type(problem.optimizer).__name__, groups, {})


def _blocks(rows: int, size: int) -> Iterator[slice]:
    size = max(size, 1)
    return (slice(i, i + size) for i in range(0, rows, size))
