"""Which truth stands beside a training: that of least squares, of classes, or of any other objective; only it is
loaded.
"""

from __future__ import annotations

from .objectives import objective_of
from .parameters import Layout
from .prepare import Prepared
from .settings import RunSettings
from .truth import Truth

__all__ = ["truth_of"]


def truth_of(prepared: Prepared, settings: RunSettings) -> Truth:
    """Solve the very objective that is trained."""
    layout = Layout(prepared.design, prepared.loss)
    objective = objective_of(layout, prepared.rows, settings)
    if prepared.loss == "mse" and not objective.lasso.any():
        from .squared_truth import SquaredTruth

        return SquaredTruth.of(layout, objective, prepared.rows, settings, pairs=prepared.pairs)
    likelihood = prepared.loss in ("bce", "bce-probability", "cross-entropy")
    if likelihood and not (settings.decay or objective.lasso.any() or settings.loss_opt):
        from .class_truth import ClassTruth

        return ClassTruth.of(layout, objective, prepared.rows, settings, pairs=prepared.pairs)
    from .general_truth import GeneralTruth

    return GeneralTruth.of(layout, objective, prepared.rows, settings)
