"""A file piece by piece, each read as a table of its own: text cut at the ends of lines, others by numbers of rows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import DataError
from ..rows import row_number
from .table import Table
from .text_files import Scratch, TextFile

__all__ = ["Piece", "Pieces", "pieces_of_rows", "pieces_of_text", "text_pieces"]

PIECE = 2**24  # bytes of text at a time
LONGEST = 16  # times as many at most, until a line ends outside of quotes
QUOTE, LINE = 34, 10


@dataclass(frozen=True)
class Piece:
    """Some rows of a file that come one after the other, and how many bytes of it are behind the last of them."""

    table: Table
    end: int


Pieces = Callable[[Sequence[str]], tuple[Generator[Piece], Callable[[], str]]]


def text_pieces(file: TextFile, original: str) -> tuple[Pieces, Callable[[], float]]:
    """A text file piece by piece, and about how many rows it has."""

    def pieces(names: Sequence[str]) -> tuple[Generator[Piece], Callable[[], str]]:
        digest = hashlib.sha256()

        def fingerprint() -> str:
            if original == file.path:
                return digest.hexdigest()
            with open(original, "rb") as packed:
                return hashlib.file_digest(packed, "sha256").hexdigest()

        return pieces_of_text(file, names, digest=digest), fingerprint

    def rows() -> float:
        with open(file.path, "rb") as source:
            sample = source.read(1 << 16)
        return os.path.getsize(file.path) * (sample.count(b"\n") / max(len(sample), 1))

    return pieces, rows


def pieces_of_text(
    file: TextFile, names: Sequence[str], *, digest: Any, size: int = PIECE, threads: int = 2
) -> Generator[Piece]:
    """The named columns of a text file, in order; `digest` takes up all of its bytes.

    A few pieces at a time are read, each by the same code as a whole file, so values and messages are the same.
    """

    def read(part: bytes, line: int, start: int) -> Table:
        table = _file_of(file, part, line).read(names)
        return replace(table, place=_place(file, part, line, start, table.rows))

    parts = _cut(file, digest=digest, size=size)
    with ThreadPoolExecutor(threads) as pool:
        for table, end in _in_order(
            pool, threads + 1, ((read, part, line, end - len(part), end) for part, line, end in parts)
        ):
            yield Piece(table, end)


def _file_of(file: TextFile, part: bytes, line: int) -> TextFile:
    """These lines of it as a file of their own, the first of which is on that line."""
    scratch = Scratch()
    with open(scratch.path, "wb") as copy:
        copy.write((file.delimiter.join(f"c{i}" for i in range(len(file.columns))) + "\n").encode())
        copy.write(part)
    plain = b"_" not in part and b"+-" not in part
    return replace(
        file, path=scratch.path, header_line=1, header_alone=True, kept=scratch, lines_before=line - 2, plain=plain
    )


def _place(file: TextFile, part: bytes, line: int, start: int, rows: int) -> Callable[[int], str]:
    """Where a row of this piece stands: counted where every line is a row, else by reading the piece once more."""
    if part.count(b"\n") + (not part.endswith(b"\n")) == rows:
        return lambda row: f"line {line + row}"
    return partial(_look_up, file, start, len(part), line)


def _look_up(file: TextFile, start: int, size: int, line: int, row: int) -> str:
    with open(file.path, "rb") as source:
        source.seek(start)
        return _file_of(file, source.read(size), line).place(row)


def _in_order(pool: ThreadPoolExecutor, most: int, work: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Table, int]]:
    """What comes out of it, in its order, of which `most` are under way at a time."""
    waiting: list[tuple[Future[Table], int]] = []
    for call, *given, end in work:
        waiting.append((pool.submit(call, *given), end))
        if len(waiting) == most:
            future, reached = waiting.pop(0)
            yield future.result(), reached
    for future, reached in waiting:
        yield future.result(), reached


def _cut(file: TextFile, *, digest: Any, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Pieces of whole lines with the number of their first, and where each ends."""
    with open(file.path, "rb") as source:
        for _ in range(file.header_line):
            digest.update(source.readline())
        left, line, end = b"", file.header_line + 1, source.tell()
        while True:
            fresh = source.read(size)
            digest.update(fresh)
            text = left + fresh
            if not fresh:
                if text.strip():
                    yield text, line, end
                return
            cut = _last_line(text)
            if not cut and len(text) > LONGEST * size:
                raise DataError(
                    f"{file.name} line {line}: no line ends outside of quotes within {len(text) >> 20} MB from here; "
                    'look for a quote (") that is never closed'
                )
            end += cut
            left = text[cut:]
            if text[:cut].strip():
                yield text[:cut], line, end
            line += text.count(b"\n", 0, cut)


def _last_line(text: bytes) -> int:
    """Where the last line ends that ends outside of quotes; 0 where none does."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    signs = np.frombuffer(text, np.uint8)
    inside = np.bitwise_xor.accumulate(signs == QUOTE)
    ends = np.flatnonzero((signs == LINE) & ~inside)
    return int(ends[-1]) + 1 if len(ends) else 0


def pieces_of_rows(
    read: Callable[[int, int, Sequence[str]], Table], names: Sequence[str], *, rows: int, bytes_in_all: int, size: int,
    threads: int = 2,
) -> Generator[Piece]:  # fmt: skip
    """The same of a file whose rows have numbers: `read(first, last, names)` reads some of them."""

    def numbered(first: int, last: int) -> Table:
        return replace(read(first, last, names), place=partial(_numbered, first))

    ends = ((first, min(first + size, rows)) for first in range(0, rows, size))
    work = ((numbered, first, last, bytes_in_all * last // rows) for first, last in ends)
    with ThreadPoolExecutor(threads) as pool:
        for table, end in _in_order(pool, threads + 1, work):
            yield Piece(table, end)


def _numbered(first: int, row: int) -> str:
    return row_number(first + row)
