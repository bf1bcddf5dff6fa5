"""The quadratic that training goes down, as a page needs it to work out any rate, momentum and start by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..objectives import objective_of
from ..parameters import Layout
from ..squared_truth import SquaredTruth
from ..truth import Truth
from ..views.subject import Subject
from .standpoint import Standpoint

__all__ = ["systems_of"]

Array = NDArray[np.float64]
MOST_COLUMNS = 500  # for which a page answers at once
MOST_CELLS = 4_000_000  # rows times columns whose other coordinates are worked out too


def systems_of(stand: Standpoint | None, run: Subject | None) -> dict[str, Any]:
    """`systems`: eigenvalues `(r,)` and eigenvectors `(r, q)` of the Hessian, the optimum θ* and the penalty `(q,)` in
    the coordinates that training runs in, which are `(x - center) / scale`; and in the others, raw or standardized.
    `whatif` is None, or why a page cannot work out other settings.
    """
    reason = _obstacle(stand, run)
    if reason is not None:
        return {"systems": _near_the_optimum(stand), "whatif": reason}
    if stand is None:
        return {"systems": [_of_directions(run)] if run is not None else [], "whatif": None}
    assert isinstance(stand.truth, SquaredTruth)
    systems = [_of_truth(stand.truth, stand.settings.standardize)]
    if not stand.truth.objective.penalized and stand.rows.X.size <= MOST_CELLS:
        other = not stand.settings.standardize
        systems.append(_of_truth(_in_other_coordinates(stand, standardize=other), other))
    return {"systems": systems, "whatif": None}


def _obstacle(stand: Standpoint | None, run: Subject | None) -> str | None:
    loss = stand.truth.layout.loss if stand else run.result["loss_name"] if run else None
    if loss is None:
        return "the exact answer is not known before the run ends, as its data are not at hand"
    if loss == "mse" and stand is not None and not isinstance(stand.truth, SquaredTruth):
        return "the lasso's penalty has kinks, so its path has no closed form"
    if loss != "mse" or (stand is not None and not isinstance(stand.truth, SquaredTruth)):
        return f"only the squared error has a closed form, and this is the {loss} loss"
    columns = len(stand.truth.layout.names) if stand else len(run.coefficients) if run else 0
    if columns > MOST_COLUMNS:
        return f"{columns:,} coefficients are more than the {MOST_COLUMNS} that a page works out at once"
    if stand is None and run is not None and (not run.directions or run.settings.penalizes):
        return "the data are not at hand, and what the run keeps of its curvature is not enough"
    return None


def _of_truth(truth: Truth, standardized: bool) -> dict[str, Any]:
    c, design = truth.curvature, truth.layout.design
    assert truth.optimum is not None
    r = min(c.rank, len(c.directions))
    return {
        "standardize": standardized,
        "values": c.eigenvalues[:r].tolist(),
        "vectors": _rounded(c.directions[:r]),
        "optimum": truth.optimum.tolist(),
        "penalty": truth.objective.ridge.tolist() if truth.objective.penalized else None,
        "center": design.center.tolist(), "scale": design.scale.tolist(), "intercept": design.intercept,
    }  # fmt: skip


def _near_the_optimum(stand: Standpoint | None) -> list[dict[str, Any]]:
    """The quadratic that a loss with another shape is like near its optimum, of a model with one output."""
    if stand is None or stand.truth.optimum is None or not stand.truth.smooth or stand.truth.layout.outputs > 1:
        return []
    c = stand.truth.curvature
    if len(stand.truth.layout.names) > MOST_COLUMNS or c.rank > len(c.directions) or not c.rank:
        return []
    return [{**_of_truth(stand.truth, stand.settings.standardize), "near": True}]


def _of_directions(run: Subject) -> dict[str, Any]:
    """From what the run keeps: at most 100 directions."""
    design = run.design
    mixes = [list(d.mix.values()) for d in run.directions]
    units = {c.term: float(c.exact) for c in run.coefficients if c.exact is not None}
    return {
        "standardize": run.settings.standardize,
        "values": [d.curvature for d in run.directions], "vectors": mixes,
        "optimum": design.from_units(units).tolist(), "penalty": None,
        "center": design.center.tolist(), "scale": design.scale.tolist(), "intercept": design.intercept,
    }  # fmt: skip


def _rounded(vectors: Array) -> list[list[float]]:
    """Short enough to be sent where they are many."""
    return vectors.tolist() if vectors.size <= 2500 else [[float(f"{v:.13g}") for v in row] for row in vectors.tolist()]


def _in_other_coordinates(stand: Standpoint, *, standardize: bool) -> SquaredTruth:
    """The truth of the same rows, standardized or as they are; in float64, which is all that a picture shows."""
    design, rows = stand.design, stand.rows
    X = rows.X * design.scale + design.center
    center, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if standardize:
        w = rows.weight
        center = np.average(X, axis=0, weights=w) if design.intercept else center
        spread = np.sqrt(np.average((X - center) ** 2, axis=0, weights=w))
        scale = np.where(spread > 0, spread, 1.0)
    design = replace(design, center=center, scale=scale, standardize=standardize)
    rows, layout = replace(rows, X=(X - center) / scale), Layout(design, stand.layout.loss)
    return SquaredTruth.of(layout, objective_of(layout, rows, stand.settings), rows, stand.settings, pairs=None)
