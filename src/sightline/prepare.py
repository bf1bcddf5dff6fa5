"""From data and a formula to rows in training coordinates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .data.formula import Formula, formula_for, parse
from .data.sources import Source, open_source
from .data.split import split
from .data.table import Table
from .data.target import class_labels, class_weights
from .data.usable import Missing, Usable, usable_rows
from .double_double import Pair
from .errors import DataError, UsageError, nearest, shown
from .rows import Rows
from .settings import RunSettings, check_loss_options
from .words import count

__all__ = ["Prepared", "prepare", "prepare_for"]

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+|[+-]?\d{1,3}(\.\d{3})+,\d+")


@dataclass(frozen=True)
class Prepared:
    """The rows and the design that made them; `name` is how messages name the data, `label` how a command line does.

    `table` holds the rows as they were read, for what needs more digits than `rows` have. `missing` and `zero_weight`
    say how many were left out, `valid` are rows that take no part in the training. `loss` is the one that is meant
    where none was given.
    """

    design: Design
    rows: Rows
    missing: Missing
    name: str
    label: str
    columns_used: int
    path: str | None
    fingerprint: str
    table: Table = field(repr=False)
    zero_weight: int = 0
    loss: str = "mse"
    valid: Rows | None = None

    def pairs(self) -> tuple[Pair, Pair]:
        """The columns `(n, p)` and the target `(n,)` in the units of the data, beyond float64."""
        return self.design.encoding.pairs(self.table), self.design.encoding.response_pairs(self.table)

    def fractions(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The same as exact rational numbers."""
        return self.design.encoding.fractions(self.table), self.design.encoding.response_fractions(self.table)

    def manifest(self) -> dict[str, Any]:
        """Where the rows came from, as run.json tells it."""
        return {
            "name": self.label,
            "path": self.path,
            "fingerprint": self.fingerprint,
            "rows": len(self.rows),
            "missing": {"rows": self.missing.rows, "by_column": dict(self.missing.by_column)},
            "zero_weight": self.zero_weight,
            **({} if self.valid is None else {"validation_rows": len(self.valid)}),
        }


def prepare(
    data: object,
    formula: str | None = None,
    *,
    target: str | None = None,
    standardize: bool = True,
    weights: str | None = None,
    cluster: str | None = None,
    loss: str | None = None,
    class_weight: str | Mapping[str, float] | None = None,
    decimal: bool = False,
    holdout: tuple[float, int] | None = None,
) -> Prepared:
    """Read the used columns, leave out rows that miss a value or weigh nothing, learn the design, make the rows.

    `weights` and `cluster` name columns of the data. With a class loss ("bce", "cross-entropy"), or without a loss and
    with a target of text, the target is a class, and `Design.classes` are its labels. With `decimal` each double of an
    array stands for its shortest decimal, as the numbers of a text file do. `holdout` is a fraction of the rows that is
    held out of everything, and the seed that chooses them.

    >>> prepared = prepare({"x": [1, 2, 3], "kind": ["b", "a", "b"]}, "kind ~ x")
    >>> prepared.loss, prepared.design.classes, prepared.rows.y.tolist()
    ('bce', ('a', 'b'), [1.0, 0.0, 1.0])
    """
    if isinstance(formula, Mapping) or not (formula is None or isinstance(formula, str)):
        raise UsageError(f"the formula is a {type(formula).__name__}: give text such as 'weight ~ height'")
    for option, value in (("weights", weights), ("cluster", cluster)):
        if not (value is None or isinstance(value, str)):
            raise UsageError(f"{option} is a {type(value).__name__}: give the name of a column of the data")
    source = open_source(data, decimal=decimal)
    extra = [name for name in (weights, cluster) if name is not None]
    parsed = _parsed(source, formula, target, extra)
    table = source.read([*parsed.columns, *extra])
    for name in parsed.columns:
        _refuse_decimal_commas(table, name)
    usable = usable_rows(table, parsed.columns, weights=weights, cluster=cluster)
    _check_rows(usable, source.name)
    usable, held = (usable, None) if holdout is None else split(usable, holdout[0], seed=holdout[1])
    assert parsed.response is not None
    classes, loss = class_labels(parsed.response, usable.table, loss)
    design = Design.learn(parsed, usable.table, standardize=standardize, weight=usable.weight, classes=classes)
    design = replace(design, weights=weights, cluster=cluster)
    if class_weight is not None:
        design = _with_class_weight(design, class_weight, usable)
    return Prepared(
        design,
        design.rows(usable.table),
        usable.missing,
        source.name,
        str(data) if source.path else source.name,
        len(parsed.columns),
        source.path,
        table.fingerprint,
        usable.table,
        usable.zero_weight,
        loss,
        None if held is None else _validation_rows(design, held),
    )


def prepare_for(
    settings: RunSettings, data: object, formula: str | None, *, target: str | None, decimal: bool = False
) -> Prepared:
    """As `prepare`, with what the settings say about columns, weights, clusters and loss."""
    prepared = prepare(
        data, formula, target=target, standardize=settings.standardize, weights=settings.weights,
        cluster=settings.cluster, loss=settings.loss, class_weight=settings.class_weight, decimal=decimal,
        holdout=None if isinstance(settings.validation, str | None) else (settings.validation, settings.seed),
    )  # fmt: skip
    if isinstance(settings.validation, str):
        table = open_source(settings.validation).read(prepared.design.training_columns)
        prepared = replace(prepared, valid=_validation_rows(prepared.design, table))
    check_loss_options(prepared.loss, settings.loss_opt)
    if prepared.loss == "poisson-nll":
        _check_counts(prepared)
    if prepared.design.class_weight and settings.loss_opt:
        raise UsageError("--class-weight and smoothed labels have no meaning together that is agreed on: leave one out")
    return prepared


def _validation_rows(design: Design, table: Table) -> Rows:
    """The same columns of other rows; refused where they could tell nothing."""
    rows = design.rows(table)
    if design.classes and len(np.unique(rows.y)) < 2:
        label = design.classes[int(rows.y[0])]
        raise UsageError(
            f"the {count(len(rows), 'validation row')} are all of the class {shown(label)}: hold out more rows, or "
            "others with another --seed"
        )
    return rows


def _with_class_weight(design: Design, given: str | Mapping[str, float], usable: Usable) -> Design:
    if not design.classes:
        raise UsageError(
            f"--class-weight needs classes, and the target {shown(design.target)} is a number: leave it out, or use "
            "--loss bce or --loss cross-entropy"
        )
    codes = design.encoding.response(usable.table)
    return replace(design, class_weight=class_weights(given, design.classes, codes, usable.weight))


def _check_counts(prepared: Prepared) -> None:
    if prepared.design.encoding.offsets:
        raise UsageError(
            "an offset of counts belongs to their logarithm, which is not supported: divide the counts, weight the rows"
        )
    negative = prepared.rows.y < 0
    if negative.any():
        row = int(np.argmax(negative))
        raise DataError(
            f"{prepared.name} {prepared.rows.place(row)}, column {shown(prepared.design.target, quote=False)}: "
            f"{prepared.rows.y[row]:g} is no count; --loss poisson-nll needs numbers of at least 0"
        )


def _parsed(source: Source, formula: str | None, target: str | None, extra: list[str]) -> Formula:
    """The formula, or that which explains the target by all columns that are neither weights nor clusters."""
    if (formula is None) == (target is None):
        example = f"for example 'y ~ x', and in {source.name} {nearest('', source.columns)}"
        raise UsageError(f"give a formula or a target, one of the two: {example}")
    if formula is not None:
        return parse(formula, source.columns)
    assert target is not None
    if target not in source.columns:
        raise DataError(f"no column {shown(target)} in {source.name}: {nearest(target, source.columns)}")
    columns = [name for name in source.columns if name == target or name not in extra]
    return parse(formula_for(target, columns), columns)


def _check_rows(usable: Usable, name: str) -> None:
    if usable.table.rows < 2:
        reasons = [f"{count(usable.missing.rows, 'row')} with missing values"] if usable.missing.rows else []
        reasons += [f"{count(usable.zero_weight, 'row')} of weight 0"] if usable.zero_weight else []
        left = f" after leaving out {' and '.join(reasons)}" if reasons else ""
        raise DataError(f"{name} has {count(usable.table.rows, 'usable row')}{left}: a fit needs at least 2")


def _refuse_decimal_commas(table: Table, name: str) -> None:
    """Numbers such as 8,18 would pass as categories."""
    column = table[name]
    present = [value for value in column.values if value is not None] if column.kind == "text" else []
    if present and all(DECIMAL_COMMA.fullmatch(value) for value in present):
        raise DataError(
            f"column {shown(name)} of {table.source} has decimal commas, such as {shown(present[0])}: "
            "write the numbers with points"
        )
