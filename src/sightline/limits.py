"""What the machine has room for."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["larger_memory", "memory_limit"]

SHARE = 0.5  # of the memory of the machine that rows may take without being asked


def larger_memory(*, cached: bool) -> str:
    """How rows that are read piece by piece are read at once.

    >>> larger_memory(cached=True)
    'give a larger --memory without --cache'
    """
    return "give a larger --memory" + " without --cache" * cached


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
