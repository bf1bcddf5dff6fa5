"""Which rows of a table can be trained on, with their weights and clusters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from ..words import count
from .categories import labels_of
from .table import CodedColumn, Table, names_of
from .text_files import as_number
from .transforms import where

__all__ = [
    "Missing", "Usable", "complete", "complete_rows", "one_cluster", "refuse_decimal_commas", "refuse_empty",
    "refuse_few", "refuse_no_weight", "usable_rows", "weights_of",
]  # fmt: skip

Array = NDArray[np.float64]
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+|[+-]?\d{1,3}(\.\d{3})+,\d+")


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
        weight = weights_of(table, weights)
        if not weight.any():
            raise refuse_no_weight(table.source, weights)
        table, zero_weight = table.take(weight > 0), int((weight == 0).sum())
        weight = weight[weight > 0]
    codes, labels = (None, ()) if cluster is None else _clusters(table, cluster)
    return Usable(table, missing, weight, codes, labels, zero_weight)


def complete_rows(table: Table, names: Iterable[str]) -> tuple[Table, Missing]:
    """The rows with a value in every used column, and what was left out."""
    keep, by_column = complete(table, names)
    missing = Missing(int((~keep).sum()), by_column)
    refuse_empty(table.source, table.rows, missing)
    return table.take(keep), missing


def complete(table: Table, names: Iterable[str]) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Which rows have a value in every one of these columns, `(n,)`, and how many each of them misses."""
    keep, by_column = np.ones(table.rows, dtype=bool), {}
    for name in names:
        missing = table[name].missing
        if lacking := int(missing.sum()):
            by_column[name] = lacking
        keep &= ~missing
    return keep, by_column


def refuse_empty(source: str, rows: int, missing: Missing) -> None:
    """Refuse a column without any value, and rows of which none is complete."""
    for name, lacking in missing.by_column.items():
        if lacking == rows:
            raise DataError(
                f"column {shown(name)} of {source} has no values at all: leave it out of the formula or fill it in"
            )
    if missing.rows and missing.rows == rows:
        raise DataError(
            f"every row of {source} misses a value in one of {names_of(missing.by_column)}: "
            "leave out the column that misses most"
        )


def weights_of(table: Table, name: str) -> Array:
    """The weights, shape `(n,)`, finite and at least 0."""
    _check_numbers(table, name)
    weight: Array = table[name].values
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "the weight is missing" if np.isnan(weight[row]) else f"{weight[row]:g} is no weight"
        raise DataError(f"{where(table, row, name)}: {what}; write a number of at least 0 there (0 leaves the row out)")
    return weight


def refuse_no_weight(source: str, name: str) -> DataError:
    """Every row weighs nothing."""
    return DataError(f"every weight in column {shown(name)} of {source} is 0: give rows weights above 0")


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
        raise one_cluster(table.source, name, labels[0])
    return codes, tuple(labels)


def one_cluster(source: str, name: str, label: str) -> DataError:
    """A column of clusters with a single label."""
    return DataError(
        f"column {shown(name)} of {source} names one cluster only ({shown(label)}): standard errors by cluster need at "
        "least two, name another column"
    )


def refuse_few(source: str, rows: int, missing: int, zero_weight: int) -> None:
    """Refuse fewer than two usable rows, with why others were left out."""
    if rows >= 2:
        return
    reasons = [f"{count(missing, 'row')} with missing values"] if missing else []
    reasons += [f"{count(zero_weight, 'row')} of weight 0"] if zero_weight else []
    left = f" after leaving out {' and '.join(reasons)}" if reasons else ""
    raise DataError(f"{source} has {count(rows, 'usable row')}{left}: a fit needs at least 2")


def refuse_decimal_commas(table: Table, name: str) -> None:
    """Numbers such as 8,18 would pass as categories."""
    column = table[name]
    if isinstance(column, CodedColumn):
        present = [column.labels[place] for place in column.present]
    else:
        present = [value for value in column.values if value is not None] if column.kind == "text" else []
    if present and all(DECIMAL_COMMA.fullmatch(value) for value in present):
        raise DataError(
            f"column {shown(name)} of {table.source} has decimal commas, such as {shown(present[0])}: "
            "write the numbers with points"
        )
