"""The optimum of huber and smooth-l1 where rows come in blocks: Newton's method with a width that narrows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..objective import Objective
from ..row_losses import Huber, RowLoss, SmoothL1
from .frame import Frame
from .newton import UNSETTLED, newton_optimum
from .result import Optimum
from .start import shares_of

__all__ = ["narrowed_optimum"]

Array = NDArray[np.float64]
MOST = 0.9  # of the rows lie within the first width
FINER = 8.0


def narrowed_optimum(objective: Objective, frame: Frame, start: Array | None) -> Optimum:
    """From `start`, or from least squares with a width that most residuals lie within, then an eighth of it, and so on:
    where all rows are beyond the width Newton's method would walk in steps no longer than that.

    Raises DataError where too few rows lie within the width for it to come to rest.
    """
    loss = objective.loss
    assert isinstance(loss, Huber | SmoothL1)
    name, last, steps = ("delta", loss.delta, 0) if isinstance(loss, Huber) else ("beta", loss.beta, 0)
    theta = frame.fitted(lambda part: part.y, shares_of) if start is None else start
    width = float(np.quantile(_sizes(loss, theta), MOST)) if start is None else last
    while width > 2.0 * last:
        options: dict[str, Any] = {name: width}
        wider = replace(loss, **options)
        found = newton_optimum(replace(objective, loss=wider), replace(frame, loss=wider), theta)
        theta, steps, width = found.theta, steps + found.steps, width / FINER
    found = newton_optimum(objective, frame, theta)
    flat = frame.rank == frame.width and not found.unique  # columns are independent, and rows do not bend
    if flat and found.reason.endswith(UNSETTLED):
        raise DataError(
            f"the {name} of {loss.name}, {last:g}, is small beside residuals of about "
            f"{float(np.median(_sizes(loss, found.theta))):.3g}, and too few rows lie within it: give a larger {name}, "
            "or use --loss l1"
        )
    return replace(found, steps=found.steps + steps)


def _sizes(loss: RowLoss, theta: Array) -> Array:
    """|y - z| of all rows."""
    return np.concatenate(loss.over(lambda part: [np.abs(part.y - part.predictor(theta)[:, 0])]))
