"""From a file that is larger than memory to rows on the disk: what `prepare` does, with one pass over the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .data.basis import Basis
from .data.design import Design
from .data.formula import Formula
from .data.sources import Source
from .data.stored import StoredTable
from .data.storing import Store, Wanted
from .data.target import class_labels
from .data.transforms import Numeric
from .data.unchanged import check_unchanged
from .data.usable import refuse_decimal_commas, refuse_empty, refuse_few, refuse_no_weight
from .errors import DataError, UsageError, shown
from .numbers_folder import KeptFolder, TemporaryFolder, opened
from .prepared import Prepared
from .settings import RunSettings
from .streaming import rows_of, sample_of

__all__ = ["Heard", "is_too_large", "memory_limit", "prepare_by_pieces"]

Heard = Callable[[int, int, int], object]  # rows and bytes that are behind, and all bytes
COPIES = 4  # of the numbers, which reading a file at once and training on it take
SHARE = 0.5  # of the memory of the machine that rows may take without being asked


def memory_limit() -> float:
    """Bytes that the rows of a fit may take: half of what the machine, or the container, has."""
    try:
        whole = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            whole = min(whole, float(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return SHARE * whole


def is_too_large(source: Source, columns: int, memory: int | None) -> bool:
    """Whether these columns of a file take more than `memory` bytes, or than half of the machine's."""
    if source.pieces is None or source.path is None:
        return False
    size = source.about_rows() * columns * 8 * COPIES
    return size > (memory_limit() if memory is None else memory)


def prepare_by_pieces(source: Source, parsed: Formula, settings: RunSettings, heard: Heard | None = None) -> Prepared:
    """The rows of a source that is read piece by piece, for least squares."""
    _refuse_settings(source, settings)
    assert source.path is not None
    path, before = source.path, os.stat(source.path)
    names = tuple(dict.fromkeys([*parsed.columns, *([settings.weights] if settings.weights else [])]))
    wanted = Wanted(names, tuple(parsed.columns), settings.weights, _coded(parsed))
    kept, note = opened(settings.cache, path, before, wanted)
    try:
        table, said = _stored(source, wanted, kept, lambda rows, end: heard and heard(rows, end, before.st_size))
    except DataError:  # of a file that was cut off meanwhile, that is what is said
        check_unchanged(path, source.name, before)
        raise
    check_unchanged(path, source.name, before)
    _refuse_useless(table, settings.weights)
    sample = sample_of(table)
    for name in parsed.columns:
        refuse_decimal_commas(sample, name)
    assert parsed.response is not None
    classes, loss = class_labels(parsed.response, sample, settings.loss)
    if classes or loss != "mse":
        raise UsageError(
            f"{source.name} is read piece by piece, which is for least squares, and the loss is {loss}: "
            "give a larger --memory to read it at once"
        )
    design = Design.learn(parsed, sample, standardize=settings.standardize)
    _refuse_factors(source, design)
    own = TemporaryFolder()
    design, rows = rows_of(table, replace(design, weights=settings.weights), own.path)
    rows = replace(rows, place=_Kept(rows.place, (own, kept)))
    return Prepared(
        design, rows, table.missing, source.name, source.label or source.name, len(parsed.columns), path,
        table.fingerprint, sample, table.zero_weight, loss, None, pieces=True, reading=note or said,
    )  # fmt: skip


def _stored(
    source: Source, wanted: Wanted, kept: TemporaryFolder | KeptFolder, heard: Callable[[int, int], object]
) -> tuple[StoredTable, str]:
    """The numbers of the file in that folder, and how they came there."""
    assert source.pieces is not None
    store = Store(source.name, source.pieces, wanted, kept.path)
    before = store.read
    try:
        table = store.fill(heard)
    except KeyboardInterrupt:
        if isinstance(kept, KeptFolder) and not store.full:
            raise KeyboardInterrupt(
                f"stopped after {store.read:,} rows of {source.name}, which are kept in {kept.path}: the same command "
                "goes on from there"
            ) from None
        raise
    finally:
        if isinstance(kept, KeptFolder):
            kept.release()
    if store.full:
        return table, f"read again for each pass, as {kept.path} has no room for its numbers ({store.full})"
    if before:
        return table, f"{'all' if before == store.read else f'{before:,} rows'} of it from {kept.path}"
    return table, "read piece by piece"


def _coded(formula: Formula) -> frozenset[str]:
    """The columns whose numbers may be labels."""
    assert formula.response is not None
    factors = [factor for term in formula.terms for factor in term]
    names = (name for factor in factors if factor.function == "C" for name in factor.columns)
    return frozenset((*formula.response.columns, *names))


def _refuse_useless(table: StoredTable, weights: str | None) -> None:
    """Rows of which none, or one, is of use."""
    refuse_empty(table.source, table.rows + table.missing.rows + table.zero_weight, table.missing)
    if weights and not table.rows:
        raise refuse_no_weight(table.source, weights)
    refuse_few(table.source, table.rows, table.missing.rows, table.zero_weight)


@dataclass(frozen=True)
class _Kept:
    """Says where a row stands, and keeps the folder of the rows while they are there."""

    place: Callable[[int], str]
    holder: object

    def __call__(self, row: int) -> str:
        return self.place(row)


def _refuse_settings(source: Source, settings: RunSettings) -> None:
    asked = {
        "--robust": settings.robust, "--cluster": settings.cluster, "--validation": settings.validation,
        "--class-weight": settings.class_weight, "--l1": settings.l1,
    }  # fmt: skip
    for option, value in asked.items():
        if value is not None:
            raise UsageError(
                f"{option} needs all rows at once, and {source.name} is read piece by piece: leave it out, or give a "
                "larger --memory"
            )


def _refuse_factors(source: Source, design: Design) -> None:
    """Functions that learn from all values of a column."""
    for factor in design.encoding.factors:
        if isinstance(factor, Basis) or (isinstance(factor, Numeric) and factor.learned):
            raise UsageError(
                f"{shown(factor.text, quote=False)} learns from all rows at once, and {source.name} is read piece by "
                "piece: give a larger --memory, or a column that needs no learning"
            )
