"""What a fit minimizes, as mathematics: the mean loss of the rows with its options, ridge and lasso."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .coded_blocks import by_codes
from .data.design import Design
from .linear.objective import Objective
from .linear.row_losses import LOSSES, Logistic
from .parameters import Layout
from .rows import Rows
from .settings import RunSettings

__all__ = ["objective_of", "row_shares"]

Array = NDArray[np.float64]
FIELDS = {"label_smoothing": "smoothing"}  # torch's names of options that are called otherwise here


def row_shares(rows: Rows) -> Array | None:
    """The weights of the rows with mean 1, as training has them."""
    return None if rows.weight is None else rows.weight / rows.weight.mean()


def objective_of(layout: Layout, rows: Rows, settings: RunSettings) -> Objective:
    """Mean loss + Σ ridge θ² / 2 + Σ lasso |θ|: weight decay on all parameters, l2 and l1 on all but the intercepts."""
    options = {FIELDS.get(name, name): value for name, value in settings.loss_opt.items()}
    loss = LOSSES.get(layout.loss, Logistic)(  # bce-probability is the same function of the score as bce
        by_codes(rows.X), rows.y, layout.design.intercept, row_shares(rows), layout.outputs, **options
    )
    slopes = _slopes(layout.design, layout.outputs)
    return Objective(loss, settings.decay + slopes * (settings.l2 or 0.0), slopes * (settings.l1 or 0.0))


def _slopes(design: Design, outputs: int) -> Array:
    """1 for a slope, 0 for an intercept, `(k q,)`."""
    p = len(design.encoding.terms)
    return np.concatenate([np.ones(outputs * p), np.zeros(outputs * int(design.intercept))])
