"""How the parameters of a layer, in training coordinates, and the coefficients of the table belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .errors import UsageError, nearest, shown

__all__ = ["Layout", "outputs_of"]

Array = NDArray[np.float64]
SPREAD = "log variance"  # of the second output that the Gaussian likelihood has


def outputs_of(loss: str, classes: Sequence[str]) -> int:
    """How many numbers the model gives for each row: one score for each class of a softmax, a mean and a log variance
    for the Gaussian likelihood, else one.
    """
    return len(classes) if loss == "cross-entropy" else 2 if loss == "gaussian-nll" else 1


@dataclass(frozen=True)
class Layout:
    """θ `(k q,)` holds the weights `(k, p)` row by row, then the biases `(k,)` where there is an intercept.

    The table has the q coefficients of each output in the units of the data; of a softmax, those of each class after
    the first less those of the first, because only differences matter.
    """

    design: Design
    loss: str

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for each row, k."""
        return outputs_of(self.loss, self.design.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the coefficients, output after output."""
        terms, classes = self.design.terms, self.design.classes
        if self.loss == "gaussian-nll":
            return (*terms, *(f"{SPREAD}: {term}" for term in terms))
        if len(classes) > 2:
            return tuple(f"{label}: {term}" for label in classes[1:] for term in terms)
        return terms

    def rows(self, theta: Array) -> Array:
        """θ as `(k, q)`: the slopes of each output, then its bias."""
        k, p = self.outputs, len(self.design.encoding.terms)
        return np.column_stack([theta[: k * p].reshape(k, p), theta[k * p :].reshape(k, -1)])

    def flat(self, rows: Array) -> Array:
        """The inverse of `rows`."""
        p = len(self.design.encoding.terms)
        return np.concatenate([rows[:, :p].ravel(), rows[:, p:].ravel()])

    def in_units(self, theta: Array) -> Array:
        """The coefficients of the table, in the order of `names`."""
        units = [self.design.in_units(row) for row in self.rows(theta)]
        if self._relative:
            units = [row - units[0] for row in units[1:]]
        return np.concatenate(units)

    def from_table(self, units: Array) -> Array:
        """θ of coefficients in the order of `names`; of a softmax the one whose scores have mean zero over classes."""
        terms = self.design.terms
        blocks = units.reshape(-1, len(terms)).tolist()
        rows = [self.design.from_units(dict(zip(terms, block, strict=True))) for block in blocks]
        if self._relative:
            rows = [np.zeros(len(terms)), *rows]
            return self.flat(np.array(rows) - np.mean(rows, axis=0))
        return self.flat(np.array(rows))

    def from_units(self, start: Mapping[str, float]) -> Array:
        """θ of the coefficients given by name, zero for the others.

        Raises UsageError for a name that is not in the table.
        """
        for name in start:
            if name not in self.names:
                raise UsageError(f"--start names no coefficient with {shown(name)}: {nearest(name, self.names)}")
        terms, names = self.design.terms, iter(self.names)
        rows = []
        for _ in range(len(self.names) // max(len(terms), 1)):
            block = {term: start[name] for term, name in zip(terms, names, strict=False) if name in start}
            rows.append(self.design.from_units(block))
        if self._relative:
            rows.insert(0, np.zeros(len(terms)))
        return self.flat(np.array(rows).reshape(self.outputs, len(terms)))

    def map_units(self) -> Array:
        """The matrix `(names, k q)` of `in_units`."""
        k, q = self.outputs, len(self.design.terms)
        return np.column_stack([self.in_units(unit) for unit in np.eye(k * q)])

    @property
    def _relative(self) -> bool:
        return self.loss == "cross-entropy"
