"""Columns from cells of any kind, and the refusal of those that are neither numbers nor text."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Real
from types import NoneType
from typing import Any

import numpy as np

from ..errors import DataError, shown
from .table import CodedColumn, Column, Table, names_of, number_label
from .text_files import as_number

__all__ = [
    "Load",
    "Opened",
    "cell_text",
    "first_line",
    "objects_column",
    "refuse_twice",
    "table_of",
    "wrong_shape",
    "wrong_type",
]

Load = Callable[[Sequence[str]], Table]
Opened = tuple[tuple[str, ...], Load]  # the names of the columns, and what reads some of them
# What to do with a column that is neither numbers nor text, by a word in the name of its type.
CURES = (
    ("complex", "take its real part, its imaginary part or its absolute value"),
    (r"list|array|tuple|\[\d*\]|struct|dict|map|union|tensor", "make one column of numbers for each element"),
    ("duration|delta|interval", "turn it into a number of seconds"),
    ("date|timestamp|period", "turn it into a number, such as the days since the first date"),
    ("time", "turn it into a number of seconds"),
    ("", "turn it into numbers or text"),
)


def objects_column(source: str, name: str, values: Iterable[Any]) -> Column:
    """Python objects: text if all are text, else what they are as cells of a text file."""
    cells = list(values)
    types = set(map(type, cells))
    if types <= {int, float}:
        with suppress(OverflowError):
            return Column(name, np.array(cells, dtype=float), "number")
    if str in types and types <= {str, NoneType}:
        return Column(name, np.array(cells, dtype=object), "text")
    texts = [cell_text(source, name, row, cell) for row, cell in enumerate(cells)]
    numbers = [None if text is None else as_number(text) for text in texts]
    words = any(text is not None and number is None for text, number in zip(texts, numbers, strict=True))
    only_text = all(text is None or isinstance(cell, str) for text, cell in zip(texts, cells, strict=True))
    if any(text is not None for text in texts) and (words or only_text):
        found = any(number is not None for number in numbers) and not only_text
        return Column(name, np.array(texts, dtype=object), "mixed" if found else "text")
    return Column(name, np.array([np.nan if n is None else n for n in numbers], dtype=float), "number")


def cell_text(source: str, name: str, row: int, cell: Any) -> str | None:
    """One Python object as the text of a cell, None where it stands for a missing value."""
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, (bool, np.bool_)):
        return str(bool(cell))
    if cell is None or type(cell).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return None
    if not isinstance(cell, (Real, Decimal)):
        raise wrong_type(source, name, type(cell).__name__, f" row {row}")
    number: Any = cell
    try:
        value = float(number)
    except OverflowError:
        return "inf" if number > 0 else "-inf"
    if not np.isfinite(value):
        return None if np.isnan(value) else repr(value)
    return str(int(cell)) if isinstance(cell, Integral) else number_label(value)


def table_of(source: str, columns: dict[str, Column]) -> Table:
    digest = hashlib.sha256()
    for column in columns.values():
        if isinstance(column, CodedColumn):
            digest.update(repr((column.name, column.labels, str(column.codes.dtype))).encode())
            digest.update(np.ascontiguousarray(column.codes).data)
            continue
        content = np.ascontiguousarray(column.values).data if column.kind == "number" else _texts(column)
        digest.update(repr((column.name, memoryview(content).nbytes)).encode())
        digest.update(content)
    rows = len(next(iter(columns.values())))
    return Table(source, columns, rows, fingerprint=digest.hexdigest())


def _texts(column: Column) -> bytes:
    return repr(column.values.tolist()).encode()


def wrong_shape(source: str, name: str, what: str) -> DataError:
    cure = "reshape it to one dimension, or give each part of it a name"
    return DataError(f"column {shown(name)} of {source} {what}; {cure}")


def wrong_type(source: str, name: str, kind: str, where: str = "") -> DataError:
    cure = next(cure for word, cure in CURES if re.search(word, kind.casefold()))
    return DataError(f"column {shown(name)} of {source}{where} is of type {shown(kind, quote=False)}; {cure}")


def refuse_twice(source: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if twice:
        raise DataError(f"{source} has more than one column called {names_of(twice)}; rename one")


def first_line(error: Exception) -> str:
    """What a library says went wrong, without what follows."""
    return str(error).split("\n", 1)[0]
