"""Tests of one variance for all errors: Breusch-Pagan and White.

With weights they look at u = w r², which has one mean if the weights are right, and at rows of positive weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .assumptions import Test, unknown
from .projection import EPS, Projection
from .tails import chi2_tail

__all__ = ["BREUSCH_PAGAN", "WHITE", "breusch_pagan", "explained_by_products", "multiplier", "products", "white"]

Array = NDArray[np.float64]
BLOCK = 8192  # rows of the auxiliary design held at a time
BREUSCH_PAGAN = Test(
    "Breusch-Pagan, studentized",
    "A small p says that the variance of the errors rises or falls with the columns of the design.",
)
WHITE = Test(
    "White", "A small p says that the variance of the errors changes with the columns, their squares or their products."
)


def breusch_pagan(fit: Projection, *, studentize: bool = True) -> Test:
    """Breusch-Pagan: whether the columns of Z explain the squared residuals u = w r².

    Studentized (Koenker 1981, A note on studentizing a test for heteroscedasticity) it is m R² of the regression of u
    on [1 Z], else half the explained sum of squares of u / ū (Breusch and Pagan 1979, A simple test for
    heteroscedasticity and random coefficient variation), for normal errors; χ² with as many degrees of freedom as Z
    adds to the constant. As R's lmtest::bptest, save for weights: that asks about r², not w r².

    >>> Z = np.column_stack([[-1.0, -1.0, 1.0, 1.0], np.ones(4)])
    >>> test = breusch_pagan(Projection.of(Z, [1.0, -1.0, 2.0, -2.0]), studentize=False)
    >>> round(test.statistic, 12), test.df, round(test.p, 6)
    (0.72, (1,), 0.396144)
    """
    about = BREUSCH_PAGAN if studentize else replace(BREUSCH_PAGAN, name="Breusch-Pagan")
    if reason := unknown(fit):
        return about.undefined(reason)
    deviation = _deviation(fit)
    along, total = fit.levels.T @ deviation, float(deviation @ deviation)
    return multiplier(about, fit.rows, total, float(along @ along), fit.levels.shape[1], studentize=studentize)


def white(fit: Projection) -> Test:
    """White: whether levels, squares and cross products of the columns of Z explain the squared residuals u = w r².

    m R² of the regression of u on a constant and all of them; χ² with as many degrees of freedom as they add to the
    constant. They are made from an orthonormal basis of [1 Z], which spans the same, and redundant ones do not count.
    There are about q² / 2, so work is O(n q⁴), in blocks of rows. White 1980, A heteroskedasticity-consistent
    covariance matrix estimator and a direct test for heteroskedasticity.

    >>> Z = np.column_stack([[-2.0, -1.0, 0.0, 1.0, 2.0, 0.0], np.ones(6)])
    >>> white(Projection.of(Z, [1.0, -2.0, 1.0, 0.0, 0.0, 0.0])).df
    (2,)
    """
    about = WHITE
    if reason := unknown(fit):
        return about.undefined(reason)
    deviation = _deviation(fit)
    basis = fit.levels * math.sqrt(fit.rows)
    size = max(BLOCK, 4 * products(basis.shape[1]))
    blocks = ((basis[i : i + size], deviation[i : i + size]) for i in range(0, fit.rows, size))
    explained, rank = explained_by_products(blocks, EPS * fit.unweighted.condition)
    return multiplier(about, fit.rows, float(deviation @ deviation), explained, rank)


def _deviation(fit: Projection) -> Array:
    """u / ū - 1 `(m,)`."""
    return fit.residual**2 * (fit.rows / fit.rss) - 1.0


def multiplier(about: Test, rows: int, total: float, explained: float, rank: int, *, studentize: bool = True) -> Test:
    """The Lagrange multiplier test of `rows` deviations with the sum of squares `total`, of which columns of that rank,
    with the constant, explain a part.
    """
    if rank < 2:
        return about.undefined("the design is constant")
    if rank >= rows:
        return about.undefined(f"{rank:,} columns explain whatever {rows:,} rows hold")
    if studentize and total <= rows * (16.0 * EPS) ** 2:
        return about.undefined("all residuals have one size")
    statistic = rows * explained / total if studentize else explained / 2.0
    return about.found(statistic, (rank - 1,), chi2_tail(rank - 1, statistic))


def products(columns: int) -> int:
    """How many squares and products so many columns have."""
    return columns * (columns + 1) // 2


def explained_by_products(blocks: Iterable[tuple[Array, Array]], rounding: float) -> tuple[float, int]:
    """Σ of squares of the target that products of two columns of a basis explain, and their rank, from blocks of rows
    of the basis `(k, r)` and the target `(k,)`.

    QR of one block after the other, each below the factor of those before. What is of the size of the `rounding` of the
    basis is no direction: it is what is left of products that are equal, as x · x³ and x² · x².
    """
    R: Array | None = None
    for rows, target in blocks:
        left, right = np.triu_indices(rows.shape[1])
        block = np.column_stack([rows[:, left] * rows[:, right], target])
        R = np.asarray(np.linalg.qr(block if R is None else np.vstack([R, block]), mode="r"))
    assert R is not None
    length = np.linalg.norm(R[:, :-1], axis=0)
    U, singular, _ = np.linalg.svd(R[:, :-1] / np.where(length > 0, length, 1.0), full_matrices=False)
    rank = int((singular > 8.0 * len(length) * rounding * singular[0]).sum())
    along = U[:, :rank].T @ R[:, -1]
    return float(along @ along), rank
