"""Which rows of a table can be trained on, with their weights and clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .categories import labels_of
from .table import Table, names_of
from .text_files import as_number
from .transforms import where

__all__ = ["Missing", "Usable", "complete_rows", "usable_rows"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Missing:
    """Rows left out because a used column has no value there: how many in all, and by column."""

    rows: int
    by_column: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Usable:
    """The rows to train on: a value in every used column, a weight above 0, a cluster.

    `weight (n,)` as given; `cluster (n,)` is the place of the row's label in `clusters`; None where not asked for.
    `zero_weight` counts the complete rows that a weight of 0 leaves out.
    """

    table: Table
    missing: Missing
    weight: Array | None = None
    cluster: NDArray[np.intp] | None = None
    clusters: tuple[str, ...] = ()
    zero_weight: int = 0


def usable_rows(
    table: Table, names: Iterable[str], *, weights: str | None = None, cluster: str | None = None
) -> Usable:
    """The complete rows of the columns `names`, without those of weight 0, as R leaves both out.

    Raises:
        DataError: a weight that is no number of at least 0, or no weight above 0; a row without a cluster, or fewer
            than two clusters.
    """
    table, missing = complete_rows(table, names)
    weight, zero_weight = None, 0
    if weights is not None:
        weight = _weights(table, weights)
        table, zero_weight = table.take(weight > 0), int((weight == 0).sum())
        weight = weight[weight > 0]
    codes, labels = (None, ()) if cluster is None else _clusters(table, cluster)
    return Usable(table, missing, weight, codes, labels, zero_weight)


def complete_rows(table: Table, names: Iterable[str]) -> tuple[Table, Missing]:
    """The rows with a value in every used column, and what was left out."""
    keep = np.ones(table.rows, dtype=bool)
    by_column: dict[str, int] = {}
    for name in names:
        missing = table[name].missing
        if table.rows and missing.all():
            raise DataError(
                f"column {shown(name)} of {table.source} has no values at all: "
                "leave it out of the formula or fill it in"
            )
        if count := int(missing.sum()):
            by_column[name] = count
        keep &= ~missing
    if table.rows and not keep.any():
        raise DataError(
            f"every row of {table.source} misses a value in one of {names_of(by_column)}: "
            "leave out the column that misses most"
        )
    return table.take(keep), Missing(int((~keep).sum()), by_column)


def _weights(table: Table, name: str) -> Array:
    """The weights, shape `(n,)`, finite and at least 0, one of them above."""
    _check_numbers(table, name)
    weight: Array = table[name].values
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "the weight is missing" if np.isnan(weight[row]) else f"{weight[row]:g} is no weight"
        raise DataError(f"{where(table, row, name)}: {what}; write a number of at least 0 there (0 leaves the row out)")
    if not weight.any():
        raise DataError(f"every weight in column {shown(name)} of {table.source} is 0: give rows weights above 0")
    return weight


def _check_numbers(table: Table, name: str) -> None:
    column = table[name]
    if column.kind == "number":
        return
    for row, cell in enumerate(column.values):
        if cell is not None and as_number(cell) is None:
            raise DataError(
                f"{where(table, row, name)}: {shown(cell)} is no weight; write a number of at least 0 there, "
                "or name another column"
            )
    raise DataError(f"column {shown(name)} of {table.source} holds numbers as text: convert it with astype(float)")


def _clusters(table: Table, name: str) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    labels, codes = labels_of(table, name)
    if len(labels) < 2:
        raise DataError(
            f"column {shown(name)} of {table.source} names one cluster only ({shown(labels[0])}): standard errors by "
            "cluster need at least two, name another column"
        )
    return codes, tuple(labels)
