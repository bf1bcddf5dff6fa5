"""CSV and TSV: the dialect, the header and the kinds of the columns are decided here, DuckDB only cuts the cells."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .table import Column, Kind, Table, names_of

__all__ = ["Scratch", "TextFile", "as_number", "open_text", "path_pattern"]

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A")
SAMPLE, LONGEST_HEADER = 1 << 16, 1 << 24
END = "\x1eend of file\x1e"  # fed to csv as a row after the last one: an open quote swallows it

# NaN: no value. NULL: not a number, as are 1_000 and +-1, which a plain cast would take.
NUMBER = (
    "CASE WHEN {0} IS NULL THEN 'nan'::DOUBLE WHEN contains({0}, '_') OR contains({0}, '+-') THEN NULL "
    "ELSE TRY_CAST({0} AS DOUBLE) END AS {0}"
)
# The same with each cell named once: twice as slow, but the time to plan 10,000 of the above is quadratic.
NUMBER_OF_MANY = "TRY_CAST(replace(replace(coalesce({0}, 'nan'), '_', '?'), '+-', '?') AS DOUBLE) AS {0}"


class Scratch:
    """A temporary file that goes when this object goes."""

    def __init__(self) -> None:
        handle, self.path = tempfile.mkstemp(prefix="sightline-")
        os.close(handle)
        weakref.finalize(self, os.unlink, self.path)


def as_number(text: str) -> float | None:
    """The number that a cell spells, None where it spells none.

    >>> as_number(" 1e3 "), as_number("1e400"), as_number("1_000"), as_number("17O")
    (1000.0, inf, None, None)
    """
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def path_pattern(path: str) -> str:
    """The path as a DuckDB pattern that matches this one file.

    >>> path_pattern("a[1]*.csv")
    'a[[]1][*].csv'
    """
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


@dataclass(frozen=True)
class TextFile:
    """A delimited text file in UTF-8 of which the header has been read.

    It is on line `header_line`; `header_alone` if that is the first line, and no name goes on on the next.
    """

    path: str
    name: str
    delimiter: str
    columns: tuple[str, ...]
    header_line: int
    header_alone: bool = True

    def read(self, names: Sequence[str]) -> Table:
        """The named columns of the whole file."""
        if "" in names:
            number = self.columns.index("") + 1
            raise DataError(f"{self.name} line {self.header_line}: column {number} has no name; write one there")
        quoted, doubtful = _quotes(self.path, self.name)
        if doubtful:
            self._refuse_rows()
        columns, rows = self._load(names, quoted=quoted)
        if doubtful and rows != len(self._lines):
            self._refuse_rows(exact=True)
            raise DataError(f"{self.name} ends with a quoted cell that cannot be read; look for misplaced quotes")
        if not rows:
            raise DataError(f"{self.name} has a header but no rows; add a line for every observation")
        return Table(self.name, columns, rows, self._place)

    def _load(self, names: Sequence[str], *, quoted: bool) -> tuple[dict[str, Column], int]:
        import duckdb

        with duckdb.connect(":memory:") as connection:
            # Several threads may take a line inside a long quoted cell for a row, one thread never does.
            options = "" if not quoted else ", parallel = false"
            with suppress(duckdb.Error):
                if self.header_alone:
                    return self._fetch(connection, names, self.path, options)
            self._refuse_rows()
            # The rows are sound: a header that DuckDB cannot skip, line ends of two kinds, or a row of over 2 MB.
            plain = Scratch()
            with (
                open(self.path, encoding="utf-8-sig") as old,
                open(plain.path, "w", encoding="utf-8", newline="\n") as new,
            ):
                new.writelines(islice(old, self.header_line - 1, None))
            options = f", parallel = false, max_line_size = {max(2_000_000, os.path.getsize(plain.path) + 1)}"
            try:
                return self._fetch(connection, names, plain.path, options)
            except duckdb.Error as error:
                self._refuse_rows(exact=True)
                line = str(error).split("\n", 1)[0]
                raise DataError(f"{self.name} cannot be read as CSV ({line}); look for misplaced quotes") from error

    def _fetch(self, connection: Any, names: Sequence[str], path: str, options: str) -> tuple[dict[str, Column], int]:
        """The columns as numbers and, where a cell is none, once more as text."""
        at = {name: i for i, name in enumerate(self.columns)}
        ids = {name: f"c{at[name]}" for name in names}
        source = self._sql(options)
        pattern = path_pattern(path)

        def query(expressions: Iterable[str]) -> dict[str, Any]:
            sql = f"SELECT {', '.join(expressions)} {source}"
            result: dict[str, Any] = connection.execute(sql, [pattern]).fetchnumpy()
            return result

        number = NUMBER if len(ids) < 1000 else NUMBER_OF_MANY
        numbers = query(number.format(c) for c in ids.values())
        rows = len(next(iter(numbers.values())))
        mixed = {c for c, values in numbers.items() if np.ma.getmaskarray(values).any()}
        texts = query(c for c in ids.values() if c in mixed) if mixed else {}
        columns = {}
        for name, c in ids.items():
            plain = Column(name, np.ma.getdata(numbers[c]), "number")
            columns[name] = _text_column(name, numbers[c], texts[c]) if c in mixed else plain
        return columns, rows

    def _sql(self, options: str) -> str:
        # In a file of one column a blank line would be a missing value, and is no row everywhere else.
        one = len(self.columns) == 1
        missing = ", ".join(f"'{text}'" for text in (MISSING[1:] if one else MISSING))
        columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(self.columns)))
        return (
            f"FROM read_csv(?, auto_detect = false, header = true, "
            f"""delim = '{self.delimiter}', quote = '"', escape = '"', strict_mode = true, null_padding = false, """
            f"nullstr = [{missing}], allow_quoted_nulls = false, hive_partitioning = false, "
            f"columns = {{{columns}}}{options})"
            + (" WHERE coalesce(trim(c0, ' '), 'NA') <> ''" if one else "")
        )

    @cached_property
    def _lines(self) -> list[int]:
        return [line for line, _ in self._rows()]

    def _place(self, row: int) -> str:
        try:
            return f"line {self._lines[row]}"
        except (OSError, ValueError, IndexError, DataError):  # the file has changed since it was read
            return f"row {row}"

    def _rows(self, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """The line on which each row starts, and its fields; a quote that is never closed is refused."""
        one = len(self.columns) == 1
        with open(self.path, encoding="utf-8-sig", newline="") as file:
            for line, row in _records(chain(file, [END + self.delimiter + END]), self.delimiter, strict=strict):
                if row == [END, END]:
                    return
                if row[-1].endswith(END):
                    opened = line + sum(len(re.findall(r"\r\n|\r|\n", cell)) for cell in row[:-1])
                    raise DataError(f'{self.name} line {opened}: a quote (") opens here and is never closed; close it')
                if line > self.header_line and not (one and _blank(row)):
                    yield line, row

    def _refuse_rows(self, *, exact: bool = False) -> None:
        """Refuse the first row with more or fewer fields than the header; exactly, also one more empty field."""
        width = len(self.columns)
        for line, row in self._rows():
            if len(row) < width or (len(row) > width and (exact or any(row[width:]))):
                fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
                what = f"{fields} where the header has {width}; {self._cure(len(row))}"
                raise DataError(f"{self.name} line {line}: {what}")
        if not exact:
            return
        line = self.header_line
        try:
            for line, _ in self._rows(strict=True):  # noqa: B007
                pass
        except csv.Error as error:
            what = 'text follows a closing quote; write a quote inside a quoted cell twice ("")'
            raise DataError(f"{self.name}, first row after line {line}: {what}") from error

    def _cure(self, found: int) -> str:
        if self.columns[0].startswith("#"):
            return f"line {self.header_line} starts with '#': delete the comment lines above the column names"
        if found < len(self.columns):
            return "add what is missing (a missing value is an empty field)"
        return f"put a value that contains {shown(self.delimiter)} into double quotes"


def open_text(path: str, name: str) -> TextFile:
    """Find the delimiter and the column names of a text file in UTF-8."""
    text, whole = _sample(path, name)
    tab_first = name.casefold().endswith((".tsv", ".tsv.gz"))
    delimiter = _delimiter(text, whole, "\t,;|" if tab_first else ",;\t|")
    rows = [(line, row) for line, row in _first_rows(text, delimiter) if not _blank(row)]
    if not rows:
        what = "holds only blank lines" if text else "is empty"
        raise DataError(f"{name} {what}; a data file has a line of column names, then a line for every row")
    line, header = rows[0]
    columns = [cell.strip() for cell in header]
    while len(columns) > 1 and not columns[-1] and not any("".join(row[len(columns) - 1 :]) for _, row in rows[1:]):
        columns.pop()
    alone = line == 1 and not re.search(r"[\r\n]", "".join(header))
    file = TextFile(path, name, delimiter, tuple(columns), line, alone)
    if whole and len(rows) == 1:
        file._refuse_rows()
        raise DataError(f"{name} has a header but no rows; add a line for every observation")
    if columns[0].startswith("#") and len(columns) == 1:
        raise DataError(f"{name} line {line} starts with '#'; delete the comment lines above the column names")
    if twice := [column for column, count in Counter(columns).items() if count > 1 and column]:
        raise DataError(f"{name} line {line}: more than one column is called {names_of(twice)}; rename one")
    return file


def _sample(path: str, name: str) -> tuple[str, bool]:
    """The first 64 KiB, or more until a row follows the header; and whether that is the whole file."""
    size = SAMPLE
    while True:
        with open(path, "rb") as file:
            data, whole = file.read(size), not file.read(1)
        try:
            text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, whole)
        except UnicodeDecodeError:
            _refuse_bytes(path, name)
        if "\0" in text:
            _refuse_bytes(path, name)
        if whole or size >= LONGEST_HEADER or len(_first_rows(text, ",", 3)) == 3:
            return text, whole
        size *= 4


def _delimiter(text: str, whole: bool, choices: str) -> str:
    """The character that cuts the most of the first rows into as many fields as the header, and no quoted cell."""
    scores = {}
    for delimiter in choices:
        rows = [row for _, row in _first_rows(text, delimiter) if not _blank(row)] or [[]]
        rows = rows if whole or len(rows) < 2 else rows[:-1]
        even = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        scores[delimiter] = (len(rows[0]) > 1, even, -sum('"' in cell for row in rows for cell in row))
    return max(scores, key=lambda delimiter: scores[delimiter])


def _first_rows(text: str, delimiter: str, count: int = 50) -> list[tuple[int, list[str]]]:
    return list(islice(_records(io.StringIO(text, newline=""), delimiter), count))


def _records(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The rows as Python's csv module cuts them, each with the line on which it starts (from 1)."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    limit, start = csv.field_size_limit(1 << 30), 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    finally:
        csv.field_size_limit(limit)


def _blank(row: list[str]) -> bool:
    return len(row) == 1 and not row[0].strip(" ")


def _quotes(path: str, name: str) -> tuple[bool, bool]:
    """Whether there are quotes, and whether one may be open at the end: DuckDB drops that row without a word.

    It also lets NUL pass, and what is not UTF-8 in columns that are not read; both are refused here.
    """
    decoder, count, last, read = codecs.getincrementaldecoder("utf-8")(), 0, 0, 0
    with open(path, "rb") as file:
        try:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
                if 0 in chunk:
                    _refuse_bytes(path, name)
                if found := chunk.count(b'"'):
                    count, last = count + found, read + chunk.rfind(b'"')
                read += len(chunk)
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            _refuse_bytes(path, name)
        file.seek(max(0, last - 1))
        closed = re.match(rb'[^",;|\s]"([,;|\s]|$)', file.read(3))
    return count > 0, count % 2 > 0 or (count > 0 and not closed)


def _refuse_bytes(path: str, name: str) -> NoReturn:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if 4 * line.count(0) > len(line):
                raise DataError(f"{name} line {number}: may be UTF-16 without its mark; save it as UTF-8")
            if 0 in line:
                raise DataError(f"{name} line {number}: holds a NUL byte; remove it or export the file again")
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = line[error.start : error.start + 1]
                what = f"byte 0x{byte.hex()} is not UTF-8 ({shown(byte.decode('latin-1'))} in Latin-1)"
                raise DataError(f"{name} line {number}: {what}; save it as UTF-8") from error
    raise DataError(f"{name} is not UTF-8; save it as UTF-8")


def _text_column(name: str, numbers: Any, texts: Any) -> Column:
    """A column with cells that DuckDB cannot read as numbers: the kind is what Python reads in them."""
    values, failed = np.array(np.ma.getdata(numbers), dtype=float), np.ma.getmaskarray(numbers)
    typed = zip(np.ma.getdata(texts), np.ma.getmaskarray(texts), strict=True)
    cells: NDArray[Any] = np.array([None if empty else _tidy(cell) for cell, empty in typed], dtype=object)
    spelled = [np.nan if cell is None else as_number(cell) for cell in cells[failed]]
    if None not in spelled:
        values[failed] = spelled
        return Column(name, values, "number")
    values[failed] = [np.nan if number is None else number for number in spelled]
    kind: Kind = "text" if np.isnan(values).all() else "mixed"
    return Column(name, cells, kind)


def _tidy(cell: str) -> str | None:
    """A cell without the spaces around it; with spaces, it was not quoted and NA means no value."""
    stripped = cell.strip(" ")
    return None if not stripped or (stripped != cell and stripped in MISSING) else stripped
