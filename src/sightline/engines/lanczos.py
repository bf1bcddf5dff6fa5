"""The largest eigenvalues of a symmetric matrix that is known by its products with vectors only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UsageError

__all__ = ["Eigenvalues", "largest_eigenvalues"]

Product = Callable[[Tensor], Tensor]
CYCLE = 32  # vectors that are held at a time, at least
MOST_PRODUCTS = 2000  # for each eigenvalue
OWN_SEED = 0x9E3779B9  # no seed that people choose: a vector drawn again would find no repeated eigenvalue


@dataclass(frozen=True, slots=True)
class Eigenvalues:
    """The k largest eigenvalues λ of H, largest first, and for each ‖Hv - λv‖ of its unit vector v, `residuals`.

    `converged`: each residual is at most `tolerance` times the largest |λ| of them, or rounding, and no larger
    eigenvalue was found beside them; `products` with H were made.
    """

    values: tuple[float, ...]
    residuals: tuple[float, ...]
    tolerance: float
    products: int
    converged: bool


def largest_eigenvalues(
    product: Product, start: Tensor, *, k: int = 1, tolerance: float, most: int = MOST_PRODUCTS
) -> Eigenvalues:
    """The k largest eigenvalues (algebraically) of a symmetric matrix, beginning with `start (q,)`, k <= q.

    Lanczos with full reorthogonalization and thick restart (Wu and Simon 2000, Thick-restart Lanczos method for large
    symmetric eigenvalue problems). One Krylov space holds one vector of each eigenvalue, however often that is
    repeated. So where k > 1, the largest eigenvalue of what is orthogonal to the k vectors is sought from a random
    vector, and takes the place of the smallest where it is above it, until it is not. A block method would find no more
    repetitions than its block is wide, for as many products in each step.

    Raises UsageError where a product is not finite.

    >>> H = torch.diag(torch.tensor([5.0, 1.0, 5.0, 2.0], dtype=torch.float64))
    >>> found = largest_eigenvalues(lambda v: H @ v, torch.ones(4, dtype=torch.float64), k=3, tolerance=1e-10)
    >>> [round(value, 9) for value in found.values], found.converged
    ([5.0, 5.0, 2.0], True)
    """
    search = _Search(product, tolerance / (2.0 * math.sqrt(k)), most * k)
    nothing = start.new_empty(0, len(start))
    vectors, sure = search.top(start, k, nothing)
    found, more = search.refined(vectors, nothing, nothing), 1 < k < len(start)
    while sure and more:
        other, sure = search.top(search.random(start), 1, found.vectors)
        larger = search.refined(other, found.vectors, found.images).first(k)
        known = found.values + found.residuals + search.rounding(start.dtype)
        found, more = larger, bool((larger.values > known).any())
    values, residuals = found.values.tolist(), found.residuals.tolist()
    goal = max(tolerance * max(map(abs, values)), search.rounding(start.dtype))
    return Eigenvalues(tuple(values), tuple(residuals), tolerance, search.done, sure and max(residuals) <= goal)


@dataclass(frozen=True)
class _Pairs:
    """Eigenvalues, largest first, with their unit `vectors (k, q)` and the `images` of these."""

    values: Tensor
    vectors: Tensor
    images: Tensor

    @property
    def residuals(self) -> Tensor:
        lengths: Tensor = (self.images - self.values[:, None] * self.vectors).norm(dim=1)
        return lengths

    def first(self, k: int) -> _Pairs:
        return _Pairs(self.values[:k], self.vectors[:k], self.images[:k])


class _Search:
    """What all searches for eigenvalues of one matrix share: its products and how many there were, and its size as
    seen so far.
    """

    def __init__(self, product: Product, tolerance: float, most: int) -> None:
        self._product, self._tolerance, self._most = product, tolerance, most
        self._generator = torch.Generator().manual_seed(OWN_SEED)
        self.done, self._size = 0, 0.0

    def times(self, v: Tensor) -> Tensor:
        """Hv."""
        self.done += 1
        image = self._product(v)
        if not torch.isfinite(image).all():
            raise UsageError(
                "the Hessian is not finite at these parameters: move them a little, or put another operation in the "
                "place of one whose slope is infinite there, such as a root at zero"
            )
        return image

    def random(self, like: Tensor) -> Tensor:
        """A random vector of this length and kind."""
        return torch.randn(like.shape, generator=self._generator, dtype=torch.float64).to(like)

    def rounding(self, dtype: torch.dtype) -> float:
        """How small a residual can be expected to become."""
        return 16.0 * torch.finfo(dtype).eps * self._size

    def top(self, start: Tensor, k: int, locked: Tensor) -> tuple[Tensor, bool]:
        """Vectors `(k, q)` of the k largest eigenvalues orthogonal to the `locked (l, q)`, and whether they have
        converged.
        """
        space = _Space(start, locked, max(CYCLE, 2 * k + 8))
        while True:
            left = space.grow(self, k)
            values, S = space.eigen()
            self._size = max(self._size, float(values.abs().max()))
            worst = left * float(S[-1, :k].abs().max())
            goal = max(self._tolerance * float(values[:k].abs().max()), self.rounding(start.dtype))
            if worst <= goal or self.done >= self._most:
                return space.combined(S[:, :k]), worst <= goal
            space.restart(values, S, k + (space.room - k) // 2)

    def refined(self, vectors: Tensor, known: Tensor, images: Tensor) -> _Pairs:
        """The best pairs within the space of these vectors and the known, by Rayleigh and Ritz; the known have their
        images.
        """
        V = torch.linalg.qr(vectors.T)[0].T
        V, W = torch.cat([known, V]), torch.cat([images, *(self.times(v)[None] for v in V)])
        B = V @ W.T
        values, S = torch.linalg.eigh((B + B.T) / 2.0)
        largest_first = S.flip(1).T
        return _Pairs(values.flip(0), largest_first @ V, largest_first @ W)


class _Space:
    """A Krylov space orthogonal to locked vectors, by an orthonormal basis, and the matrix T in it."""

    def __init__(self, start: Tensor, locked: Tensor, room: int) -> None:
        self.room = min(room, len(start) - len(locked))
        self._locked = len(locked)
        self._rows = torch.cat([locked, start.new_zeros(self.room, len(start))])
        self._T = torch.zeros(self.room, self.room, dtype=torch.float64)
        self._size = 0
        self._next = self._direction(start)

    def grow(self, search: _Search, k: int) -> float:
        """Fill the room, or stop where the space is invariant and holds k vectors; how long is what leads out of it."""
        while True:
            self._rows[self._locked + self._size] = self._next
            self._size += 1
            image, beside = self._orthogonal(search.times(self._next))
            self._T[self._size - 1, : self._size] = beside
            self._T[: self._size, self._size - 1] = beside
            length = float(image.norm())
            invariant = length <= 8.0 * torch.finfo(image.dtype).eps * float(self._T.abs().max())
            if self._size == self.room or (invariant and self._size >= k):
                self._next = image / (length or 1.0)
                return length
            self._next = self._direction(search.random(image)) if invariant else image / length

    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues and vectors (columns) of T, largest first."""
        values, S = torch.linalg.eigh(self._T[: self._size, : self._size])
        return values.flip(0), S.flip(1)

    def combined(self, S: Tensor) -> Tensor:
        """The vectors of the space with these coordinates (columns)."""
        basis = self._rows[self._locked : self._locked + self._size]
        return S.T.to(basis) @ basis

    def restart(self, values: Tensor, S: Tensor, keep: int) -> None:
        """Keep the best vectors; the one that leads out of the space is next."""
        kept = self.combined(S[:, :keep])
        self._rows[self._locked : self._locked + len(kept)] = kept
        self._rows[self._locked + len(kept) :] = 0.0
        self._T.zero_()
        self._T[: len(kept), : len(kept)] = torch.diag(values[: len(kept)])
        self._size = len(kept)

    def _orthogonal(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What is left of it beside all vectors so far, and its parts along those of the basis."""
        known = self._rows[: self._locked + self._size]
        parts = torch.zeros(len(known), dtype=image.dtype, device=image.device)
        for _ in range(2):  # twice is enough (Parlett 1980, The symmetric eigenvalue problem)
            along = known @ image
            image, parts = image - known.T @ along, parts + along
        return image, parts[self._locked :].double().cpu()

    def _direction(self, v: Tensor) -> Tensor:
        """A unit vector along that part of v which no vector so far has."""
        for _ in range(2):  # little is left of it where the space is almost whole
            v = self._orthogonal(v)[0]
            v = v / v.norm()
        return v
