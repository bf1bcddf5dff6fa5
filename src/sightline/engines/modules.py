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
    weights = torch.as_tensor(weight, dtype=torch.float64).to(getattr(torch, dtype))
    with torch.random.fork_rng(devices=[]):
        module = nn.Linear(1, 1, bias=bias is not None, dtype=weights.dtype)
    module.out_features, module.in_features = weights.shape
    module.weight = nn.Parameter(weights.clone())
    if bias is not None:
        module.bias = nn.Parameter(torch.as_tensor(bias, dtype=torch.float64).to(weights.dtype).clone())
    return module
