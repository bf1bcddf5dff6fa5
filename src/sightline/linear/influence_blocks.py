"""The rows with the most influence on a least-squares fit whose rows are read block by block, and leave-one-out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .block_fit import BlockFit
from .influence import Influence, measures
from .projection import ALONE, DELICATE, EPS, Deletion
from .triangle import merged_factors

__all__ = ["influence_of_blocks", "left_out_of_blocks"]

Array = NDArray[np.float64]


def influence_of_blocks(fit: BlockFit, combinations: Any = None, *, most: int) -> Influence:
    """The measures of `influence` for the rows with the largest Cook's distances, largest first, those that have none
    before all others.

    In one pass after those of the fit, and in one more where a row has a leverage near 1 or most of Σ w r²: its own
    row of the hat matrix is told apart from that of all others.
    """
    _ = fit.sums  # which the threads need, and none of them is to make
    ordinary, delicate = _chosen(fit, most)
    both = [one for one in (ordinary, _without(fit, delicate)) if len(one.row)]
    rows = both[0] if len(both) == 1 else both[0] + both[1]
    found = measures(fit, rows.coordinates, rows.leverage, rows.deletion, combinations)
    return replace(found, row=rows.row).largest(most)


def left_out_of_blocks(fit: BlockFit) -> Array:
    """The residual of each row in the fit of all others `(n,)`, √w r / (1 - h), in the units of the target; NaN where
    the row alone determines a coefficient. In one pass after those of the fit, and one more where leverage is near 1.
    """
    residual, _ = np.empty(fit.rows), fit.sums  # which the threads need, and none of them is to make

    def leaf(rows: slice) -> _Chosen:
        part = fit.part(rows)
        all_rows = _Chosen.of(fit, rows, part.coordinates, part.residual)
        residual[rows] = all_rows.deletion.residual / all_rows.deletion.complement / part.root * fit.largest
        return all_rows.at(_delicate(fit, all_rows))

    with np.errstate(divide="ignore", invalid="ignore"):
        found = _without(fit, fit.summed(leaf))
        residual[found.row] = (
            np.where(found.deletion.complement > 0.0, found.deletion.residual / found.deletion.complement, np.nan)
            / fit.roots(found.row)
            * fit.largest
        )
    return residual


_FIELDS = ("complement", "residual", "rss")


@dataclass(frozen=True)
class _Chosen:
    """Some rows, from 0: their coordinates `(m, r)`, leverages, own residuals and the fits without them."""

    row: NDArray[np.intp]
    coordinates: Array
    leverage: Array
    residual: Array
    deletion: Deletion

    @classmethod
    def of(cls, fit: BlockFit, rows: slice, coordinates: Array, residual: Array) -> _Chosen:
        """A block, by the formulas that lose digits where little is left."""
        leverage = np.einsum("ij,ij->i", coordinates, coordinates)
        complement = 1.0 - leverage
        with np.errstate(divide="ignore", invalid="ignore"):
            rss = fit.rss - residual**2 / complement
        places = np.arange(rows.start, rows.start + len(residual))
        return cls(places, coordinates, np.minimum(leverage, 1.0), residual, Deletion(complement, residual, rss))

    def at(self, places: Any) -> _Chosen:
        """Some of them."""
        deletion = Deletion(*(getattr(self.deletion, name)[places] for name in _FIELDS))
        return _Chosen(
            self.row[places], self.coordinates[places], self.leverage[places], self.residual[places], deletion
        )

    def __add__(self, other: _Chosen) -> _Chosen:
        deletion = Deletion(
            *(np.concatenate([getattr(self.deletion, name), getattr(other.deletion, name)]) for name in _FIELDS)
        )
        return _Chosen(
            np.concatenate([self.row, other.row]),
            np.concatenate([self.coordinates, other.coordinates]),
            np.concatenate([self.leverage, other.leverage]),
            np.concatenate([self.residual, other.residual]),
            deletion,
        )


def _delicate(fit: BlockFit, rows: _Chosen) -> NDArray[np.bool_]:
    """Rows that leave so little of 1 - h, or of Σ w r², that a difference has lost digits."""
    return (rows.deletion.complement < 1.0 - DELICATE) | ~(rows.deletion.rss >= (1.0 - DELICATE) * fit.rss)


def _chosen(fit: BlockFit, most: int) -> tuple[_Chosen, _Chosen]:
    """The rows with the largest Cook's distances among those that are not delicate, and all that are: one pass."""

    def largest(rows: _Chosen) -> _Chosen:
        with np.errstate(divide="ignore", invalid="ignore"):
            size = rows.residual**2 * rows.leverage / rows.deletion.complement**2
        if fit.rss <= fit.rounding:
            size = np.full(len(size), np.inf)
        return rows.at(np.sort(np.argsort(-size, kind="stable")[:most]))

    def leaf(rows: slice) -> tuple[_Chosen, _Chosen]:
        part = fit.part(rows)
        block = _Chosen.of(fit, rows, part.coordinates, part.residual)
        delicate = _delicate(fit, block)
        return largest(block.at(~delicate)), block.at(delicate)

    found: tuple[_Chosen, _Chosen] = fit.summed(leaf, add=lambda a, b: (largest(a[0] + b[0]), a[1] + b[1]))
    return found


def _without(fit: BlockFit, rows: _Chosen) -> _Chosen:
    """The fits without each of the delicate rows, as sums of squares over all others: h (1 - h) = Σ' (He)², h r =
    -Σ' (He) r, from the factor of coordinates and residuals of the rows that are not delicate, and from the others.
    """
    if not len(rows.row):
        return rows
    if not fit.df:
        nothing = np.zeros(len(rows.row))
        return replace(rows, leverage=np.ones(len(rows.row)), deletion=Deletion(nothing, rows.residual, nothing))
    skipped = np.zeros(fit.rows, dtype=bool)
    skipped[rows.row] = True

    def leaf(block: slice) -> Array:
        part = fit.part(block)
        both = np.column_stack([part.coordinates, part.residual])
        return np.asarray(np.linalg.qr(both[~skipped[block]], mode="r"))

    R = fit.summed(leaf, columns=1, add=merged_factors)
    others = np.vstack([R, np.column_stack([rows.coordinates, rows.residual])])
    own = len(R) + np.arange(len(rows.row))
    found = [_one_without(fit, others, i) for i in own.tolist()]
    complement, residual, rss = np.array(found).T
    leverage = np.where(complement == 0.0, 1.0, rows.leverage)
    return replace(rows, leverage=leverage, deletion=Deletion(complement, residual, rss))


def _one_without(fit: BlockFit, others: Array, i: int) -> tuple[float, float, float]:
    """1 - h, √w r and what is left of Σ w r² for row i of [coordinates, residual], the others standing for the rest."""
    coordinates, residuals = others[:, :-1], others[:, -1]
    column = coordinates @ coordinates[i]
    h, column[i] = column[i], 0.0
    complement = float(column @ column) / h if h > 0.0 else 1.0
    residual = -float(column @ residuals) / h if h > 0.5 else float(residuals[i])
    if complement <= (ALONE * EPS * fit.condition) ** 2:
        return 0.0, 0.0, fit.rss
    rest = residuals + column * (residual / complement)
    rest[i] = 0.0
    return complement, residual, float(rest @ rest)
