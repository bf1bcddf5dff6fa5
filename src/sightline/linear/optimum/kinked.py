"""The optimum of the losses that are made of lines and parabolas: l1, hinge, huber, smooth-l1, with ridge and lasso."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ..objective import Objective
from ..piecewise import RANK, Corner, Piecewise, least
from ..row_losses import Absolute, Hinge, Huber, RowLoss, SmoothL1
from .frame import Frame
from .precise import gradient_error, precise_gradient
from .result import NOTHING, Optimum

__all__ = ["KINKED", "kinked_optimum"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
FAR = 1e3  # times the median residual: rows that far off hold nothing but their side
KINKED = (Absolute, Hinge, Huber, SmoothL1)


def kinked_optimum(objective: Objective, frame: Frame) -> Optimum:
    """The minimizer by interior point and active equations, refined on the rows, and the gap that proves it."""
    loss = objective.loss
    start = frame.J @ np.linalg.lstsq(frame.design, _slopes(loss)[0], rcond=RANK)[0]
    problem = _problem(objective, frame, start)
    corner = problem.corner()
    here = start + frame.J @ corner.x
    better = _again(objective, frame, here, corner) or _nearer(objective, frame, here)
    start, problem, corner = better or (start, problem, corner)
    theta, error = _refined(objective, frame, problem, corner, start)
    value, unique = objective.value(theta), _unique(frame, corner)
    if not unique:  # a coefficient that is zero is so to the rounding of the others
        error = error + 8.0 * EPS * (np.linalg.norm(frame.J, axis=1) * np.linalg.norm(corner.x) + np.abs(start))
    gap = _gap(objective, theta, problem, corner)
    return Optimum(
        theta, value, loss.value(theta), gap, error, corner.steps, _path(loss),
        _reason(corner, len(loss.y), unique=unique), unique, np.zeros((0, len(theta))), theta,
    )  # fmt: skip


def _problem(objective: Objective, frame: Frame, start: Array) -> Piecewise:
    """The objective in φ from `start (q,)` on, so that what is said of rows is relative to their residuals there, not
    to targets that may be far from zero.
    """
    held, (b, low, high, width) = objective.lasso > 0, _slopes(objective.loss)
    lasso = objective.lasso[held]
    return Piecewise(
        np.vstack([frame.design, frame.J[held]]),
        np.append(_residuals(objective.loss, b, start), -start[held]),
        np.append(low, -lasso), np.append(high, lasso), np.append(width, np.zeros(len(lasso))),
        frame.J.T @ (objective.ridge[:, None] * frame.J), frame.J.T @ (objective.ridge * start + objective.tilt),
    )  # fmt: skip


def _again(objective: Objective, frame: Frame, here: Array, corner: Corner) -> tuple[Array, Piecewise, Corner] | None:
    """The equations of the same pieces from the answer on, where rows near it are small numbers; None if a row turns
    out to be on another piece.
    """
    near = _problem(objective, frame, here)
    found = near.snapped(np.zeros_like(corner.x), corner.u, corner.on, steps=corner.steps)
    same = corner.settled and found.settled and bool((found.on == corner.on).all())
    return (here, near, found) if same else None


def _residuals(loss: RowLoss, b: Array, theta: Array) -> Array:
    """b - Zθ, with the digits that are left where they cancel."""
    Z = np.column_stack([loss.X, np.ones(len(b))])[:, : len(theta)]
    return np.asarray((Pair.of(b[:, None]) - Pair.of(Z).times(Pair.of(theta[:, None]))).hi[:, 0])


def _nearer(objective: Objective, frame: Frame, start: Array) -> tuple[Array, Piecewise, Corner] | None:
    """The same with rows that are very far off put nearer, on the side where they are: their slope is the same there,
    and the others keep their digits. None if that settles nothing, or is no longer the same problem.
    """
    problem, rows = _problem(objective, frame, start), len(objective.loss.y)
    off = np.abs(problem.b[:rows])
    far = max(FAR * float(np.median(off)), 10.0 * float((problem.width * problem.high)[:rows].max()))
    if not far > 0.0 or off.max() <= far:
        return None
    b = problem.b.copy()
    b[:rows] = np.clip(b[:rows], -far, far)
    near = replace(problem, b=b)
    corner = near.corner()
    same = corner.settled and np.abs(problem.A[:rows] @ corner.x).max() < 0.5 * far
    return (start, near, corner) if same else None


def _slopes(loss: RowLoss) -> tuple[Array, Array, Array, Array]:
    """For each row the place b of its middle, its least and largest slope, and z - b for each unit of slope between."""
    w = np.full(len(loss.y), 1.0 / len(loss.y)) if loss.weight is None else loss.weight / len(loss.y)
    if isinstance(loss, Huber):
        return loss.y, -loss.delta * w, loss.delta * w, 1.0 / w
    if isinstance(loss, SmoothL1):
        return loss.y, -w, w, loss.beta / w
    if isinstance(loss, Hinge):
        s = loss.side[:, 0]
        return s, np.where(s > 0, -w, 0.0), np.where(s > 0, 0.0, w), np.zeros(len(w))
    return loss.y, -w, w, np.zeros(len(w))


def _refined(
    objective: Objective, frame: Frame, problem: Piecewise, corner: Corner, start: Array
) -> tuple[Array, Array]:
    """θ from the rows themselves: those on their kink to double-double, the others to rounding; and its error."""
    loss, rows = objective.loss, len(objective.loss.y)
    on, zero = np.flatnonzero(corner.on[:rows] & (problem.width[:rows] == 0)), np.flatnonzero(objective.lasso > 0)
    zero = zero[corner.on[rows:]]
    Z, middle = np.column_stack([loss.X[on], np.ones(len(on))])[:, : len(objective.ridge)], _slopes(loss)[0][on]
    kinks = np.vstack([problem.A[on], frame.J[zero]]) @ corner.basis
    H, size = corner.loose.T @ corner.H @ corner.loose, float(np.trace(corner.H))
    theta = start + frame.J @ corner.x
    if not corner.settled:
        theta[zero] = 0.0
        return theta, np.full(len(theta), np.inf)
    for _ in range(3 if len(on) or isinstance(loss, Huber | SmoothL1) else 1):
        theta[zero] = 0.0
        off = Pair.of(middle[:, None]) - Pair.of(Z).times(Pair.of(theta[:, None]))
        rest = np.append(off.hi[:, 0], -theta[zero])
        step = corner.basis @ np.linalg.lstsq(kinks, rest, rcond=None)[0]  # first to the kinks, then along them
        pull = corner.loose.T @ _pull(objective, frame, theta + frame.J @ step, corner)
        step -= corner.loose @ least(H, pull, size)
        theta = theta + frame.J @ step
    theta[zero] = 0.0
    turned = frame.J @ corner.loose
    rounding = loss.gradient_rounding(theta) + 4.0 * EPS * objective.ridge * np.abs(theta)
    if isinstance(loss, Huber | SmoothL1):
        rounding = gradient_error(objective, theta, precise_gradient(objective, theta))
    error = np.abs(turned @ least(H, turned.T, size)) @ rounding
    error += 2.0 * np.abs(frame.J @ step) + EPS * np.abs(theta)
    nothing = NOTHING * np.linalg.norm(frame.J, axis=1) * np.linalg.norm(problem.b[:rows]) / np.sqrt(rows)
    rounded = np.abs(theta) < nothing + 4.0 * EPS * np.abs(start)
    error += np.where(rounded, np.abs(theta), 0.0) + nothing
    theta[rounded] = 0.0
    error[zero] = 0.0
    return theta, error


def _pull(objective: Objective, frame: Frame, theta: Array, corner: Corner) -> Array:
    """The gradient in φ, with the slopes at sharp kinks that the corner found."""
    loss, lasso = objective.loss, np.zeros(len(theta))
    lasso[objective.lasso > 0] = corner.u[len(loss.y) :]
    if isinstance(loss, Huber | SmoothL1):
        return np.asarray(frame.J.T @ (precise_gradient(objective, theta) + lasso))
    w = 1.0 / len(loss.y) if loss.weight is None else loss.weight / len(loss.y)
    error = (corner.u[: len(loss.y)] / w)[:, None]
    return np.asarray(frame.J.T @ (_slope(loss, error) + objective.ridge * theta + objective.tilt + lasso))


def _slope(loss: RowLoss, error: Array) -> Array:
    """What the gradient is for these errors `(n, 1)`."""
    return loss.factor / len(loss.y) * loss.pull(error)


def _gap(objective: Objective, theta: Array, problem: Piecewise, corner: Corner) -> float:
    """F(θ) minus the dual value of the slopes: Σ ρ(t) - u t + width u² / 2, and what their sum is short of zero."""
    loss, rows = objective.loss, len(objective.loss.y)
    u = np.clip(corner.u, problem.low, problem.high)
    w = 1.0 / rows if loss.weight is None else loss.weight / rows
    t = -_residuals(loss, _slopes(loss)[0], theta)
    apart = float(np.sum(w * loss.pieces(theta).loss - u[:rows] * t + 0.5 * problem.width[:rows] * u[:rows] ** 2))
    held = objective.lasso > 0
    apart += float(np.sum(objective.lasso[held] * np.abs(theta[held]) - u[rows:] * theta[held]))
    slopes = _slope(loss, (u[:rows] / w)[:, None]) + objective.ridge * theta + objective.tilt
    slopes[held] += u[rows:]
    rounding = 2.0 * EPS * abs(objective.value(theta))
    return max(apart, 0.0) + float(np.abs(slopes) @ np.abs(theta)) + rounding


def _unique(frame: Frame, corner: Corner) -> bool:
    """Whether neither the rows nor the kinks leave a direction open in which nothing changes."""
    H = corner.loose.T @ corner.H @ corner.loose
    bends = np.linalg.eigvalsh(H) if len(H) else np.ones(1)
    return bool(not frame.open.shape[1] and bends[0] > RANK * max(float(np.trace(corner.H)), 1e-300))


def _path(loss: RowLoss) -> str:
    return "interior point" if isinstance(loss, Huber | SmoothL1) else "linear program"


def _reason(corner: Corner, rows: int, *, unique: bool) -> str:
    kinks = int((corner.on[:rows]).sum())
    text = f"interior point, {corner.steps} steps, then the equations of {kinks:,} rows between their two slopes"
    if not corner.settled:
        text += "; they do not settle it to the last digits"
    return text if unique else text + "; other coefficients have the same loss"
