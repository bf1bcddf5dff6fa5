"""The minimum of any objective: which method finds it, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..blocks import adds_up, in_memory
from ..objective import Objective
from ..row_losses import Absolute, CrossEntropy, GaussianNLL, Hinge, Huber, PoissonNLL, RowLoss, SmoothL1
from .few_kinks import few_kinks_optimum, some_rows
from .frame import Frame, scores_of
from .kinked import KINKED, kinked_optimum
from .narrowing import narrowed_optimum
from .newton import UNSETTLED, newton_optimum
from .recession import Recession, cheap, may_recede, recession
from .result import Optimum

__all__ = ["optimum"]

Array = NDArray[np.float64]
SAMPLE = 20_000  # rows whose minimum is where that of more rows than memory holds is looked for


def optimum(objective: Objective, *, start: Array | None = None, noise: Array | None = None) -> Optimum:
    """The minimizer of F(θ) = L(θ) + Σ ridge θ² / 2 + Σ lasso |θ|, of least norm where the rows leave it open.

    The losses l1, hinge, huber and smooth-l1 are made of lines and parabolas: an interior point finds which, their
    equations give θ, and the dual value proves it; of rows on the disk, those near a kink are looked at so. The others
    are minimized by Newton's method, with a lasso by the exact minimizer of each step's model. `start (q,)` is where
    Newton begins; `noise (q',)` is the relative rounding of the columns, as for `least_squares`. Of cross-entropy the
    weights of all classes add up to zero where there is no penalty. A group of counts that are all zero, and classes
    that unpenalized columns separate, have no minimum: then the direction is told, and the limit; as where means and
    variances fit rows exactly.

    Raises DataError for cross-entropy whose classes are separated along columns without a penalty, or have no rows.

    >>> from ..row_losses import Absolute
    >>> found = optimum(Objective.plain(Absolute(np.zeros((3, 0)), np.array([1.0, 2.0, 7.0]))))
    >>> found.theta.round(12).tolist(), found.unique
    ([2.0], True)
    """
    if not len(objective.ridge):
        return _nothing(objective.value(np.zeros(0)), 0, "there are no coefficients")
    frame = Frame.of(objective, noise)
    loss = objective.loss
    if isinstance(loss, KINKED) and in_memory(loss.X):
        return kinked_optimum(objective, frame)
    if isinstance(loss, Absolute | Hinge):
        return few_kinks_optimum(objective, frame)
    if isinstance(loss, Huber | SmoothL1):
        return narrowed_optimum(objective, frame, _nearby(objective, start))
    if may_recede(objective) and cheap(objective):
        away = recession(objective)
        if away is not None:
            return _limit(objective, away, noise)
    found = newton_optimum(objective, frame, start if in_memory(loss.X) else _nearby(objective, start))
    if may_recede(objective) and not cheap(objective) and _far(objective, found):
        away = recession(objective)
        if away is not None:
            return _limit(objective, away, noise)
    return _bottomless(objective, found) if isinstance(objective.loss, GaussianNLL) else found


def _nearby(objective: Objective, start: Array | None) -> Array | None:
    """Where some of the rows have their minimum, where that is a single point."""
    n = len(objective.loss.y)
    if start is not None or n <= SAMPLE or adds_up(objective.loss.X):
        return start
    part = replace(objective, loss=some_rows(objective.loss, -(-n // SAMPLE)))
    found = newton_optimum(part, Frame.of(part), None)
    return found.theta if found.unique and not found.reason.endswith(UNSETTLED) else None


def _nothing(value: float, q: int, reason: str) -> Optimum:
    """Nothing is left to choose: zero."""
    zero = np.zeros(q)
    return Optimum(zero, value, value, 0.0, zero, 0, "none", reason, True, np.zeros((0, q)), zero)


def _far(objective: Objective, found: Optimum) -> bool:
    """Whether Newton's method did not end, or where the loss no longer bends and rows are as good as certain."""
    certain = objective.loss.over(lambda part: part.pieces(found.theta).loss.min(initial=1.0), add=min) < 1e-6
    return bool((certain and not found.unique) or found.reason.endswith(UNSETTLED))


def _limit(objective: Objective, away: Recession, noise: Array | None) -> Optimum:
    """The optimum of the rows that do not move; coefficients that change nothing for them are ±inf or NaN."""
    loss = objective.loss
    if isinstance(loss, CrossEntropy):
        empty = np.flatnonzero(np.bincount(np.asarray(loss.y).astype(np.intp), minlength=loss.outputs) == 0)
        if len(empty):
            raise DataError(f"class {empty[0]} has no rows: leave it out")
        raise DataError(
            "classes are separated along columns without a penalty, so the loss falls for ever: give those columns a "
            "penalty, or leave them out"
        )
    rest = away.rest(objective)
    if away.moved.all():
        found, lost = _nothing(0.0, len(away.direction), "no row is left"), (objective.ridge + objective.lasso) == 0
    else:
        frame = Frame.of(rest, noise)
        found, lost = newton_optimum(rest, frame, None), (np.abs(frame.open) > 1e-9).any(axis=1)
    ends = np.where(away.direction > 0, np.inf, np.where(away.direction < 0, -np.inf, np.nan))
    count = int(away.moved.sum())
    what = "counts of zero" if isinstance(loss, PoissonNLL) else "rows of their own class"
    reason = f"the loss falls for ever along a direction that moves {count:,} {what}; the limit is that of the others"
    return Optimum(
        np.where(lost, ends, found.theta), found.value, found.loss, found.gap, np.where(lost, np.nan, found.error),
        found.steps, found.path, f"{reason}: {found.reason}", found.unique, away.direction[None, :], found.theta,
    )  # fmt: skip


def _bottomless(objective: Objective, found: Optimum) -> Optimum:
    """Rows whose variance is below the limit eps want it to fall on for ever, which changes no loss."""
    loss = objective.loss
    assert isinstance(loss, GaussianNLL)
    p, width = loss.X.shape[1], loss.X.shape[1] + int(loss.intercept)

    def fallen(part: RowLoss) -> Array:
        return np.asarray(np.exp(part.predictor(found.theta)[:, 1]) < loss.eps * (1.0 + 1e-6), dtype=np.float64)

    low = int(loss.over(lambda part: fallen(part).sum()))
    if not low:
        return found
    frame = Frame.of(Objective.plain(replace(loss, weight=None)))
    fall = frame.fitted(lambda part: -fallen(part), lambda part: np.ones(len(part.y)))
    off = loss.over(lambda part: float(np.abs(scores_of(part, fall) + fallen(part)).max()), add=max)
    direction = np.zeros(len(found.theta))
    direction[p : 2 * p], direction[2 * p + 1 :] = fall[:p], fall[p:width]
    direction[np.abs(direction) < 1e-9 * np.abs(direction).max(initial=0.0)] = 0.0
    reason = (
        f"{found.reason.removesuffix(UNSETTLED)}; {low:,} rows have a variance below the limit of "
        f"{loss.eps:g}, where the loss no longer changes"
    )
    if off > 1e-9 or (direction * (objective.ridge + objective.lasso)).any():
        return replace(found, reason=reason, unique=False)
    lost = direction != 0
    theta, error = np.where(lost, np.copysign(np.inf, direction), found.theta), np.where(lost, np.nan, found.error)
    at = direction[None, :] / np.abs(direction).max()
    return replace(found, theta=theta, error=error, reason=reason, unique=False, at_infinity=at)
