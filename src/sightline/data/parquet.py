"""Parquet files, at once or some rows at a time; DuckDB reads both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import DataError
from .columns import Opened, first_line
from .frames import open_relation
from .plain_rows import read_plain_rows
from .slices import RowPieces
from .table import Table
from .text_files import path_pattern

__all__ = ["open_parquet"]

ROWS = 122_880  # at a time: a group of rows, where DuckDB has written the file


def open_parquet(path: str, name: str) -> tuple[Opened, RowPieces]:
    """The names of its columns and what reads them; and the same piece by piece, with how many rows there are."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        relation = connection.read_parquet(path_pattern(path), hive_partitioning=False)
        sql = "SELECT name, coalesce(num_children, 0) FROM parquet_schema(?)"
        schema = connection.execute(sql, [path_pattern(path)]).fetchall()
        sql = "SELECT num_rows FROM parquet_file_metadata(?)"
        rows = int(connection.execute(sql, [path_pattern(path)]).fetchall()[0][0])
    except duckdb.Error as error:
        raise _damaged(name, error) from error
    # DuckDB renames a column that differs from another by case only, so the names are taken from the file.
    names, inner = [], 0
    for column, children in schema[1:]:
        if not inner:
            names.append(column)
        inner += children - bool(inner)
    return open_relation(relation, name, names, connection), RowPieces(path, _reader(path, name, names), rows, ROWS)


def _reader(path: str, name: str, names: Sequence[str]) -> Callable[[int, int, Sequence[str]], Table]:
    def read(first: int, last: int, wanted: Sequence[str]) -> Table:
        import duckdb

        plain = read_plain_rows(path, name, first, last, wanted)
        if plain is not None:
            return plain
        with duckdb.connect(":memory:") as connection:
            try:
                whole: Any = connection.read_parquet(path_pattern(path), hive_partitioning=False, file_row_number=True)
                some = whole.filter(f"file_row_number >= {first} AND file_row_number < {last}")
            except duckdb.Error as error:
                raise _damaged(name, error) from error
            return open_relation(some, name, names, connection)[1](wanted)

    return read


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(f"{name} is a damaged Parquet file; write it again ({first_line(error)})")
