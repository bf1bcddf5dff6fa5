"""Covariances of coefficients that minimize a loss other than squared error, from curvature and from scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError, nearest, shown
from ..blocks import parts
from ..objective import Objective
from ..robust import cluster_squares, clustered
from ..row_losses import Absolute, CrossEntropy, GaussianNLL, Hinge, Huber, RowLoss, SmoothL1, SquaredLoss
from .frame import Frame
from .recession import without
from .result import Optimum

__all__ = ["Covariance", "covariance"]

Array = NDArray[np.float64]
KINDS = ("information", "hc0", "hc1", "cluster", "quantile")
OPEN = 1e-9


@dataclass(frozen=True)
class Covariance:
    """The covariance `matrix (q, q)` of θ, None where `reason` says why there is none.

    `kind` is "information" (inverse observed information), "hc0", "hc1", "cluster" (sandwiches), or "quantile" (of a
    median); `df` are the degrees of freedom of t, None for the normal distribution. Rows and columns of coefficients
    that the rows do not determine are NaN.
    """

    matrix: Array | None
    kind: str | None
    df: int | None
    reason: str


def covariance(
    objective: Objective,
    found: Optimum,
    *,
    kind: str | None = None,
    clusters: Any = None,
    total: float | None = None,
) -> Covariance:
    """The covariance of the minimizer of the loss, of the kind that its loss has by default unless one is asked for.

    With H the second derivative of Σ w ℓ and s = w ∂ℓ/∂θ the scores of the n rows, r coefficients:

        information   H⁻¹, as R's glm for counts; the default of poisson-nll, gaussian-nll, bce and cross-entropy
        hc0, hc1      H⁻¹ Σ ss' H⁻¹, and that times n / (n - r); hc1 is the default of huber, smooth-l1 and mse
        cluster       the scores of each of G clusters added first, times G / (G - 1) (n - 1) / (n - r)
        quantile      (Z'Z)⁻¹ / 4f² with the density f of the residuals at zero, the only one of l1: Epanechnikov's
                      kernel with the bandwidth of Hall and Sheather, as Stata 12 has it

    `total` is the sum of the rows' weights before they were given a mean of 1; n unless given. A penalty, smoothed
    labels and the hinge loss have none. White 1982, Maximum likelihood estimation of misspecified models; Huber 1967;
    Hall and Sheather 1988, On the distribution of a studentized quantile.

    Raises UsageError for an unknown kind, and for clusters without the kind cluster or the reverse.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"no covariance is named {shown(kind)}: {nearest(kind, KINDS)}")
    if (kind == "cluster") != (clusters is not None):
        raise UsageError("the kind cluster needs the label of each row's cluster, and no other takes one")
    why = _refusal(objective, found, kind)
    if why is not None:
        return Covariance(None, None, None, why)
    scale = float(len(objective.loss.y)) if total is None else total
    objective, frame, kept = _determined(objective, found)
    if isinstance(objective.loss, Absolute):
        return _quantile(objective.loss, found, frame)
    inner, chosen = _bread(objective, found, frame), kind or _default(objective.loss)
    if inner is None:
        return Covariance(None, None, None, "the loss does not bend in every direction at the optimum")
    if chosen == "information":
        return Covariance(_spread(frame, inner / scale), chosen, None, "inverse observed information")
    return _sandwich(
        objective, found, frame, inner, kind=chosen, clusters=None if clusters is None else _at(clusters, kept)
    )


def _refusal(objective: Objective, found: Optimum, kind: str | None) -> str | None:
    """Why there is no covariance."""
    loss = objective.loss
    if objective.penalized:
        return "a penalty pulls the coefficients from where the data alone would have them: no standard errors"
    if isinstance(loss, CrossEntropy) and loss.smoothing:
        return "smoothed labels are not what was observed: no standard errors"
    if isinstance(loss, Hinge):
        return "the hinge loss is not a likelihood, and its coefficients have no normal limit to rely on"
    if isinstance(loss, GaussianNLL) and not found.finite:
        return "some rows are fitted exactly, so their variance is at its limit: no standard errors"
    if isinstance(loss, Absolute):
        if kind not in (None, "quantile"):
            return f"the absolute error does not bend, so there is no {kind}: ask for none, which is that of a median"
        return None if loss.weight is None else "of a weighted median no covariance is known here"
    return "only the absolute error has the covariance of a median" if kind == "quantile" else None


def _default(loss: RowLoss) -> str:
    return "hc1" if isinstance(loss, Huber | SmoothL1 | SquaredLoss) else "information"


def _determined(objective: Objective, found: Optimum) -> tuple[Objective, Frame, NDArray[np.intp]]:
    """The rows that no direction carries to infinity, their frame, and where they are."""
    loss, everyone = objective.loss, np.arange(len(objective.loss.y))
    if not len(found.at_infinity):
        return objective, Frame.of(objective), everyone
    moved = np.zeros(len(everyone), dtype=bool)
    for direction in found.at_infinity:
        far = np.concatenate(loss.over(partial(_shifts, direction)))
        moved |= far > OPEN * far.max(initial=0.0)
    rest = without(objective, moved)
    return rest, Frame.of(rest), everyone[~moved]


def _shifts(direction: Array, part: RowLoss) -> list[Array]:
    """By how much each row moves along it."""
    return [np.abs(part.predictor(direction)).max(axis=1)]


def _bread(objective: Objective, found: Optimum, frame: Frame) -> Array | None:
    """The inverse `(r, r)` of the second derivative of the mean loss in φ."""
    H = frame.model(found.limit, objective.ridge)[1]
    values, vectors = np.linalg.eigh(H)
    if not len(values) or values[0] <= 1e-13 * values[-1]:
        return None
    return np.asarray((vectors / values) @ vectors.T)


def _spread(frame: Frame, inner: Array) -> Array:
    """Back in θ; NaN for coefficients with a part in an open direction (the one common to all classes is none)."""
    V = np.asarray(frame.J @ inner @ frame.J.T)
    if not isinstance(frame.loss, CrossEntropy) or frame.rank < frame.width:
        lost = (np.abs(frame.open) > OPEN).any(axis=1)
        V[lost] = V[:, lost] = np.nan
    return V


def _sandwich(
    objective: Objective, found: Optimum, frame: Frame, inner: Array, *, kind: str, clusters: Any
) -> Covariance:
    loss = objective.loss
    n, r = len(loss.y), len(inner)
    if n <= r:
        return Covariance(None, None, None, f"{n} rows and {r} coefficients leave nothing to measure chance by")

    def scores(part: RowLoss) -> Array:
        return part.terms(found.limit) * loss.factor / n @ frame.J

    factor, df, said = (1.0 if kind == "hc0" else n / (n - r)), n - r, f"sandwich of curvature and scores, {kind}"
    codes = clustered(clusters) if kind == "cluster" else None
    if codes is not None:
        groups = len(np.unique(codes))
        factor, df = groups / (groups - 1) * (n - 1) / (n - r), groups - 1
    if frame.counted:
        squares = frame.J.T @ loss.term_squares(found.limit, codes) @ frame.J * (loss.factor / n) ** 2
    elif codes is not None:
        squares = cluster_squares(((at, scores(loss.part(at))) for at in parts(loss.X)), codes, r)
    else:
        squares = loss.over(lambda part: (s := scores(part)).T @ s, work=loss.outputs * r)
    likelihood = _default(loss) == "information"
    return Covariance(_spread(frame, factor * inner @ squares @ inner), kind, None if likelihood else df, said)


def _quantile(loss: Absolute, found: Optimum, frame: Frame) -> Covariance:
    """(Z'Z)⁻¹ / 4f²."""
    from scipy.special import ndtri

    n, r = len(loss.y), frame.J.shape[1]
    e = np.concatenate(loss.over(lambda part: [part.y - part.predictor(found.theta)[:, 0]]))
    share = n ** (-1.0 / 3.0) * float(ndtri(0.975)) ** (2.0 / 3.0) * (1.5 / (2.0 * np.pi)) ** (1.0 / 3.0)
    if share >= 0.5 or n <= r:
        return Covariance(None, None, None, f"{n} rows are too few to see the density of the residuals at zero")
    quartiles = np.percentile(e, [25, 75])
    h = min(float(np.std(loss.y)), float(quartiles[1] - quartiles[0]) / 1.34) * 2.0 * float(ndtri(0.5 + share))
    if h <= 0:
        return Covariance(None, None, None, "half of the residuals are equal, so they have no density at zero")
    inside = np.abs(e / h) <= 1.0
    density = float(np.sum(0.75 * (1.0 - (e[inside] / h) ** 2))) / (n * h)
    gram = frame.S.T @ loss.over(lambda part: (B := frame.orthonormal(part)).T @ B, work=frame.width) @ frame.S
    inner = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    said = f"density of the residuals at zero {density:.4g}, bandwidth {h:.4g}"
    return Covariance(_spread(frame, inner * (0.5 / density) ** 2), "quantile", n - r, said)


def _at(labels: Any, kept: NDArray[np.intp]) -> Any:
    values = labels if isinstance(labels, np.ndarray) else np.asarray(labels, dtype=object)
    return values[kept]
