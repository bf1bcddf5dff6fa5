"""sightline: train models in PyTorch in plain sight.

See every step, know how far you are from the answer, and get there at the speed of the hardware. Importing this module
loads neither torch nor matplotlib; the public names load what they need when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

__all__ = [
    "Coefficient",
    "DataError",
    "Epoch",
    "FormulaError",
    "Run",
    "RunError",
    "SightlineError",
    "Stop",
    "UsageError",
    "Verdict",
    "fit",
    "load",
    "solve",
    "stop_when",
    "train",
]

_HOME = {
    "Coefficient": "records",
    "DataError": "errors",
    "Epoch": "records",
    "FormulaError": "errors",
    "Run": "run",
    "RunError": "errors",
    "SightlineError": "errors",
    "Stop": "records",
    "UsageError": "errors",
    "Verdict": "records",
    "fit": "api",
    "load": "run",
    "solve": "api",
    "stop_when": "stopping",
    "train": "api",
}

if TYPE_CHECKING:
    from .api import fit, solve, train
    from .errors import DataError, FormulaError, RunError, SightlineError, UsageError
    from .records import Coefficient, Epoch, Stop, Verdict
    from .run import Run, load
    from .stopping import stop_when


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
