"""Linear layers with given numbers in them."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import nn

__all__ = ["linear_layer"]


def linear_layer(weight: Any, bias: ArrayLike | None, *, dtype: str) -> nn.Linear:
    """A `torch.nn.Linear` that holds `weight (k, p)` and `bias (k,)`; the global random generator is left alone.

    >>> linear_layer([[2.0]], [1.0], dtype="float64")(torch.tensor([[3.0]], dtype=torch.float64)).item()
    7.0
    """
    kind = getattr(torch, dtype)
    weights = torch.as_tensor(weight, dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        module = nn.Linear(weights.shape[1], weights.shape[0], bias=bias is not None, dtype=kind)
    with torch.no_grad():
        module.weight.copy_(weights)
        if bias is not None:
            module.bias.copy_(torch.as_tensor(bias, dtype=torch.float64))
    return module
