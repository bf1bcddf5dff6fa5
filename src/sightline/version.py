"""The version, in the one place that packaging and run folders read."""

from __future__ import annotations

__all__ = ["versions"]

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """What a run was made with, as run.json tells it."""
    import platform

    import numpy as np
    import torch

    return {
        "sightline": __version__, "torch": torch.__version__, "numpy": np.__version__,
        "python": platform.python_version(),
    }  # fmt: skip
