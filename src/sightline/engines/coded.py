"""A linear layer on rows of which categories are kept as codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..coded_rows import CodedRows

__all__ = ["CodedLinear", "coded_inputs"]

BLOCK = 65_536  # rows


class CodedLinear(nn.Linear):
    """As `torch.nn.Linear` on the columns of `CodedRows`, called with its other columns and a tensor of codes for each
    factor: x'w is a sum of products with the other columns, and of one weight for each code.

    >>> from sightline.coded_rows import Indicators
    >>> from sightline.engines.modules import linear_layer
    >>> X = CodedRows(3, 2, (Indicators(np.array([0, 1, 2]), np.array([-1, 0, 1])),), np.array([], int),
    ...               lambda a, b: np.empty((b - a, 0)))
    >>> layer = CodedLinear.like(linear_layer([[2.0, 5.0]], [1.0], dtype="float64"), X)
    >>> layer(*coded_inputs(X, torch.float64)).tolist()
    [[1.0], [3.0], [6.0]]
    """

    _places: Tensor
    _share: Tensor
    _start: Tensor

    @classmethod
    def like(cls, layer: nn.Linear, X: CodedRows) -> CodedLinear:
        """With the parameters of that layer, for these rows."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.in_features, made.out_features = layer.in_features, layer.out_features
        made.weight, made.bias = layer.weight, layer.bias
        dtype = layer.weight.dtype
        kept = {"persistent": False}
        made.register_buffer("_places", torch.from_numpy(X.places), **kept)
        indicators = np.ones(X.shape[1])
        indicators[X.places] = 0.0
        made.register_buffer("_share", torch.from_numpy(1.0 / X.scale).to(dtype), **kept)
        made.register_buffer("_start", torch.from_numpy(indicators * X.center / X.scale).to(dtype), **kept)
        for i, part in enumerate(X.parts):
            made.register_buffer(f"_columns{i}", torch.from_numpy(part.columns), **kept)
        return made

    def forward(self, dense: Tensor, *codes: Tensor) -> Tensor:
        """Predictions `(n, k)` for `dense (n, d)` in training coordinates and codes `(n,)` each."""
        weight = self.weight
        start = -(weight @ self._start)
        found = functional.linear(dense, weight[:, self._places], start if self.bias is None else start + self.bias)
        per_code = (weight * self._share).T
        for i, places in enumerate(codes):
            columns: Tensor = getattr(self, f"_columns{i}")
            table = per_code[columns.clamp(min=0)] * (columns >= 0).to(per_code.dtype)[:, None]
            found = found + functional.embedding(places.int(), table)
        return found


def coded_inputs(X: CodedRows, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """The other columns in training coordinates, `(n, d)`, and the codes of each factor, `(n,)`, as they are kept."""
    dense = torch.empty((len(X), len(X.places)), dtype=dtype)
    center, scale = X.center[X.places], X.scale[X.places]
    for first in range(0, len(X), BLOCK):
        last = min(first + BLOCK, len(X))
        dense[first:last] = torch.from_numpy((X.dense(first, last) - center) / scale)
    return dense, *(_tensor(part.codes) for part in X.parts)


def _tensor(codes: Any) -> Tensor:
    found = np.ascontiguousarray(codes)
    if found.dtype.name not in ("int8", "uint8", "int16", "int32", "int64"):
        found = found.astype(np.int32)
    return torch.from_numpy(found if found.flags.writeable else found.copy())
