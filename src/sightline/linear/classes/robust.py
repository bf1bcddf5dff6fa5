"""Covariances of logistic and softmax coefficients that allow for a wrong variance, and for rows in groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...double_double import Pair
from ...errors import DataError, UsageError
from ..blocks import parts, summed
from ..robust import cluster_squares
from .fit import ClassFit

__all__ = ["robust_class_covariance"]

Array = NDArray[np.float64]
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

    def scores(part: slice) -> Array:
        Z, P = _basis_rows(fit, X[part]), fit.probabilities[part]
        w = np.ones(len(Z)) if weight is None else weight[part]
        residual = w[:, None] * ((codes[part, None] == np.arange(1, m + 1)) - P[:, 1:])
        if kind in ("hc2", "hc3"):
            rest = 1.0 - _leverage(fit, Z, P, w)[:, None]
            if rest.min() < ALONE:
                row = part.start + int(rest.argmin()) + 1
                raise DataError(f"row {row} alone decides a coefficient, so {kind} is not defined: use hc1")
            residual = residual / rest ** (0.5 if kind == "hc2" else 1.0)
        return np.asarray(sum(residual[:, [k]] * (Z @ pull[k * q : (k + 1) * q]) for k in range(m)))

    left = n - q * m if n > q * m else np.nan
    factor = 1.0 if kind in ("hc0", "hc2", "hc3") else n / left
    if kind == "cluster":
        groups = np.unique(clusters, return_inverse=True)[1]  # a label without rows is no group
        count = int(groups.max()) + 1
        factor = count / (count - 1 or np.nan) * (n - 1) / left
        return factor * cluster_squares(((part, scores(part)) for part in parts(X)), groups, len(combinations))

    def leaf(part: slice, _: None) -> Array:
        found = scores(part)
        return found.T @ found

    return factor * summed(leaf, lambda _: None, rows=n, columns=q, work=n * q * m * (len(combinations) + 64))


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
