"""CSV and TSV: the dialect, the header and the kinds of the columns are decided here, DuckDB only cuts the cells."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .decimals import DIGITS, LongCells
from .dialect import find_delimiter, first_rows, is_blank, records, sample, scan_quotes
from .scratch import Scratch
from .table import Column, Kind, Table, names_of

__all__ = ["TextFile", "as_number", "open_text", "path_pattern"]

T = TypeVar("T")
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A")
END = "\x1eend of file\x1e"  # fed to csv as a row after the last one: an open quote swallows it

# NaN: no value. NULL: not a number, as are 1_000 and +-1, which a plain cast would take.
NUMBER = (
    "CASE WHEN {0} IS NULL THEN 'nan'::DOUBLE WHEN contains({0}, '_') OR contains({0}, '+-') THEN NULL "
    "ELSE TRY_CAST({0} AS DOUBLE) END AS {0}"
)
# The same where neither of them is anywhere in the file.
PLAIN_NUMBER = "CASE WHEN {0} IS NULL THEN 'nan'::DOUBLE ELSE TRY_CAST({0} AS DOUBLE) END AS {0}"
# The first with each cell named once: twice as slow, but the time to plan 10,000 of the above is quadratic.
NUMBER_OF_MANY = "TRY_CAST(replace(replace(coalesce({0}, 'nan'), '_', '?'), '+-', '?') AS DOUBLE) AS {0}"


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

    It is on line `header_line`; `header_alone` if that is the first line, and no name goes on on the next. `kept` is
    what must live as long as the file is to be read; `lines_before` how many lines of another file, of which this is a
    piece, come before; `plain` that no cell can hold what DuckDB takes for a number and Python does not.
    """

    path: str
    name: str
    delimiter: str
    columns: tuple[str, ...]
    header_line: int
    header_alone: bool = True
    kept: object = field(default=None, compare=False, repr=False)
    lines_before: int = 0
    plain: bool = False

    def read(self, names: Sequence[str]) -> Table:
        """The named columns of the whole file."""
        if "" in names:
            number = self.columns.index("") + 1
            raise DataError(f"{self.name} line {self.header_line}: column {number} has no name; write one there")
        quoted, doubtful = scan_quotes(self.path, self.name, self.lines_before)
        if doubtful:
            self._refuse_rows()
        long = LongCells(self.path, partial(self._load, partial(self._long_cells, names), quoted=quoted), self.kept)
        columns, rows = self._load(partial(self._fetch, names), quoted=quoted)
        if doubtful and rows != len(self._lines):
            self._refuse_rows(exact=True)
            raise DataError(f"{self.name} ends with a quoted cell that cannot be read; look for misplaced quotes")
        if not rows:
            raise DataError(f"{self.name} has a header but no rows; add a line for every observation")
        numbers = {
            n: replace(c, typed=long.of(n, rows), spelled=partial(self._load, partial(self._spelled, n), quoted=quoted))
            for n, c in columns.items()
            if c.kind == "number"
        }
        return Table(self.name, {**columns, **numbers}, rows, self.place)

    def _load(self, fetch: Callable[[Any, str, str], T], *, quoted: bool) -> T:
        """What `fetch` finds with a connection, a path and options, by another way where the plain one fails."""
        import duckdb

        with duckdb.connect(":memory:") as connection:
            # Several threads may take a line inside a long quoted cell for a row, one thread never does.
            options = "" if not quoted else ", parallel = false"
            with suppress(duckdb.Error):
                if self.header_alone:
                    return fetch(connection, self.path, options)
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
                return fetch(connection, plain.path, options)
            except duckdb.Error as error:
                self._refuse_rows(exact=True)
                line = str(error).split("\n", 1)[0]
                raise DataError(f"{self.name} cannot be read as CSV ({line}); look for misplaced quotes") from error

    def _fetch(self, names: Sequence[str], *source: Any) -> tuple[dict[str, Column], int]:
        """The columns as numbers and, where a cell is none, once more as text."""
        ids = self._ids(names)
        number = PLAIN_NUMBER if self.plain else NUMBER if len(ids) < 1000 else NUMBER_OF_MANY
        numbers = self._query([number.format(c) for c in ids.values()], *source)
        rows = len(next(iter(numbers.values())))
        mixed = {c for c, values in numbers.items() if np.ma.getmaskarray(values).any()}
        texts = self._query([c for c in ids.values() if c in mixed], *source) if mixed else {}
        columns = {}
        for name, c in ids.items():
            plain = Column(name, np.ma.getdata(numbers[c]), "number")
            columns[name] = _text_column(name, numbers[c], texts[c]) if c in mixed else plain
        return columns, rows

    def _long_cells(self, names: Sequence[str], *source: Any) -> Mapping[str, NDArray[Any]]:
        """The cells of more than 15 characters, None for others, of the columns that have any."""
        ids = self._ids(names)
        lengths = self._query([f"coalesce(max(length({c})), 0) AS {c}" for c in ids.values()], *source)
        long = {name: c for name, c in ids.items() if lengths[c][0] > DIGITS}
        if not long:
            return {}
        cells = self._query([f"CASE WHEN length({c}) > {DIGITS} THEN {c} END AS {c}" for c in long.values()], *source)
        return {name: np.ma.filled(cells[c].astype(object), None) for name, c in long.items()}

    def _spelled(self, name: str, *source: Any) -> NDArray[Any]:
        """The cells of a column as text, None where missing."""
        (column,) = self._ids([name]).values()
        return _cells(self._query([column], *source)[column])

    def _ids(self, names: Sequence[str]) -> dict[str, str]:
        at = {name: i for i, name in enumerate(self.columns)}
        return {name: f"c{at[name]}" for name in names}

    def _query(self, expressions: Sequence[str], connection: Any, path: str, options: str) -> dict[str, Any]:
        sql = f"SELECT {', '.join(expressions)} {self._sql(options)}"
        result: dict[str, Any] = connection.execute(sql, [path_pattern(path)]).fetchnumpy()
        return result

    def _sql(self, options: str) -> str:
        # In a file of one column a blank line would be a missing value, and is no row everywhere else.
        one = len(self.columns) == 1
        missing = ", ".join(f"'{text}'" for text in (MISSING[1:] if one else MISSING))
        columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(self.columns)))
        return (
            f"FROM read_csv(?, auto_detect = false, header = true, "
            f"""delim = '{self.delimiter}', quote = '"', escape = '"', strict_mode = true, null_padding = false, """
            f"nullstr = [{missing}], allow_quoted_nulls = false, hive_partitioning = false, "
            f"columns = {{{columns}}}{options})" + (" WHERE coalesce(trim(c0, ' '), 'NA') <> ''" if one else "")
        )

    @cached_property
    def _lines(self) -> list[int]:
        return [line for line, _ in self._rows()]

    def place(self, row: int) -> str:
        """On which line a row, from 0, stands."""
        try:
            return f"line {self._lines[row]}"
        except (OSError, ValueError, IndexError, DataError):  # the file has changed since it was read
            return f"row {row}"

    def _rows(self, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """The line on which each row starts, and its fields; a quote that is never closed is refused."""
        one = len(self.columns) == 1
        with open(self.path, encoding="utf-8-sig", newline="") as file:
            for line, row in records(chain(file, [END + self.delimiter + END]), self.delimiter, strict=strict):
                if row == [END, END]:
                    return
                if row[-1].endswith(END):
                    opened = line + sum(len(re.findall(r"\r\n|\r|\n", cell)) for cell in row[:-1])
                    opened += self.lines_before
                    raise DataError(f'{self.name} line {opened}: a quote (") opens here and is never closed; close it')
                if line > self.header_line and not (one and is_blank(row)):
                    yield line + self.lines_before, row

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


def open_text(path: str, name: str, kept: object = None) -> TextFile:
    """Find the delimiter and the column names of a text file in UTF-8."""
    text, whole = sample(path, name)
    tab_first = name.casefold().endswith((".tsv", ".tsv.gz"))
    delimiter = find_delimiter(text, whole, "\t,;|" if tab_first else ",;\t|")
    rows = [(line, row) for line, row in first_rows(text, delimiter) if not is_blank(row)]
    if not rows:
        what = "holds only blank lines" if text else "is empty"
        raise DataError(f"{name} {what}; a data file has a line of column names, then a line for every row")
    line, header = rows[0]
    columns = [cell.strip() for cell in header]
    while len(columns) > 1 and not columns[-1] and not any("".join(row[len(columns) - 1 :]) for _, row in rows[1:]):
        columns.pop()
    alone = line == 1 and not re.search(r"[\r\n]", "".join(header))
    file = TextFile(path, name, delimiter, tuple(columns), line, alone, kept)
    if whole and len(rows) == 1:
        file._refuse_rows()
        raise DataError(f"{name} has a header but no rows; add a line for every observation")
    if columns[0].startswith("#") and len(columns) == 1:
        raise DataError(f"{name} line {line} starts with '#'; delete the comment lines above the column names")
    if twice := [column for column, count in Counter(columns).items() if count > 1 and column]:
        raise DataError(f"{name} line {line}: more than one column is called {names_of(twice)}; rename one")
    return file


def _text_column(name: str, numbers: Any, texts: Any) -> Column:
    """A column with cells that DuckDB cannot read as numbers: the kind is what Python reads in them."""
    values, failed = np.array(np.ma.getdata(numbers), dtype=float), np.ma.getmaskarray(numbers)
    cells = _cells(texts)
    spelled = [np.nan if cell is None else as_number(cell) for cell in cells[failed]]
    if None not in spelled:
        values[failed] = spelled
        return Column(name, values, "number")
    values[failed] = [np.nan if number is None else number for number in spelled]
    kind: Kind = "text" if np.isnan(values).all() else "mixed"
    return Column(name, cells, kind)


def _cells(texts: Any) -> NDArray[Any]:
    typed = zip(np.ma.getdata(texts), np.ma.getmaskarray(texts), strict=True)
    return np.array([None if empty else _tidy(cell) for cell, empty in typed], dtype=object)


def _tidy(cell: str) -> str | None:
    """A cell without the spaces around it; with spaces, it was not quoted and NA means no value."""
    stripped = cell.strip(" ")
    return None if not stripped or (stripped != cell and stripped in MISSING) else stripped
