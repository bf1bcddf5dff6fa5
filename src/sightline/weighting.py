"""Weights of classes, which multiply those of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .data.target import class_weights
from .errors import UsageError, shown
from .rows import Rows

__all__ = ["weighted", "weighting", "with_class_weight"]


def weighting(
    design: Design, given: str | Mapping[str, float], codes: NDArray[Any], weight: NDArray[Any] | None
) -> Design:
    """The design with the weights of classes that are asked for, for rows `(n,)` of these classes and weights.

    Raises UsageError where the target is a number.
    """
    if not design.classes:
        raise UsageError(
            f"--class-weight needs classes, and the target {shown(design.target)} is a number: leave it out, or use "
            "--loss bce or --loss cross-entropy"
        )
    return replace(design, class_weight=class_weights(given, design.classes, codes, weight))


def with_class_weight(design: Design, rows: Rows, given: str | Mapping[str, float]) -> tuple[Design, Rows]:
    """The same, and rows that have them, `(n,)` in memory."""
    design = weighting(design, given, np.asarray(rows.y).astype(np.int32), rows.weight)
    return design, weighted(design, rows)


def weighted(design: Design, rows: Rows) -> Rows:
    """Rows with the weights of their classes, where the design has any."""
    if not design.class_weight:
        return rows
    weight = np.array(design.class_weight)[np.asarray(rows.y).astype(np.int32)]
    if rows.weight is not None:
        weight *= rows.weight
    return replace(rows, weight=weight)
