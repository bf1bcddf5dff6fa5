"""The mean squared error of a linear model as the exact quadratic that it is, expanded about its minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import one_blas_thread
from .moments import Moments, residual_pass
from .triangle import is_steep, triangle

__all__ = ["SquaredError"]

Array = NDArray[np.float64]
QUIET = np.errstate(over="ignore", invalid="ignore")  # a run that diverges overflows, and its records say so


@dataclass(frozen=True, slots=True)
class SquaredError:
    """L(θ) = L₀ + g₀·d + d'Hd/2 with d = θ - θ₀, for θ = (weight `(k, p)`, bias `(k,)` or None).

    θ₀ is (a rounding away from) the minimum; L₀ and g₀ are measured there from the rows, so the difference L(θ) - L₀
    keeps all its digits however close θ comes, which y'y - 2b'θ + θ'Aθ does not. `factor` is 1 for the mean over all
    n·k elements and n·k for their sum. Where columns are nearly collinear H is R'R with the triangular factor `root (p,
    p)` of the centered rows, for the moments have lost the digits of its small eigenvalues.

    >>> form = SquaredError.of([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> form.value(np.array([[2.0]]), np.array([1.0])), form.value(np.array([[2.0]]), np.array([4.0]))
    (0.0, 9.0)
    """

    moments: Moments
    weight: Array
    bias: Array | None
    minimum: float
    weight_gradient: Array
    bias_gradient: Array
    factor: float = 1.0
    root: Array | None = None

    @classmethod
    def of(
        cls,
        X: Any,
        y: Any,
        *,
        intercept: bool = True,
        at: tuple[Array, Array | None] | None = None,
        total: bool = False,
        weight: Array | None = None,
        moments: Moments | None = None,
    ) -> SquaredError:
        """Absorb the rows once: their moments (where they are not known), their triangular factor where those have lost
        digits, then the residuals at the minimum (or at the point `at`). `weight (n,)`, with mean 1, makes the mean a
        weighted one.
        """
        X = np.asanyarray(X)
        y = np.asanyarray(y)
        y = y[:, None] if y.ndim == 1 else y.reshape(len(X), -1)
        moments = Moments.of(X, y, weight) if moments is None else moments
        R = triangle(X, y, moments, weight) if is_steep(moments) else None
        slopes, bias = _minimum(moments, R, intercept) if at is None else at
        p = X.shape[1]
        root = None if R is None else R[:p, :p]
        found = residual_pass(X, y, slopes, bias, weight)
        return cls.at((slopes, bias), found, moments, count=y.size, total=total, root=root)

    @classmethod
    def at(
        cls, point: tuple[Array, Array | None], residuals: tuple[Array, Array, Array], moments: Moments, *, count: int,
        total: bool = False, root: Array | None = None,
    ) -> SquaredError:  # fmt: skip
        """Expanded about that point, from Σ w r², Σ w r x' and Σ w r there, `count` elements in all."""
        by_target, gradient, ones = residuals
        factor = float(count) if total else 1.0
        scale, squares = -2.0 * factor / count, float(by_target.sum())
        return cls(moments, *point, squares / count * factor, scale * gradient, scale * ones, factor, root)

    def value(self, weight: Array, bias: Array | None) -> float:
        """L(θ)."""
        return self.minimum + self.evaluate(weight, bias)[0]

    def gradient(self, weight: Array, bias: Array | None) -> tuple[Array, Array]:
        """∂L/∂weight `(k, p)` and ∂L/∂bias `(k,)`."""
        return self.evaluate(weight, bias)[1:]

    @QUIET
    def evaluate(self, weight: Array, bias: Array | None) -> tuple[float, Array, Array]:
        """L(θ) - L(θ₀) without cancellation, ∂L/∂weight `(k, p)` and ∂L/∂bias `(k,)`, from one product with the
        moments.
        """
        m = self.moments
        dw = weight - self.weight
        db = np.zeros(len(dw)) if bias is None or self.bias is None else bias - self.bias
        shift = dw @ m.x_mean + db  # how far the mean prediction stands from the one at θ₀
        bent, left, right = self._bent(dw)
        excess = np.vdot(self.weight_gradient, dw) + np.vdot(self.bias_gradient, db)
        excess += (np.vdot(left, right) + np.vdot(shift, shift)) * self.factor / len(m.y_mean)
        scale = 2.0 * self.factor / len(m.y_mean)
        by_weight = self.weight_gradient + scale * (bent + np.multiply.outer(shift, m.x_mean))
        return float(excess), by_weight, self.bias_gradient + scale * shift

    @QUIET
    def evaluate_each(self, weight: Array, bias: Array) -> tuple[Array, Array, Array]:
        """The same for R models of one output at once: weights `(R, p)` and biases `(R,)`, zero where there are none;
        gives `(R,)`, `(R, p)` and `(R,)`.
        """
        m = self.moments
        dw, db = weight - self.weight, bias - (0.0 if self.bias is None else self.bias)
        shift = dw @ m.x_mean + db
        bent, left, right = self._bent(dw)
        excess = dw @ self.weight_gradient[0] + self.bias_gradient * db
        excess += ((left * right).sum(axis=1) + shift * shift) * self.factor
        scale = 2.0 * self.factor
        by_weight = self.weight_gradient + scale * (bent + np.multiply.outer(shift, m.x_mean))
        return excess, by_weight, self.bias_gradient + scale * shift

    def _bent(self, dw: Array) -> tuple[Array, Array, Array]:
        """dw X'X / n of the centered columns for each row of dw, and two factors of its product with that row."""
        n = self.moments.n
        if self.root is None:
            bent = dw @ self.moments.xx / n
            return bent, dw, bent
        half = dw @ self.root.T
        return half @ self.root / n, half, half / n


def _minimum(m: Moments, R: Array | None, intercept: bool) -> tuple[Array, Array | None]:
    """Solve the normal equations, or those of the triangular factor, columns scaled to unit length; a rounding off is
    fine, residuals are measured.
    """
    p = len(m.x_mean)
    A, b = (m.xx, m.xy) if R is None else (R[:, :p], R[:, p:])
    if not intercept and R is None:
        A, b = A + m.n * np.outer(m.x_mean, m.x_mean), b + m.n * np.outer(m.x_mean, m.y_mean)
    elif not intercept:
        A, b = (np.vstack([part, np.sqrt(m.n) * mean]) for part, mean in ((A, m.x_mean), (b, m.y_mean)))
    length = np.sqrt(np.diag(A) if R is None else (A * A).sum(axis=0))
    length[length == 0] = 1.0
    scaled, right = (A / length, b) if R is not None else (A / length / length[:, None], b / length[:, None])
    with one_blas_thread():  # a second one is waited for longer than it helps
        solution = np.linalg.lstsq(scaled, right, rcond=max(A.shape) * np.finfo(float).eps)[0]
    weight = (solution / length[:, None]).T
    return weight, (m.y_mean - weight @ m.x_mean if intercept else None)
