"""From a file that is larger than memory to rows on the disk: what `prepare` does, with one pass over the file."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .data.basis import Basis
from .data.design import Design
from .data.formula import Formula
from .data.sources import Source
from .data.stored import store
from .data.target import class_labels
from .data.transforms import Numeric
from .data.usable import refuse_decimal_commas
from .errors import DataError, UsageError, shown
from .prepared import Prepared
from .settings import RunSettings
from .streaming import clusters_of, learn, rows_of

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


class _Folder:
    """A temporary folder that goes when this object goes."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sightline-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def prepare_by_pieces(source: Source, parsed: Formula, settings: RunSettings, heard: Heard | None = None) -> Prepared:
    """The rows of a source that is read piece by piece."""
    _refuse_settings(source, settings)
    assert source.pieces is not None
    assert source.path is not None
    names = tuple(dict.fromkeys([*parsed.columns, *(name for name in (settings.weights, settings.cluster) if name)]))
    holder, path, before = _Folder(), source.path, os.stat(source.path)
    folder = holder.path

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
    learned = learn(table, parsed, settings.weights)
    for name in parsed.columns:
        refuse_decimal_commas(learned.sample, name)
    assert parsed.response is not None
    classes, loss = class_labels(parsed.response, learned.sample, settings.loss)
    design = Design.learn(parsed, learned.sample, standardize=settings.standardize, classes=classes)
    _refuse_factors(source, design)
    design, rows = rows_of(learned, replace(design, weights=settings.weights), folder)
    rows = replace(rows, place=_Kept(rows.place, holder))
    if settings.cluster:
        codes, labels = clusters_of(learned, settings.cluster)
        design, rows = replace(design, cluster=settings.cluster), replace(rows, cluster=codes, clusters=labels)
    return Prepared(
        design, rows, learned.missing, source.name, source.label or source.name, len(parsed.columns), path,
        table.fingerprint, learned.sample, learned.zero_weight, loss, None, pieces=True,
    )  # fmt: skip


@dataclass(frozen=True)
class _Kept:
    """Says where a row stands, and keeps the folder of the rows while they are there."""

    place: Callable[[int], str]
    holder: object

    def __call__(self, row: int) -> str:
        return self.place(row)


def _refuse_settings(source: Source, settings: RunSettings) -> None:
    if settings.validation is not None:
        raise UsageError(
            f"--validation needs all rows at once, and {source.name} is read piece by piece: leave it out, or give a "
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


def _check_unchanged(path: str, name: str, before: os.stat_result) -> None:
    """Refuse rows of a file that was another one when its last piece was read."""
    try:
        after = os.stat(path)
    except OSError:
        raise DataError(f"{name} is gone since its reading began: put it back, and start again") from None
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise DataError(f"{name} has changed while it was read: start again when nothing writes to it any more")
