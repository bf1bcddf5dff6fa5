"""A file piece by piece, each read as a table of its own: text cut at the ends of lines, others by numbers of rows."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from ..errors import DataError
from ..rows import row_number
from .ahead import ahead
from .fingerprint import Fingerprint
from .plain_text import line_ends, read_plain
from .scratch import scratch_with
from .table import Table
from .text_files import TextFile

__all__ = ["START", "Mark", "Piece", "Pieces", "RowPieces", "TextPieces"]

PIECE = 2**23  # bytes of text at a time
LONGEST = 16  # times as many at most, until a line ends outside of quotes
QUOTE, LINE = 34, 10
INK = re.compile(rb"\S")

Mark = tuple[int, int, int]  # of a piece of text: its first byte, how many, the line of the first; of rows: first, last


@dataclass(frozen=True)
class Piece:
    """Some rows of a file that come one after the other, where they are, and how many bytes of it end with them."""

    table: Table
    end: int
    mark: Mark


START: Mark = (0, 0, 0)  # of the piece before the first


class Pieces(Protocol):
    """A file that can be read piece by piece."""

    def __call__(self, names: Sequence[str], after: Mark = START) -> tuple[Generator[Piece], Callable[[], str]]:
        """The named columns, from the piece on that comes after that one; and the fingerprint, once all are read."""

    def read(self, mark: Mark, names: Sequence[str]) -> Table:
        """The rows of that piece once more."""

    def places(self, mark: Mark, rows: int, after: Mark | None = None) -> Callable[[int], str]:
        """What tells where each of the `rows` of that piece stands in the file; `after` is the next piece, if any."""


@dataclass(frozen=True)
class TextPieces:
    """Those of a text file; `original` is its path as it was given, and `file` may be unpacked from it."""

    file: TextFile
    original: str

    def __call__(self, names: Sequence[str], after: Mark = START) -> tuple[Generator[Piece], Callable[[], str]]:
        """A few at a time are read, each by the same code as a whole file, so values and messages are the same."""
        digest = hashlib.sha256()

        def fingerprint() -> str:
            if self.original == self.file.path:
                return digest.hexdigest()
            return Fingerprint(self.original)()

        return self._pieces(names, after, digest), fingerprint

    def _pieces(self, names: Sequence[str], after: Mark, digest: Any) -> Generator[Piece]:
        def read(cut: tuple[bytes, int, int]) -> Piece:
            part, line, end = cut
            mark = (end - len(part), len(part), line)
            return Piece(self._table(part, mark, names), end, mark)

        return ahead(read, _cut(self.file, after, digest=digest, size=PIECE))

    def read(self, mark: Mark, names: Sequence[str]) -> Table:
        """The rows of that piece once more."""
        with open(self.file.path, "rb") as source:
            source.seek(mark[0])
            return self._table(source.read(mark[1]), mark, names)

    def _table(self, part: bytes, mark: Mark, names: Sequence[str]) -> Table:
        table = read_plain(self.file, part, names)
        if table is not None:  # every line of which is a row
            return replace(table, place=partial(_line, mark[2]))
        table = _file_of(self.file, part, mark[2]).read(names)
        if _lines(part) == table.rows:
            return replace(table, place=partial(_line, mark[2]))
        return replace(table, place=lambda row: self.places(mark, table.rows)(row))

    def places(self, mark: Mark, rows: int, after: Mark | None = None) -> Callable[[int], str]:
        """On which line each row stands: counted where every line is a row, else found by reading the piece again."""
        start, size, line = mark
        if after is not None and after[2] - line == rows:
            return partial(_line, line)
        with open(self.file.path, "rb") as source:
            source.seek(start)
            part = source.read(size)
        return partial(_line, line) if _lines(part) == rows else _file_of(self.file, part, line).place

    def about_rows(self) -> float:
        """About how many rows the file has."""
        with open(self.file.path, "rb") as source:
            text = source.read(1 << 16)
        return os.path.getsize(self.file.path) * (text.count(b"\n") / max(len(text), 1))


def _number(first: int, row: int) -> str:
    return row_number(first + row)


def _lines(part: bytes) -> int:
    return line_ends(part) + (not part.endswith(b"\n"))


def _line(first: int, row: int) -> str:
    return f"line {first + row}"


def _file_of(file: TextFile, part: bytes, line: int) -> TextFile:
    """These lines of it as a file of their own, the first of which is on that line."""
    header = file.delimiter.join(f"c{i}" for i in range(len(file.columns)))
    scratch = scratch_with([f"{header}\n".encode(), part], file.name)
    plain = b"_" not in part and b"+-" not in part
    return replace(
        file, path=scratch.path, header_line=1, header_alone=True, kept=scratch, lines_before=line - 2, plain=plain
    )


def _cut(file: TextFile, after: Mark, *, digest: Any, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Pieces of whole lines with the number of their first, and where each ends."""
    with open(file.path, "rb") as source:
        for _ in range(file.header_line):
            digest.update(source.readline())
        left, line, end = b"", file.header_line + 1, source.tell()
        if after != START:
            line, end = _skipped(source, after, digest=digest), after[0] + after[1]
        while True:
            fresh = source.read(size)
            if not left and b'"' not in fresh:  # a line ends where the text does
                fresh += source.readline()
            digest.update(fresh)
            text = left + fresh if left else fresh
            if not fresh:
                if INK.search(text):
                    yield text, line, end + len(text)
                return
            cut = len(text) if text.endswith(b"\n") and b'"' not in text else _last_line(text)
            if not cut and len(text) > LONGEST * size:
                raise DataError(
                    f"{file.name} line {line}: no line ends outside of quotes within {len(text) >> 20} MB from here; "
                    'look for a quote (") that is never closed'
                )
            end += cut
            part, left = (text, b"") if cut == len(text) else (text[:cut], text[cut:])
            if INK.search(part):
                yield part, line, end
            line += line_ends(part)


def _skipped(source: Any, after: Mark, *, digest: Any) -> int:
    """Go on behind that piece, of which the digest still needs the bytes; the number of the next line."""
    while source.tell() < after[0]:
        digest.update(source.read(min(PIECE, after[0] - source.tell())))
    last = source.read(after[1])
    digest.update(last)
    return after[2] + line_ends(last)


def _last_line(text: bytes) -> int:
    """Where the last line ends that ends outside of quotes; 0 where none does."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    signs = np.frombuffer(text, np.uint8)
    inside = np.bitwise_xor.accumulate(signs == QUOTE)
    ends = np.flatnonzero((signs == LINE) & ~inside)
    return int(ends[-1]) + 1 if len(ends) else 0


@dataclass(frozen=True)
class RowPieces:
    """Those of a file whose rows have numbers: `some(first, last, names)` reads `size` of its `rows` at a time."""

    path: str
    some: Callable[[int, int, Sequence[str]], Table]
    rows: int
    size: int

    def __call__(self, names: Sequence[str], after: Mark = START) -> tuple[Generator[Piece], Callable[[], str]]:
        """Some rows after the other, while the fingerprint is taken beside."""
        fingerprint = Fingerprint(self.path)
        whole = os.path.getsize(self.path)

        def numbered(first: int) -> Piece:
            last = min(first + self.size, self.rows)
            mark = (first, last, 0)
            return Piece(self.read(mark, names), whole * last // self.rows, mark)

        def pieces() -> Generator[Piece]:
            fingerprint.start()
            try:
                with closing(ahead(numbered, range(after[1], self.rows, self.size))) as found:
                    yield from found
            except BaseException:
                fingerprint.stop()
                raise

        return pieces(), fingerprint

    def read(self, mark: Mark, names: Sequence[str]) -> Table:
        """Those rows once more."""
        return replace(self.some(mark[0], mark[1], names), place=self.places(mark))

    def places(self, mark: Mark, *_: object) -> Callable[[int], str]:
        """Their numbers."""
        return partial(_number, mark[0])

    def about_rows(self) -> float:
        """How many rows the file has."""
        return float(self.rows)
