"""Statistics (in progress)."""

from dataclasses import dataclass, replace

import numpy as np

from ..objective import Objective
from .find import optimum


@dataclass(frozen=True)
class Statistics:
    df_model: int
    df_resid: int
    baseline_loss: float


@dataclass(frozen=True)
class Inference:
    covariance: object
    reason: str
    statistics: Statistics


def inference(objective, found, *, robust=None, clusters=None):
    loss = objective.loss
    empty = replace(loss, X=np.zeros((len(loss.y), 0)))
    base = optimum(Objective.plain(empty)).loss if loss.intercept else empty.value(np.zeros(0))
    q = len(found.theta)
    k = loss.outputs * int(loss.intercept)
    return Inference(None, "", Statistics(q - k, len(loss.y) - q, base))
