"""Whether a learning rate of gradient descent is too small, right or too large for a curvature."""

from __future__ import annotations

from dataclasses import dataclass

from .curvature import Curvature, epochs_per_digit, steady_rate

__all__ = ["Rate", "judge_rate"]

SLOWER = 2.0  # a rate is right where the slowest direction needs at most this many times the epochs of the best one,
FEW = 5.0  # or at most so many epochs for each digit


@dataclass(frozen=True)
class Rate:
    """A rate `lr` beside the largest stable one, and the best for this momentum (2 / (λmin + λmax) without any).

    `steepest` and `flattest` are the factors by which an epoch multiplies the error along the two; `needs` and
    `best_needs` the epochs for each digit of the slowest direction at this rate and at the best. `word` is
    "too large" (it diverges, or overshoots so far that it settles slowly), "right" or "too small".
    """

    lr: float
    limit: float
    best: float
    steepest: float
    flattest: float
    needs: float
    best_needs: float
    word: str


def judge_rate(
    curvature: Curvature, lr: float, momentum: float = 0.0, *, nesterov: bool = False, dampening: float = 0.0
) -> Rate | None:
    """Compare a rate with what the curvature allows; None where the loss does not depend on the parameters.

    Along a direction of curvature λ one step multiplies the error by 1 - lr λ, so it shrinks where lr < 2 / λ; the
    steepest direction sets the limit, the flattest the pace (Goh 2017, Why momentum really works).

    >>> import numpy as np
    >>> curvature = Curvature.of(np.diag([2.0, 1.0]), rows=2, rank=2)
    >>> [judge_rate(curvature, lr).word for lr in (0.02, 0.4, 0.4999, 0.51)]
    ['too small', 'right', 'too large', 'too large']
    """
    if not curvature.rank:
        return None
    limit = curvature.lr_limit(momentum, dampening=dampening, nesterov=nesterov)
    factors = curvature.contraction(lr, momentum, nesterov=nesterov, dampening=dampening)
    needs = epochs_per_digit(float(factors.max()))
    best = curvature.best_lr
    if momentum:
        best = (1.0 / curvature.max if nesterov else steady_rate(curvature, momentum)) / (1.0 - dampening)
    at_best = curvature.contraction(best, momentum, nesterov=nesterov, dampening=dampening)
    best_needs = epochs_per_digit(float(at_best.max()))
    if lr < limit and needs <= max(SLOWER * best_needs, FEW):
        word = "right"
    else:
        word = "too large" if lr >= limit or lr > best else "too small"
    return Rate(lr, limit, best, float(factors[0]), float(factors[-1]), needs, best_needs, word)
