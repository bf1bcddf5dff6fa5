"""Least squares in exact rational arithmetic: the reference that owes nothing to any floating-point library."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property

import numpy as np


def fractions(rows):
    """Rows of numbers as the rationals that the doubles are."""
    return [[Fraction(float(v)) for v in row] for row in rows]


def product(A, B):
    """A B."""
    columns = list(zip(*B, strict=True))
    return [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in A]


def transposed(A):
    """A'."""
    return [list(row) for row in zip(*A, strict=True)]


def inverse(A):
    """A⁻¹ by Gauss and Jordan."""
    q = len(A)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(q))] for i, row in enumerate(A)]
    for i in range(q):
        pivot = next(k for k in range(i, q) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(q):
            if k != i and rows[k][i]:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[q:] for row in rows]


def floats(A):
    """Rationals rounded once."""
    return np.array([[float(v) for v in row] for row in A])


class Fit:
    """A weighted least-squares fit of `Z (n, q)` of full rank to `y (n,)`, each number a rational."""

    def __init__(self, Z, y, weight=None):
        self.Z = fractions(Z)
        self.y = fractions([[v] for v in y])
        self.w = [Fraction(float(v)) for v in (np.ones(len(y)) if weight is None else weight)]

    @cached_property
    def inverse(self):
        """(Z'WZ)⁻¹."""
        weighted = [[w * v for v in row] for w, row in zip(self.w, self.Z, strict=True)]
        return inverse(product(transposed(self.Z), weighted))

    @cached_property
    def rows(self):
        """W Z (Z'WZ)⁻¹: θ is its transpose times y."""
        return [[w * v for v in row] for w, row in zip(self.w, product(self.Z, self.inverse), strict=True)]

    @cached_property
    def theta(self):
        """The coefficients, as a column."""
        return product(transposed(self.rows), self.y)

    @cached_property
    def residual(self):
        """y - Zθ."""
        return [y[0] - f[0] for y, f in zip(self.y, product(self.Z, self.theta), strict=True)]

    @cached_property
    def leverage(self):
        """The diagonal of the projection, of rows weighted by √w."""
        return [sum(a * b for a, b in zip(z, u, strict=True)) for z, u in zip(self.Z, self.rows, strict=True)]

    @cached_property
    def rss(self):
        """Σ w e²."""
        return sum(w * e * e for w, e in zip(self.w, self.residual, strict=True))

    def covariance(self, kind, clusters=None):
        """The robust covariance of θ, each kind by its textbook formula."""
        n, q = len(self.Z), len(self.Z[0])
        scores = [[u * e for u in row] for row, e in zip(self.rows, self.residual, strict=True)]
        if clusters is None:
            power = {"hc2": 1, "hc3": 2}.get(kind, 0)
            factors = [1 / (1 - h) ** power for h in self.leverage] if power else [Fraction(1)] * n
            factor = Fraction(n, n - q) if kind == "hc1" else Fraction(1)
        else:
            labels = list(dict.fromkeys(clusters))
            members = [[s for s, g in zip(scores, clusters, strict=True) if g == label] for label in labels]
            scores = [[sum(column) for column in zip(*rows, strict=True)] for rows in members]
            groups = len(labels)
            factors = [Fraction(1)] * groups
            factor = Fraction(groups, groups - 1) * Fraction(n - 1, n - q)
        scaled = [[factor * f * v for v in row] for f, row in zip(factors, scores, strict=True)]
        return product(transposed(scores), scaled)
