"""Everything that can be a data set: files, standard input, data frames, mappings of names to arrays."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from numbers import Integral, Real
from types import NoneType
from typing import Any, BinaryIO

import numpy as np

from ..errors import DataError, nearest, shown
from .table import Column, Table, names_of, number_label
from .text_files import Scratch, as_number, open_text, path_pattern

__all__ = ["Source", "open_source"]

Load = Callable[[Sequence[str]], Table]
Opened = tuple[tuple[str, ...], Load]
ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".ndjson", ".arrow", ".feather", ".ipc")
MAGIC = (
    (rb"PAR1[^\0]*\0", "parquet"),
    (rb"ARROW1\0|\xff\xff\xff\xff", "arrow"),
    (rb"\x1f\x8b", "gzip"),
    (rb"\xff\xfe|\xfe\xff", "utf-16"),
)
NUMBERS = re.compile(r"u?(tiny|small|big|huge)?int(eger)?|float|double|decimal|bignum|varint|sqlnull|null")
# What to do with a column that is neither numbers nor text, by a word in the name of its type.
CURES = (
    ("complex", "take its real part, its imaginary part or its absolute value"),
    (r"list|array|tuple|\[\d*\]|struct|dict|map|union|tensor", "make one column of numbers for each element"),
    ("duration|delta|interval", "turn it into a number of seconds"),
    ("date|timestamp|period", "turn it into a number, such as the days since the first date"),
    ("time", "turn it into a number of seconds"),
    ("", "turn it into numbers or text"),
)


@dataclass(frozen=True)
class Source:
    """A data set of which only the names of the columns have been read; `read` gives the values."""

    name: str
    columns: tuple[str, ...]
    path: str | None = None
    load: Load = field(repr=False, compare=False, kw_only=True)

    def read(self, names: Iterable[str] | None = None) -> Table:
        """The named columns, or all; raises DataError for a column or cell that is of no use, and says where."""
        wanted = list(dict.fromkeys(self.columns if names is None else names))
        if unknown := sorted({*wanted}.difference(self.columns)):
            raise DataError(f"no column {shown(unknown[0])} in {self.name}: {nearest(unknown[0], self.columns)}")
        table = self.load(wanted or self.columns[:1])
        if not table.rows:
            raise DataError(f"{self.name} has no rows; give it one for every observation")
        return table if wanted else replace(table, columns={})


def open_source(data: object, *, stdin: BinaryIO | None = None) -> Source:
    """A data set from a path, `-` for standard input, a data frame, or a mapping of names to arrays.

    >>> open_source({"height": [170, 180], "weight": [60, 75.5]}).read(["weight"])["weight"].values
    array([60. , 75.5])
    """
    if isinstance(data, Source):
        return data
    if isinstance(data, str) and data == "-":
        return _open_stream(stdin or sys.stdin.buffer, "standard input")
    if isinstance(data, (str, os.PathLike)):
        return _open_path(os.fsdecode(data))
    name, opened = ("the dict", _mapping(data)) if isinstance(data, Mapping) else _frame_or_relation(data)
    return Source(name, opened[0], load=opened[1])


# Files


def _open_path(path: str) -> Source:
    name = os.path.basename(path) or path
    whole = shown(path, limit=200)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise DataError(f"{whole} is a URL, and only local files are read; download it first")
    if os.path.isdir(path):
        listing = names_of(_data_files(path)) or "there are none in it"
        raise DataError(f"{whole} is a folder; name one of its data files: {listing}")
    if not os.path.exists(path):
        there = _data_files(os.path.dirname(path) or ".")
        hint = nearest(name, there) if there else "there are no data files in that folder"
        raise DataError(f"no such file: {whole}; check the path: {hint}")
    try:
        with open(path, "rb") as file:
            if not os.path.isfile(path):
                return _open_stream(file, name)
    except OSError as error:
        raise DataError(f"{whole} cannot be opened ({error.strerror}); check who may read it") from error
    if not name.casefold().endswith((*ENDINGS, ".gz")) and _kind(path, name) in ("text", "utf-16"):
        raise DataError(f"{name} is no known kind of file; data files are {', '.join(ENDINGS)} and .csv.gz")
    return _open_file(path, name, os.path.abspath(path))


def _data_files(folder: str) -> list[str]:
    if not os.path.isdir(folder) or not os.access(folder, os.R_OK):
        return []
    return sorted(file for file in os.listdir(folder) if file.casefold().endswith((*ENDINGS, ".gz")))


def _open_stream(stream: BinaryIO, name: str) -> Source:
    copy = Scratch()
    with open(copy.path, "wb") as file:
        _copy(stream, file, name)
    return _open_file(copy.path, name, None, keep=copy)


def _open_file(path: str, name: str, absolute: str | None, keep: object = None) -> Source:
    original, kind = path, _kind(path, name)
    scratch = _unpacked(path, name, kind) if kind in ("gzip", "utf-16") else None
    if scratch:
        path, kind = scratch.path, _kind(scratch.path, name.removesuffix(".gz"))
    openers = {"parquet": _parquet, "arrow": _arrow, "json": _json}
    columns, load = openers.get(kind, _text)(path, name)

    def load_and_mark(names: Sequence[str]) -> Table:
        with open(original, "rb") as file:
            fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
        table = load(names)

        def place(row: int, _kept: object = (keep, scratch)) -> str:
            return table.place(row)

        return replace(table, fingerprint=fingerprint, place=place)

    return Source(name, columns, absolute, load=load_and_mark)


def _kind(path: str, name: str) -> str:
    """What the first bytes of a file say that it is, or else its name."""
    with open(path, "rb") as file:
        head = file.read(4096)
    for magic, kind in MAGIC:
        if re.match(magic, head):
            return kind
    if head.startswith(b"PAR1") and name.casefold().endswith(".parquet"):
        return "parquet"
    return "json" if name.casefold().endswith((".json", ".jsonl", ".ndjson")) else "text"


def _unpacked(path: str, name: str, kind: str) -> Scratch:
    """A gzip or UTF-16 file as a plain one."""
    plain = Scratch()
    try:
        if kind == "gzip":
            with gzip.open(path, "rb") as packed, open(plain.path, "wb") as target:
                _copy(packed, target, name)
        else:
            with (
                open(path, encoding="utf-16", newline="") as text,
                open(plain.path, "w", encoding="utf-8", newline="") as copy,
            ):
                _copy(text, copy, name)
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        cure = "pack it again" if kind == "gzip" else "save it as UTF-8"
        raise DataError(f"{name} is damaged or cut off ({error}); {cure}") from error
    return plain


def _copy(source: Any, target: Any, name: str) -> None:
    """Copy to a temporary file, but never over half of the free disk: a few kB of gzip can be terabytes."""
    left = shutil.disk_usage(tempfile.gettempdir()).free // 2
    while chunk := source.read(1 << 20):
        left -= len(chunk)
        if left < 0:
            raise DataError(f"{name} would fill half of the free disk; make room or unpack it elsewhere")
        target.write(chunk)


def _text(path: str, name: str) -> Opened:
    file = open_text(path, name)
    return file.columns, file.read


def _json(path: str, name: str) -> Opened:
    """Records, as one list or one on each line; all of it is read, since any record may hold a new name."""
    cure = "write a list of records, or one record on each line"
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
        if text.lstrip().startswith("["):
            records = json.loads(text)
        else:
            records = [json.loads(line) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        raise DataError(f"{name} is not JSON that can be read ({error}); {cure}") from error
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            raise DataError(f"{name} row {row}: {shown(record)} is not a record; {cure}")
    names = tuple(dict.fromkeys(key for record in records for key in record))
    if not names:
        raise DataError(f"{name} holds no records; {cure}")

    def load(wanted: Sequence[str]) -> Table:
        return _table(name, {key: _objects(name, key, [r.get(key) for r in records]) for key in wanted})

    return names, load


def _parquet(path: str, name: str) -> Opened:
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        relation = connection.read_parquet(path_pattern(path), hive_partitioning=False)
        sql = "SELECT name, coalesce(num_children, 0) FROM parquet_schema(?)"
        schema = connection.execute(sql, [path_pattern(path)]).fetchall()
    except duckdb.Error as error:
        raise DataError(f"{name} is a damaged Parquet file; write it again ({_first_line(error)})") from error
    # DuckDB renames a column that differs from another by case only, so the names are taken from the file.
    names, inner = [], 0
    for column, children in schema[1:]:
        if not inner:
            names.append(column)
        inner += children - bool(inner)
    return _relation(relation, name, names, connection)


def _arrow(path: str, name: str) -> Opened:
    with open(path, "rb", buffering=0) as file:
        stream = not file.read(6).startswith(b"ARROW1")
        file.seek(0)
        try:
            try:
                import polars

                frame = polars.read_ipc_stream(file) if stream else polars.read_ipc(file)
            except ImportError:
                from pyarrow import ipc

                frame = ipc.open_stream(file).read_all() if stream else ipc.open_file(file).read_all()
        except ImportError as error:
            what = f"{name} is an Arrow file, which takes polars or pyarrow to read"
            raise DataError(f"{what}; pip install polars, or save it as Parquet") from error
        except Exception as error:
            raise DataError(f"{name} is a damaged Arrow file; write it again ({_first_line(error)})") from error
    return _frame(frame, name)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


# Frames


def _frame_or_relation(data: Any) -> tuple[str, Opened]:
    if type(data).__module__.partition(".")[0] in ("duckdb", "_duckdb") and hasattr(data, "fetchnumpy"):
        return "the relation", _relation(data, "the relation", data.columns)
    import narwhals.stable.v1 as nw
    from narwhals.exceptions import DuplicateError

    try:
        if isinstance(nw.from_native(data, pass_through=True), (nw.DataFrame, nw.LazyFrame)):
            return "the DataFrame", _frame(data, "the DataFrame")
    except DuplicateError:
        _refuse_twice("the DataFrame", data.column_names if hasattr(data, "column_names") else data.columns)
    if hasattr(data, "__arrow_c_stream__"):
        import duckdb

        connection: Any = duckdb.connect(":memory:")
        connection.from_arrow(data).create("data")  # kept, since a stream flows once
        relation = connection.table("data")
        return "the Arrow table", _relation(relation, "the Arrow table", relation.columns, connection)
    raise DataError(
        f"data of type {type(data).__name__} cannot be read; give a path, a data frame, "
        "or a dict of column names and 1-d arrays"
    )


def _frame(data: Any, source: str) -> Opened:
    """A data frame of any library that narwhals knows."""
    import narwhals.stable.v1 as nw

    frame = nw.from_native(data)
    names = tuple(str(name) for name in frame.collect_schema().names())
    _refuse_twice(source, names)

    def load(wanted: Sequence[str]) -> Table:
        at = {name: i for i, name in enumerate(names)}
        some = frame.select(nw.nth([at[name] for name in wanted]))
        eager = some.collect() if isinstance(some, nw.LazyFrame) else some
        return _table(source, {n: _series(source, n, s) for n, s in zip(wanted, eager.iter_columns(), strict=True)})

    return names, load


def _series(source: str, name: str, series: Any) -> Column:
    import narwhals.stable.v1 as nw

    if series.dtype.is_numeric() and (values := series.to_numpy()).dtype != object:
        return Column(name, np.array(values, dtype=float), "number")
    if series.dtype in (nw.Categorical, nw.Enum):
        cells = (_cell(source, name, row, cell) for row, cell in enumerate(series.to_list()))
        return _objects(source, name, cells)
    if series.dtype.is_numeric() or series.dtype in (nw.String, nw.Boolean, nw.Object, nw.Unknown):
        return _objects(source, name, series.to_list())
    raise _wrong_type(source, name, str(series.dtype))


def _relation(relation: Any, source: str, names: Sequence[str], connection: object = None) -> Opened:
    """A query of DuckDB, of which `names` are the columns in order; without its connection it would end."""
    _refuse_twice(source, names)
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
        raise _wrong_type(source, name, full)

    def load(wanted: Sequence[str], _kept: object = connection) -> Table:
        import duckdb

        sql = ", ".join(f"{expression(name)} AS c{i}" for i, name in enumerate(wanted))
        try:
            found = relation.project(sql).fetchnumpy()
        except duckdb.Error as error:
            raise DataError(f"{source} cannot be read; write it again ({_first_line(error)})") from error
        columns = {}
        for i, name in enumerate(wanted):
            values, empty = np.ma.getdata(found[f"c{i}"]), np.ma.getmaskarray(found[f"c{i}"])
            number = values.dtype.kind == "f"
            values = np.where(empty, np.array(np.nan if number else None), values)
            columns[name] = Column(name, values, "number" if number else "text")
        return _table(source, columns)

    return tuple(names), load


# Arrays and lists


def _mapping(data: Mapping[Any, Any]) -> Opened:
    source, arrays, lengths = "the dict", {str(name): values for name, values in data.items()}, {}
    _refuse_twice(source, data)
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
        return _table(source, {name: _array(source, name, arrays[name]) for name in wanted})

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
        return _objects(source, name, values.to_pylist() if hasattr(values, "to_pylist") else values)
    if not hasattr(values, "__array__"):
        nested = next((cell for cell in values if isinstance(cell, (list, tuple, np.ndarray))), None)
        if nested is not None:
            raise _wrong_shape(source, name, f"holds a {type(nested).__name__} for each row")
        return _objects(source, name, values)
    array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise _wrong_shape(source, name, f"has the shape {array.shape}")
    if array.dtype.kind in "fiu":
        with np.errstate(over="ignore"):
            return Column(name, np.ma.filled(array.astype(float), np.nan), "number")
    if array.dtype.kind in "bUO":
        return _objects(source, name, array.tolist())
    raise _wrong_type(source, name, "bytes" if array.dtype.kind == "S" else str(array.dtype))


def _objects(source: str, name: str, values: Iterable[Any]) -> Column:
    """Python objects: text if all are text, else what they are as cells of a text file."""
    cells = list(values)
    types = set(map(type, cells))
    if types <= {int, float}:
        with suppress(OverflowError):
            return Column(name, np.array(cells, dtype=float), "number")
    if str in types and types <= {str, NoneType}:
        return Column(name, np.array(cells, dtype=object), "text")
    texts = [_cell(source, name, row, cell) for row, cell in enumerate(cells)]
    numbers = [None if text is None else as_number(text) for text in texts]
    words = any(text is not None and number is None for text, number in zip(texts, numbers, strict=True))
    only_text = all(text is None or isinstance(cell, str) for text, cell in zip(texts, cells, strict=True))
    if any(text is not None for text in texts) and (words or only_text):
        found = any(number is not None for number in numbers) and not only_text
        return Column(name, np.array(texts, dtype=object), "mixed" if found else "text")
    return Column(name, np.array([np.nan if n is None else n for n in numbers], dtype=float), "number")


def _cell(source: str, name: str, row: int, cell: Any) -> str | None:
    """One Python object as the text of a cell, None where it stands for a missing value."""
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, (bool, np.bool_)):
        return str(bool(cell))
    if cell is None or type(cell).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return None
    if not isinstance(cell, (Real, Decimal)):
        raise _wrong_type(source, name, type(cell).__name__, f" row {row}")
    number: Any = cell
    try:
        value = float(number)
    except OverflowError:
        return "inf" if number > 0 else "-inf"
    if not np.isfinite(value):
        return None if np.isnan(value) else repr(value)
    return str(int(cell)) if isinstance(cell, Integral) else number_label(value)


def _table(source: str, columns: dict[str, Column]) -> Table:
    digest = hashlib.sha256()
    for column in columns.values():
        values = column.values
        content = values.tobytes() if column.kind == "number" else repr(values.tolist()).encode()
        digest.update(repr((column.name, len(content))).encode() + content)
    rows = len(next(iter(columns.values())).values)
    return Table(source, columns, rows, fingerprint=digest.hexdigest())


def _wrong_shape(source: str, name: str, what: str) -> DataError:
    cure = "reshape it to one dimension, or give each part of it a name"
    return DataError(f"column {shown(name)} of {source} {what}; {cure}")


def _wrong_type(source: str, name: str, kind: str, where: str = "") -> DataError:
    cure = next(cure for word, cure in CURES if re.search(word, kind.casefold()))
    return DataError(f"column {shown(name)} of {source}{where} is of type {shown(kind, quote=False)}; {cure}")


def _refuse_twice(source: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if twice:
        raise DataError(f"{source} has more than one column called {names_of(twice)}; rename one")
