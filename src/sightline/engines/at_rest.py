"""The loss while nothing moves: of all batches together, and whether training mode would give the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from .feeds import Batch, predicted, rows_in
from .random_streams import undisturbed

__all__ = ["MeanLoss", "loss_and_gradient", "resting", "same_at_rest", "weight_in_mean"]


class Look(Protocol):
    """What computes the loss of a batch and looks at it."""

    def loss_of(self, inputs: Any, target: Any) -> Tensor:
        """The loss of these rows."""

    def not_finite(self, loss: float, inputs: Any, target: Any) -> None:
        """The loss of these rows is not a finite number."""


NOT_AT_REST = (
    nn.modules.dropout._DropoutNd,
    nn.modules.batchnorm._NormBase,
    nn.RReLU,
    _SpectralNorm,
)


class MeanLoss:
    """The loss of several batches together: Σ lᵢ nᵢ / Σ nᵢ of mean losses lᵢ, Σ lᵢ of sums; of one batch its own.

    `rows` is Σ nᵢ, where it is known before.

    >>> together = MeanLoss(mean=True)
    >>> together.add(1.0, 30.0), together.add(4.0, 10.0), together.value
    (None, None, 1.75)
    """

    def __init__(self, *, mean: bool, rows: float = 0.0) -> None:
        self._mean, self._rows, self._batches = mean, rows, 0
        self._total = self.counts = self._last = 0.0

    def add(self, loss: float, counts: float) -> None:
        """One more batch; `counts` is what its mean was divided by."""
        self._batches, self._last = self._batches + 1, loss
        share = counts / self._rows if self._rows else counts
        self._total += loss * share if self._mean else loss
        self.counts += counts

    def state_dict(self) -> dict[str, Any]:
        """Everything that `value` depends on."""
        return {"batches": self._batches, "total": self._total, "counts": self.counts, "last": self._last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._batches, self._last = int(state["batches"]), float(state["last"])
        self._total, self.counts = float(state["total"]), float(state["counts"])

    @property
    def value(self) -> float:
        """Of all batches so far; nan where there is none."""
        if self._batches == 1:
            return self._last
        if not self._mean or self.counts == self._rows:
            return self._total
        return self._total * (self._rows or 1.0) / self.counts if self.counts else math.nan


class _Gradient:
    """The gradient of the loss of several batches together, as `MeanLoss` has it."""

    def __init__(self, *, mean: bool) -> None:
        self._mean, self._counts, self._sum = mean, 0.0, list[Tensor | None]()

    def add(self, part: Iterable[Tensor | None], counts: float) -> None:
        """That of one more batch."""
        part, before, self._counts = list(part), self._counts, self._counts + counts
        if not self._sum:
            self._sum = part
        elif self._mean:  # the mean so far moves towards the new one
            share = counts / self._counts if self._counts else 0.0
            self._sum = [_blend(g, h, before / self._counts if self._counts else 0.0, share)
                         for g, h in zip(self._sum, part, strict=True)]  # fmt: skip
        else:
            self._sum = [_blend(g, h, 1.0, 1.0) for g, h in zip(self._sum, part, strict=True)]

    @property
    def value(self) -> list[Tensor | None]:
        """Of all batches so far."""
        return self._sum


def _blend(g: Tensor | None, h: Tensor | None, a: float, b: float) -> Tensor | None:
    if g is None or h is None:
        only, factor = (h, b) if g is None else (g, a)
        return None if only is None else only * factor
    return g * a + h * b


def weight_in_mean(loss: Any, target: Any, inputs: Any = None) -> float:
    """What the mean loss of these rows divides by: their number, or the sum of the weights of their classes; of the
    targets that the loss ignores, nothing.
    """
    classes = isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)) and isinstance(target, Tensor)
    if classes and not target.is_floating_point():
        return _weight_of_classes(loss, target)
    return float(rows_in(inputs if target is None else target))


def _weight_of_classes(loss: nn.Module, target: Tensor) -> float:
    weight, used = getattr(loss, "weight", None), target != getattr(loss, "ignore_index", -100)
    if weight is None:
        return float(len(target)) if target.ndim == 1 and bool(used.all()) else float(used.sum())
    return float(weight[target[used].long()].sum())


def loss_and_gradient(
    module: nn.Module, loss: Any, batches: Iterable[Batch], parameters: list[nn.Parameter], look: Look
) -> tuple[float, list[Tensor | None]]:
    """The loss of all batches together in evaluation mode, and its gradient; `.grad` and the mode stay as they are.

    `look.loss_of` gives the loss of a batch, `look.not_finite` hears of one whose loss is no finite number.
    """
    mean = getattr(loss, "reduction", "mean") == "mean"
    together, gradient = MeanLoss(mean=mean), _Gradient(mean=mean)
    with resting(module):
        for inputs, target in batches:
            with torch.enable_grad():
                value = look.loss_of(inputs, target)
                part = torch.autograd.grad(value, parameters, allow_unused=True)
            counts, number = weight_in_mean(loss, target, inputs), float(value.item())
            if not math.isfinite(number):
                look.not_finite(number, inputs, target)
                return number, []
            together.add(number, counts)
            gradient.add(part, counts)
    return together.value, gradient.value


@contextmanager
def resting(module: nn.Module) -> Iterator[None]:
    """In evaluation mode, and then back in the mode it had."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def same_at_rest(module: nn.Module, inputs: Any) -> bool:
    """Whether a forward pass in training mode gives what one in evaluation mode gives: no dropout, no batch statistics.

    Modules of torch are known; one with other classes in it is tried once in both modes.
    """
    module = getattr(module, "_orig_mod", module)
    modules = list(module.modules())
    if any(isinstance(m, NOT_AT_REST) or getattr(m, "dropout", 0.0) for m in modules):
        return False
    if any(isinstance(hook, SpectralNorm) for m in modules for hook in m._forward_pre_hooks.values()):
        return False
    if all(_is_plain(m) for m in modules):
        return True
    buffers = [(b, b.clone()) for b in module.buffers()]
    with undisturbed(), torch.no_grad():
        training = predicted(module, inputs)
        moved = [buffer for buffer, value in buffers if not torch.equal(buffer, value)]
        for buffer, value in buffers:
            buffer.copy_(value)
        if moved:  # so that one more forward pass would be seen
            return False
        try:
            resting = predicted(module.eval(), inputs)
        finally:
            module.train()
    both = isinstance(training, Tensor) and isinstance(resting, Tensor)
    return both and torch.equal(training, resting)


def _is_plain(module: nn.Module) -> bool:
    """Whether it is of torch, and computes what its class does."""
    hooked = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
    name = type(module).__module__
    return name.startswith("torch.nn.") and not name.startswith("torch.nn.utils.") and not hooked
