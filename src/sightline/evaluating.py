"""Metrics of a trained model on the rows of a table, in one pass over them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .class_metrics import class_metrics_of, without_probabilities
from .data.table import Table
from .data.usable import Missing, complete, refuse_empty, refuse_no_weight, weights_of
from .errors import DataError
from .linear.metrics import ClassSums, NumberSums, class_probabilities
from .prediction import Known, response_of, strange_rows
from .predictor import Asked, Predictor
from .ranking import ranking
from .tables import Tables

__all__ = ["Evaluated", "evaluated"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluated:
    """Metrics by name; and by column how many rows have a category that training did not have."""

    metrics: dict[str, Any]
    unseen: Mapping[str, int]


def evaluated(model: Predictor, data: object, asked: Asked) -> Evaluated:
    """Metrics on the rows that have the target, less the offsets as in training; see `linear.metrics`.

    Of classes see `class_metrics`; their rows are weighted by the column of the run's weights where the table has it,
    and `weights` names it. A category that training did not have is an error, the "reference", or ("other") its row is
    left out; `unseen` counts these rows.

    Raises DataError for a column that is missing, an unseen category, no row that is left.
    """
    design = model.design
    tables = Tables.of(design, data, design.target_columns, memory=asked.memory, heard=asked.heard)
    weights = design.weights if design.classes and design.weights in tables.source.columns else None
    if weights is not None:
        tables = Tables.of(
            design, tables.source, [*design.target_columns, weights], memory=asked.memory, heard=asked.heard
        )
    names = tuple(name for name in tables.names if name != weights or name in design.columns)
    rows = _Rows(model, names, weights, asked.unseen)
    found = _classes(tables, rows) if design.classes else _numbers(tables, rows)
    named = {"weights": weights} if design.classes else {}
    return Evaluated({**rows.counts(), **named, **found}, rows.unseen)


def _numbers(tables: Tables, rows: _Rows) -> dict[str, float | None]:
    sums: NumberSums | None = None
    with closing(tables.each(rows.scored)) as parts:
        for part in parts:
            if len(part.observed):
                own = NumberSums.of(part.observed, response_of(rows.model.loss, part.scores[:, 0]))
                sums = own if sums is None else sums + own
    rows.check(tables.source.name)
    assert sums is not None
    return sums.metrics()


def _classes(tables: Tables, rows: _Rows) -> dict[str, Any]:
    labels, sums = rows.model.design.classes, ClassSums.none(len(rows.model.design.classes))
    many = tables.source.about_rows() if tables.by_pieces else None
    with ranking(tables.source.name, len(labels), many, weighted=rows.weights is not None) as ranks:
        with closing(tables.each(rows.scored)) as parts:
            for part in parts:
                codes, probability = part.observed.astype(np.intp), class_probabilities(part.scores)
                sums += ClassSums.of(codes, probability, part.weight)
                ranks.add(codes, probability, part.weight)
        rows.check(tables.source.name)
        found = class_metrics_of(labels, sums.measured(ranks.areas()))
    return without_probabilities(found) if rows.model.loss == "hinge" else found


@dataclass(frozen=True)
class _Scored:
    """The target `(n,)`, scores Xw + b `(n, m)` and weights `(n,)` of rows that are of use."""

    observed: Array
    scores: Array
    weight: Array | None


@dataclass
class _Rows:
    """The rows that come, and how many of them are of use: those that have the columns `names` and a weight above 0."""

    model: Predictor
    names: tuple[str, ...]
    weights: str | None
    how: str
    rows: int = 0
    by_column: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    weightless: int = 0
    strange: int = 0
    used: int = 0
    unseen: dict[str, int] = field(default_factory=dict)

    def scored(self, table: Table) -> _Scored:
        """Those of a table."""
        design = self.model.design
        usable, weight = self._usable(table)
        found = strange_rows(design, usable)
        strange = np.any(list(found.values()), axis=0) if found else np.zeros(usable.rows, dtype=bool)
        self.strange += int(strange.sum())
        _count(self.unseen, {name: int(rows.sum()) for name, rows in found.items()})
        keep = ~strange if self.how == "other" else np.ones(len(strange), dtype=bool)
        used = usable.take(keep)
        self.used += used.rows
        known = Known(design, used, np.ones(used.rows, dtype=bool), self.how)
        scores = known.scores(self.model.weight, self.model.bias)
        observed = design.encoding.response(used) if used.rows else np.zeros(0)
        return _Scored(observed, scores, None if weight is None else weight[keep])

    def _usable(self, table: Table) -> tuple[Table, Array | None]:
        keep, by_column = complete(table, self.names)
        self.rows, self.missing = self.rows + table.rows, self.missing + int((~keep).sum())
        _count(self.by_column, by_column)
        table = table.take(keep)
        if self.weights is None or not table.rows:
            return table, None if self.weights is None else np.zeros(0)
        weight = weights_of(table, self.weights)
        self.weightless += int((weight == 0).sum())
        return table.take(weight > 0), weight[weight > 0]

    def check(self, source: str) -> None:
        """Refuse rows of which none is left."""
        refuse_empty(source, self.rows, Missing(self.missing, self.by_column))
        if self.weights is not None and self.rows == self.missing + self.weightless:
            raise refuse_no_weight(source, self.weights)
        if not self.used:
            raise DataError(
                f"every row of {source} has a category that the model was not trained on, so none is left to "
                "evaluate: take these as the reference category, or train again with such rows"
            )

    def counts(self) -> dict[str, int]:
        """How many rows are of use, were left out, and have an unseen category."""
        return {"rows": self.used, "missing": self.missing, "unseen": self.strange}


def _count(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, rows in more.items():
        sums[name] = sums.get(name, 0) + rows
