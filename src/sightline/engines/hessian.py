"""Products of vectors with the Hessian of any module's loss, which is never formed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError, shown

__all__ = ["HessianProduct", "refuse_second_derivative"]


class HessianProduct:
    """v `(q,)` to Hv, by a second backward pass through the gradient; parameters and their `.grad` stay as they are."""

    def __init__(self, loss: Tensor, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        if any(p.is_complex() for p in self.parameters):
            raise UsageError("the model has complex parameters, and the curvature is known for real ones only")
        found = torch.autograd.grad(loss, self.parameters, create_graph=True, allow_unused=True)
        _refuse_cut_graphs(found)
        self._curved = [
            (g, p) for g, p in zip(found, self.parameters, strict=True) if g is not None and g.requires_grad
        ]

    def __call__(self, v: Tensor) -> Tensor:
        """Hv."""
        parts = {
            id(p): part
            for p, part in zip(self.parameters, v.split([p.numel() for p in self.parameters]), strict=True)  # type: ignore[no-untyped-call]
        }
        if not self._curved:
            return torch.zeros_like(v)
        product = torch.autograd.grad(
            [g for g, _ in self._curved], self.parameters,
            [parts[id(p)].view_as(p).to(p.dtype) for _, p in self._curved], retain_graph=True, allow_unused=True,
        )  # fmt: skip
        return torch.cat(
            [
                (torch.zeros_like(p) if h is None else h).reshape(-1).to(v.dtype)
                for h, p in zip(product, self.parameters, strict=True)
            ]
        )


def _refuse_cut_graphs(gradients: Sequence[Tensor | None]) -> None:
    """Where an operation of one's own can be differentiated once only, torch would leave its part out of Hv in
    silence: its graph has a node in that place which raises, off the way to the parameters.
    """
    waiting, seen = [g.grad_fn for g in gradients if g is not None], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith("::Error"):
            raise RuntimeError("one of its operations is marked with once_differentiable")
        if node.name().startswith("WeightNormInterface"):  # which takes the norm for a constant there
            raise RuntimeError("torch has a wrong one for weight_norm")
        waiting += [other for other, _ in node.next_functions]


def refuse_second_derivative(error: RuntimeError) -> UsageError:
    """What torch says where it has no second derivative, as a sentence."""
    why = str(error).strip().splitlines()[0]
    return UsageError(
        f"this model has no second derivative ({shown(why, quote=False, limit=120)}): "
        "put another operation in the place of that one, or measure the rate with sightline.lr_range_test"
    )
