"""How large gradients and updates are, layer by layer: what a page shows of a module while it trains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..records import Epoch
from ..runs.files import finite
from ..runs.store import LAYERS

__all__ = ["LayerSizes"]

MOST_PARAMETERS = 20_000_000  # whose values before an epoch are kept to see how far it moved them
MOST_LINES = 400  # then every second epoch is measured, and so on


class LayerSizes:
    """A reader that writes lines: of each layer ‖∇w‖, ‖w‖ and ‖Δw‖ / ‖w‖ over the last epoch, of what the parameters
    hold when it ends. Of long trainings ever fewer epochs are measured; where the file cannot be written, none any
    longer, and the training goes on.
    """

    def __init__(self, folder: Path, module: nn.Module, done: int = -1) -> None:
        self.path = folder / LAYERS
        self._module, self._every, self._lines = module, 1, 0
        self._keeps = sum(p.numel() for p in module.parameters()) <= MOST_PARAMETERS
        self._before: dict[str, torch.Tensor] = {}
        with suppress(OSError):
            self._cut(done)
        self._remember(done)

    def __call__(self, record: Epoch) -> None:
        """Measure, where this epoch is one of those."""
        if self._every and (record.number % self._every == 0 or record.stop is not None):
            self._write({"number": record.number, "layers": self._sizes()})
        self._remember(record.number)

    def _write(self, line: dict[str, Any]) -> None:
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(finite(line)) + "\n")
        except OSError:
            self._every = 0
            return
        self._lines += 1
        if self._lines >= MOST_LINES:
            self._lines, self._every = MOST_LINES // 2, 2 * self._every

    def _cut(self, done: int) -> None:
        """Lines of epochs that are trained again go."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and _number(line) <= done]
            self.path.write_text("".join(kept), encoding="utf-8")

    @torch.no_grad()
    def _sizes(self) -> dict[str, dict[str, float | None]]:
        squares: dict[str, list[float]] = {}
        known: set[str] = set()
        for name, p in self._numbers():
            layer = name.rpartition(".")[0] or name
            sums = squares.setdefault(layer, [0.0, 0.0, 0.0])
            sums[0] += _square(p.detach())
            if p.grad is not None:
                sums[1] += _square(p.grad)
                known.add(layer)
            if name in self._before:
                sums[2] += _square(p.detach() - self._before[name])
        return {
            layer: {
                "weight": weight**0.5,
                "gradient": gradient**0.5 if layer in known else None,
                "update": (moved / weight) ** 0.5 if weight and self._before else None,
            }
            for layer, (weight, gradient, moved) in squares.items()
        }

    @torch.no_grad()
    def _remember(self, number: int) -> None:
        """What the parameters are before an epoch that will be measured."""
        if self._keeps and self._every and (number + 1) % self._every == 0:
            self._before = {name: p.detach().clone() for name, p in self._numbers()}
        else:
            self._before = {}

    def _numbers(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that have a size."""
        named = self._module.named_parameters()
        return ((name, p) for name, p in named if p.is_floating_point() or p.is_complex())


def _square(values: torch.Tensor) -> float:
    """Σ x², in float64; of sparse values those that are there."""
    dense = values.coalesce().values() if values.layout == torch.sparse_coo else values
    return float(torch.linalg.vector_norm(dense, dtype=torch.complex128 if dense.is_complex() else torch.float64)) ** 2


def _number(line: str) -> float:
    try:
        return float(json.loads(line)["number"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
