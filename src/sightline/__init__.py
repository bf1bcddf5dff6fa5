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
    "anova",
    "assumptions",
    "conditioning",
    "cross_validate",
    "eject",
    "fit",
    "fit_module",
    "influence",
    "jump",
    "k_fold",
    "k_fold_module",
    "least_squares",
    "load",
    "load_module",
    "lr_range_test",
    "nested_test",
    "residuals",
    "resume",
    "solve",
    "stop_when",
    "sweep",
    "top_curvature",
    "train",
    "vif",
    "wald_test",
    "watch",
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
    "anova": "comparisons",
    "assumptions": "analysis",
    "conditioning": "analysis",
    "cross_validate": "analysis",
    "eject": "ejection",
    "fit": "api",
    "fit_module": "modules.fit",
    "influence": "analysis",
    "jump": "jumping",
    "k_fold": "folding",
    "k_fold_module": "modules.folds",
    "least_squares": "arrays",
    "load": "run",
    "load_module": "modules.run",
    "lr_range_test": "rate_tests",
    "nested_test": "comparisons",
    "residuals": "analysis",
    "resume": "resuming",
    "solve": "solving",
    "stop_when": "stopping",
    "sweep": "sweeper",
    "top_curvature": "rate_tests",
    "train": "api",
    "vif": "analysis",
    "wald_test": "comparisons",
    "watch": "views.watching",
}

if TYPE_CHECKING:
    from .analysis import assumptions, conditioning, cross_validate, influence, residuals, vif
    from .api import fit, train
    from .arrays import least_squares
    from .comparisons import anova, nested_test, wald_test
    from .ejection import eject
    from .errors import DataError, FormulaError, RunError, SightlineError, UsageError
    from .folding import k_fold
    from .jumping import jump
    from .modules.fit import fit_module
    from .modules.folds import k_fold_module
    from .modules.run import load_module
    from .rate_tests import lr_range_test, top_curvature
    from .records import Coefficient, Epoch, Stop, Verdict
    from .resuming import resume
    from .run import Run, load
    from .solving import solve
    from .stopping import stop_when
    from .sweeper import sweep
    from .views.watching import watch


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
