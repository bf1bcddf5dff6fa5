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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, nearest, shown
from .columns import Load, Opened, first_line, objects_column, table_of
from .decimals import LongCells, shortest
from .frames import open_frame, open_mapping, read_frame
from .parquet import open_parquet
from .scratch import NO_ROOM, Scratch, no_room
from .slices import Pieces, RowPieces, TextPieces
from .table import Table, names_of
from .text_files import open_text

__all__ = ["Source", "open_source"]

ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".ndjson", ".arrow", ".feather", ".ipc")
MAGIC = (
    (rb"PAR1[^\0]*\0", "parquet"),
    (rb"ARROW1\0|\xff\xff\xff\xff", "arrow"),
    (rb"\x1f\x8b", "gzip"),
    (rb"\xff\xfe|\xfe\xff", "utf-16"),
)


@dataclass(frozen=True)
class Source:
    """A data set of which only the names of the columns have been read; `read` gives the values. `label` is the path as
    it was given, else empty.

    `pieces` reads some columns piece by piece, where it is of a kind that can be, and gives the fingerprint after the
    last; `about_rows` tells about how many there are, and `size` how many bytes the pieces are cut from.
    """

    name: str
    columns: tuple[str, ...]
    path: str | None = None
    label: str = ""
    pieces: Pieces | None = field(default=None, repr=False, compare=False)
    about_rows: Callable[[], float] = field(default=float, repr=False, compare=False)
    size: int = field(default=0, repr=False, compare=False)
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


def open_source(data: object, *, stdin: BinaryIO | None = None, decimal: bool = False) -> Source:
    """A data set from a path, `-` for standard input, a data frame, or a mapping of names to arrays.

    Text files hold the decimals that were typed, all others doubles; with `decimal` each of these too stands for the
    shortest decimal that reads back as it.

    >>> open_source({"height": [170, 180], "weight": [60, 75.5]}).read(["weight"])["weight"].values
    array([60. , 75.5])
    """
    source = _open(data, stdin)
    return replace(source, load=partial(_decimal, source.load)) if decimal else source


def _open(data: object, stdin: BinaryIO | None) -> Source:
    if isinstance(data, Source):
        return data
    if isinstance(data, str) and data == "-":
        return _open_stream(stdin or sys.stdin.buffer, "standard input")
    if isinstance(data, (str, os.PathLike)):
        source = _open_path(os.fsdecode(data))
        return replace(source, label=str(data)) if source.path else source
    name, opened = ("the dict", open_mapping(data)) if isinstance(data, Mapping) else open_frame(data)
    return Source(name, opened[0], load=opened[1])


def _decimal(load: Load, names: Sequence[str]) -> Table:
    table = load(names)
    meant = {n: replace(c, typed=shortest) for n, c in table.columns.items() if c.kind == "number" and not c.typed}
    return replace(table, columns={**table.columns, **meant})


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
    try:
        copy = Scratch()
        with open(copy.path, "wb") as file:
            _copy(stream, file, name)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(f"a copy of {name}", error) from None
        raise
    return _open_file(copy.path, name, None, keep=copy)


def _open_file(path: str, name: str, absolute: str | None, keep: object = None) -> Source:
    original, kind = path, _kind(path, name)
    scratch = _unpacked(path, name, kind) if kind in ("gzip", "utf-16") else None
    if scratch:
        path, kind = scratch.path, _kind(scratch.path, name.removesuffix(".gz"))
    kept = (keep, scratch)
    by_piece: TextPieces | RowPieces | None = None
    if kind == "parquet":
        (columns, load), by_piece = open_parquet(path, name)
    elif kind == "arrow":
        columns, load = _arrow(path, name)
    elif kind == "json":
        columns, load = _json(path, name, kept)
    else:
        file = open_text(path, name, kept)
        columns, load, by_piece = file.columns, file.read, TextPieces(file, original)

    def load_and_mark(names: Sequence[str]) -> Table:
        with open(original, "rb") as file:
            fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
        table = load(names)

        def place(row: int, _kept: object = kept) -> str:
            return table.place(row)

        return replace(table, fingerprint=fingerprint, place=place)

    rows = float if by_piece is None else by_piece.about_rows
    return Source(name, columns, absolute, "", by_piece, rows, os.path.getsize(path), load=load_and_mark)


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
    try:
        plain = Scratch()
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
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise no_room(f"a copy of {name}", error) from None
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


def _json(path: str, name: str, kept: object) -> Opened:
    """Records, as one list or one on each line; all of it is read, since any record may hold a new name."""
    long = LongCells(path, partial(_json_cells, path, name), kept)
    records = _records(path, name)
    cure = "write a list of records, or one record on each line"
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            raise DataError(f"{name} row {row}: {shown(record)} is not a record; {cure}")
    names = tuple(dict.fromkeys(key for record in records for key in record))
    if not names:
        raise DataError(f"{name} holds no records; {cure}")

    def load(wanted: Sequence[str]) -> Table:
        columns = (objects_column(name, key, [r.get(key) for r in records]) for key in wanted)
        typed = {c.name: replace(c, typed=long.of(c.name, len(records))) for c in columns}
        return table_of(name, typed)

    return names, load


def _records(path: str, name: str, **numbers: Any) -> list[Any]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
        if text.lstrip().startswith("["):
            return list(json.loads(text, **numbers))
        return [json.loads(line, **numbers) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        cure = "write a list of records, or one record on each line"
        raise DataError(f"{name} is not JSON that can be read ({error}); {cure}") from error


def _json_cells(path: str, name: str) -> dict[str, NDArray[Any]]:
    """Every column as text, numbers as they were typed."""
    records = _records(path, name, parse_float=str, parse_int=str)
    names = dict.fromkeys(key for record in records for key in record)
    cells = {
        key: [value if isinstance(value, str) else None for value in (r.get(key) for r in records)] for key in names
    }
    return {key: np.array(values, dtype=object) for key, values in cells.items()}


def _arrow_frame(file: BinaryIO, *, stream: bool) -> Any:
    """By polars; by pyarrow where polars is not there, or refuses what pyarrow writes, such as categories of -1."""
    try:
        import polars

        return polars.read_ipc_stream(file) if stream else polars.read_ipc(file)
    except Exception as error:
        file.seek(0)
        try:
            from pyarrow import ipc
        except ImportError:
            raise error from None
        return ipc.open_stream(file).read_all() if stream else ipc.open_file(file).read_all()


def _arrow(path: str, name: str) -> Opened:
    with open(path, "rb", buffering=0) as file:
        stream = not file.read(6).startswith(b"ARROW1")
        file.seek(0)
        try:
            frame = _arrow_frame(file, stream=stream)
        except ImportError as error:
            what = f"{name} is an Arrow file, which takes polars or pyarrow to read"
            raise DataError(f"{what}; pip install polars, or save it as Parquet") from error
        except Exception as error:
            raise DataError(f"{name} is a damaged Arrow file; write it again ({first_line(error)})") from error
    return read_frame(frame, name)
