"""Pieces of text without quotes, read by polars where it is installed: several times as fast as cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table import CodedColumn, Column, Table
from .text_files import MISSING, TextFile, as_number

__all__ = ["line_ends", "read_plain"]

SIGNS = (b'"', b"\r", b"\x00")  # whose meaning is left to what reads cell by cell


@cache
def _available() -> bool:
    return find_spec("polars") is not None


def read_plain(file: TextFile, part: bytes, names: Sequence[str]) -> Table | None:
    """The named columns of whole lines of a file; None where anything about them is not plain, so that what reads cell
    by cell may say what it is.

    Plain are lines with as many delimiters as the header and no quote, in which every cell of a column reads as a
    number, or is missing, or none does. The numbers are the nearest doubles, as Python's `float` gives them.
    """
    width = len(file.columns)
    if width == 1 or not names or not _available() or any(sign in part for sign in SIGNS):
        return None
    lines = line_ends(part) + (not part.endswith(b"\n"))
    if _count(part, ord(file.delimiter)) != lines * (width - 1):
        return None
    at = {name: i for i, name in enumerate(file.columns)}
    found = _parsed(part, file.delimiter, width, {at[name]: _is_text(file, part, at[name]) for name in names})
    if found is None or found.height != lines:
        return None
    columns = {name: _column(name, found[f"c{at[name]}"], partial(_spelled, file, part, at[name])) for name in names}
    if any(column is None for column in columns.values()):
        return None
    return Table(file.name, {name: c for name, c in columns.items() if c is not None}, lines)


def line_ends(part: bytes) -> int:
    """How many lines end in it; other threads go on meanwhile, as `bytes.count` does not let them."""
    return _count(part, 10)


def _count(part: bytes, sign: int) -> int:
    return int(np.count_nonzero(np.frombuffer(part, np.uint8) == sign))


def _is_text(file: TextFile, part: bytes, place: int) -> bool:
    """Whether the cell of that column in the first line is no number."""
    cell = part[: part.find(b"\n")].decode("utf-8", "replace").split(file.delimiter)[place].strip(" ")
    return cell not in MISSING and as_number(cell) is None


def _parsed(part: bytes, delimiter: str, width: int, texts: dict[int, bool]) -> Any:
    """A frame of these columns, `c0` and so on; None where a cell is not what the first of its column is."""
    import polars as pl

    schema = {f"c{i}": pl.String if texts.get(i, True) else pl.Float64 for i in range(width)}
    try:
        return pl.read_csv(
            part, has_header=False, schema=schema, columns=list(texts), separator=delimiter,
            quote_char=None, null_values=list(MISSING[1:]) if b"N" in part or b"n" in part else None,
        )  # fmt: skip
    except pl.exceptions.PolarsError:
        return None


def _spelled(file: TextFile, part: bytes, place: int) -> NDArray[Any]:
    """The cells of a column of numbers as they are written."""
    texts = _parsed(part, file.delimiter, len(file.columns), {place: True})[f"c{place}"]
    return np.array([None if cell is None else _tidy(cell) for cell in texts.to_list()], dtype=object)


def _column(name: str, series: Any, spelled: Callable[[], NDArray[Any]]) -> Column | None:
    import polars as pl

    if series.dtype == pl.Float64:
        return Column(name, _doubles(series), "number", lambda: None, spelled)
    return _coded(name, series)


def _doubles(series: Any) -> NDArray[np.float64]:
    """NaN where missing."""
    return np.asarray((series.fill_null(float("nan")) if series.null_count() else series).to_numpy(), dtype=np.float64)


def _coded(name: str, series: Any) -> CodedColumn | None:
    """A column of texts; None where some of them read as numbers."""
    import polars as pl

    categories = series.cast(pl.Categorical)
    places = categories.to_physical()
    pairs = pl.DataFrame({"place": places, "label": series}).unique().drop_nulls()
    cells = [(place, _tidy(label)) for place, label in pairs.iter_rows()]
    labels = dict.fromkeys(label for _, label in cells if label is not None)
    if not labels or any(as_number(label) is not None for label in labels):
        return None
    order = {label: i for i, label in enumerate(labels)}
    moved = np.full(max(place for place, _ in cells) + 2, -1, dtype=np.int32)
    for place, label in cells:
        moved[place] = -1 if label is None else order[label]
    codes = moved[places.fill_null(len(moved) - 1).to_numpy()]
    return CodedColumn(name, codes, tuple(labels))


def _tidy(cell: str) -> str | None:
    """A cell without the spaces around it, None of a missing one."""
    stripped = cell.strip(" ")
    return None if stripped in MISSING else stripped
