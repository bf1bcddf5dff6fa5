"""What the reader should know and what does not stop the training."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from ...errors import LoopWarning
from ...records import Warning

__all__ = ["warn"]

HERE = str(Path(__file__).resolve().parents[2])


def warn(note: Warning) -> None:
    """As a warning of Python that points at the line which called sightline."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{note.text} ({note.code})", LoopWarning, stacklevel=level)
