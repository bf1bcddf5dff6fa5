"""Where gradient descent on squared error is after any number of epochs, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .squared_error import SquaredError

__all__ = ["Descent", "Trajectory"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Descent:
    """The options of torch.optim.SGD: b ← μb + (1 - τ)g, then θ ← θ - a b, with Nesterov's momentum θ ← θ - a(g + μb).

    The first step of a run has b = g. `decay (q,)` is what weight decay adds to g per unit of θ.
    """

    lr: float
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    decay: ArrayLike = 0.0


@dataclass(frozen=True)
class Trajectory:
    """θ_t = θ* + V e_t with the eigenvectors V `(q, q)` of the Hessian, each direction on its own.

    e obeys a recursion of two numbers, position and momentum, whose power t is a sum of powers of its two roots; so any
    epoch costs as much as the first. In real arithmetic: there is no rounding after each step, as a loop has it.
    Relative to the way from start to optimum, the error is some ε √κ, κ the condition of the Hessian.
    Goh 2017, Why Momentum Really Works.

    `values (q,)` eigenvalues, `rest (q, k)` θ*, `offset` and `buffer (q, k)` e and b at epoch 0 (None before the first
    step), weights first, then the bias where there is one.
    """

    values: Array
    vectors: Array
    rest: Array
    offset: Array
    buffer: Array | None
    how: Descent

    @classmethod
    def of(cls, form: SquaredError, start: Array, how: Descent, buffer: Array | None = None) -> Trajectory:
        """From `start (q, k)` and the momentum there, on that loss.

        >>> form = SquaredError.of([[0.0], [2.0]], [0.0, 2.0], intercept=False)  # the loss is 2 (w - 1)²
        >>> path = Trajectory.of(form, np.zeros((1, 1)), Descent(lr=0.125))  # and halves its distance at each step
        >>> [round(float(path.at(t)[0][0, 0]), 12) for t in (0, 1, 2, 60)]
        [0.0, 0.5, 0.75, 1.0]
        """
        decay = np.broadcast_to(np.asarray(how.decay, dtype=np.float64), len(start))
        values, vectors = _spectrum(form, decay)
        center, pull = form.weight.T, form.weight_gradient.T
        if form.bias is not None:
            center, pull = np.vstack([center, form.bias]), np.vstack([pull, form.bias_gradient])
        pull = pull + decay[:, None] * center
        bends = values > (len(values) * np.finfo(np.float64).eps) ** 2 * values.max(initial=0.0)
        away = vectors.T @ pull
        away[bends] /= values[bends, None]
        away[~bends] = 0.0
        rest = center - vectors @ away
        held = None if buffer is None or not how.momentum else vectors.T @ buffer
        return cls(np.where(bends, values, 0.0), vectors, rest, vectors.T @ (start - rest), held, how)

    @np.errstate(over="ignore", invalid="ignore")
    def at(self, epoch: int) -> tuple[Array, Array | None]:
        """θ `(q, k)` and the momentum b `(q, k)` after so many epochs, None where there is none."""
        e, b, left = self.offset, self.buffer, epoch
        if self.how.momentum and b is None:
            if not epoch:
                return self.rest + self.vectors @ e, None
            b, left = self.values[:, None] * e, epoch - 1
            e = e - self.how.lr * (self.values[:, None] * e + self.how.momentum * b if self.how.nesterov else b)
        e, b = self._after(left, e, b)
        return self.rest + self.vectors @ e, None if b is None else self.vectors @ b

    def _after(self, t: int, e: Array, b: Array | None) -> tuple[Array, Array | None]:
        """t more steps of each direction."""
        h = self.values
        if b is None:
            return _power(1.0 - self.how.lr * h, -self.how.lr * h, t)[:, None].real * e, None
        if not t:
            return e, b
        now, before, product = self._powers(t)
        a, mu, kept = self.how.lr, self.how.momentum, 1.0 - self.how.dampening
        if self.how.nesterov:
            moved = (1.0 - a * h * (1.0 + mu * kept))[:, None] * e - a * mu * mu * b
        else:
            moved = (1.0 - a * kept * h)[:, None] * e - a * mu * b
        turned = mu * b + (kept * h)[:, None] * e
        return now * moved - product * before * e, now * turned - product * before * b

    def _powers(self, t: int) -> tuple[Array, Array, Array]:
        """u_t, u_{t-1} and r₁r₂ with Mᵗ = u_t M - r₁r₂ u_{t-1}, u_t = (r₁ᵗ - r₂ᵗ) / (r₁ - r₂), as columns.

        r = 1 - s with s² - s(2 - tr M) + (1 - tr M + det M) = 0, where nothing cancels for a slow direction.
        """
        a, mu, tau, h = self.how.lr, self.how.momentum, self.how.dampening, self.values
        if self.how.nesterov:
            linear, constant = 1.0 - mu + a * h * (1.0 + mu * (1.0 - tau)), a * h * (1.0 - mu * tau)
            product = mu * (1.0 - a * h)
        else:
            linear, constant, product = 1.0 - mu + a * (1.0 - tau) * h, a * (1.0 - tau) * h, np.full(len(h), mu)
        root = np.sqrt((linear * linear - 4.0 * constant).astype(complex))
        far = 0.5 * np.where(linear >= 0.0, linear + root, linear - root)  # the s of the two that is larger
        near = np.divide(constant, far, out=np.zeros_like(far), where=far != 0.0)
        near_is_larger = np.abs(1.0 - near) >= np.abs(1.0 - far)
        s, other = np.where(near_is_larger, near, far), np.where(near_is_larger, far, near)
        u = [_quotient(s, other, n) for n in (t, t - 1)]
        return u[0][:, None], u[1][:, None], product[:, None]


def _quotient(s: NDArray[np.complex128], other: NDArray[np.complex128], t: int) -> Array:
    """(r₁ᵗ - r₂ᵗ) / (r₁ - r₂) of the roots 1 - s, the larger, and 1 - other; t r₁ᵗ⁻¹ where they are one."""
    r, gap = 1.0 - s, s - other
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(r != 0.0, gap / np.where(r != 0.0, r, 1.0), 0.0)
        shrunk = np.expm1(t * np.log1p(share))  # (r₂ / r₁)ᵗ - 1
        apart = np.where(share == -1.0, -1.0, shrunk) / np.where(gap != 0.0, gap, 1.0)
    apart = np.where(gap != 0.0, apart * r, float(t))
    found = _power(r, -s, t - 1) * apart if t else np.zeros_like(r)
    return np.asarray(np.where(r != 0.0, found, float(t == 1)).real, dtype=np.float64)


def _power(r: NDArray[np.complex128] | Array, less: NDArray[np.complex128] | Array, t: int) -> NDArray[np.complex128]:
    """rᵗ with r = 1 + less, to the digits of `less` where r is near one."""
    with np.errstate(divide="ignore"):
        logs = np.log1p(np.asarray(less, dtype=complex))
    return np.where(r == 0.0, float(t == 0), np.exp(t * logs))


def _spectrum(form: SquaredError, decay: Array) -> tuple[Array, Array]:
    """Eigenvalues, none below zero, and eigenvectors of the Hessian of the loss with weight decay.

    From the singular values of a root of it, so that small ones keep their digits.
    """
    m, k = form.moments, len(form.weight)
    scale = 2.0 * form.factor / k
    rows = [_root(form), m.x_mean[None]]
    if form.bias is not None:
        rows = [np.hstack([part, np.full((len(part), 1), one)]) for part, one in zip(rows, (0.0, 1.0), strict=True)]
    if decay.any():
        rows.append(np.diag(np.sqrt(decay / scale)))
    _, singular, turned = np.linalg.svd(np.vstack(rows), full_matrices=False)
    return scale * singular**2, turned.T


def _root(form: SquaredError) -> Array:
    """R with R'R = X'X / n of the centered columns."""
    m = form.moments
    if form.root is not None:
        return np.asarray(form.root / np.sqrt(m.n))
    size = np.sqrt(np.diag(m.xx) / m.n)
    unit = np.where(size > 0.0, size, 1.0)
    values, vectors = np.linalg.eigh(m.xx / m.n / unit / unit[:, None])
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T * unit)
