"""The rows of the table: for each name the file, the function in it, and what the function is given."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.suite.measure import Row

__all__ = ["ROWS", "row"]

ROWS: dict[str, tuple[Any, ...] | Callable[[], Row]] = {
    "1": ("commands", "running_example"),
    "2": ("full_batch", "diabetes"),
    "2-jump": ("full_batch", "jump"),
    "3": ("full_batch", "million"),
    "3-far": ("full_batch", "million", 1e4),
    "4": ("exact", "least_squares"),
    "5": ("mini_batches", "small"),
    "6-32-sgd": ("mini_batches", "large", 32, "SGD"),
    "6-32-momentum": ("mini_batches", "large", 32, "momentum"),
    "6-32-adam": ("mini_batches", "large", 32, "Adam"),
    "6-32-rmsprop": ("mini_batches", "large", 32, "RMSprop"),
    "6-1024-sgd": ("mini_batches", "large", 1024, "SGD"),
    "6-1024-momentum": ("mini_batches", "large", 1024, "momentum"),
    "6-1024-adam": ("mini_batches", "large", 1024, "Adam"),
    "6-1024-rmsprop": ("mini_batches", "large", 1024, "RMSprop"),
    "7": ("classifiers", "logistic"),
    "7-ill": ("classifiers", "logistic", "ill-conditioned"),
    "7-rare": ("classifiers", "logistic", "unbalanced"),
    "8": ("logistic", "dense"),
    "8-grouped": ("logistic", "grouped", 100),
    "8-grouped-long": ("logistic", "grouped", 1000),
    "9": ("lanes", "softmax"),
    "10-10": ("lanes", "sweep", 10, 3.0),
    "10-100": ("lanes", "sweep", 100, 4.0),
    "11": ("categories", "encoded"),
    "12-csv": ("files", "from_file", "csv"),
    "12-parquet": ("files", "from_file", "parquet"),
    "12-again": ("files", "from_cache"),
}


def row(name: str) -> Row:
    """The row of that name, made; only its own file is imported."""
    entry = ROWS[name]
    if callable(entry):
        return entry()
    module, function, *arguments = entry
    made: Row = getattr(import_module(f"benchmarks.suite.{module}"), function)(*arguments)
    return made
