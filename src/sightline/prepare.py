"""From data and a formula to rows in training coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from .by_pieces import Heard, is_too_large, most_numbers, prepare_by_pieces, rows_of_file
from .data.design import Design
from .data.formula import Formula, formula_for, parse
from .data.sources import Source, open_source
from .data.split import split
from .data.table import Table
from .data.target import class_labels
from .data.usable import refuse_decimal_commas, refuse_few, usable_rows
from .errors import DataError, UsageError, nearest, shown
from .prepared import Prepared
from .rows import Rows
from .settings import RunSettings, check_loss_options
from .weighting import weighting
from .words import count

__all__ = ["Prepared", "prepare", "prepare_for", "prepare_part"]


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
    most: float = inf,
) -> Prepared:
    """Read the used columns, leave out rows that miss a value or weigh nothing, learn the design, make the rows.

    `weights` and `cluster` name columns of the data. With a class loss ("bce", "cross-entropy"), or without a loss and
    with a target of text, the target is a class, and `Design.classes` are its labels. With `decimal` each double of an
    array stands for its shortest decimal, as the numbers of a text file do. `holdout` is a fraction of the rows that is
    held out of everything, and the seed that chooses them. Of more than `most` numbers, most of them indicators,
    the rows have codes instead.

    >>> prepared = prepare({"x": [1, 2, 3], "kind": ["b", "a", "b"]}, "kind ~ x")
    >>> prepared.loss, prepared.design.classes, prepared.rows.y.tolist()
    ('bce', ('a', 'b'), [1.0, 0.0, 1.0])
    """
    _check_names(formula, weights, cluster)
    source = open_source(data, decimal=decimal)
    extra = [name for name in (weights, cluster) if name is not None]
    parsed = _parsed(source, formula, target, extra)
    table = source.read([*parsed.columns, *extra])
    for name in parsed.columns:
        refuse_decimal_commas(table, name)
    usable = usable_rows(table, parsed.columns, weights=weights, cluster=cluster)
    refuse_few(source.name, usable.table.rows, usable.missing.rows, usable.zero_weight)
    usable, held = (usable, None) if holdout is None else split(usable, holdout[0], seed=holdout[1])
    assert parsed.response is not None
    classes, loss = class_labels(parsed.response, usable.table, loss)
    design = Design.learn(
        parsed, usable.table, standardize=standardize, weight=usable.weight, classes=classes, most=most
    )
    design = replace(design, weights=weights, cluster=cluster)
    if class_weight is not None:
        codes = design.encoding.response(usable.table)
        design = weighting(design, class_weight, codes, usable.weight)
    return Prepared(
        design,
        design.rows(usable.table, most=most),
        usable.missing,
        source.name,
        source.label or source.name,
        len(parsed.columns),
        source.path,
        table.fingerprint,
        usable.table,
        usable.zero_weight,
        loss,
        None if held is None else _checked(design, design.rows(held, most=most)),
    )


def _check_names(formula: object, weights: object, cluster: object) -> None:
    if not (formula is None or isinstance(formula, str)):
        raise UsageError(f"the formula is a {type(formula).__name__}: give text such as 'weight ~ height'")
    for option, value in (("weights", weights), ("cluster", cluster)):
        if not (value is None or isinstance(value, str)):
            raise UsageError(f"{option} is a {type(value).__name__}: give the name of a column of the data")


def prepare_for(
    settings: RunSettings, data: object, formula: str | None, *, target: str | None, decimal: bool = False,
    heard: Heard | None = None,
) -> Prepared:  # fmt: skip
    """As `prepare`, with what the settings say about columns, weights, clusters and loss."""
    _check_names(formula, settings.weights, settings.cluster)
    source = open_source(data, decimal=decimal)
    extra = [name for name in (settings.weights, settings.cluster) if name is not None]
    parsed = _parsed(source, formula, target, extra)
    too_large = is_too_large(source, len(parsed.columns) + len(extra), settings.memory)
    if too_large or (settings.cache is not None and source.pieces is not None and source.path is not None):
        prepared = prepare_by_pieces(source, parsed, settings, heard)
    else:
        prepared = prepare(
            source, formula, target=target, standardize=settings.standardize, weights=settings.weights,
            cluster=settings.cluster, loss=settings.loss, class_weight=settings.class_weight,
            holdout=None if isinstance(settings.validation, str | None) else (settings.validation, settings.seed),
            most=most_numbers(settings),
        )  # fmt: skip
    return _completed(prepared, settings)


def prepare_part(whole: Prepared, settings: RunSettings, chosen: NDArray[np.bool_]) -> Prepared:
    """As `prepare_for`, of the chosen rows `(n,)` of those that were prepared: everything is learned anew from them."""
    if whole.stored is not None:
        return _completed(whole.stored.of(chosen).prepared(settings), settings)
    return prepare_for(settings, _source(whole.table.take(chosen)), whole.design.formula, target=None)


def _source(table: Table) -> Source:
    """Rows of a table as data of their own."""

    def load(names: Sequence[str]) -> Table:
        return replace(table, columns={name: table[name] for name in names})

    return Source(table.source, tuple(table.columns), load=load)


def _completed(prepared: Prepared, settings: RunSettings) -> Prepared:
    """With the rows of a validation file; refused where the settings do not go with the rows."""
    if isinstance(settings.validation, str):
        prepared = replace(prepared, valid=_validation_file(prepared.design, settings.validation, settings.memory))
    elif prepared.valid is not None:
        _checked(prepared.design, prepared.valid)
    check_loss_options(prepared.loss, settings.loss_opt)
    if prepared.loss == "poisson-nll":
        _check_counts(prepared)
    if prepared.design.class_weight and settings.loss_opt:
        raise UsageError("--class-weight and smoothed labels have no meaning together that is agreed on: leave one out")
    return prepared


def _validation_file(design: Design, path: str, memory: int | None) -> Rows:
    """The rows of another file, read piece by piece where it is too large for memory."""
    source = open_source(path)
    if is_too_large(source, len(design.training_columns), memory):
        return _checked(design, rows_of_file(source, design))
    return _checked(design, design.rows(source.read(design.training_columns)))


def _checked(design: Design, rows: Rows) -> Rows:
    """Validation rows; refused where they could tell nothing."""
    if design.classes and len(np.unique(rows.y)) < 2:
        label = design.classes[int(rows.y[0])]
        raise UsageError(
            f"the {count(len(rows), 'validation row')} are all of the class {shown(label)}: hold out more rows, or "
            "others with another --seed"
        )
    return rows


def _check_counts(prepared: Prepared) -> None:
    if prepared.design.encoding.offsets:
        raise UsageError(
            "an offset of counts belongs to their logarithm, which is not supported: divide the counts, weight the rows"
        )
    negative = np.asarray(prepared.rows.y) < 0
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
