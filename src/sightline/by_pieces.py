"""From a file that is larger than memory to rows on the disk: what `prepare` does, with one pass over the file."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.basis import Basis
from .data.design import Design
from .data.formula import Formula, parse
from .data.sources import Source
from .data.split import held_out
from .data.stored import StoredTable, store
from .data.table import Table
from .data.target import class_labels
from .data.transforms import Numeric
from .data.usable import refuse_decimal_commas
from .errors import DataError, UsageError, shown
from .prepared import Prepared
from .rows import Rows
from .settings import RunSettings
from .streaming import Learned, clusters_of, labels_by, learn, rows_by, rows_of
from .weighting import with_class_weight

__all__ = ["Heard", "is_too_large", "memory_limit", "prepare_by_pieces", "rows_again", "rows_of_file"]

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


class _Folder:
    """A temporary folder that goes when this object goes."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sightline-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def prepare_by_pieces(source: Source, parsed: Formula, settings: RunSettings, heard: Heard | None = None) -> Prepared:
    """The rows of a source that is read piece by piece."""
    names = tuple(dict.fromkeys([*parsed.columns, *(name for name in (settings.weights, settings.cluster) if name)]))
    holder = _Folder()
    return _InFiles(source, parsed, _stored(source, names, holder.path, heard), holder, settings.weights).prepared(
        settings
    )


@dataclass(frozen=True)
class _InFiles:
    """A source whose columns have been read into files; only the `chosen` rows of those of use are meant, where they
    are given.
    """

    source: Source
    parsed: Formula
    table: StoredTable
    holder: _Folder
    weights: str | None
    chosen: NDArray[np.bool_] | None = None

    @cached_property
    def learned(self) -> Learned:
        """What a look at all of them tells."""
        return learn(self.table, self.parsed, self.weights, self.chosen)

    def of(self, chosen: NDArray[np.bool_]) -> _InFiles:
        """Those of them that are chosen, `(n,)`."""
        if self.chosen is None:
            return replace(self, chosen=chosen)
        mask = self.chosen.copy()
        mask[mask] = chosen
        return replace(self, chosen=mask)

    def tables(self) -> Iterator[Table]:
        """The rows as tables, some at a time."""
        parts = (self.learned.used(first, last) for first, last in self.table.blocks())
        return (part for part in parts if part.rows)

    def labels(self, column: str) -> tuple[NDArray[Any], tuple[str, ...]]:
        """The place of each row's label among those of a column, `(n,)`; and the labels, in sorted order."""
        return labels_by(self.learned, column)

    def prepared(self, settings: RunSettings) -> Prepared:
        """Ready to be trained on, with a design that is learned from them."""
        if not isinstance(settings.validation, float):
            return self._prepared(settings, None)
        held = held_out(self.learned.kept, settings.validation, seed=settings.seed)
        return self.of(~held)._prepared(settings, self.of(held).learned)

    def _prepared(self, settings: RunSettings, held: Learned | None) -> Prepared:
        learned, source, folder = self.learned, self.source, _Folder()
        for name in self.parsed.columns:
            refuse_decimal_commas(learned.sample, name)
        assert self.parsed.response is not None
        classes, loss = class_labels(self.parsed.response, learned.sample, settings.loss)
        design = Design.learn(self.parsed, learned.sample, standardize=settings.standardize, classes=classes)
        _refuse_factors(source, design)
        design, rows = rows_of(learned, replace(design, weights=settings.weights), folder.path)
        if settings.cluster:
            codes, labels = clusters_of(learned, settings.cluster)
            design, rows = replace(design, cluster=settings.cluster), replace(rows, cluster=codes, clusters=labels)
        if settings.class_weight is not None:
            design, rows = with_class_weight(design, rows, settings.class_weight)
        kept = (self.holder, folder)
        valid = None if held is None else _kept(rows_by(held, design, folder.path), kept)
        return Prepared(
            design, _kept(rows, kept), learned.missing, source.name, source.label or source.name,
            len(self.parsed.columns), source.path, self.table.fingerprint, learned.sample, learned.zero_weight, loss,
            valid, pieces=True, stored=self,
        )  # fmt: skip


def rows_again(source: Source, design: Design, settings: RunSettings, fingerprint: object) -> Rows | None:
    """The rows that a design was learned from, read piece by piece; None where the file is another one by now."""
    holder = _Folder()
    table = _stored(source, design.training_columns, holder.path, None)
    if table.fingerprint != fingerprint:
        return None
    files = _InFiles(source, parse(design.formula, source.columns), table, holder, design.weights)
    if isinstance(settings.validation, float):
        files = files.of(~held_out(files.learned.kept, settings.validation, seed=settings.seed))
    rows = rows_by(files.learned, design, holder.path)
    if design.cluster is not None:
        codes, labels = clusters_of(files.learned, design.cluster)
        rows = replace(rows, cluster=codes, clusters=labels)
    return _kept(rows, holder)


def rows_of_file(source: Source, design: Design) -> Rows:
    """The rows of another file by a design that is known, read piece by piece."""
    holder = _Folder()
    table = _stored(source, design.training_columns, holder.path, None)
    learned = learn(table, parse(design.formula, source.columns), design.weights)
    return _kept(rows_by(learned, design, holder.path), holder)


def _stored(source: Source, names: Sequence[str], folder: Path, heard: Heard | None) -> StoredTable:
    """The columns of a source, read once into files of a folder."""
    assert source.pieces is not None
    assert source.path is not None
    path, before = source.path, os.stat(source.path)

    def progress(rows: int, end: int) -> None:
        if heard is not None:
            heard(rows, end, before.st_size)

    pieces, fingerprint = source.pieces(names)
    try:
        table = store(source.name, names, pieces, folder, fingerprint=fingerprint, heard=progress)
    except OSError as error:
        free = shutil.disk_usage(folder).free / 1e9
        raise DataError(
            f"the numbers of {source.name} cannot be written to {folder} ({error.strerror}), where {free:.1f} GB are "
            "free: make room there, or let TMPDIR name another folder"
        ) from None
    except DataError:  # of a file that was cut off meanwhile, that is what is said
        _check_unchanged(path, source.name, before)
        raise
    _check_unchanged(path, source.name, before)
    return table


def _kept(rows: Rows, holder: object) -> Rows:
    """The rows, whose folder goes when they go."""
    return replace(rows, place=_Kept(rows.place, holder))


@dataclass(frozen=True)
class _Kept:
    """Says where a row stands, and keeps the folder of the rows while they are there."""

    place: Callable[[int], str]
    holder: object

    def __call__(self, row: int) -> str:
        return self.place(row)


def _refuse_factors(source: Source, design: Design) -> None:
    """Functions that learn from all values of a column."""
    for factor in design.encoding.factors:
        if isinstance(factor, Basis) or (isinstance(factor, Numeric) and factor.learned):
            raise UsageError(
                f"{shown(factor.text, quote=False)} learns from all rows at once, and {source.name} is read piece by "
                "piece: give a larger --memory, or a column that needs no learning"
            )


def _check_unchanged(path: str, name: str, before: os.stat_result) -> None:
    """Refuse rows of a file that was another one when its last piece was read."""
    try:
        after = os.stat(path)
    except OSError:
        raise DataError(f"{name} is gone since its reading began: put it back, and start again") from None
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise DataError(f"{name} has changed while it was read: start again when nothing writes to it any more")
