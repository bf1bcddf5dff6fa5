"""How well numbers are predicted, as text of at most 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..words import count, plain
from .tables import table

__all__ = ["evaluation_lines", "left_out"]

NAMES = {
    "rmse": "root mean squared error",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "max_error": "largest absolute error",
    "mean_residual": "mean error",
    "r2": "R2",
}
NOTES = {"mean_residual": "observed less predicted", "r2": "0: as good as the mean of these rows"}


def left_out(found: Mapping[str, Any]) -> str:
    """How many rows were measured, and how many were not.

    >>> left_out({"rows": 239, "missing": 1})
    ' 239 rows, 1 row left out for missing values'
    """
    missing = f", {count(found['missing'], 'row')} left out for missing values" if found["missing"] else ""
    return f" {count(found['rows'], 'row')}{missing}"


def evaluation_lines(found: Mapping[str, Any]) -> list[str]:
    """The rows, then a line for each measure of `linear.metrics`.

    >>> some = {"rows": 2, "missing": 0, "mse": 0.25, "rmse": 0.5, "mae": 0.5, "max_error": 0.5, "r2": 0.75}
    >>> print("\\n".join(evaluation_lines({**some, "mean_residual": 0.0})[:3]))
     2 rows
     root mean squared error   0.5
     mean squared error       0.25
    """
    lines = table([("", list(NAMES.values())), ("", [plain(found[name], 6) for name in NAMES])])[1:]
    noted = zip(NAMES, lines, strict=True)
    return [left_out(found), *(f"{line}   {NOTES[name]}" if name in NOTES else line for name, line in noted)]
