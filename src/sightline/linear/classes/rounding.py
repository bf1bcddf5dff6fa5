"""How far the rounding of an orthonormal basis may move the maximum of the likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .likelihood import ClassRows, Point, residual

__all__ = ["basis_rounding"]

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
        B, w, chance = abs(Z), rows.weight[s][:, None], rows.chances(point, s)
        wrong, P, eta = np.abs(residual(chance, rows.codes[s])[:, 1:]) * w, chance[:, 1:], B @ far
        off = P * ((1.0 - 2.0 * P) * eta + (P * eta).sum(axis=1, keepdims=True)) * w
        return np.asarray(B.T @ np.column_stack([wrong, off]))

    wrong, off = np.split(rows.over(leaf), 2, axis=1)
    pull = inverse.T @ (size.T @ wrong) + off
    half = np.linalg.inv(root)
    return np.asarray(unit * rows.placed(np.abs(half.T @ half) @ rows.flat(pull)))
