"""How large gradients and updates are, layer by layer: what a page shows of a module while it trains."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from ..records import Epoch
from ..runs.files import finite

__all__ = ["LAYERS", "LayerSizes"]

LAYERS = "layers.jsonl"  # in a run folder
MOST_PARAMETERS = 20_000_000  # whose values before an epoch are kept to see how far it moved them
MOST_LINES = 2000  # then every second epoch is written, and so on


class LayerSizes:
    """A reader that writes a line for each epoch: of each layer ‖∇w‖, ‖w‖ and ‖Δw‖ / ‖w‖ over the epoch, of what the
    parameters hold when it ends.
    """

    def __init__(self, folder: Path, module: nn.Module, done: int = -1) -> None:
        self.path = folder / LAYERS
        self._module, self._every = module, 1
        self._keeps = sum(p.numel() for p in module.parameters()) <= MOST_PARAMETERS
        self._before: dict[str, torch.Tensor] = {}
        self._lines = self._cut(done)
        self._remember()

    def __call__(self, record: Epoch) -> None:
        """Measure, where this epoch is one of those."""
        if record.number % self._every == 0 or record.stop is not None:
            line = {"number": record.number, "layers": self._sizes()}
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(finite(line)) + "\n")
            self._lines += 1
            if self._lines > MOST_LINES:
                self._lines, self._every = MOST_LINES // 2, 2 * self._every
        self._remember()

    def _cut(self, done: int) -> int:
        """Lines of epochs that are trained again go."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError:
            return 0
        kept = [line for line in lines if line.endswith("\n") and _number(line) <= done]
        self.path.write_text("".join(kept), encoding="utf-8")
        return len(kept)

    @torch.no_grad()
    def _sizes(self) -> dict[str, dict[str, float | None]]:
        squares: dict[str, list[float]] = {}
        known: set[str] = set()
        for name, p in self._module.named_parameters():
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
                "update": (moved / weight) ** 0.5 if weight and self._keeps else None,
            }
            for layer, (weight, gradient, moved) in squares.items()
        }

    @torch.no_grad()
    def _remember(self) -> None:
        for name, p in self._module.named_parameters() if self._keeps else ():
            self._before[name] = p.detach().clone()


def _square(values: torch.Tensor) -> float:
    """Σ x², in float64; of sparse values those that are there."""
    dense = values.coalesce().values() if values.layout == torch.sparse_coo else values
    return float(torch.linalg.vector_norm(dense, dtype=torch.complex128 if dense.is_complex() else torch.float64)) ** 2


def _number(line: str) -> float:
    try:
        return float(json.loads(line)["number"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
