"""Categorical factors: a column of labels, and the categories that the training rows had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, nearest, shown
from .formula import Factor, parse_factor
from .grammar import Expression, quote, render
from .table import CodedColumn, Table, number_label
from .transforms import finite_numbers, where

__all__ = ["MAX_LEVELS", "Categorical", "labels_of"]

MAX_LEVELS, MOST_CODED = 1_000, 10_000  # of a column of text without C(...), and with it
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Categorical:
    """A factor with one indicator column for each category; `levels[0]` is the reference."""

    expression: Expression
    levels: tuple[str, ...]

    @property
    def text(self) -> str:
        """The name of the factor."""
        return self.expression[0].name if len(self.expression) == 1 else render(self.expression)

    @property
    def column(self) -> str:
        """The column that holds the labels."""
        return self.expression[0].name

    @classmethod
    def learn(cls, factor: Factor, table: Table) -> Self:
        """Learn the categories, in sorted order: numbers by size, texts by character."""
        name = factor.columns[0]
        levels = levels_of(table, name)
        if len(levels) == 1:
            raise DataError(
                f"column {shown(name)} has one category only ({shown(levels[0])}): remove it from the formula"
            )
        if len(levels) > MOST_CODED:
            raise DataError(
                f"column {shown(name)} has {len(levels):,} categories, and each takes a coefficient of its own, more "
                f"than {MOST_CODED:,}: leave it out of the formula, or join its rare categories to one"
            )
        if len(levels) > MAX_LEVELS and not factor.function:
            raise DataError(
                f"column {shown(name)} has {len(levels):,} different texts, so it looks like an identifier: "
                f"leave it out of the formula, or write C({shown(quote(name), quote=False)}) to use it anyway"
            )
        reference = _reference(factor, levels)
        return cls(factor.expression, (reference, *(level for level in levels if level != reference)))

    def names(self, *, full: bool) -> tuple[str, ...]:
        """The names of its columns: `g[a]` for every category, or `g[T.b]` for all but the reference."""
        mark, levels = ("", self.levels) if full else ("T.", self.levels[1:])
        return tuple(f"{self.text}[{mark}{level}]" for level in levels)

    def codes(self, table: Table, *, unseen: str = "error") -> NDArray[np.intp]:
        """The category of each row as its place in `levels`, shape `(n,)`; with "reference" 0 for an unseen one.

        Raises:
            DataError: a label that the training rows did not have, unless `unseen` is "reference".
        """
        labels, codes, place = self._places(table)
        found = place[codes]
        if unseen != "reference" and (found < 0).any():
            row = int(np.argmax(found < 0))
            label = labels[codes[row]]
            raise DataError(
                f"{where(table, row, self.column)}: {shown(label)} is no category that the model was trained "
                f"on, {nearest(label, self.levels)}; correct the cell, or train again with such rows"
            )
        return np.maximum(found, 0)

    def unseen(self, table: Table) -> NDArray[np.bool_]:
        """Which rows have a label that the training rows did not have, shape `(n,)`."""
        _, codes, place = self._places(table)
        return np.asarray(place[codes] < 0)

    def _places(self, table: Table) -> tuple[list[str], NDArray[np.intp], NDArray[np.intp]]:
        """The labels of a table, the label of each row, and the place of each label in `levels` or -1."""
        column = table[self.column]
        if isinstance(column, CodedColumn):
            _refuse_missing(table, self.column)
            labels, codes = list(column.labels), column.codes
        else:
            labels, codes = labels_of(table, self.column)
        return labels, codes, self.places(labels)

    def places(self, labels: Iterable[str]) -> NDArray[np.intp]:
        """The place of each label in `levels`, -1 where it is none of them."""
        known = {level: code for code, level in enumerate(self.levels)}
        return np.array([known.get(label, -1) for label in labels], dtype=np.intp)

    def to_dict(self) -> dict[str, Any]:
        """The factor as plain JSON."""
        return {"expression": render(self.expression), "levels": list(self.levels)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The factor that `to_dict` wrote; ValueError, TypeError, KeyError or FormulaError if it did not."""
        factor, levels = parse_factor(values["expression"]), values["levels"]
        if factor.function not in ("", "C"):
            raise ValueError(f"{shown(factor.text)} cannot have categories")
        if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
            raise ValueError(f"the categories of {shown(factor.text)} are no list of texts")
        if len(set(levels)) < max(2, len(levels)):
            raise ValueError(f"the categories of {shown(factor.text)} are not two or more different ones")
        if _reference(factor, levels) != levels[0]:
            raise ValueError(f"the first category of {shown(factor.text)} is not its reference")
        return cls(factor.expression, tuple(levels))


def _reference(factor: Factor, levels: list[str]) -> str:
    """The category that `reference=` names, or the first."""
    options = dict(factor.expression[-1].options)
    if "reference" not in options:
        return levels[0]
    value = options["reference"]
    label = number_label(value) if isinstance(value, float) else str(value)
    if label not in levels:
        raise DataError(
            f"column {shown(factor.columns[0])} has no category {shown(label)} to be the reference in "
            f"{shown(factor.text, quote=False)}: {nearest(label, levels)}"
        )
    return label


def levels_of(table: Table, name: str) -> list[str]:
    """The different labels of a column in sorted order."""
    column = table[name]
    if not isinstance(column, CodedColumn):
        return labels_of(table, name)[0]
    _refuse_missing(table, name)
    return [column.labels[place] for place in column.in_order()]


def _refuse_missing(table: Table, name: str) -> None:
    missing = table[name].missing
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(f"{where(table, row, name)}: the value is missing; fill it in or remove the row")


def labels_of(table: Table, name: str) -> tuple[list[str], NDArray[np.intp]]:
    """The different labels of a column in sorted order, and for each row the place of its own among them."""
    column = table[name]
    if column.kind == "number":
        numbers, codes = np.unique(finite_numbers(table, name), return_inverse=True)
        return [number_label(number) for number in numbers], codes
    _refuse_missing(table, name)
    if isinstance(column, CodedColumn):
        present = column.in_order()
        order = np.full(len(column.labels), -1, dtype=np.intp)
        order[present] = np.arange(len(present))
        return [column.labels[place] for place in present], order[column.codes]
    labels = sorted(set(column.values))
    places = {label: place for place, label in enumerate(labels)}
    return labels, np.array([places[label] for label in column.values], dtype=np.intp)
