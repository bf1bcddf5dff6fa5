"""Covariances of logistic and softmax coefficients that allow for a wrong variance, and for rows in groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ...errors import DataError, UsageError
from ..blocks import adds_up, parts, summed
from ..robust import cluster_squares
from .fit import ClassFit
from .likelihood import Chances

__all__ = ["robust_class_covariance"]

Array = NDArray[np.float64]
POWERS = {"hc2": 0.5, "hc3": 1.0}  # of 1 - h, by which they divide
STEEP = 1e6  # condition of the information from which squares of scores lose the digits that single scores keep
ALONE = 1e-12  # what leverage leaves of a row that is fitted whatever its class


def robust_class_covariance(
    fit: ClassFit,
    X: Array,
    codes: NDArray[np.int64],
    *,
    combinations: Pair,
    kind: str,
    weight: Array | None = None,
    clusters: Any = None,
) -> Array:
    """Covariance `(r, r)` of combinations `(r, q, m)` of the coefficients: H⁻¹ (Σ s s') H⁻¹, s = w (e_y - P) ⊗ z.

    `X (n, p)` and `codes (n,)` are those of the fit, with n rows and k coefficients. "hc0" sums the scores of rows as
    they are, "hc1" times n / (n - k), "hc2" and "hc3" (two classes) divide those of a row by √(1 - h) and 1 - h,
    h = w P₀P₁ z'H⁻¹z; "cluster" adds the scores within each of G groups first, times G / (G - 1) (n - 1) / (n - k).

    A weight multiplies its row's score, so a weight of 2 is not two rows. "hc1" and "cluster" are NaN where n <= k, and
    "cluster" with one group.

    White 1982, Maximum likelihood estimation of misspecified models; Liang and Zeger 1986, Longitudinal data analysis
    using generalized linear models; R, sandwich.

    Raises:
        UsageError: "hc2" or "hc3" with more than two classes.
        DataError: "hc2" or "hc3" where a row has leverage 1.
    """
    n, (q, m) = len(X), fit.coefficients.shape
    if kind in ("hc2", "hc3") and m > 1:
        raise UsageError("hc2 and hc3 are for two classes: use hc0, hc1 or --cluster")
    pull = fit.combinations.influence(combinations)
    factor, groups = _factor(kind, n, q * m, clusters)
    chances = fit.probabilities
    if isinstance(chances, Chances) and adds_up(chances.rows.Z) and fit.condition < STEEP:
        return factor * (pull.T @ _squares(fit, codes, kind, weight, groups) @ pull)

    def scores(part: slice) -> Array:
        Z, P = _basis_rows(fit, X[part]), fit.probabilities[part]
        w = np.ones(len(Z)) if weight is None else weight[part]
        residual = w[:, None] * ((codes[part, None] == np.arange(1, m + 1)) - P[:, 1:])
        if kind in POWERS:
            residual = residual / _divisor(1.0 - _leverage(fit, Z, P, w), kind, part.start)[:, None]
        return np.asarray(sum(residual[:, [k]] * (Z @ pull[k * q : (k + 1) * q]) for k in range(m)))

    if groups is not None:
        return factor * cluster_squares(((part, scores(part)) for part in parts(X)), groups, len(combinations))

    def leaf(part: slice, _: None) -> Array:
        found = scores(part)
        return found.T @ found

    return factor * summed(leaf, lambda _: None, rows=n, columns=q, work=n * q * m * (len(combinations) + 64))


def _factor(kind: str, n: int, k: int, clusters: Any) -> tuple[float, NDArray[np.intp] | None]:
    """What the squares are multiplied by, and the number of each row's cluster."""
    left = n - k if n > k else np.nan
    if kind != "cluster":
        return 1.0 if kind in ("hc0", "hc2", "hc3") else n / left, None
    groups = np.unique(clusters, return_inverse=True)[1]  # a label without rows is no group
    count = int(groups.max()) + 1
    return count / (count - 1 or np.nan) * (n - 1) / left, groups


def _squares(
    fit: ClassFit, codes: NDArray[np.int64], kind: str, weight: Array | None, groups: NDArray[np.intp] | None
) -> Array:
    """Σ ss' `(m q, m q)` of rows that add up their own products, in their coordinates."""
    assert isinstance(fit.probabilities, Chances)
    Z: Any = fit.probabilities.rows.Z
    q, m = fit.coefficients.shape
    residual, bend = np.empty((len(codes), m)), np.empty(len(codes))
    for part in parts(Z):
        P = fit.probabilities[part]
        residual[part], bend[part] = (codes[part, None] == np.arange(1, m + 1)) - P[:, 1:], P[:, 0] * P[:, 1]
    if weight is not None:
        residual, bend = residual * weight[:, None], bend * weight
    if kind in POWERS:
        free, half = fit.combinations.free, np.linalg.inv(fit.combinations.root.hi)
        V = np.zeros((q, q))
        V[np.ix_(free, free)] = half.T @ half
        residual = residual / _divisor(Z.left(V, bend), kind, 0)[:, None]
    return np.asarray(Z.score_squares(residual, groups, intercept=False))


def _divisor(left: Array, kind: str, first: int) -> Array:
    """What the residuals of rows are divided by, of 1 - h."""
    if left.min() < ALONE:
        row = first + int(left.argmin()) + 1
        raise DataError(f"row {row} alone decides a coefficient, so {kind} is not defined: use hc1")
    return np.asarray(left ** POWERS[kind])


def _basis_rows(fit: ClassFit, X: Array) -> Array:
    """The rows in the coordinates of the fit, `(n, q)`."""
    basis = fit.combinations.basis
    Z = (X - basis.center) / basis.scale
    if basis.intercept:
        Z = np.column_stack([Z, np.ones(len(Z))])
    return basis.orthonormal(Pair.of(Z)).hi


def _leverage(fit: ClassFit, Z: Array, P: Array, w: Array) -> Array:
    """h `(n,)` of two classes."""
    from scipy.linalg import solve_triangular

    root = fit.combinations.root.hi
    half = solve_triangular(root, Z[:, fit.combinations.free].T, lower=True, check_finite=False)
    return np.asarray(w * P[:, 0] * P[:, 1] * (half**2).sum(axis=0))
