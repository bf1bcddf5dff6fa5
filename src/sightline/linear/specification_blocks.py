"""The tests of what least squares takes for granted, of rows that are read block by block: three passes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .assumptions import Test, unknown
from .block_fit import BlockFit, Part
from .projection import EPS
from .specification import (
    DURBIN_WATSON,
    FITTED,
    JARQUE_BERA,
    RESET,
    durbin_watson_of,
    jarque_bera_of,
    new_directions,
    reset_of,
)
from .triangle import merged_factors
from .variance_tests import BREUSCH_PAGAN, WHITE, explained_by_products, multiplier, products

__all__ = ["specification_tests_of_blocks"]

Array = NDArray[np.float64]
POWERS = (2, 3)
MOST_PRODUCTS = 2000  # squares and products of columns: the factor of so many takes 32 MB


def specification_tests_of_blocks(fit: BlockFit) -> tuple[Test, ...]:
    """As `specification_tests`: the sums of the residuals first, then what their squares and the powers of the fitted
    values need these for, then the products of the columns.

    White is left out where the design has more than 2,000 squares and products.
    """
    if reason := unknown(fit):
        tests = DURBIN_WATSON, BREUSCH_PAGAN, WHITE, JARQUE_BERA, RESET
        return tuple(test.undefined(reason) for test in tests)
    sums, (along, total, R) = fit.sums, _second_pass(fit)
    return (
        durbin_watson_of(fit, sums.steps, sums.lagged, sums.gram, sums.all_bends),
        multiplier(BREUSCH_PAGAN, fit.rows, total, float(along @ along), len(along)),
        _white(fit, total),
        jarque_bera_of(fit.rows, *sums.powers),
        _reset(fit, R),
    )


def _deviation(fit: BlockFit, part: Part) -> Array:
    """u / ū - 1 of the squared residuals u."""
    return part.residual**2 * (fit.rows / fit.rss) - 1.0


def _second_pass(fit: BlockFit) -> tuple[Array, float, Array]:
    """For Breusch-Pagan Σ level u and Σ u²; for RESET the factor of the coordinates, powers and residuals."""
    varies = fit.reach > FITTED * fit.size

    def leaf(rows: slice) -> tuple[Array, float, Array]:
        part = fit.part(rows)
        deviation = _deviation(fit, part)
        powers = [part.root * ((part.fitted - fit.center) / fit.reach) ** k for k in POWERS] if varies else []
        R = np.linalg.qr(np.column_stack([part.coordinates, *powers, part.residual]), mode="r")
        return fit.level(part.row).T @ deviation, float(deviation @ deviation), np.asarray(R)

    found: tuple[Array, float, Array] = fit.summed(
        leaf, columns=len(POWERS) + 1, add=lambda a, b: (a[0] + b[0], a[1] + b[1], merged_factors(a[2], b[2]))
    )
    return found


def _reset(fit: BlockFit, R: Array) -> Test:
    """From the factor R of [coordinates, powers, residuals]: below the coordinates stands what is beyond them."""
    lengths = np.linalg.norm(R[:, fit.rank : -1], axis=0)
    added = new_directions(R[fit.rank :, fit.rank : -1] / lengths, FITTED * fit.size / (fit.reach or 1.0))
    return reset_of(fit, added, R[fit.rank :, -1])


def _white(fit: BlockFit, total: float) -> Test:
    columns = fit.levels.shape[1]
    if products(columns) > MOST_PRODUCTS:
        return WHITE.undefined(
            f"{columns:,} columns have {products(columns):,} squares and products, too many for rows read in blocks"
        )

    def blocks() -> Iterator[tuple[Array, Array]]:
        for rows in fit.parts():
            part = fit.part(rows)
            yield fit.level(part.row) * np.sqrt(fit.rows), _deviation(fit, part)

    explained, rank = explained_by_products(blocks(), EPS * fit.level_condition)
    return multiplier(WHITE, fit.rows, total, explained, rank)
