"""Covariance of estimates that stays valid when the noise is unequal from row to row, or shared within clusters.

An estimate is c'θ = Σ uᵢ yᵢ with U = Q R⁻ᵀ C', so its variance is estimated by Σ uᵢ² eᵢ², the residuals e adjusted:

    hc0   e                        White 1980
    hc1   e √(n / (n - r))         Hinkley 1977; Stata's vce(robust)
    hc2   e / √(1 - h)             Horn, Horn and Duncan 1975; unbiased where the noise is equal after all
    hc3   e / (1 - h)              MacKinnon and White 1985; the one to take for up to a few hundred rows
    cluster   Σ uᵢ eᵢ is taken within each of G clusters before it is squared, and the whole is multiplied by
              G / (G - 1) · (n - 1) / (n - r)         Liang and Zeger 1986; Stata's vce(cluster)

h is the leverage, r the rank, n the number of rows of positive weight. With weights w rows and residuals are multiplied
by √w: weights are inverse variances, as in R's lm, not counts.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError, nearest, shown
from .span import Span, qr, root_weights

__all__ = [
    "FULL", "KINDS", "NOTHING", "ClusterSizes", "adjustment", "cluster_sizes", "cluster_squares", "clustered",
    "full_leverage", "robust_covariance", "robust_df",
]  # fmt: skip

KINDS = ("hc0", "hc1", "hc2", "hc3", "cluster")
NOTHING = 1e-10  # of the size of a standard error, below which it is rounding alone
FULL = 1e-12  # 1 - h below it is rounding: the row decides its own fitted value

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClusterSizes:
    """How many clusters there are, how many of them have one member, and the fewest and most members."""

    count: int
    single: int
    smallest: int
    largest: int


def robust_covariance(
    Z: Array,
    residual: Array,
    *,
    kind: str,
    combinations: Array,
    weight: Any = None,
    clusters: Any = None,
    rank: int | None = None,
    penalty: Array | None = None,
) -> Array:
    """Covariance `(m, m)` of the combinations c'θ of a (weighted) least-squares fit, in the squared units of c'θ.

    V = (U e)'(U e). `Z (n, q)` is the design with its column of ones, in any coordinates; `residual (n,)` = y - Zθ,
    before any weighting; the rows of `combinations (m, q)` lead to the units of the data; `weight (n,)`; `clusters
    (n,)` labels of any kind; `rank` is decided from Z unless given. A ridge fit, min Σ w r² + Σ penalty θ² with
    `penalty (q,)`, has (Z'WZ + P)⁻¹ on both sides of the scores, and leverages of its own.

    NaN stands in the rows and columns of combinations that the data do not determine, and of those without variance,
    where no residuals are left to measure chance by: a perfect fit, or a term that is fitted within each cluster.
    Everything is NaN where no degrees of freedom are left.

    >>> Z = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    >>> residual = np.array([1.0, -2.0, 1.0, 0.0]) / 2
    >>> robust_covariance(Z, residual, kind="hc0", combinations=np.array([[0.0, 1.0]])).round(6).tolist()
    [[0.035]]

    Raises:
        UsageError: an unknown kind; clusters with another kind than `cluster`, or missing with it.
        DataError: leverage 1 with hc2 or hc3 (take hc1); a single cluster; a label that is missing.
    """
    _check(kind, Z, residual, clusters)
    root = root_weights(weight, len(Z))
    used = np.flatnonzero(root)
    if weight is not None:
        Z, residual = Z[used] * root[used, None], residual[used] * root[used]
    rows = Z if penalty is None else np.vstack([Z, np.diag(np.sqrt(penalty))])
    Q, R = qr(rows)
    Q = Q[: len(Z)]
    span = Span.of(R, rows=len(Z), rank=rank)
    size = np.abs(combinations).max(axis=1, initial=0.0)
    size[size == 0] = 1.0  # so that the squares of tiny combinations do not vanish
    known = span.estimable(combinations)
    codes = None if clusters is None else clustered(clusters)[used]
    if len(Z) <= span.rank:
        return np.full((len(known), len(known)), math.nan)
    basis = Q @ span.left
    coordinates = span.coordinates(combinations / size[:, None])
    scores = basis @ coordinates
    unit = float(np.abs(residual).max(initial=0.0)) or 1.0
    scores *= (_adjusted(residual / unit, basis, kind, used) * adjustment(kind, len(Z), span.rank, codes))[:, None]
    squares = scores.T @ scores if codes is None else cluster_squares([(slice(None), scores)], codes, scores.shape[1])
    least = NOTHING * np.linalg.norm(coordinates, axis=0) * np.linalg.norm(residual / unit) / math.sqrt(len(Z))
    known &= np.diag(squares) > least**2
    squares[~known] = squares[:, ~known] = math.nan
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(squares * np.multiply.outer(size * unit, size * unit))


def robust_df(rows: int, rank: int, *, clusters: int | None = None) -> int:
    """Degrees of freedom of t and F with a robust covariance: n - rank, and G - 1 with G clusters.

    As Stata has them, and R's coeftest for a linear model; the normal distribution that some programs use instead is
    their limit, and too sure of itself for few rows or clusters (Cameron and Miller 2015, A practitioner's guide to
    cluster-robust inference, section VI).

    >>> robust_df(32, 3), robust_df(32, 3, clusters=8)
    (29, 7)
    """
    return rows - rank if clusters is None else clusters - 1


def cluster_sizes(clusters: Any, *, weight: Any = None) -> ClusterSizes:
    """Count clusters and their members, rows of weight zero left out.

    >>> cluster_sizes(["a", "b", "b", "c"])
    ClusterSizes(count=3, single=2, smallest=1, largest=2)

    Raises:
        DataError: a label that is missing; one cluster only; as many clusters as rows.
    """
    codes = clustered(clusters)
    codes = codes[root_weights(weight, len(codes)) > 0]
    sizes = np.bincount(codes)
    sizes = sizes[sizes > 0]
    _check_count(len(sizes))
    if sizes.max() == 1:
        raise DataError(
            f"each of the {len(sizes):,} rows is a cluster of its own, which is hc1: ask for hc1, or name the column "
            "that rows of one cluster share"
        )
    return ClusterSizes(len(sizes), int((sizes == 1).sum()), int(sizes.min()), int(sizes.max()))


def _check(kind: str, Z: Array, residual: Array, clusters: Any) -> None:
    if kind not in KINDS:
        raise UsageError(f"no robust covariance is named {shown(kind)}: {nearest(kind, KINDS)}")
    if (kind == "cluster") != (clusters is not None):
        wanted = "cluster needs the label of each row's cluster" if clusters is None else f"{kind} takes no clusters"
        raise UsageError(f"the robust covariance {wanted}: give clusters with the kind cluster, and with no other")
    for name, values in (("residuals", residual), ("cluster labels", clusters)):
        if values is not None and len(values) != len(Z):
            raise UsageError(f"there are {len(values):,} {name} for {len(Z):,} rows: give one for each row")
    if not np.isfinite(residual).all():
        row = int(np.argmin(np.isfinite(residual)))
        raise DataError(f"the residual of row {row + 1} is {residual[row]:g}: fit on rows that have all values")


def _adjusted(residual: Array, basis: Array, kind: str, used: NDArray[np.intp]) -> Array:
    """The residuals `(n,)` divided by what the fit has taken from them."""
    if kind not in ("hc2", "hc3"):
        return residual
    left = _one_minus_leverage(basis)
    full = np.flatnonzero(left < FULL)
    if len(full):
        raise full_leverage(used[full], kind)
    return np.asarray(residual / (np.sqrt(left) if kind == "hc2" else left))


def full_leverage(rows: NDArray[np.intp], kind: str) -> DataError:
    """Rows that decide their own fitted value."""
    more = f" (and {len(rows) - 1:,} more)" if len(rows) > 1 else ""
    return DataError(
        f"row {rows[0] + 1:,}{more} has leverage 1, the fit goes through it whatever its value, so {kind} is not "
        "defined there: use hc1, or leave out the term that this row alone decides"
    )


def _one_minus_leverage(basis: Array) -> Array:
    """1 - hᵢ for an orthonormal basis `(n, r)` of the fitted values, exact to a few digits where h is near 1.

    There it is the squared length of what the basis leaves of the i-th unit vector. The leverages add up to r, so at
    most r / 0.99 rows are near.
    """
    left = 1.0 - np.einsum("ij,ij->i", basis, basis)
    for i in np.flatnonzero(left < 0.01):
        rest = -(basis @ basis[i])
        rest[i] += 1.0
        rest -= basis @ (rest @ basis)
        left[i] = rest @ rest
    return np.asarray(left)


def adjustment(kind: str, n: int, rank: int, codes: NDArray[np.intp] | None) -> float:
    """The square root of the factor for few rows and few clusters."""
    if codes is not None:
        groups = len(np.unique(codes))
        _check_count(groups)
        return math.sqrt(groups / (groups - 1) * (n - 1) / (n - rank))
    return math.sqrt(n / (n - rank)) if kind == "hc1" else 1.0


def cluster_squares(parts: Iterable[tuple[slice, Array]], codes: NDArray[np.intp], width: int) -> Array:
    """Σ ss' `(width, width)` of the sums s of the scores of each cluster, from the scores `(·, width)` of neighboring
    rows, part after part.
    """
    sums = np.zeros((width, int(codes.max(initial=0)) + 1))
    for part, scores in parts:
        for total, column in zip(sums, scores.T, strict=True):
            np.add.at(total, codes[part], column)
    return np.asarray(sums @ sums.T)


def _check_count(groups: int) -> None:
    if groups < 2:
        raise DataError(
            "all rows are in one cluster, which says nothing about how clusters differ: name a column with several "
            "values, or use hc1"
        )


def clustered(clusters: Any) -> NDArray[np.intp]:
    """Clusters numbered from zero in the order of their first row."""
    labels = clusters if isinstance(clusters, np.ndarray) else np.asarray(clusters, dtype=object)
    if labels.ndim != 1:
        raise UsageError(f"cluster labels must be one for each row, not of shape {labels.shape}: name one column")
    numbers: dict[object, int] = {}
    codes = np.empty(len(labels), dtype=np.intp)
    for row, label in enumerate(labels.tolist() if labels.dtype.kind in "biufUS" else labels):
        if not isinstance(label, Hashable):
            kind = type(label).__name__
            raise DataError(f"the cluster label of row {row + 1:,} is a {kind}: use texts, numbers or dates")
        if _is_missing(label):
            raise DataError(f"row {row + 1:,} has no cluster label: fill it in or leave out the row")
        codes[row] = numbers.setdefault(label, len(numbers))
    return codes


def _is_missing(label: Any) -> bool:
    """None, NaN and NaT (which differ from themselves), and pandas.NA (which has no truth value)."""
    try:
        return label is None or bool(label != label)
    except TypeError:
        return True
