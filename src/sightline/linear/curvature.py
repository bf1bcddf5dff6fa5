"""What the curvature of a quadratic loss says about gradient descent: limits, best settings, epochs needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import adds_up, leaf_rows, summed

__all__ = [
    "LARGEST_MOMENTUM",
    "MOST_PARAMETERS",
    "STANDARD_MOMENTUM",
    "Curvature",
    "best_momentum",
    "epochs_needed",
    "epochs_per_digit",
    "epochs_per_factor",
    "limit_formula",
    "nesterov_momentum",
    "rates_per_epoch",
    "steady_momentum",
    "steady_rate",
    "steepest_slope",
]

Array = NDArray[np.float64]
MOST_PARAMETERS = 2000  # whose Hessian is worth forming
MOST_VALUES = 5000  # all of whose eigenvalues are worth finding, some seconds


@dataclass(frozen=True)
class Curvature:
    """Eigenvalues `(q,)` (largest first) and eigenvectors `(q, q)` (rows) of the Hessian, in training coordinates.

    `rank` of them are positive; the loss does not change along the others, and training never moves there.

    >>> c = Curvature.of(np.diag([2.0, 1.0]), rows=2, rank=2)
    >>> c.max, c.min, c.condition, c.lr_limit()
    (4.0, 1.0, 4.0, 0.5)
    """

    eigenvalues: Array
    directions: Array
    rank: int

    @classmethod
    def of(cls, R: Array, *, rows: int, rank: int) -> Curvature:
        """The curvature of mean squared error from the triangular factor `R` of [X 1]: the Hessian is 2 R'R / n."""
        _, singular, directions = np.linalg.svd(R)
        singular = np.pad(singular, (0, R.shape[1] - len(singular)))
        return cls(2.0 * singular**2 / rows, directions, rank)

    @classmethod
    def of_hessian(cls, H: Array) -> Curvature:
        """The curvature of a loss with the Hessian `H (q, q)`; what is below rounding counts as flat."""
        values, vectors = np.linalg.eigh(H)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1].T
        flat = 4.0 * len(H) * np.finfo(float).eps * values[:1].max(initial=0.0)
        return cls(values, vectors, int((values > flat).sum()))

    @classmethod
    def of_ends(cls, high: float, low: float) -> Curvature:
        """Of the largest and the smallest eigenvalue alone, where all of them would take long; without directions."""
        return cls(np.array([high, low]), np.zeros((0, 0)), 2 if low < high else 1)

    @classmethod
    def of_large(cls, H: Array) -> Curvature:
        """Of a Hessian whose eigenvectors would take long: its ends; of a very large one the largest eigenvalue."""
        if len(H) > MOST_VALUES:
            return cls.of_products(lambda v: H @ v, len(H))
        values = np.linalg.eigvalsh(H)
        flat = 4.0 * len(H) * np.finfo(float).eps * float(values[-1])
        return cls.of_ends(float(values[-1]), float(values[values > flat][0])) if values[-1] > 0 else cls.of_hessian(H)

    @classmethod
    def of_products(cls, product: Callable[[Array], Array], q: int) -> Curvature:
        """From products with a Hessian too large to be formed: its largest eigenvalue (Lanczos); the smallest counts as
        unknown, zero.
        """
        from scipy.sparse.linalg import LinearOperator, eigsh

        operator = LinearOperator((q, q), matvec=product, dtype=np.float64)
        start = np.random.default_rng(0).normal(size=q)
        values, vectors = eigsh(operator, k=1, which="LA", v0=start)
        return cls(np.array([values[0], 0.0]), vectors.T, 2)

    @property
    def max(self) -> float:
        """The largest eigenvalue λmax."""
        return float(self.eigenvalues[0]) if self.rank else 0.0

    @property
    def min(self) -> float:
        """The smallest positive eigenvalue λmin."""
        return float(self.eigenvalues[self.rank - 1]) if self.rank else 0.0

    @cached_property
    def condition(self) -> float:
        """Condition number λmax / λmin."""
        return self.max / self.min if self.min > 0 else math.inf

    def lr_limit(self, momentum: float = 0.0, *, dampening: float = 0.0, nesterov: bool = False) -> float:
        """The largest stable learning rate of SGD: 2 (1 + β) / λmax; with Nesterov's momentum 2 (1 + β) / ((1 + 2β)
        λmax).

        Beyond it the loss grows along the steepest direction (Polyak 1964; Goh 2017, Why momentum really works).
        Dampening divides the gradient of steps with momentum only, as in torch.
        """
        if self.max == 0:
            return math.inf
        if not momentum:
            return 2.0 / self.max
        if nesterov:
            return 2.0 * (1.0 + momentum) / ((1.0 + 2.0 * momentum) * self.max)
        return 2.0 * (1.0 + momentum) / ((1.0 - dampening) * self.max)

    def summary(self, lr_limit: float | None = None) -> dict[str, float]:
        """As the public contract has it; `lr_limit` where momentum is in use."""
        limit = self.lr_limit() if lr_limit is None else lr_limit
        return {"min": self.min, "max": self.max, "condition": self.condition, "lr_limit": limit}

    @property
    def best_lr(self) -> float:
        """The fixed rate with the fastest worst direction, without momentum: 2 / (λmin + λmax)."""
        return 2.0 / (self.min + self.max) if self.rank else 1.0

    def contraction(self, lr: float, momentum: float = 0.0, *, nesterov: bool = False, dampening: float = 0.0) -> Array:
        """The factor by which one epoch shrinks the error along each direction that the data determine, `(rank,)`."""
        return rates_per_epoch(self.eigenvalues[: self.rank], lr, momentum, nesterov=nesterov, dampening=dampening)


def limit_formula(momentum: float = 0.0, *, dampening: float = 0.0, nesterov: bool = False, top: str = "λmax") -> str:
    """The formula of `Curvature.lr_limit`, with a name for the largest eigenvalue.

    >>> limit_formula(), limit_formula(0.9), limit_formula(0.9, nesterov=True)
    ('2 / λmax', '2 (1 + β) / λmax', '2 (1 + β) / ((1 + 2β) λmax)')
    """
    if not momentum:
        return f"2 / {top}"
    if nesterov:
        return f"2 (1 + β) / ((1 + 2β) {top})"
    return f"2 (1 + β) / ((1 - dampening) {top})" if dampening else f"2 (1 + β) / {top}"


@np.errstate(over="ignore", invalid="ignore")
def rates_per_epoch(
    eigenvalues: Array, lr: float, momentum: float = 0.0, *, nesterov: bool = False, dampening: float = 0.0
) -> Array:
    """Spectral radius of the iteration along each direction: |1 - lr λ| without momentum.

    With momentum the larger root of z² - (1 + β - a) z + β, a = lr (1 - dampening) λ; with Nesterov's, of
    z² - (1 + β)(1 - a) z + β (1 - a).
    """
    if not momentum:
        return np.abs(1.0 - lr * eigenvalues)
    a = lr * (1.0 - dampening) * eigenvalues
    linear = (1.0 + momentum) * (1.0 - a) if nesterov else 1.0 + momentum - a
    constant = momentum * (1.0 - a) if nesterov else np.full_like(a, momentum)
    root = np.sqrt((linear**2 - 4.0 * constant).astype(np.complex128))
    return np.asarray(np.maximum(np.abs(linear + root), np.abs(linear - root)) / 2.0)


def steepest_slope(X: Any, weight: Array | None = None, *, intercept: bool = True) -> float:
    """√λmax of the mean of zz' with z = (x, 1): the curvature of a loss with second derivatives below c is below c
    times its square, and its gradient is no longer than it times the longest slope of a row.

    >>> round(steepest_slope(np.array([[3.0], [-3.0]])), 12)
    3.0
    """
    n, p = X.shape
    total = float(n if weight is None else weight.sum())

    def share(part: slice, of: Array) -> Array:
        return of if weight is None else of * (weight[part] if of.ndim == 1 else weight[part, None])

    if p > MOST_PARAMETERS and not adds_up(X):

        def product(v: Array) -> Array:
            def along(part: slice, _: None) -> Array:
                rows = X[part]
                return np.asarray(share(part, rows @ v) @ rows)

            return summed(along, lambda _: None, rows=n, columns=p, work=64 * n * p, leaf_rows=leaf_rows(X)) / total

        return math.sqrt(Curvature.of_products(product, p).max + float(intercept))

    def leaf(part: slice, _: None) -> Array:
        rows = X[part]
        Z = np.column_stack([rows, np.ones(len(rows))]) if intercept else rows
        return np.asarray(share(part, Z).T @ Z)

    if adds_up(X):  # rows that add them up themselves
        q = p + int(intercept)
        gram = X.squares(lambda part, _: share(part, np.ones((part.stop - part.start, 1))), 1)[0, :q, :q] / total
        if q > MOST_PARAMETERS:
            return math.sqrt(Curvature.of_products(lambda v: gram @ v, q).max)
    else:
        gram = summed(leaf, lambda _: None, rows=n, columns=p + 1, work=n * (p + 1) * (p + 64)) / total
    return math.sqrt(max(float(np.linalg.eigvalsh(gram).max(initial=0.0)), 0.0))


def best_momentum(curvature: Curvature) -> tuple[float, float]:
    """The heavy ball's best rate and momentum: (2 / (√λmax + √λmin))² and ((√κ - 1) / (√κ + 1))²."""
    if not curvature.rank:
        return 1.0, 0.0
    top, bottom = math.sqrt(curvature.max), math.sqrt(curvature.min)
    return (2.0 / (top + bottom)) ** 2, ((top - bottom) / (top + bottom)) ** 2


STEADY = (
    0.9  # share of (1 + √β)² / λmax, where the steepest direction has a double root and overshoots 1 / (1 - √β)-fold
)


def steady_momentum(curvature: Curvature) -> tuple[float, float]:
    """The heavy ball's best rate, held to 3.6 / λmax, and the momentum that suits it.

    At the best rate the error along the steepest direction first grows about √κ / e-fold before it settles. Held
    there it grows at most about sevenfold (the loss fiftyfold), and at most 5.5 % more epochs are needed.
    """
    lr, momentum = best_momentum(curvature)
    if not curvature.rank or lr * curvature.max <= 4.0 * STEADY:
        return lr, momentum
    lr = 4.0 * STEADY / curvature.max
    return lr, (1.0 - math.sqrt(lr * curvature.min)) ** 2


def steady_rate(curvature: Curvature, momentum: float) -> float:
    """The rate for a given momentum β: 0.9 (1 + √β)² / λmax, the largest at which nothing overshoots much."""
    return STEADY * (1.0 + math.sqrt(momentum)) ** 2 / curvature.max if curvature.rank else 1.0


STANDARD_MOMENTUM = 0.9  # where the flattest curvature is not known
LARGEST_MOMENTUM = 1.0 - 1e-8  # of the flattest curvature that float64 tells from none; 1 would never come to rest


def nesterov_momentum(curvature: Curvature, ceiling: float) -> float:
    """(√κ - 1) / (√κ + 1) with κ = `ceiling` / λmin, for the rate 1 / `ceiling`; 0.9 where λmin is zero or unknown."""
    if not curvature.min > 0.0:
        return STANDARD_MOMENTUM
    root = math.sqrt(max(ceiling / curvature.min, 1.0))
    return min((root - 1.0) / (root + 1.0), LARGEST_MOMENTUM)


@np.errstate(over="ignore", invalid="ignore")
def epochs_needed(
    curvature: Curvature, distance: Array, lr: float, momentum: float, *, goal: float, limit: int
) -> int | None:
    """Epochs of gradient descent (with the heavy ball's momentum) from θ* + `distance (q,)` until the objective is
    within `goal` of its minimum; None if more than `limit`.

    Along each direction (xₜ, xₜ₋₁) is multiplied by [[1 + β - lr λ, -β], [1, 0]] each epoch, starting at rest.
    """
    along = curvature.directions[: curvature.rank] @ distance if len(curvature.directions) else np.linalg.norm(distance)
    share = curvature.eigenvalues[: curvature.rank] / 2.0 * along**2
    step = np.zeros((curvature.rank, 2, 2))
    step[:, 0, 0] = 1.0 + momentum - lr * curvature.eigenvalues[: curvature.rank]
    step[:, 0, 1], step[:, 1, 0] = -momentum, 1.0

    def left(epochs: int) -> float:
        """A bound of the excess after that many epochs that does not oscillate."""
        state = np.linalg.matrix_power(step, epochs).sum(axis=2)
        size = (state**2).sum(axis=1) if momentum else state[:, 0] ** 2
        return float(share @ size)

    high = 1
    while not left(high) <= goal:
        if high > limit:
            return None
        high *= 2
    low = high // 2
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if left(middle) <= goal else (middle, high)
    return high + high // 50


def epochs_per_digit(contraction: float) -> float:
    """Epochs in which an error shrinks tenfold when each one multiplies it by `contraction`."""
    return epochs_per_factor(contraction) * math.log(10.0)


def epochs_per_factor(contraction: float) -> float:
    """The time constant: epochs in which an error shrinks by the factor e; infinite where it does not shrink."""
    if not contraction < 1.0:
        return math.inf
    if contraction <= 0.0:
        return 0.0
    return -1.0 / math.log(contraction) if contraction < 0.5 else -1.0 / math.log1p(contraction - 1.0)
