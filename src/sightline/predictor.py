"""A trained model that is asked about the rows of a table, all at once or piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .by_pieces import Heard
from .data.design import Design
from .data.table import Table
from .errors import UsageError
from .given import check_memory, read_size
from .prediction import (
    Known,
    Uncertainty,
    check_unseen,
    classes_of,
    interval_of,
    known_rows,
    probabilities,
    response_of,
    values_of,
)
from .tables import Tables

__all__ = ["Answer", "Asked", "Predictor"]

Array = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Asked:
    """What becomes of categories that training did not have (`unseen`); more than how many bytes of rows are read piece
    by piece (`memory`, as people write it), and who is told how far they are (`heard`).
    """

    unseen: str = "error"
    memory: Any = None
    heard: Heard | None = None

    def __post_init__(self) -> None:
        check_unseen(self.unseen)
        object.__setattr__(self, "memory", read_size(self.memory))
        check_memory(self.memory)


@dataclass(frozen=True)
class Answer:
    """What is said of some rows: columns `(n,)` by name, and by column how many of the rows have a category that
    training did not have.
    """

    columns: Columns
    unseen: Mapping[str, int]


@dataclass(frozen=True)
class Predictor:
    """A design with the weights `(m, p)` and biases `(m,)` that training reached for a loss."""

    design: Design
    weight: Array
    bias: Array
    about: Uncertainty

    @property
    def loss(self) -> str:
        """What was minimized."""
        return self.about.loss

    def predictions(
        self, data: object, asked: Asked, interval: float | None = None, *, kind: str = "prediction"
    ) -> Generator[Answer]:
        """Of numbers `prediction`, with an interval `low` and `high` too; of classes `prediction` and, of a loss that
        has them, the probability of each class. For some rows after the other; it has to be closed.
        """
        if self.design.classes:
            if interval is not None:
                raise UsageError("intervals are for predictions of a number: ask classes for their probabilities")
            return self._answers(data, asked, self._classes)
        if interval is None:
            return self._answers(data, asked, self._numbers)
        level = interval
        return self._answers(
            data, asked, lambda known: interval_of(known, self.weight, self.bias, self.about, level=level, kind=kind)
        )

    def probabilities(self, data: object, asked: Asked) -> Array:
        """P(class | x) `(n, K)`."""
        with closing(self._answers(data, asked, self._shares)) as answers:
            return np.concatenate([answer.columns["p"] for answer in answers])

    def _answers(self, data: object, asked: Asked, say: Callable[[Known], Columns]) -> Generator[Answer]:
        def answer(table: Table) -> Answer:
            known = known_rows(self.design, table, asked.unseen)
            return Answer(say(known), known.strange)

        return Tables.of(self.design, data, memory=asked.memory, heard=asked.heard).each(answer)

    def _numbers(self, known: Known) -> Columns:
        return {"prediction": response_of(self.loss, values_of(known, self.weight, self.bias))}

    def _shares(self, known: Known) -> Columns:
        return {"p": probabilities(known, self.weight, self.bias)}

    def _classes(self, known: Known) -> Columns:
        p, labels = self._shares(known)["p"], self.design.classes
        shares = {} if self.loss == "hinge" else {f"p({c})": p[:, k] for k, c in enumerate(labels)}
        return {"prediction": classes_of(p, labels), **shares}
