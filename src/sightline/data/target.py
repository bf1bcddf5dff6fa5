"""What the response is: a number, or one of some classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, FormulaError, UsageError, nearest, shown
from .categories import MAX_LEVELS, Categorical, labels_of
from .formula import Factor, Formula
from .grammar import Expression, Step, columns_of
from .table import Table, names_of
from .transforms import Numeric, finite_numbers, where

__all__ = ["CLASS_LOSSES", "check_number", "class_labels", "class_weights", "learn_target", "learned_offsets"]

Array = NDArray[np.float64]

TWO_CLASS_LOSSES = ("bce", "bce-probability", "hinge")
CLASS_LOSSES = (*TWO_CLASS_LOSSES, "cross-entropy")


def class_labels(response: Factor, table: Table, loss: str | None) -> tuple[tuple[str, ...], str]:
    """The classes of the response in the training rows, in sorted order, and the loss that is meant.

    A class loss makes every response one of classes; without a loss, a column of text is, and one of the numbers 0 and
    1. There are no classes, and the loss is "mse" unless told, where the response is a number.

    Raises:
        UsageError: a class loss for an expression, or one for two classes for more than two classes.
        DataError: one class only, too many, or numbers that are not whole.
    """
    if not (loss in CLASS_LOSSES or (loss is None and not response.function and _are_classes(table, response))):
        return (), loss or "mse"
    if response.function:
        raise UsageError(
            f"--loss {loss} needs classes to predict, and {shown(response.text, quote=False)} computes numbers: write "
            "one column before the ~, or use --loss mse"
        )
    labels = _labels(table, response.text)
    if loss in TWO_CLASS_LOSSES and len(labels) > 2:
        raise UsageError(
            f"--loss {loss} takes two classes, and the target {shown(response.text)} has {len(labels):,} "
            f"({names_of(labels[:12])}{', ...' * (len(labels) > 12)}): use --loss cross-entropy"
        )
    return tuple(labels), loss or ("bce" if len(labels) == 2 else "cross-entropy")


def _are_classes(table: Table, response: Factor) -> bool:
    """Whether a column says what it is of two things or more: texts, or 0 and 1 and nothing else."""
    column = table[response.columns[0]]
    if column.kind == "text":
        return True
    if column.kind != "number":
        return False
    present = column.values[np.isfinite(column.values)]
    return bool(np.isin(present, (0.0, 1.0)).all()) and len(np.unique(present)) == 2


def class_weights(
    given: str | Mapping[str, float], labels: Sequence[str], codes: Array, weight: Array | None = None
) -> tuple[float, ...]:
    """The weight of each class: as given by label, 1 where not; "balanced" makes each weigh the same, n / (K n_k).

    >>> class_weights("balanced", ["a", "b"], np.array([0.0, 0.0, 0.0, 1.0]))
    (0.6666666666666666, 2.0)
    """
    if not isinstance(given, str):
        for label in given:
            if str(label) not in labels:
                raise UsageError(f"--class-weight names no class with {shown(label)}: {nearest(str(label), labels)}")
        by_label = {str(label): float(value) for label, value in given.items()}
        return tuple(by_label.get(label, 1.0) for label in labels)
    totals = np.bincount(np.asarray(codes).astype(np.intp), weights=weight, minlength=len(labels))
    return tuple((totals.sum() / (len(labels) * totals)).tolist())


def learn_target(response: Factor, table: Table, classes: Sequence[str]) -> Numeric | Categorical:
    """The response as a factor: a number, or the place of a label among the classes if there are any."""
    if classes:
        return Categorical(response.expression, tuple(classes))
    if response.function:
        check_number(response.expression, table)
    return Numeric.learn(response.expression, table)


def learned_offsets(formula: Formula, table: Table, classes: Sequence[str]) -> tuple[Numeric, ...]:
    """The numbers that are known to be part of the response, each as `I(...)` of what `offset(...)` names."""
    for offset in formula.offsets if classes else ():
        message = (
            f"{shown(offset.text, quote=False)} needs a target that is a number, and this one is a class: "
            "remove it, or use --loss mse"
        )
        raise FormulaError(message, formula=formula.text, start=offset.start, end=offset.end)
    inside = ((*offset.expression[:-1], Step("call", "I")) for offset in formula.offsets)
    return tuple(Numeric.learn(expression, table) for expression in inside)


def check_number(expression: Expression, table: Table) -> None:
    """Refuse a column of text where the response is a number."""
    for name in columns_of(expression):
        if table[name].kind == "text":
            raise DataError(
                f"the target {shown(name)} is text; a linear model needs numbers: name a column of numbers before "
                "the ~, or predict it as a class with --loss bce (two classes) or --loss cross-entropy"
            )


def _labels(table: Table, name: str) -> list[str]:
    if table[name].kind == "number":
        _check_whole(table, name)
    labels, codes = labels_of(table, name)
    if len(labels) == 1:
        raise DataError(
            f"the target {shown(name)} of {table.source} has one class only ({shown(labels[0])}): add rows of another "
            "class, or name another target"
        )
    if len(labels) > MAX_LEVELS:
        row = int(np.sort(np.unique(codes, return_index=True)[1])[MAX_LEVELS])
        raise DataError(
            f"{where(table, row, name)}: {shown(labels[codes[row]])} is class number {MAX_LEVELS + 1:,} of "
            f"{len(labels):,}, more than {MAX_LEVELS:,}; {_remedy(table, name)}"
        )
    return labels


def _check_whole(table: Table, name: str) -> None:
    values = finite_numbers(table, name)
    broken = values != np.rint(values)
    if broken.any():
        row = int(np.argmax(broken))
        raise DataError(
            f"{where(table, row, name)}: {values[row]} is no class, which is a whole number or a text; correct the "
            f"cell, or {_remedy(table, name)}"
        )


def _remedy(table: Table, name: str) -> str:
    number = table[name].kind == "number"
    return "use --loss mse for a number that is measured" if number else "name a column with fewer different texts"
