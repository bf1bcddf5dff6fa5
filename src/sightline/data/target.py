"""What the response is: a number, or one of some classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError, FormulaError, UsageError, shown
from .categories import MAX_LEVELS, Categorical, labels_of
from .formula import Factor, Formula
from .grammar import Expression, Step, columns_of
from .table import Table, names_of
from .transforms import Numeric, finite_numbers, where

__all__ = ["CLASS_LOSSES", "check_number", "class_labels", "learn_target", "learned_offsets"]

CLASS_LOSSES = ("bce", "cross-entropy")


def class_labels(response: Factor, table: Table, loss: str | None) -> tuple[tuple[str, ...], str]:
    """The classes of the response in the training rows, in sorted order, and the loss that is meant.

    A class loss makes every response one of classes; without a loss, a column of text is. There are no classes, and
    the loss is "mse" unless told, where the response is a number.

    Raises:
        UsageError: a class loss for an expression, or "bce" for more than two classes.
        DataError: one class only, too many, or numbers that are not whole.
    """
    text = not response.function and table[response.columns[0]].kind == "text"
    if not (loss in CLASS_LOSSES or (loss is None and text)):
        return (), loss or "mse"
    if response.function:
        raise UsageError(
            f"--loss {loss} needs classes to predict, and {shown(response.text, quote=False)} computes numbers: write "
            "one column before the ~, or use --loss mse"
        )
    labels = _labels(table, response.text)
    if loss == "bce" and len(labels) > 2:
        raise UsageError(
            f"--loss bce takes two classes, and the target {shown(response.text)} has {len(labels):,} "
            f"({names_of(labels[:12])}{', ...' * (len(labels) > 12)}): use --loss cross-entropy"
        )
    return tuple(labels), loss or ("bce" if len(labels) == 2 else "cross-entropy")


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
