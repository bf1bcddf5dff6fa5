"""From a file that is larger than memory to rows on the disk: what `prepare` does, with one pass over the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from .data.compact import MOST_INDICATORS
from .data.design import Design
from .data.formula import Formula, parse
from .data.sources import Source
from .data.split import held_out
from .data.stored import StoredTable
from .data.storing import Store, Wanted
from .data.unchanged import check_unchanged
from .errors import DataError
from .filed import Filed, Passes
from .limits import memory_limit
from .numbers_folder import KeptFolder, TemporaryFolder, opened
from .prepared import Prepared
from .rows import Rows
from .settings import RunSettings

__all__ = [
    "Heard", "is_too_large", "memory_limit", "most_numbers", "prepare_by_pieces",
    "rows_again", "rows_of_file",
]  # fmt: skip

Heard = Callable[[int, int, int], object]  # rows and bytes that are behind, and all bytes
COPIES = 4  # of the numbers, which reading a file at once and training on it take
AGAIN = "read again for each pass"
LEAST = 200_000_000  # bytes that pieces take, whatever the size of the file


def is_too_large(source: Source, columns: int, memory: int | None) -> bool:
    """Whether these columns of a file take more than `memory` bytes, or than half of the machine's."""
    if source.pieces is None or source.path is None:
        return False
    size = source.about_rows() * columns * 8 * COPIES
    return size > (memory_limit() if memory is None else memory)


def most_numbers(settings: RunSettings) -> float:
    """Numbers of a design in memory that are still made one by one where most of them are indicators."""
    return MOST_INDICATORS if settings.memory is None else settings.memory / (8 * COPIES)


def prepare_by_pieces(source: Source, parsed: Formula, settings: RunSettings, heard: Heard | None = None) -> Prepared:
    """The rows of a source that is read piece by piece."""
    extra = (settings.weights, settings.cluster)
    filed = _filed(source, parsed, extra, cache=settings.cache, heard=heard)
    if settings.memory is not None and settings.memory < LEAST:
        note = f"pieces take {LEAST / 1e6:.0f} MB and more, which is more than --memory says"
        filed = replace(filed, reading=f"{filed.reading}; {note}")
    return filed.prepared(settings)


def rows_again(source: Source, design: Design, settings: RunSettings, fingerprint: object) -> Rows | None:
    """The rows that a design was learned from, read piece by piece; None where the file is another one by now."""
    filed = _filed(
        source, parse(design.formula, source.columns), (design.weights, design.cluster), cache=settings.cache
    )
    if filed.table.fingerprint != fingerprint:
        return None
    if isinstance(settings.validation, float):
        filed = filed.of(~held_out(filed.table.rows, settings.validation, seed=settings.seed))
    return filed.by(design)


def rows_of_file(source: Source, design: Design) -> Rows:
    """The rows of another file by a design that is known, read piece by piece."""
    return _filed(source, parse(design.formula, source.columns), (design.weights, None)).by(design)


def _filed(
    source: Source, parsed: Formula, extra: tuple[str | None, str | None], *, cache: str | None = None,
    heard: Heard | None = None,
) -> Filed:  # fmt: skip
    """The columns of a formula, and of weights and clusters, read once into files."""
    assert source.path is not None
    assert source.pieces is not None
    path, before, (weights, cluster) = source.path, os.stat(source.path), extra
    names = tuple(dict.fromkeys([*parsed.columns, *(name for name in (weights, cluster) if name)]))
    wanted = Wanted(names, tuple(parsed.columns), weights, _coded(parsed))
    kept, note = opened(cache, path, before, wanted)
    try:
        store = Store(
            source.name, source.pieces, wanted, kept.path, partial(check_unchanged, path, source.name, before)
        )
        table, said = _stored(store, kept, lambda rows, end: heard and heard(rows, end, source.size))
    except DataError:  # of a file that was cut off meanwhile, that is what is said
        check_unchanged(path, source.name, before)
        raise
    check_unchanged(path, source.name, before)
    told = heard if isinstance(heard, Passes) else None
    table = table if told is None else replace(table, heard=told.passed)
    return Filed(source, parsed, table, weights, kept, note or said, not said.startswith(AGAIN), told)


def _stored(
    store: Store, kept: TemporaryFolder | KeptFolder, heard: Callable[[int, int], object]
) -> tuple[StoredTable, str]:
    """The numbers of the file in that folder, and how they came there."""
    before = store.read
    try:
        table = store.fill(heard)
    except KeyboardInterrupt as stopped:
        read = f"stopped after {store.read:,} rows of {store.source}"
        if not isinstance(kept, KeptFolder):
            read += "; with --cache DIR the same command would go on from there"
        elif not store.full:
            read += f", which are kept in {kept.path}: the same command goes on from there"
        raise type(stopped)(read) from None
    finally:
        if isinstance(kept, KeptFolder):
            kept.release()
    if store.full:
        return table, f"{AGAIN}, as {kept.path} has no room for its numbers ({store.full})"
    if before:
        return table, f"{'all' if before == store.read else f'{before:,} rows'} of it from {kept.path}"
    return table, "read piece by piece"


def _coded(formula: Formula) -> frozenset[str]:
    """The columns whose numbers may be labels."""
    assert formula.response is not None
    factors = [factor for term in formula.terms for factor in term]
    names = (name for factor in factors if factor.function == "C" for name in factor.columns)
    return frozenset((*formula.response.columns, *names))
