"""Which truth stands beside a training: that of least squares, of classes, or of any other objective; only it is
loaded.
"""

from __future__ import annotations

from .answer_of_many import Pairs
from .linear.objective import Objective
from .objectives import objective_of
from .parameters import Layout
from .prepared import Prepared
from .rows import Rows
from .settings import RunSettings
from .truth import Truth

__all__ = ["truth_of", "truth_of_rows"]


def truth_of(prepared: Prepared, settings: RunSettings) -> Truth:
    """Solve the very objective that is trained."""
    layout = Layout(prepared.design, prepared.loss)
    objective = objective_of(layout, prepared.rows, settings)
    pairs = None if prepared.pieces else prepared.pairs
    return truth_of_rows(layout, objective, prepared.rows, settings, pairs)


def truth_of_rows(
    layout: Layout, objective: Objective, rows: Rows, settings: RunSettings, pairs: Pairs | None
) -> Truth:
    """The same of rows; `pairs` gives columns and target beyond float64, of rows in memory."""
    pairs = None if rows.on_disk else pairs
    if layout.loss == "mse" and not objective.lasso.any():
        from .squared_truth import SquaredTruth

        return SquaredTruth.of(layout, objective, rows, settings, pairs=pairs)
    likelihood = layout.loss in ("bce", "bce-probability", "cross-entropy") and (pairs is not None or rows.on_disk)
    if likelihood and not (settings.decay or objective.lasso.any() or settings.loss_opt):
        from .class_truth import ClassTruth

        return ClassTruth.of(layout, objective, rows, settings, pairs=pairs)
    from .general_truth import GeneralTruth

    return GeneralTruth.of(layout, objective, rows, settings)
