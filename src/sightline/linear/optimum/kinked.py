"""The optimum of the losses that are made of lines and parabolas: l1, hinge, huber, smooth-l1, with ridge and lasso."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ..objective import Objective
from ..row_losses import Absolute, Hinge, Huber, RowLoss, SmoothL1
from .frame import Frame
from .piecewise import RANK, Corner, Piecewise, least
from .precise import precise_gradient
from .result import NOTHING, Optimum

__all__ = ["KINKED", "kinked_optimum"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
KINKED = (Absolute, Hinge, Huber, SmoothL1)


def kinked_optimum(objective: Objective, frame: Frame) -> Optimum:
    """The minimizer by interior point and active equations, refined on the rows, and the gap that proves it."""
    loss, held = objective.loss, objective.lasso > 0
    b, low, high, width = _slopes(loss)
    rows, lasso, nothing = len(b), objective.lasso[held], np.zeros(int(held.sum()))
    problem = Piecewise(
        np.vstack([frame.design, frame.J[held]]),
        np.append(b, nothing), np.append(low, -lasso), np.append(high, lasso), np.append(width, nothing),
        frame.J.T @ (objective.ridge[:, None] * frame.J), np.zeros(frame.J.shape[1]),
    )  # fmt: skip
    corner = problem.corner()
    theta, error = _refined(objective, frame, problem, corner)
    value, unique = objective.value(theta), _unique(frame, corner)
    if not unique:  # a coefficient that is zero is so to the rounding of the others
        error = error + 8.0 * EPS * np.linalg.norm(frame.J, axis=1) * np.linalg.norm(corner.x)
    gap = _gap(objective, theta, problem, corner)
    return Optimum(
        theta, value, loss.value(theta), gap, error, corner.steps, _path(loss),
        _reason(corner, rows, unique=unique), unique, np.zeros((0, len(theta))), theta,
    )  # fmt: skip


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


def _refined(objective: Objective, frame: Frame, problem: Piecewise, corner: Corner) -> tuple[Array, Array]:
    """θ from the rows themselves: those on their kink to double-double, the others to rounding; and its error."""
    loss, rows = objective.loss, len(objective.loss.y)
    on, zero = np.flatnonzero(corner.on[:rows] & (problem.width[:rows] == 0)), np.flatnonzero(objective.lasso > 0)
    zero = zero[corner.on[rows:]]
    Z = np.column_stack([loss.X[on], np.ones(len(on))])[:, : len(objective.ridge)]
    kinks = np.vstack([problem.A[on], frame.J[zero]]) @ corner.basis
    H = corner.loose.T @ corner.H @ corner.loose
    theta = frame.J @ corner.x
    if not corner.settled:
        return theta, np.full(len(theta), np.inf)
    for _ in range(3 if len(on) or isinstance(loss, Huber | SmoothL1) else 1):
        theta[zero] = 0.0
        off = Pair.of(problem.b[on, None]) - Pair.of(Z).times(Pair.of(theta[:, None]))
        rest = np.append(off.hi[:, 0], -theta[zero])
        step = corner.basis @ np.linalg.lstsq(kinks, rest, rcond=None)[0]  # first to the kinks, then along them
        step -= corner.loose @ least(H, corner.loose.T @ _pull(objective, frame, theta + frame.J @ step, corner))
        theta = theta + frame.J @ step
    theta[zero] = 0.0
    turned = frame.J @ corner.loose
    rounding = loss.gradient_rounding(theta) + 4.0 * EPS * objective.ridge * np.abs(theta)
    if isinstance(loss, Huber | SmoothL1):
        rounding = precise_gradient(objective, theta)[1]
    error = np.abs(turned @ least(H, turned.T)) @ rounding
    error += 2.0 * np.abs(frame.J @ step) + EPS * np.abs(theta)
    nothing = NOTHING * np.linalg.norm(frame.J, axis=1) * np.linalg.norm(problem.b) / np.sqrt(rows)
    theta[np.abs(theta) < nothing] = 0.0
    error += nothing
    error[zero] = 0.0
    return theta, error


def _pull(objective: Objective, frame: Frame, theta: Array, corner: Corner) -> Array:
    """The gradient in φ, with the slopes at sharp kinks that the corner found."""
    loss, lasso = objective.loss, np.zeros(len(theta))
    lasso[objective.lasso > 0] = corner.u[len(loss.y) :]
    if isinstance(loss, Huber | SmoothL1):
        return np.asarray(frame.J.T @ (precise_gradient(objective, theta)[0] + lasso))
    w = 1.0 / len(loss.y) if loss.weight is None else loss.weight / len(loss.y)
    error = (corner.u[: len(loss.y)] / w)[:, None]
    return np.asarray(frame.J.T @ (loss.gradient_of(error) + objective.ridge * theta + lasso))


def _gap(objective: Objective, theta: Array, problem: Piecewise, corner: Corner) -> float:
    """F(θ) minus the dual value of the slopes: Σ ρ(t) - u t + width u² / 2, and what their sum is short of zero."""
    loss, rows = objective.loss, len(objective.loss.y)
    u = np.clip(corner.u, problem.low, problem.high)
    w = 1.0 / rows if loss.weight is None else loss.weight / rows
    t = loss.predictor(theta)[:, 0] - problem.b[:rows]
    apart = float(np.sum(w * loss.pieces(theta).loss - u[:rows] * t + 0.5 * problem.width[:rows] * u[:rows] ** 2))
    held = objective.lasso > 0
    apart += float(np.sum(objective.lasso[held] * np.abs(theta[held]) - u[rows:] * theta[held]))
    slopes = loss.gradient_of((u[:rows] / w)[:, None]) + objective.ridge * theta
    slopes[held] += u[rows:]
    rounding = EPS * abs(objective.value(theta))
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
