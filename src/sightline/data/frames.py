"""Data in memory: data frames of any library, queries of DuckDB, mappings of names to arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import DataError, shown
from .columns import Opened, cell_text, first_line, objects_column, refuse_twice, table_of, wrong_shape, wrong_type
from .table import CodedColumn, Column, Table

__all__ = ["coded_column", "open_frame", "open_mapping", "open_relation", "read_frame"]

NUMBERS = re.compile(r"u?(tiny|small|big|huge)?int(eger)?|float|double|decimal|bignum|varint|sqlnull|null")


def open_frame(data: Any) -> tuple[str, Opened]:
    if type(data).__module__.partition(".")[0] in ("duckdb", "_duckdb") and hasattr(data, "fetchnumpy"):
        return "the relation", open_relation(data, "the relation", data.columns)
    import narwhals.stable.v1 as nw
    from narwhals.exceptions import DuplicateError

    try:
        if isinstance(nw.from_native(data, pass_through=True), (nw.DataFrame, nw.LazyFrame)):
            return "the DataFrame", read_frame(data, "the DataFrame")
    except DuplicateError:
        refuse_twice("the DataFrame", data.column_names if hasattr(data, "column_names") else data.columns)
    if hasattr(data, "__arrow_c_stream__"):
        import duckdb

        connection: Any = duckdb.connect(":memory:")
        connection.from_arrow(data).create("data")  # kept, since a stream flows once
        relation = connection.table("data")
        return "the Arrow table", open_relation(relation, "the Arrow table", relation.columns, connection)
    raise DataError(
        f"data of type {type(data).__name__} cannot be read; give a path, a data frame, "
        "or a dict of column names and 1-d arrays"
    )


def read_frame(data: Any, source: str) -> Opened:
    """A data frame of any library that narwhals knows."""
    import narwhals.stable.v1 as nw

    frame = nw.from_native(data)
    names = tuple(str(name) for name in frame.collect_schema().names())
    refuse_twice(source, names)

    def load(wanted: Sequence[str]) -> Table:
        at = {name: i for i, name in enumerate(names)}
        some = frame.select(nw.nth([at[name] for name in wanted]))
        eager = some.collect() if isinstance(some, nw.LazyFrame) else some
        return table_of(source, {n: _series(source, n, s) for n, s in zip(wanted, eager.iter_columns(), strict=True)})

    return names, load


def _series(source: str, name: str, series: Any) -> Column:
    import narwhals.stable.v1 as nw

    if series.dtype.is_numeric() and (values := series.to_numpy()).dtype != object:
        return Column(name, np.asarray(values, dtype=float), "number")
    if series.dtype in (nw.Categorical, nw.Enum):
        coded = coded_column(name, series.to_native(), source)
        if coded is not None:
            return coded
        cells = (cell_text(source, name, row, cell) for row, cell in enumerate(series.to_list()))
        return objects_column(source, name, cells)
    if series.dtype.is_numeric() or series.dtype in (nw.String, nw.Boolean, nw.Object, nw.Unknown):
        return objects_column(source, name, series.to_list())
    raise wrong_type(source, name, str(series.dtype))


def coded_column(name: str, series: Any, source: str = "") -> CodedColumn | None:
    """Categories of text or of numbers as they are kept by pandas and polars; None of others, and of a column without a
    value.
    """
    library = type(series).__module__.partition(".")[0]
    if library == "pandas" and hasattr(series, "cat") and hasattr(series.dtype, "categories"):
        codes, labels = series.array.codes, series.cat.categories.tolist()  # the codes themselves, no copy
    elif library == "polars":
        import polars as pl

        places = series.to_physical()
        pairs = pl.DataFrame({"place": places, "label": series.cast(pl.String)}).unique().drop_nulls()
        labels = [""] * (int(pairs["place"].max()) + 1 if len(pairs) else 0)  # type: ignore[arg-type]
        for place, label in pairs.iter_rows():
            labels[place] = label
        codes = places.cast(pl.Int32).fill_null(-1).to_numpy()
    else:
        return None
    numeric = all(isinstance(label, (int, float)) and not isinstance(label, bool) for label in labels)
    texts: list[Any] = [cell_text(source, name, row, label) for row, label in enumerate(labels)] if numeric else labels
    if not all(type(text) is str for text in texts) or len(set(texts)) < len(texts) or not (codes >= 0).any():
        return None
    return CodedColumn(name, codes, tuple(texts), numeric=numeric)


def open_relation(relation: Any, source: str, names: Sequence[str], connection: object = None) -> Opened:
    """A query of DuckDB, of which `names` are the columns in order; without its connection it would end."""
    refuse_twice(source, names)
    quoted = ['"' + column.replace('"', '""') + '"' for column in relation.columns]
    types = [(kind.id, str(kind)) for kind in relation.types]
    at = {name: i for i, name in enumerate(names)}

    def expression(name: str) -> str:
        (kind, full), column = types[at[name]], quoted[at[name]]
        if NUMBERS.fullmatch(kind):
            # By way of its decimal digits, a DECIMAL or HUGEINT becomes the nearest double.
            return f"CAST({column} AS DOUBLE)" if kind != "decimal" else f"CAST(CAST({column} AS VARCHAR) AS DOUBLE)"
        if kind == "boolean":
            return f"CASE WHEN {column} THEN 'True' WHEN NOT {column} THEN 'False' END"
        if kind in ("varchar", "enum", "uuid"):
            return f"CAST({column} AS VARCHAR)"
        raise wrong_type(source, name, full)

    def load(wanted: Sequence[str], _kept: object = connection) -> Table:
        import duckdb

        sql = ", ".join(f"{expression(name)} AS c{i}" for i, name in enumerate(wanted))
        try:
            found = relation.project(sql).fetchnumpy()
        except duckdb.Error as error:
            raise DataError(f"{source} cannot be read; write it again ({first_line(error)})") from error
        columns = {}
        for i, name in enumerate(wanted):
            values, empty = np.ma.getdata(found[f"c{i}"]), np.ma.getmaskarray(found[f"c{i}"])
            number = values.dtype.kind == "f"
            values = np.where(empty, np.array(np.nan if number else None), values)
            columns[name] = Column(name, values, "number" if number else "text")
        return table_of(source, columns)

    return tuple(names), load


def open_mapping(data: Mapping[Any, Any]) -> Opened:
    source, arrays, lengths = "the dict", {str(name): values for name, values in data.items()}, {}
    refuse_twice(source, data)
    if not arrays:
        raise DataError(f"{source} has no columns; give it column names and 1-d arrays")
    for name, values in arrays.items():
        with suppress(TypeError):  # a 0-d array has no length
            if hasattr(values, "__len__") and not isinstance(values, (str, bytes, Mapping, Set)):
                lengths[name] = len(values)
        if name not in lengths:
            what = f"column {shown(name)} of {source} is one {type(values).__name__}"
            raise DataError(f"{what}; give a list or a 1-d array with a value for every row")
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{shown(name, quote=False)} {length}" for name, length in lengths.items())
        raise DataError(f"the columns of {source} have unequal lengths ({listing}); give each a value for every row")

    def load(wanted: Sequence[str]) -> Table:
        return table_of(source, {name: _array(source, name, arrays[name]) for name in wanted})

    return tuple(arrays), load


def _array(source: str, name: str, values: Any) -> Column:
    if hasattr(values, "detach"):  # a torch tensor
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    if type(values).__module__.partition(".")[0] in ("pandas", "polars", "pyarrow"):
        import narwhals.stable.v1 as nw

        series = nw.from_native(values, allow_series=True, pass_through=True)
        if isinstance(series, nw.Series):
            return _series(source, name, series)
        return objects_column(source, name, values.to_pylist() if hasattr(values, "to_pylist") else values)
    if not hasattr(values, "__array__"):
        nested = next((cell for cell in values if isinstance(cell, (list, tuple, np.ndarray))), None)
        if nested is not None:
            raise wrong_shape(source, name, f"holds a {type(nested).__name__} for each row")
        return objects_column(source, name, values)
    array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise wrong_shape(source, name, f"has the shape {array.shape}")
    if array.dtype.kind in "fiu":
        with np.errstate(over="ignore"):
            return Column(name, np.ma.filled(array.astype(float), np.nan), "number")
    if array.dtype.kind in "bUO":
        return objects_column(source, name, array.tolist())
    raise wrong_type(source, name, "bytes" if array.dtype.kind == "S" else str(array.dtype))
