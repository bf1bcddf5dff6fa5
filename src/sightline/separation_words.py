"""Sentences about classes that a hyperplane separates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .data.table import names_of
from .linear.classes.fit import ClassFit
from .records import Warning
from .words import count, plain

__all__ = ["separation_warnings"]

Array = NDArray[np.float64]


def separation_warnings(fit: ClassFit, terms: Sequence[str], labels: Sequence[str]) -> list[Warning]:
    """What to know of classes that a hyperplane in the columns `terms` separates; none where there is none."""
    s = fit.separation
    if s is None:
        return []
    columns = [terms[j] for j in s.columns]
    which = "the classes" if len(labels) == 2 else f"some of the classes ({_pairs(s.pairs, labels)})"
    if s.kind == "complete":
        how = "completely: every row is on the side of its own class"
    elif s.pairs == s.whole_pairs:
        how = "completely"
    elif len(labels) > 2:  # rows of other classes are on the boundary too
        how = "but for rows on the boundary itself"
    else:
        how = f"but for {count(s.overlap, 'row')} on the boundary itself"
    separates = f"{names_of(columns[:6])}{', ...' * (len(columns) > 6)} separate{'s' * (len(columns) == 1)}"
    lead = f"{separates} {which}{_boundary(fit, s.direction, columns)} {how}"
    if fit.l2:
        return [Warning("SL-SEPARATED", f"{lead}; only the penalty keeps the coefficients finite")]
    text = f"{lead}, so the likelihood grows for ever along it and coefficients go to infinity: the limit is shown"
    fix = ("--l2 0.01  # a penalty keeps them finite", f"remove {columns[0]} from the formula")
    return [Warning("SL-SEPARABLE", text, fix)]


def _boundary(fit: ClassFit, direction: Array, columns: list[str]) -> str:
    """The equation of the hyperplane between two classes, where it is short."""
    if direction.shape[1] > 1 or len(columns) > 3 or not fit.intercept or fit.l2:
        return ""
    slopes = direction[np.flatnonzero(direction[:-1, 0]), 0]
    text = ""
    for v, name in zip(slopes.tolist(), columns, strict=True):
        sign = (" - " if v < 0 else " + ") if text else "-" if v < 0 else ""
        text += sign + ("" if plain(abs(v)) == "1" else f"{plain(abs(v))} ") + name
    return f" at {text} = {plain(0.0 - float(direction[-1, 0]))}"


def _pairs(pairs: Sequence[tuple[int, int]], labels: Sequence[str]) -> str:
    named = [f"{labels[a]} from {labels[b]}" for a, b in pairs]
    return ", ".join(named[:4]) + (", ..." if len(named) > 4 else "")
