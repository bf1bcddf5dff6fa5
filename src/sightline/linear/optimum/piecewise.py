"""Piecewise linear and quadratic minimization: a primal-dual interior point, then the active equations themselves.

Mehrotra 1992, On the implementation of a primal-dual interior point method; Portnoy and Koenker 1997, The Gaussian hare
and the Laplacian tortoise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Corner", "Piecewise", "least"]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST_STEPS, MOST_CHANGES = 100, 20
CLOSE, CLOSEST = 1e-7, 1e-15  # average complementarity from which corners are tried, and at which it ends
SLACK = 1e-9
RANK = 1e-10


@dataclass(frozen=True)
class Corner:
    """The answer `x (r,)`, the slope `u (n,)` that each row takes, and which of them are strictly between their bounds,
    `on (n,)`: at a sharp kink by equation, or on the quadratic piece.

    `settled` tells whether it satisfies all conditions. `basis` and `loose` span the moves `(r, ·)` that leave sharp
    kinks and those that stay on them; `H (r, r)` is the second derivative there.
    """

    x: Array
    u: Array
    on: Flags
    settled: bool
    basis: Array
    loose: Array
    H: Array
    steps: int


@dataclass(frozen=True)
class Piecewise:
    """min c'x + x'Rx / 2 + Σ ρ(t) with t = Ax - b, for `A (n, r)`: ρ' = t / width clipped to low and high, `(n,)` each.

    With a `width` of 0 there is a sharp kink, ρ = max(low t, high t).

    >>> A, b = np.ones((3, 1)), np.array([1.0, 2.0, 7.0])
    >>> median = Piecewise(A, b, -np.ones(3), np.ones(3), np.zeros(3), np.zeros((1, 1)), np.zeros(1)).corner()
    >>> median.x.round(12).tolist()
    [2.0]
    """

    A: Array
    b: Array
    low: Array
    high: Array
    width: Array
    R: Array
    c: Array

    def corner(self) -> Corner:
        """The minimizer, one of them where there are several."""
        unit, x = (
            float(np.mean(self.high - self.low)),
            np.asarray(np.linalg.lstsq(self.A, self.b, rcond=RANK)[0], dtype=np.float64),
        )
        size = _size(self.A @ x - self.b, np.abs(self.A) @ np.abs(x) + np.abs(self.b))
        scaled = Piecewise(
            self.A, self.b / size, self.low / unit, self.high / unit, self.width * (unit / size),
            self.R * (size / unit), self.c / unit,
        )  # fmt: skip
        found = scaled._minimized(x / size)
        return Corner(
            found.x * size, found.u * unit, found.on, found.settled, found.basis, found.loose,
            found.H * (unit / size), found.steps,
        )  # fmt: skip

    def _minimized(self, x: Array) -> Corner:
        point = _Inside.at(self, x)
        for step in range(1, MOST_STEPS + 1):
            point = point.moved(self)
            mu = point.complementarity
            if mu < CLOSE:
                found = self.snapped(point.x, point.u, point.on, steps=step)
                if found.settled:
                    return found
                if mu < CLOSEST:
                    break
        last = self.snapped(point.x, point.u, point.on, steps=step)
        return last if last.settled else replace(last, x=point.x, u=point.u)

    def snapped(self, x: Array, u: Array, on: Flags, *, steps: int) -> Corner:
        """The solution of the equations of the rows that are between their bounds; parabolas are left and entered until
        none changes.
        """
        for _ in range(MOST_CHANGES):
            found = self.solved(x, u, on, steps)
            slopes = (self.A @ found.x - self.b) / np.where(self.width > 0, self.width, 1.0)
            inside = np.where(self.width > 0, (slopes > self.low) & (slopes < self.high), on)
            if found.settled or (inside == on).all():
                break
            u = np.where(self.width > 0, np.clip(slopes, self.low, self.high), u)
            on = inside
        return found

    def solved(self, x: Array, u: Array, on: Flags, steps: int) -> Corner:
        """The solution of the equations of the rows `on`, and whether all conditions hold there."""
        sharp, curved = on & (self.width == 0), on & (self.width > 0)
        u = np.where(on, u, np.where(u > 0.5 * (self.low + self.high), self.high, self.low))
        kinks, parabolas = self.A[sharp], self.A[curved]
        H = self.R + parabolas.T @ (parabolas / self.width[curved][:, None])
        basis, loose = _split(kinks)
        for _ in range(3):
            x = x + basis @ np.linalg.lstsq(kinks @ basis, self.b[sharp] - kinks @ x, rcond=None)[0]
            u[curved] = (parabolas @ x - self.b[curved]) / self.width[curved]
            x = x - loose @ least(loose.T @ H @ loose, loose.T @ self.slope(x, u))
            u[curved] = (parabolas @ x - self.b[curved]) / self.width[curved]
            u[sharp] -= np.linalg.lstsq(basis.T @ kinks.T, basis.T @ self.slope(x, u), rcond=None)[0]
        return Corner(x, u, on, self.holds(x, u, on), basis, loose, H, steps)

    def slope(self, x: Array, u: Array) -> Array:
        """c + Rx + A'u: zero at the minimum."""
        return np.asarray(self.c + self.R @ x + self.A.T @ u)

    def holds(self, x: Array, u: Array, on: Flags) -> bool:
        """Whether each row is on the side that its slope tells, and the slopes of the others are allowed."""
        t = self.A @ x - self.b - self.width * u
        allowed = SLACK * (self.high - self.low)
        size = 1e-11 * (1.0 + np.abs(self.b) + np.abs(self.A) @ np.abs(x))
        within = (u >= self.low - allowed) & (u <= self.high + allowed)
        sided = np.where(on, np.abs(t) <= size, np.where(u > 0.5 * (self.low + self.high), t >= -size, t <= size))
        total = np.abs(self.c) + np.abs(self.R) @ np.abs(x) + np.abs(self.A).T @ np.abs(u)
        return bool(within.all() and sided.all() and (np.abs(self.slope(x, u)) <= 1e-10 * (1.0 + total)).all())


def _size(t: Array, parts: Array) -> float:
    """The mean size of t, or of what it was computed from where it is rounding alone."""
    size, whole = float(np.mean(np.abs(t))), float(np.mean(parts))
    return size if size > 1e-12 * whole else whole or 1.0


def _split(rows: Array) -> tuple[Array, Array]:
    """Orthonormal bases `(r, ·)` of what the rows determine, and of what they leave open."""
    _, singular, turned = np.linalg.svd(rows, full_matrices=False)
    rank = int((singular > RANK * singular[:1].sum()).sum())
    basis = turned[:rank].T
    return basis, np.linalg.qr(basis, mode="complete")[0][:, rank:] if rank else np.eye(rows.shape[1])


def least(H: Array, g: Array) -> Array:
    """The shortest solution of Hx = g, for a symmetric H without negative eigenvalues."""
    if not len(g):
        return g
    values, vectors = np.linalg.eigh(H)
    kept = values > RANK * max(float(values[-1]), 1e-300)
    return np.asarray(vectors[:, kept] @ ((vectors[:, kept].T @ g).T / values[kept]).T)


@dataclass(frozen=True)
class _Inside:
    """A point with t = width u + p - m, p and m above zero, u strictly between its bounds; `above` and `below` are the
    rooms that it has.
    """

    x: Array
    u: Array
    p: Array
    m: Array
    above: Array
    below: Array

    @classmethod
    def at(cls, problem: Piecewise, x: Array) -> _Inside:
        """Halfway between the slopes, with some room for every row."""
        half = 0.5 * (problem.high - problem.low)
        u = problem.low + half
        t = problem.A @ x - problem.b - problem.width * u
        room = 0.1 * float(np.mean(np.abs(t))) + 1e-3
        return cls(x, u, np.maximum(t, 0.0) + room, np.maximum(-t, 0.0) + room, half, half)

    @property
    def on(self) -> Flags:
        """Which rows seem to end strictly between their bounds."""
        inner = np.minimum(self.above, self.below) / (self.above + self.below)
        return np.asarray(inner > np.maximum(self.p, self.m))

    @property
    def complementarity(self) -> float:
        """The mean of p (high - u) and m (u - low)."""
        return float(self.p @ self.above + self.m @ self.below) / (2.0 * max(len(self.p), 1))

    def moved(self, problem: Piecewise) -> _Inside:
        """One step of predictor and corrector."""
        D = self.p / self.above + self.m / self.below + problem.width
        factor = _factor(problem.R + problem.A.T @ (problem.A / D[:, None]))
        away = problem.A @ self.x - problem.b - problem.width * self.u - self.p + self.m
        slope = problem.slope(self.x, self.u)

        def direction(up: Array, down: Array) -> tuple[Array, ...]:
            """The step towards p above = up and m below = down."""
            c = up / self.above - self.p - down / self.below + self.m - away
            dx = factor(problem.A.T @ (c / D) - slope)
            du = (problem.A @ dx - c) / D
            dp = (up + self.p * du) / self.above - self.p
            dm = (down - self.m * du) / self.below - self.m
            return dx, du, dp, dm

        zero, mu = np.zeros_like(self.p), self.complementarity
        _, du, dp, dm = direction(zero, zero)
        primal, dual = self._lengths(du, dp, dm)
        after = (self.p + primal * dp) @ (self.above - dual * du) + (self.m + primal * dm) @ (self.below + dual * du)
        target = mu * (float(after) / (2.0 * len(self.p)) / mu) ** 3 if mu > 0 else 0.0
        dx, du, dp, dm = direction(target + dp * du, target - dm * du)
        primal, dual = self._lengths(du, dp, dm)
        if problem.R.any() or problem.width.any():  # x and u stand in one equation, so they keep step
            primal = dual = min(primal, dual)
        above, below = self.above - dual * du, self.below + dual * du
        return _Inside(
            self.x + primal * dx, self.u + dual * du, self.p + primal * dp, self.m + primal * dm,
            np.maximum(above, 1e-300), np.maximum(below, 1e-300),
        )  # fmt: skip

    def _lengths(self, du: Array, dp: Array, dm: Array) -> tuple[float, float]:
        """How far p and m, and u, may go."""
        return _longest((self.p, dp), (self.m, dm)), _longest((self.above, -du), (self.below, du))


def _longest(*pairs: tuple[Array, Array]) -> float:
    """The share of the step that keeps all values positive, short of the border."""
    longest = 1.0
    for value, step in pairs:
        shrinking = step < 0
        if shrinking.any():
            longest = min(longest, 0.9995 * float(np.min(-value[shrinking] / step[shrinking])))
    return longest


def _factor(H: Array) -> Callable[[Array], Array]:
    """Solves with H, scaled to a diagonal of ones and lifted a little where it is singular."""
    from scipy.linalg import cho_factor, cho_solve

    size = np.sqrt(np.maximum(np.diag(H), 1e-300))
    scaled, lift = H / size / size[:, None], 0.0
    while True:
        try:
            factor = cho_factor(scaled + lift * np.eye(len(H)), check_finite=False)
            return lambda g: np.asarray(cho_solve(factor, g / size, check_finite=False) / size)
        except np.linalg.LinAlgError:
            if lift > 1.0:
                raise
            lift = max(100.0 * lift, 1e-15)
