"""How far rounding may move the maximum of the likelihood: that of an orthonormal basis, or of plain rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .likelihood import ClassRows, Point
from .multinomial import residual

__all__ = ["basis_rounding", "plain_rounding"]

Array = NDArray[np.float64]


def basis_rounding(rows: ClassRows, R: Array, root: Array, point: Point, theta: Array) -> Array:
    """The error `(q, m)` in θ̃ because the rows b of the basis are z(R + ΔR)⁻¹ with |ΔR| <= u |R|, another for each.

    A row is off by δb = bΔRR⁻¹, the gradient Σ w r b by Σ w (r δb + δr b) with |δr_k| <= Σ_l |∂r_k/∂η_l| |bΔRR⁻¹θ̃_l|,
    and θ̃ by H⁻¹ times that, H = LL' with `root` L. Higham 2002, Accuracy and Stability of Numerical Algorithms,
    theorem 8.5.
    """
    unit = 2.0**-103 if rows.precise else 2.0**-52
    size, inverse = np.abs(R), np.abs(np.linalg.inv(R))
    far = size @ np.abs(np.linalg.solve(R, theta))

    def leaf(s: slice, Z: Any) -> Array:
        B, w, chance = abs(Z), rows.weight[s][:, None], rows.chances(point, s, Z)
        wrong, off = _off(chance, rows.codes[s], B @ far)
        return np.asarray(B.T @ (w * np.column_stack([wrong, off])))

    wrong, off = np.split(rows.over(leaf), 2, axis=1)
    pull = inverse.T @ (size.T @ wrong) + off
    half = np.linalg.inv(root)
    return np.asarray(unit * rows.placed(np.abs(half.T @ half) @ rows.flat(pull)))


def plain_rounding(rows: ClassRows, root: Array, point: Point, theta: Array, inexact: NDArray[np.intp]) -> Array:
    """The same because the residuals r of the rows z are rounded, and the columns `inexact` of z.

    The gradient is off by Σ w δr z, with |δr| <= u (|r| + Σ_l |∂r/∂η_l| |z|'|θ_l|); a coefficient, a combination of the
    δr, by no more than its standard error times √Σ w δr'V⁻¹δr with V = diag p - pp' (Cauchy and Schwarz). Rows in which
    class 0 has no chance have no V⁻¹, and are taken as above.
    """
    half, q = np.linalg.inv(root), rows.shape[0]
    spread, size = half.T @ half, np.abs(theta)
    rounded = np.isin(np.arange(q), inexact)[:, None]

    def leaf(s: slice, Z: Any) -> tuple[float, Array]:
        B, w, chance = abs(Z), rows.weight[s][:, None], rows.chances(point, s, Z)
        wrong, off = _off(chance, rows.codes[s], B @ size)
        each, others, first = wrong + off, chance[:, 1:], chance[:, 0]
        open_ = first > 0.0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            squares = np.where(each > 0.0, each**2 / others, 0.0).sum(axis=1) + each.sum(axis=1) ** 2 / first
        rest = B.T @ (w * each * ~open_[:, None]) + rounded * (B.T @ (w * wrong))
        return float((w[:, 0] * np.where(open_, squares, 0.0)).sum()), rest

    squares, rest = rows.over(leaf, add=lambda a, b: (a[0] + b[0], a[1] + b[1]))
    moved = np.abs(spread) @ rows.flat(rest) + np.sqrt(np.diag(spread) * squares)
    return np.asarray(2.0**-52 * rows.placed(moved))


def _off(chance: Array, codes: NDArray[np.int64], eta: Array) -> tuple[Array, Array]:
    """|r| of the classes that have coefficients, and Σ_l |∂r/∂η_l| η_l, `(n, m)` each."""
    P = chance[:, 1:]
    wrong = np.abs(residual(chance, codes)[:, 1:])
    return wrong, P * ((1.0 - 2.0 * P) * eta + (P * eta).sum(axis=1, keepdims=True))
