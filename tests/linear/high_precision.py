"""Maximum likelihood in 50 digits: Newton's method on the multinomial likelihood with mpmath, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath as mp
import numpy as np

mp.mp.dps = 50


@dataclass(frozen=True)
class Optimum:
    """Slopes, then the intercept, of classes 1..K-1 against 0, class after class; standard errors; ln L."""

    coefficients: list
    std_errors: list
    log_likelihood: object


def exact(value):
    return mp.mpf(float(value))


def rows_of(X, *, intercept):
    return [[*map(exact, row), *[mp.mpf(1)] * intercept] for row in np.asarray(X, dtype=float)]


def maximum_likelihood(X, codes, classes, *, intercept=True, weight=None, l2=0.0, start=None, steps=60):
    """The minimum of Σ w ln(1 / P) + Σw (l2 / 2) ‖W‖² from `start (q m,)`, W with rows of mean zero if K > 2."""
    Z, m = rows_of(X, intercept=intercept), classes - 1
    n, q = len(Z), len(Z[0])
    w = [exact(v) for v in (np.ones(n) if weight is None else weight)]
    ridge = penalty(q - intercept, q, m, exact(l2) * mp.fsum(w))
    theta = [exact(v) for v in (np.zeros(q * m) if start is None else start)]
    for _ in range(steps):
        value, gradient, H = derivatives(Z, codes, w, theta, m)
        A = H + ridge
        step = list(mp.cholesky_solve(A, mp.matrix(gradient) + ridge * mp.matrix(theta)))
        theta = [t - s for t, s in zip(theta, step, strict=True)]
        if max(abs(s) for s in step) <= mp.mpf(10) ** -40 * max(abs(t) for t in theta):
            break
    else:
        raise AssertionError("the reference did not converge")
    value, _, H = derivatives(Z, codes, w, theta, m)
    inverse = (H + ridge) ** -1
    covariance = inverse * H * inverse
    return Optimum(theta, [mp.sqrt(covariance[i, i]) for i in range(q * m)], -value)


def penalty(p, q, m, size):
    """λ times the second derivatives of Σ_k ‖w_k - mean‖² / 2 over m + 1 classes with w_0 = 0 (m = 1: of ‖w‖² / 2)."""
    ridge = mp.zeros(q * m)
    for a in range(m):
        for b in range(m):
            for j in range(p):
                shared = mp.mpf(1) / (m + 1) if m > 1 else mp.mpf(0)
                ridge[a * q + j, b * q + j] = size * ((a == b) - shared)
    return ridge


def derivatives(Z, codes, w, theta, m):
    """Σ w ln(1 / P), its gradient and its Hessian."""
    q = len(Z[0])
    gradient, H, value = [mp.mpf(0)] * (q * m), mp.zeros(q * m), mp.mpf(0)
    for z, y, weight in zip(Z, codes, w, strict=True):
        eta = [mp.mpf(0), *(mp.fdot(z, theta[a * q : a * q + q]) for a in range(m))]
        size = [mp.exp(e) for e in eta]
        total = mp.fsum(size)
        P = [s / total for s in size]
        value -= weight * mp.log(P[y])
        outer = [[zi * zj for zj in z[: i + 1]] for i, zi in enumerate(z)]
        for a in range(m):
            pull = weight * (P[a + 1] - (y == a + 1))
            for i in range(q):
                gradient[a * q + i] += pull * z[i]
            for b in range(a + 1):
                bend = weight * P[a + 1] * ((a == b) - P[b + 1])
                for i in range(q):
                    for j in range(i + 1):
                        H[a * q + i, b * q + j] += bend * outer[i][j]
    for a in range(m):
        for b in range(a + 1):
            for i in range(q):
                for j in range(i + 1):
                    value_ij = H[a * q + i, b * q + j]
                    for r, c in ((a * q + j, b * q + i), (b * q + i, a * q + j), (b * q + j, a * q + i)):
                        H[r, c] = value_ij
    return value, gradient, H


def pairs(pair):
    """The numbers of a `Pair`, class after class."""
    hi, lo = pair.hi.T.ravel().tolist(), pair.lo.T.ravel().tolist()
    return [mp.mpf(h) + mp.mpf(low) for h, low in zip(hi, lo, strict=True)]


def digits(pair, truth):
    """Correct significant digits of each number of a `Pair`, class after class."""
    off = [abs(ours / theirs - 1) for ours, theirs in zip(pairs(pair), truth, strict=True)]
    return [float(-mp.log10(o)) if o else 50.0 for o in off]
