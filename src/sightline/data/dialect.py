"""How a text file is written: its encoding, delimiter, quotes and rows, found without guessing types."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NoReturn

from ..errors import DataError, shown

__all__ = ["find_delimiter", "first_rows", "is_blank", "records", "refuse_bytes", "sample", "scan_quotes"]

SAMPLE, LONGEST_HEADER = 1 << 16, 1 << 24


def sample(path: str, name: str) -> tuple[str, bool]:
    """The first 64 KiB, or more until a row follows the header; and whether that is the whole file."""
    size = SAMPLE
    while True:
        with open(path, "rb") as file:
            data, whole = file.read(size), not file.read(1)
        try:
            text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, whole)
        except UnicodeDecodeError:
            refuse_bytes(path, name)
        if "\0" in text:
            refuse_bytes(path, name)
        if whole or size >= LONGEST_HEADER or len(first_rows(text, ",", 3)) == 3:
            return text, whole
        size *= 4


def find_delimiter(text: str, whole: bool, choices: str) -> str:
    """The character that cuts the most of the first rows into as many fields as the header, and no quoted cell."""
    scores = {}
    for delimiter in choices:
        rows = [row for _, row in first_rows(text, delimiter) if not is_blank(row)] or [[]]
        rows = rows if whole or len(rows) < 2 else rows[:-1]
        even = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        scores[delimiter] = (len(rows[0]) > 1, even, -sum('"' in cell for row in rows for cell in row))
    return max(scores, key=lambda delimiter: scores[delimiter])


def first_rows(text: str, delimiter: str, count: int = 50) -> list[tuple[int, list[str]]]:
    return list(islice(records(io.StringIO(text, newline=""), delimiter), count))


def records(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
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


def is_blank(row: list[str]) -> bool:
    return len(row) == 1 and not row[0].strip(" ")


def scan_quotes(path: str, name: str, lines_before: int = 0) -> tuple[bool, bool]:
    """Whether there are quotes, and whether one may be open at the end: DuckDB drops that row without a word.

    It also lets NUL pass, and what is not UTF-8 in columns that are not read; both are refused here.
    """
    decoder, count, last, read = codecs.getincrementaldecoder("utf-8")(), 0, 0, 0
    with open(path, "rb") as file:
        try:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
                if 0 in chunk:
                    refuse_bytes(path, name, lines_before)
                if found := chunk.count(b'"'):
                    count, last = count + found, read + chunk.rfind(b'"')
                read += len(chunk)
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            refuse_bytes(path, name, lines_before)
        file.seek(max(0, last - 1))
        closed = re.match(rb'[^",;|\s]"([,;|\s]|$)', file.read(3))
    return count > 0, count % 2 > 0 or (count > 0 and not closed)


def refuse_bytes(path: str, name: str, lines_before: int = 0) -> NoReturn:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1 + lines_before):
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
