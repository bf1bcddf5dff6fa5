"""The pictures of a run that is at hand, in a folder or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..double_double import Pair
from ..objectives import objective_of
from ..parameters import Layout
from ..records import Epoch
from ..rows import Rows
from ..runs.files import finite
from ..runs.series import COLUMNS
from ..truth import Truth
from ..truths import truth_of_rows
from ..views.scene_figures import Figures
from ..views.subject import Subject
from .standpoint import Standpoint
from .truths import truth_scene

__all__ = ["figures_of", "table_of"]


def figures_of(run: Subject, always: NDArray[np.intp] | None = None) -> Figures:
    """The pictures of a run, of rows on the disk every so many of them and `always`; those that need its rows say so
    where they are gone.
    """
    rows = run.training_rows()
    missing = None if rows is not None else "the rows of this run are gone or have changed"
    stand = None if rows is None else Standpoint.of(_truth(run, rows), rows.pictured(always), run.settings)
    scene = {
        "missing": missing,
        "kind": "classes" if run.design.classes else "line",
        "target": run.design.target,
        **truth_scene(stand, run, run.settings, run.design),
    }
    return Figures(finite(scene), finite(table_of(run.epochs, [c.term for c in run.coefficients])))


def table_of(epochs: Sequence[Epoch], terms: Sequence[str]) -> dict[str, Any]:
    """Records as columns."""
    return {
        **{name: [getattr(e, name) for e in epochs] for name in COLUMNS},
        "parameters": [[float(e.parameters[t]) for t in terms] if e.parameters else None for e in epochs],
    }


def _truth(run: Subject, rows: Rows) -> Truth:
    layout = Layout(run.design, run.result["loss_name"])

    def pairs() -> tuple[Pair, Pair]:  # as float64 has them: what was typed beyond it, no picture shows
        return Pair.of(rows.X * run.design.scale + run.design.center), Pair.of(rows.y)

    return truth_of_rows(layout, objective_of(layout, rows, run.settings), rows, run.settings, pairs)
