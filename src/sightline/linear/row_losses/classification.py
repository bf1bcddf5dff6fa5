"""Losses of a score for classes: binary and softmax cross-entropy, hinge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .base import Pieces, RowLoss

__all__ = ["CrossEntropy", "Hinge", "Logistic"]

Array = NDArray[np.float64]
TINY_STEP = 1.0  # up to here the difference of two logarithms is taken as one


class Logistic(RowLoss):
    """Binary cross-entropy of a probability p = 1 / (1 + e⁻ᶻ): ℓ = -log p for y = 1, -log(1 - p) for y = 0;
    `torch.nn.BCEWithLogitsLoss`.

    >>> loss = Logistic(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
    >>> round(loss.value(np.zeros(2)), 6), loss.gradient(np.zeros(2)).tolist()
    (0.693147, [-0.25, 0.0])
    """

    name = "bce"

    def at(self, z: Array) -> Pieces:
        """p, p - y, and log(1 + eᶻ) - y z."""
        from scipy.special import expit

        p = expit(z)
        return Pieces(z, p, p - self.y[:, None], (np.logaddexp(0.0, z) - self.y[:, None] * z)[:, 0])

    def bend(self, z: Array) -> Array:
        """p (1 - p)."""
        from scipy.special import expit

        return np.asarray(expit(z) * expit(-z))[:, :, None]

    @property
    def steepest(self) -> float:
        """1/4, at p = 1/2."""
        return 0.25

    def difference(self, z: Array, d: Array) -> Array:
        """log(1 + p (eᵈ - 1)) for y = 0, log(1 + (1 - p)(e⁻ᵈ - 1)) for y = 1."""
        from scipy.special import expit

        z, d = z[:, 0], d[:, 0]
        small = np.clip(d, -TINY_STEP, TINY_STEP)
        near = (1.0 - self.y) * np.log1p(expit(z) * np.expm1(small))
        near += self.y * np.log1p(expit(-z) * np.expm1(-small))
        far = np.logaddexp(0.0, z + d) - np.logaddexp(0.0, z) - self.y * d
        return np.asarray(np.where(np.abs(d) <= TINY_STEP, near, far))


@dataclass(frozen=True)
class CrossEntropy(RowLoss):
    """Cross-entropy of the softmax: pⱼ = exp(zⱼ) / Σ exp(z), ℓ = -log p of the class y; `torch.nn.CrossEntropyLoss`.

    With `smoothing` ε it is -(1 - ε) log p_y - ε / K Σ_c (ω_c / ω_y) log p_c, torch's label_smoothing. The weights of
    classes `class_weight (K,)`, ω, enter there only; the rows then have weights in proportion to ω_y, of mean 1.

    Raises UsageError for smoothing outside [0, 1] and class weights that are not above zero.

    >>> loss = CrossEntropy(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]), outputs=3)
    >>> round(loss.value(np.zeros(6)), 6)
    1.098612
    """

    name = "cross-entropy"

    smoothing: float = 0.0
    class_weight: Array | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        if not 0.0 <= self.smoothing <= 1.0:
            raise UsageError(f"the label smoothing is {self.smoothing!r}: give a number from 0 to 1")
        w = self.class_weight
        if w is not None and not (w.shape == (self.outputs,) and (w > 0).all() and np.isfinite(w).all()):
            raise UsageError(f"the class weights are {w.tolist()}: give one above 0 for each of {self.outputs} classes")

    def targets(self) -> Array:
        """What each class counts for in a row, `(n, K)`: 1 for its own without smoothing; rows add up to `total`."""
        rows, classes = np.arange(len(self.y)), self.y.astype(np.intp)
        w = np.ones(self.outputs) if self.class_weight is None else self.class_weight
        target = self.smoothing / self.outputs * w / w[classes][:, None]
        target[rows, classes] += 1.0 - self.smoothing
        return np.asarray(target)

    def at(self, z: Array) -> Pieces:
        """p, p - 1 for the class that it was and p for the others, log Σ exp(z) - z of that class."""
        from scipy.special import log_softmax

        logs = log_softmax(z, axis=1)
        p = np.exp(logs)
        if self.smoothing:
            target = self.targets()
            return Pieces(z, p, target.sum(axis=1, keepdims=True) * p - target, -(target * logs).sum(axis=1))
        rows, classes = np.arange(len(z)), self.y.astype(np.intp)
        error = p.copy()
        error[rows, classes] -= 1.0
        return Pieces(z, p, error, -logs[rows, classes])

    def bend(self, z: Array) -> Array:
        """diag(p) - pp', times the sum of the row's targets."""
        from scipy.special import softmax

        p = softmax(z, axis=1)
        B = -p[:, :, None] * p[:, None, :]
        at = np.arange(self.outputs)
        B[:, at, at] = p * (1.0 - p)
        return np.asarray(B * self.targets().sum(axis=1)[:, None, None] if self.smoothing else B)

    @property
    def steepest(self) -> float:
        """1/2, of two classes with p = 1/2 each, times the largest sum of targets."""
        if not self.smoothing:
            return 0.5
        return 0.5 * float(self.over(lambda part: part.targets().sum(axis=1).max(initial=0.0), add=max))

    def difference(self, z: Array, d: Array) -> Array:
        """log(1 + Σⱼ pⱼ (exp(dⱼ - d_c) - 1)), added up over the targets c."""
        from scipy.special import softmax

        p, target = softmax(z, axis=1), self.targets()
        near, small = np.zeros(len(z)), np.abs(d).max(axis=1) <= 0.5 * TINY_STEP
        step = np.where(small[:, None], d, 0.0)
        for c in range(self.outputs):
            near += target[:, c] * np.log1p((p * np.expm1(step - step[:, c : c + 1])).sum(axis=1))
        return np.asarray(near if small.all() else np.where(small, near, self.at(z + d).loss - self.at(z).loss))


class Hinge(RowLoss):
    """The hinge loss ℓ = max(0, 1 - s z) of a support vector machine, s = 1 for y = 1 and -1 for y = 0.

    Its error is -s where s z < 1, else 0. Cortes and Vapnik 1995, Support-vector networks.

    >>> loss = Hinge(np.array([[0.0], [3.0]]), np.array([0.0, 1.0]))
    >>> loss.value(np.array([1.0, -0.5])), loss.gradient(np.array([1.0, -0.5])).tolist()
    (0.25, [0.0, 0.5])
    """

    name = "hinge"

    @property
    def side(self) -> Array:
        """s `(n, 1)`."""
        return np.where(self.y > 0.5, 1.0, -1.0)[:, None]

    def at(self, z: Array) -> Pieces:
        """The score, -s or 0, max(0, 1 - s z)."""
        short = 1.0 - self.side * z
        return Pieces(z, z, np.where(short > 0, -self.side, 0.0), np.maximum(short, 0.0)[:, 0])

    def bend(self, z: Array) -> Array:
        """0."""
        return np.zeros((len(z), 1, 1))

    @property
    def steepest(self) -> float:
        """0: all of its curvature is in kinks."""
        return 0.0

    def difference(self, z: Array, d: Array) -> Array:
        """-s d where a row stays short of its margin, 0 where it stays beyond."""
        before, step = 1.0 - self.side * z, -self.side * d
        after = before + step
        crossing = np.maximum(after, 0.0) - np.maximum(before, 0.0)
        both = (before > 0) & (after > 0)
        return np.asarray(np.where(both, step, crossing))[:, 0]

    def error_range(self, z: Array, slack: Array) -> tuple[Array, Array]:
        """From 0 to -s at s z = 1."""
        short, s = 1.0 - self.side * z, self.side
        least, most = np.where(short > slack, 1.0, 0.0), np.where(short < -slack, 0.0, 1.0)
        return np.where(s > 0, -most, least), np.where(s > 0, -least, most)

    def sharpness(self, z: Array) -> float:
        """0: signs have no rounding."""
        del z
        return 0.0
