"""The optimum of smooth losses, with ridge and lasso: Newton's method, damped, then with gradients in double-double."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..objective import Objective, size_change
from ..piecewise import Piecewise, least
from ..row_losses import GaussianNLL, RowLoss
from .frame import Frame
from .precise import gradient_error, precise_gradient
from .result import NOTHING, Optimum
from .start import start_of

__all__ = ["newton_optimum"]

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
MOST_STEPS, MOST_DAMPINGS, MOST_POLISHING = 200, 40, 4
NEAR = 1e-12  # of the first-order terms: what a step gains beyond is their rounding
STILL, LITTLE = 1e-14, 1e-8
UNSETTLED = "; it did not settle to the last digits"
FLAT = 1e-13


@dataclass(frozen=True)
class _Model:
    """The objective near θ, g'x + x'Hx / 2 + Σ lasso |θ + Jx|, with the sizes of the eigenvalues of H."""

    objective: Objective
    frame: Frame
    theta: Array
    g: Array
    values: Array
    vectors: Array

    @classmethod
    def at(cls, objective: Objective, frame: Frame, theta: Array) -> _Model:
        gradient, H = frame.model(theta, objective.ridge)
        values, vectors = np.linalg.eigh(H)
        g = frame.J.T @ (gradient + objective.ridge * theta)
        return cls(objective, frame, theta, g, np.abs(values), vectors)

    def damped(self, damping: float) -> Array:
        """Eigenvalues of H with some of the largest added."""
        top = float(self.values.max(initial=0.0)) or 1.0
        return np.maximum(self.values, FLAT * top) + damping * top

    def step(self, damping: float) -> _Step:
        """The minimizer of the model with H + damping."""
        values, J = self.damped(damping), self.frame.J
        held = self.objective.lasso > 0
        if not held.any():
            x = -self.vectors @ ((self.vectors.T @ self.g) / values)
            return _Step(self.theta + J @ x, J @ x, -0.5 * float(self.g @ x), np.eye(len(x)))
        lasso, nothing = self.objective.lasso[held], np.zeros(int(held.sum()))
        H = (self.vectors * values) @ self.vectors.T
        corner = Piecewise(J[held], -self.theta[held], -lasso, lasso, nothing, H, self.g).corner()
        theta = self.theta + J @ corner.x
        theta[np.flatnonzero(held)[corner.on]] = 0.0
        more = float(self.objective.lasso @ size_change(self.theta, theta - self.theta))
        gain = -more - float(self.g @ corner.x + 0.5 * corner.x @ H @ corner.x)
        return _Step(theta, theta - self.theta, gain, corner.loose)

    def tried(self, step: _Step, before: float) -> tuple[bool, float]:
        """In one pass, whether what a step gains is nothing beside the terms that cancel in it, or it moves nothing, or
        it is little and no longer shrinks from the step `before`, as Newton's do until rounding stops them; and the
        objective at its end less that at its beginning.
        """
        o, loss = self.objective, self.objective.loss

        def leaf(part: RowLoss) -> Array:
            pieces, d = part.pieces(self.theta), part.predictor(step.step)
            first, change = np.abs(pieces.error * d).sum(axis=1), part.difference(pieces.z, d)
            return np.array([part.total(first), part.total(change), np.sum(d**2), np.sum(pieces.z**2)])

        with np.errstate(over="ignore", invalid="ignore"):
            first, change, moved, size = loss.over(leaf).tolist()
        first = first / len(loss.X) * loss.factor
        first += float(np.abs(step.step) @ (o.ridge * np.abs(self.theta) + o.lasso))
        stuck = step.gain <= LITTLE * first and step.gain > 0.25 * before
        still = bool(step.gain <= NEAR * first or moved <= STILL**2 * size or stuck)
        return still, change / len(loss.X) + o.penalty_change(self.theta, step.theta - self.theta)


@dataclass(frozen=True)
class _Step:
    """Where a step leads, what it gains in the model, and the moves `loose (r, ·)` that keep its zeros."""

    theta: Array
    step: Array
    gain: float
    loose: Array


def newton_optimum(objective: Objective, frame: Frame, start: Array | None) -> Optimum:
    """Newton's method with damping as long as a step does not gain; a lasso is kept exact in each step's model."""
    theta = start_of(objective, frame) if start is None else start - frame.open @ (frame.open.T @ start)
    last, steps, settled = _descended(objective, frame, theta)
    theta, error, H = _polished(objective, frame, last)
    rest = frame.J.T @ objective.subgradient(theta)
    loss = objective.loss.value(theta)
    value = loss + objective.penalty(theta)
    inner = last.loose.T @ rest
    gap = 0.5 * float(inner @ least(H, inner)) + 2.0 * EPS * abs(value)
    bends = np.linalg.eigvalsh(H) if len(H) else np.ones(1)
    unique = bool(_fixed(objective, frame) and bends[0] > 10.0 * FLAT * max(bends[-1], 1e-300))
    path = "active set" if objective.lasso.any() else "Newton"
    return Optimum(
        theta, value, loss, gap, error, steps, path,
        _reason(objective, theta, steps, settled=settled), unique, np.zeros((0, len(theta))), theta,
    )  # fmt: skip


def _descended(objective: Objective, frame: Frame, theta: Array) -> tuple[_Step, int, bool]:
    """Steps until one gains nothing that can be told from rounding; whether that came."""
    damping, before = 0.0, np.inf
    for number in range(1, MOST_STEPS + 1):
        model = _Model.at(objective, frame, theta)
        newton = model.step(0.0)
        still, change = model.tried(newton, before)
        if still:
            return newton, number, True
        for _ in range(MOST_DAMPINGS):
            step = model.step(damping) if damping else newton
            if (objective.excess(step.theta, theta) if damping else change) <= -1e-4 * step.gain:
                break
            damping = max(10.0 * damping, 1e-4)
        else:
            return step, number, False
        before = newton.gain
        theta, damping = step.theta, damping / 10.0 if damping > 1e-6 else 0.0
    return step, MOST_STEPS, False


def _polished(objective: Objective, frame: Frame, last: _Step) -> tuple[Array, Array, Array]:
    """θ by precise gradients along the moves that keep its zeros, its error, and H along those moves."""
    theta, J = last.theta, frame.J @ last.loose
    before = np.inf
    for _ in range(MOST_POLISHING):
        gradient, H = frame.model(theta, objective.ridge)
        H = last.loose.T @ H @ last.loose
        g = precise_gradient(objective, theta, gradient)
        step = -J @ least(H, J.T @ (g + objective.lasso * np.sign(theta)))
        step[theta == 0.0] *= objective.lasso[theta == 0.0] == 0
        size = objective.loss.predictor_size(step)
        if size > 0.25 * before:
            break
        theta, before = theta + step, size
    error = np.abs(J @ least(H, J.T)) @ gradient_error(objective, theta, g) + 2.0 * np.abs(step) + EPS * np.abs(theta)
    mean = objective.loss.predictor_size(theta) / np.sqrt(len(objective.loss.X))
    error += NOTHING * np.linalg.norm(J, axis=1) * mean
    return theta, np.where((theta == 0.0) & (objective.lasso > 0), 0.0, error), H


def _fixed(objective: Objective, frame: Frame) -> bool:
    """Whether the columns are independent; a number added to all classes does not count."""
    return frame.rank == frame.width or bool(objective.ridge.any() and not frame.open.shape[1])


def _reason(objective: Objective, theta: Array, steps: int, *, settled: bool) -> str:
    text = f"Newton's method, {steps:,} step{'s' * (steps != 1)}"
    if objective.lasso.any():
        text += f", {int(((theta == 0) & (objective.lasso > 0)).sum()):,} coefficients exactly zero"
    if isinstance(objective.loss, GaussianNLL):
        text += "; the loss is not convex, so this is a minimum, not provably the lowest"
    return text if settled else text + UNSETTLED
