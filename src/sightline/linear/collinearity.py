"""How nearly columns repeat each other: variance inflation, condition indices, and who takes part.

Inflation compares the variance of a coefficient with what it would be if its column were orthogonal to all others; it
does not depend on units, nor on where columns have their zero. Condition indices take the columns as they are, with
the column of ones, each scaled to length 1: the intercept takes part (Belsley, Kuh and Welsch 1980, Regression
Diagnostics, chapter 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .span import Span, added, centered, qr, root_weights

__all__ = [
    "Conditioning",
    "Inflation",
    "NearDependency",
    "condition_diagnostics",
    "inflation_of_factor",
    "variance_inflation",
]

Array = NDArray[np.float64]
NEAR = 30.0  # condition index from which a dependency does harm (Belsley, Kuh and Welsch, section 3.2)
SHARE = 0.5  # of a coefficient's variance that must be due to near-dependencies (the same)
PART = 0.1  # of the largest coefficient in a near-dependency, below which a column hardly takes part


@dataclass(frozen=True, slots=True)
class Inflation:
    """Inflation of a group of columns: `gvif` of the volume of its confidence region, `scaled` = gvif^(1 / (2 df)) of
    its width by dimension, the square root of the VIF for one column. Infinite if others say all that the group says.
    """

    group: str
    df: int
    gvif: float
    scaled: float


@dataclass(frozen=True, slots=True)
class NearDependency:
    """A condition index of 30 or more, and the columns of which nearly nothing is left when they are combined."""

    index: float
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Conditioning:
    """Condition indices `(q,)`, 1 first; `proportions (q, q)`: row k, column j is the share of the variance of
    coefficient j that is due to index k, so that each column adds up to 1; and the near-dependencies, worst first.
    """

    indices: Array
    proportions: Array
    dependencies: tuple[NearDependency, ...]


def variance_inflation(
    Z: Array, *, groups: Sequence[str], weight: Any = None, noise: Array | None = None
) -> list[Inflation]:
    """Generalized variance inflation of each group of columns, but for the group "Intercept".

    GVIF = det(G'G) / det(G'MG) for the columns G of a group, M what the other columns leave; for a single column it is
    VIF = 1 / (1 - R²). With an intercept (a group "Intercept" of ones) columns are centered. `Z (n, q)` in any units
    and about any zeros, `weight (n,)`, `noise (q,)` as in `exact.least_squares`; give each column a group of its own
    for the VIF of each column. Fox and Monette 1992, Generalized collinearity diagnostics.

    >>> Z = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    >>> [round(one.gvif, 12) for one in variance_inflation(Z, groups=["Intercept", "a", "b"])]
    [1.5, 1.5]

    Raises:
        UsageError: not one group for each column.
    """
    if len(groups) != Z.shape[1]:
        raise UsageError(f"there are {len(groups):,} groups for {Z.shape[1]:,} columns: give one for each column")
    root = root_weights(weight, len(Z))
    names = np.array(groups, dtype=object)
    columns = names != "Intercept"
    X = Z[np.ix_(root > 0, columns)]
    if not columns.all():
        X = centered(X, root[root > 0])[0]
    R = qr(root[root > 0, None] * X)[1]
    kept = [group for group in groups if group != "Intercept"]
    return inflation_of_factor(R, groups=kept, rows=len(X), noise=None if noise is None else noise[columns])


def inflation_of_factor(R: Array, *, groups: Sequence[str], rows: int, noise: Array | None = None) -> list[Inflation]:
    """The same from the triangular factor `R (p, p)` of so many rows of columns, centered if there is an intercept."""
    names = np.array(groups, dtype=object)
    return [_inflation(R, group, names == group, rows, noise) for group in dict.fromkeys(groups)]


def _inflation(R: Array, group: str, block: NDArray[np.bool_], rows: int, noise: Array | None) -> Inflation:
    own = Span.of(R[:, block], rows=rows, noise=None if noise is None else noise[block])
    left = added(R, block, ~block, rows=rows, noise=noise)
    if not own.rank:
        return Inflation(group, 0, math.nan, math.nan)
    if left.df < own.rank:
        return Inflation(group, own.rank, math.inf, math.inf)
    log = 2.0 * float(np.log(own.singular).sum() - np.log(left.singular).sum())
    log = max(log, 0.0)  # it is at least 1
    with np.errstate(over="ignore"):
        return Inflation(group, own.rank, float(np.exp(log)), float(np.exp(log / (2.0 * own.rank))))


def condition_diagnostics(X: Array, *, names: Sequence[str], weight: Any = None) -> Conditioning:
    """Condition indices and variance-decomposition proportions of `X (n, q)`, ones included, in the units of the data.

    With the columns scaled to length 1, X = U S V': index k is s₁ / s_k, and its share of coefficient j is
    v²_jk / s²_k over the sum of these. Any factor of X, such as its triangle R, may stand for X where there are no
    weights. A column takes part in a near-dependency (index 30 or more) if it is a tenth or more of the largest in it,
    and if near-dependencies together make up more than half of its variance; a near-dependency of which fewer than two
    columns suffer is not listed. A dependency that is exact has the index
    infinity, and takes all the variance of its columns.

    >>> X = np.column_stack([np.ones(4), [1000.0, 1001.0, 1002.0, 1003.0]])
    >>> found = condition_diagnostics(X, names=["Intercept", "year"])
    >>> found.indices.round(3).tolist(), found.dependencies[0].columns
    ([1.0, 1791.538], ('Intercept', 'year'))

    Raises:
        UsageError: not one name for each column.
    """
    if len(names) != X.shape[1]:
        raise UsageError(f"there are {len(names):,} names for {X.shape[1]:,} columns: give one for each column")
    root = root_weights(weight, len(X))
    span = Span.of(qr(root[:, None] * X)[1], rows=len(X))
    indices = np.full(len(names), math.inf)
    indices[: span.rank] = span.singular[:1] / span.singular
    proportions = _proportions(span)
    near = np.flatnonzero(indices >= NEAR)
    harmed = proportions[near].sum(axis=0) > SHARE
    found = []
    for k in near[::-1]:
        part = np.abs(span.directions[k])
        taking = np.flatnonzero(harmed & (part >= PART * part.max())).tolist()
        if len(taking) > 1 or np.isinf(indices[k]):
            found.append(NearDependency(float(indices[k]), tuple(names[j] for j in taking)))
    return Conditioning(indices, proportions, tuple(found))


def _proportions(span: Span) -> Array:
    """Shares `(q, q)` of each index in each coefficient's variance."""
    squares = span.directions**2
    kept = squares[: span.rank] / span.singular[:, None] ** 2
    open_ = np.where(np.abs(span.directions[span.rank :]) > 1e-8, squares[span.rank :], 0.0)
    lost = open_.sum(axis=0)
    total = np.where(lost > 0, lost, kept.sum(axis=0))
    shares = np.vstack([np.where(lost > 0, 0.0, kept), open_])
    return np.asarray(shares / np.where(total > 0, total, 1.0))
