"""An array in a file of which parts are read into memory one at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DiskArray", "Numbers", "changeable", "disk_array", "read_into", "written"]


def read_into(path: Path, found: NDArray[Any], offset: int) -> None:
    """Fill the array from a file, from that byte on; OSError where the file ends before."""
    if not found.size:
        return
    rest = found.data.cast("B")
    with open(path, "rb", buffering=0) as source:
        source.seek(offset)
        while rest:
            count = source.readinto(rest)
            if not count:
                raise OSError(errno.EIO, "the file is shorter than what was written to it", str(path))
            rest = rest[count:]


class DiskArray(np.memmap[Any, Any]):
    """A memory map whose slices of rows are copies: what is read is given back as soon as it is done with, so passes by
    blocks of rows take no more memory than the blocks. Everything else is what it is for any array.
    """

    whole: bool = False

    def __getitem__(self, index: Any) -> Any:
        """A slice of neighboring rows as an array of its own; else as numpy has it."""
        if self.whole and isinstance(index, tuple) and index == (slice(None), None) and self.ndim == 1:
            return disk_array(Path(str(self.filename)), self.dtype, (len(self), 1), changeable=self.mode == "c")
        if not (self.whole and isinstance(index, slice) and index.step in (None, 1)):
            return super().__getitem__(index)
        first, last, _ = index.indices(len(self))
        found: NDArray[Any] = np.empty((max(0, last - first), *self.shape[1:]), self.dtype)
        read_into(Path(str(self.filename)), found.reshape(-1), self.offset + first * self.strides[0])
        return found


def disk_array(path: Path, dtype: Any, shape: tuple[int, ...], *, changeable: bool = False) -> DiskArray:
    """The array that such a file holds; in one that is `changeable` changes stay in memory, for which the system may
    set as much of it aside.
    """
    if not np.prod(shape):
        return np.empty(shape, dtype).view(DiskArray)
    found = DiskArray(path, dtype, mode="c" if changeable else "r", shape=shape)
    found.whole = True
    return found


def written(blocks: Iterable[NDArray[Any]], path: Path, dtype: Any, shape: tuple[int, ...]) -> DiskArray:
    """The rows of these blocks one after the other in such a file, in another dtype; changeable."""
    with open(path, "wb") as file, np.errstate(over="ignore"):  # infinite there it is in memory too
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).data)
    return disk_array(path, dtype, shape, changeable=True)


def changeable(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in an array that may be written to, as tensors are taken to be."""
    if not isinstance(values, DiskArray) or values.flags.writeable:
        return values
    return disk_array(Path(str(values.filename)), values.dtype, values.shape, changeable=True)


class Numbers:
    """Numbers that come one block after the other: in a file, or in memory where the disk has no room for them."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._held: list[NDArray[np.float64]] | None = None

    def take_up(self, count: int) -> bool:
        """Take what is in the file, where it holds so many."""
        there = self.path.exists() and self.path.stat().st_size == count * np.dtype(np.float64).itemsize
        self.count = count if there else 0
        return there

    def add(self, values: NDArray[np.float64]) -> None:
        """Behind what is there."""
        self.count += len(values)
        if self._held is None:
            try:
                with open(self.path, "ab") as file:
                    file.write(np.ascontiguousarray(values).data)
                return
            except OSError:
                written = self.count - len(values)
                self._held = [np.fromfile(self.path, np.float64, written)] if written else []
                self.path.unlink(missing_ok=True)
        self._held.append(values)

    @property
    def in_memory(self) -> bool:
        """Whether the disk had no room for them."""
        return self._held is not None

    def array(self) -> NDArray[np.float64]:
        """All of them."""
        return disk_array(self.path, np.float64, (self.count,)) if self._held is None else np.concatenate(self._held)
