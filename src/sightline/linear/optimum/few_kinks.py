"""The optimum of losses with sharp kinks, l1 and hinge, of more rows than memory holds: those near a kink are kept.

Portnoy and Koenker 1997, The Gaussian hare and the Laplacian tortoise: all other rows are a sum of lines. Madsen and
Nielsen 1993, A finite smoothing algorithm for linear L1 estimation: kinks that are rounded off, less and less, lead
there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..blocks import every, summed
from ..objective import Objective
from ..row_losses import Hinge, Pieces, RowLoss, SmoothL1
from .frame import Frame
from .kinked import kinked_optimum
from .newton import newton_optimum
from .result import Optimum

__all__ = ["few_kinks_optimum", "some_rows"]

Array = NDArray[np.float64]
T = TypeVar("T")
EPS = float(np.finfo(np.float64).eps)
KEPT = 50_000  # rows near a kink at most, where so many lie no nearer
FINER = 8.0  # times as few rows where kinks are rounded off, from one smoothing to the next
BAND = 6.0  # times the width of the last smoothing: rows that near are kept
MOST_ROUNDS = 20
MOST_NEAR = 20  # times as many rows at most


@dataclass(frozen=True)
class Rounded(RowLoss):
    """|z - m| as `SmoothL1` has it, with m = y; for a `hinge` half of it, and of 1 - m z, with m = 1 for y = 1, else
    -1.
    """

    name = "rounded"

    beta: float = 1.0
    hinge: bool = False

    def at(self, z: Array) -> Pieces:
        """The smoothed loss and its slope."""
        found = self._smooth().at(z)
        if not self.hinge:
            return found
        m = self._middle()
        return Pieces(z, z, 0.5 * (found.error - m[:, None]), 0.5 * (found.loss + 1.0 - m * z[:, 0]))

    def bend(self, z: Array) -> Array:
        """That of the smoothed part."""
        return self._smooth().bend(z) * (0.5 if self.hinge else 1.0)

    def difference(self, z: Array, d: Array) -> Array:
        """With the digits that the smoothed part keeps."""
        found = self._smooth().difference(z, d)
        return np.asarray(0.5 * (found - self._middle() * d[:, 0]) if self.hinge else found)

    def sharpness(self, z: Array) -> float:
        """1 / β."""
        del z
        return 1.0 / self.beta

    def _middle(self) -> Array:
        return middles(self.y, hinge=self.hinge)

    def _smooth(self) -> SmoothL1:
        return SmoothL1(self.X, self._middle(), self.intercept, None, beta=self.beta)


def few_kinks_optimum(objective: Objective, frame: Frame) -> Optimum:
    """As `kinked_optimum`, in passes over the rows: Newton's method on kinks that are rounded off leads near; then the
    rows near their kinks are solved with the sum of all others, until none of those is beyond its kink.
    """
    if len(objective.loss.y) <= KEPT:
        loss = some_rows(objective.loss, 1)
        return kinked_optimum(replace(objective, loss=loss), replace(frame, loss=loss))
    theta, band, steps = _near(objective, frame)
    split = _Split.of(objective, theta, band)
    for _ in range(MOST_ROUNDS):
        part = split.objective()
        found = kinked_optimum(part, replace(frame, loss=part.loss))
        wrong = split.crossed(found.theta)
        if not wrong.any():
            return _told(objective, found, steps, int(split.near.sum()))
        if int(split.near.sum() + wrong.sum()) <= 4 * KEPT:
            split = replace(split, near=split.near | wrong)
        else:
            split = _Split.of(objective, found.theta, band)
    reason = f"{found.reason}; rows beyond it do not settle"
    return replace(_told(objective, found, steps, int(split.near.sum())), reason=reason, unique=False)


def _told(objective: Objective, found: Optimum, steps: int, near: int) -> Optimum:
    """What is known of it among all rows."""
    value, loss = objective.value(found.theta), objective.loss.value(found.theta)
    reason = f"{found.reason}; {near:,} rows near their kinks, found by {steps:,} steps with rounded ones"
    return replace(found, value=value, loss=loss, reason=reason, gap=found.gap + 2.0 * EPS * abs(value))


def _near(objective: Objective, frame: Frame) -> tuple[Array, float, int]:
    """A point near the answer, from how near to a kink rows are to be kept, and the Newton steps that led there."""
    loss, n = objective.loss, len(objective.loss.y)
    sample = some_rows(loss, -(-n // KEPT))
    part = replace(objective, loss=sample)
    theta, steps = kinked_optimum(part, Frame.of(part)).theta, 0
    hinge, share = isinstance(loss, Hinge), 0.5
    while share * n > KEPT / (2.0 * BAND):
        share = max(share / FINER, KEPT / (2.0 * BAND) / n)
        off = np.abs(sample.predictor(theta)[:, 0] - middles(sample.y, hinge=hinge))
        beta = max(float(np.quantile(off, share)), 1e-12 * float(off.max(initial=1.0)))
        rounded = Rounded(loss.X, loss.y, loss.intercept, loss.weight, beta=beta, hinge=hinge)
        found = newton_optimum(replace(objective, loss=rounded), replace(frame, loss=rounded), theta)
        theta, steps = found.theta, steps + found.steps
        if share * n <= KEPT / (2.0 * BAND):
            break
    return theta, BAND * beta, steps


def some_rows(loss: RowLoss, step: int) -> RowLoss:
    """Every so many rows, in memory."""
    weight = None if loss.weight is None else np.asarray(loss.weight)[::step]
    return replace(loss, X=every(loss.X, step), y=np.asarray(loss.y)[::step], weight=weight)


def middles(y: Array, *, hinge: bool) -> Array:
    """Where the kinks are: at y, of the hinge loss at 1 for y = 1, else at -1."""
    return np.where(y > 0.5, 1.0, -1.0) if hinge else np.asarray(y)


def _over(loss: RowLoss, leaf: Callable[[slice], T]) -> T:
    """Σ leaf over blocks of the rows."""
    n, p = loss.X.shape
    return summed(lambda part, _: leaf(part), lambda _: None, rows=n, columns=p, work=64 * n * (p + 1))


def _walk(loss: RowLoss, theta: Array, seen: Callable[[slice, Array], int]) -> None:
    """Show each block of the rows, with how far the predictions `(·,)` are beyond their kinks."""

    def leaf(part: slice) -> int:
        of = loss.part(part)
        return seen(part, of.predictor(theta)[:, 0] - middles(of.y, hinge=isinstance(loss, Hinge)))

    _over(loss, leaf)


@dataclass(frozen=True)
class _Split:
    """Rows near their kinks, `near (n,)`, and on which side of it each other is, `above (n,)`, as it was at θ."""

    whole: Objective
    near: NDArray[np.bool_]
    above: NDArray[np.bool_]

    @classmethod
    def of(cls, objective: Objective, theta: Array, band: float) -> _Split:
        n = len(objective.loss.y)
        near, above = np.empty(n, dtype=bool), np.empty(n, dtype=bool)

        def seen(part: slice, t: Array) -> int:
            near[part], above[part] = np.abs(t) <= band, t > 0
            return 0

        _walk(objective.loss, theta, seen)
        return cls(objective, near, above)

    def objective(self) -> Objective:
        """The rows near their kinks, and all others as lines; weights count in the mean as they did.

        Raises DataError where most of them are on their kinks, as where most targets are equal.
        """
        loss, near, n = self.whole.loss, np.flatnonzero(self.near), len(self.near)
        if len(near) > MOST_NEAR * KEPT:
            raise DataError(
                f"{len(near):,} rows of {n:,} lie on the kink of the {loss.name} loss, too many to be solved together: "
                "give a larger --memory to read all rows at once, or use --loss huber"
            )
        kept = loss.of_rows(near.tolist())
        weight = (np.ones(len(near)) if kept.weight is None else kept.weight) * (len(near) / n)
        hinge = isinstance(loss, Hinge)

        def lines(part: slice) -> Array:
            of, side = loss.part(part), np.where(self.above[part], 1.0, -1.0)
            slope = 0.5 * (side - middles(of.y, hinge=True)) if hinge else side
            return of.pull(np.where(self.near[part], 0.0, slope)[:, None])

        tilt = _over(loss, lines) / n
        return replace(self.whole, loss=replace(kept, weight=weight), tilt=tilt)

    def crossed(self, theta: Array) -> NDArray[np.bool_]:
        """Which of the other rows are no longer on their side `(n,)`."""
        found = np.empty(len(self.near), dtype=bool)

        def seen(part: slice, t: Array) -> int:
            found[part] = ~self.near[part] & np.where(self.above[part], t <= 0, t >= 0)
            return 0

        _walk(self.whole.loss, theta, seen)
        return found
