"""The table that an ejected script reads: the data as they are, where they give the very rows of the run, or a copy."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .data.table import Table
from .errors import shown
from .exports.python_text import literal
from .exports.source import CsvTable
from .objectives import row_shares
from .prepared import Prepared
from .rows import Rows

__all__ = ["plain_table", "prepared_table"]

Array = NDArray[np.float64]
Records = Sequence[dict[str, str]]
DELIMITERS = (",", ";", "\t", "|")
BOM = b"\xef\xbb\xbf"
LONGEST_NAME, LONGEST_LABEL = 38, 18  # with quotes: what a line of the script has place for


def plain_table(prepared: Prepared) -> CsvTable | None:
    """How to read the data of the run with the csv module, if that and `float` give the very rows of the run."""
    design, path = prepared.design, prepared.path
    if path is None or design.class_weight or tuple(design.encoding.terms) != design.columns:
        return None
    if any(len(literal(name)) > LONGEST_NAME for name in design.training_columns):
        return None
    weight, rows = design.weights, prepared.rows
    share = 1.0 if weight is None or rows.weight is None else float(rows.weight.mean())
    with open(path, "rb") as file:
        encoding = "utf-8-sig" if file.read(3) == BOM else "utf-8"
    for delimiter in DELIMITERS:
        table = CsvTable(
            path, design.columns, design.target, len(rows), (), weight, share, delimiter, encoding,
        )  # fmt: skip
        if (records := _read(table)) is not None:
            return _agreeing(table, records, prepared)
    return None


def _read(table: CsvTable) -> Records | None:
    """The records of the file, None where they are not as many, or have no such columns."""
    try:
        with open(table.path, encoding=table.encoding, newline="") as file:
            reader = csv.DictReader(file, delimiter=table.delimiter)
            needed = {*table.columns, table.target, *([table.weight] if table.weight is not None else [])}
            if not needed <= set(reader.fieldnames or ()):
                return None
            records = list(reader)
    except (OSError, ValueError, csv.Error):
        return None
    return records if len(records) == table.rows else None


def _agreeing(table: CsvTable, records: Records, prepared: Prepared) -> CsvTable | None:
    """The table with the labels that its target needs, if its cells are the rows."""
    design, rows = prepared.design, prepared.rows
    raw = design.encoding.matrix(prepared.table)
    try:
        same = np.array_equal(_numbers(records, table.columns), raw)
        if table.weight is not None:
            assert rows.weight is not None
            same &= np.array_equal(_numbers(records, [table.weight])[:, 0], rows.weight)
    except (ValueError, TypeError):
        return None
    if not same or not np.array_equal((raw - design.center) / design.scale, rows.X):
        return None
    short = all(len(literal(label)) <= LONGEST_LABEL for label in design.classes)
    for labels in ((), design.classes) if design.classes and short else ((),):
        if np.array_equal(_target(records, table.target, labels, prepared.loss), rows.y):
            return replace(table, labels=tuple(labels))
    return None


def _numbers(records: Records, names: Sequence[str]) -> Array:
    return np.array([[float(record[name]) for name in names] for record in records]).reshape(len(records), len(names))


def _target(records: Records, name: str, labels: Sequence[str], loss: str) -> Array:
    """What the script makes of the cells; nothing where it would fail."""
    number = int if loss == "cross-entropy" else float
    try:
        return np.array([float(labels.index(r[name]) if labels else number(r[name])) for r in records])
    except (ValueError, TypeError):
        return np.zeros(0)


def prepared_table(design: Design, rows: Rows, table: Table | None, path: str) -> tuple[CsvTable, bytes]:
    """A CSV file with the columns of the design, the target as a number, and the weights with mean 1; and its text.

    The columns are in the units of the data where `table` still has them, else as they are trained, standardized.
    """
    raw = rows.X if table is None else design.encoding.matrix(table)
    standardized = not np.array_equal((raw - design.center) / design.scale, rows.X)
    share, (columns, target, weight) = row_shares(rows), _names(design)
    shares = [] if share is None else [share[:, None]]
    values = np.hstack([rows.X if standardized else raw, rows.y[:, None], *shares])
    classes = len(columns) if design.classes else None
    note = f"(a table beside this script, its columns as the run encoded{' and standardized' * standardized} them)"
    made = CsvTable(
        path, columns, target, len(rows), weight=weight if shares else None, standardized=standardized, note=note
    )
    return made, _csv([*columns, target, *([weight] if shares else [])], values, classes)


def _names(design: Design) -> tuple[tuple[str, ...], str, str]:
    """Names of the columns, the target and the weights, each once, short, and such that a text file can hold them."""
    *columns, target = (_short(name) for name in (*design.encoding.terms, design.target))
    weight = "weight of the row"
    if len({*columns, target, weight}) < len(columns) + 2:
        columns, target, weight = [f"x{k}" for k in range(1, len(columns) + 1)], "y", "w"
    return tuple(columns), target, weight


def _short(name: str) -> str:
    limit = LONGEST_NAME - 2
    while len(literal(shown(name, quote=False, limit=limit))) > LONGEST_NAME:
        limit -= 1
    return shown(name, quote=False, limit=limit)


def _csv(header: Sequence[str], values: Array, classes: int | None) -> bytes:
    """The text, doubles so that they are read back to the bit; the column `classes` holds numbers of classes."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for row in values.tolist():
        writer.writerow([str(int(v)) if k == classes else repr(v) for k, v in enumerate(row)])
    return file.getvalue().encode()
