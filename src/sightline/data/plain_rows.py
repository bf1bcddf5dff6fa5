"""Rows of Parquet files whose columns are plain numbers and texts, read by polars where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from .frames import coded_column
from .table import Column, Table

__all__ = ["read_plain_rows"]


def read_plain_rows(path: str, name: str, first: int, last: int, wanted: Sequence[str]) -> Table | None:
    """Rows `first` to `last` of these columns; None where one of them is of another kind, or cannot be read."""
    if not wanted or find_spec("polars") is None:
        return None
    import polars as pl

    schema = _schema(path)
    if schema is None or not all(_is_plain(schema.get(column)) for column in wanted):
        return None
    try:
        frame = pl.scan_parquet(path, glob=False).slice(first, last - first).select(list(wanted)).collect()
    except (pl.exceptions.PolarsError, OSError):
        return None
    columns = {column: _column(column, frame[column]) for column in wanted}
    if frame.height != last - first or any(column is None for column in columns.values()):
        return None
    return Table(name, {key: column for key, column in columns.items() if column is not None}, frame.height)


def _schema(path: str) -> Any:
    import polars as pl

    try:
        return pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError):
        return None


def _is_plain(kind: Any) -> bool:
    import polars as pl

    return kind is not None and (kind.is_integer() or kind.is_float() or kind in (pl.String, pl.Categorical))


def _column(name: str, series: Any) -> Column | None:
    import polars as pl

    if series.dtype.is_numeric():
        values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return Column(name, np.asarray(values), "number")
    return coded_column(name, series.cast(pl.Categorical))
