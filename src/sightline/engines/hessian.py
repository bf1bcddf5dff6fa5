"""The largest curvature of any module's loss, from products with its Hessian, which is never formed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError, shown

__all__ = ["HessianProduct", "TopCurvature", "largest_eigenvalue", "refuse_second_derivative"]

CYCLE = 32  # vectors that are held at a time
MOST_PRODUCTS = 2000


@dataclass(frozen=True, slots=True)
class TopCurvature:
    """The largest eigenvalue λ of the Hessian H at the parameters as they are: `value`.

    `residual` is ‖Hv - λv‖ for its unit vector v, so an eigenvalue of H lies within it; `converged` whether it is at
    most `tolerance` |λ|; `products` with H were made.
    """

    value: float
    residual: float
    tolerance: float
    products: int
    converged: bool

    def __float__(self) -> float:
        return self.value

    @property
    def lr_limit(self) -> float:
        """2 / λ, the largest stable rate of plain gradient descent here: a local limit, for where the parameters are
        now; infinite where the loss does not curve upward.
        """
        return 2.0 / self.value if self.value > 0.0 else math.inf


class HessianProduct:
    """v `(q,)` to Hv, by a second backward pass through the gradient; parameters and their `.grad` stay as they are."""

    def __init__(self, loss: Tensor, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        found = torch.autograd.grad(loss, self.parameters, create_graph=True, allow_unused=True)
        _refuse_cut_graphs(found)
        self._curved = [
            (g, p) for g, p in zip(found, self.parameters, strict=True) if g is not None and g.requires_grad
        ]

    def __call__(self, v: Tensor) -> Tensor:
        """Hv."""
        parts = {
            id(p): part
            for p, part in zip(self.parameters, v.split([p.numel() for p in self.parameters]), strict=True)  # type: ignore[no-untyped-call]
        }
        if not self._curved:
            return torch.zeros_like(v)
        product = torch.autograd.grad(
            [g for g, _ in self._curved], self.parameters,
            [parts[id(p)].view_as(p).to(p.dtype) for _, p in self._curved], retain_graph=True, allow_unused=True,
        )  # fmt: skip
        return torch.cat(
            [
                (torch.zeros_like(p) if h is None else h).reshape(-1).to(v.dtype)
                for h, p in zip(product, self.parameters, strict=True)
            ]
        )


def _refuse_cut_graphs(gradients: Sequence[Tensor | None]) -> None:
    """Where an operation of one's own can be differentiated once only, torch would leave its part out of Hv in
    silence: its graph has a node in that place which raises, off the way to the parameters.
    """
    waiting, seen = [g.grad_fn for g in gradients if g is not None], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith("::Error"):
            raise RuntimeError("one of its operations is marked with once_differentiable")
        waiting += [other for other, _ in node.next_functions]


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor], start: Tensor, *, tolerance: float, most: int = MOST_PRODUCTS
) -> TopCurvature:
    """The largest eigenvalue of a symmetric matrix from its products with vectors, beginning with `start (q,)`.

    Lanczos with full reorthogonalization, restarted from the best vector so far after 32 steps (Golub and Van Loan,
    Matrix Computations, chapter 10), until ‖Hv - λv‖ <= tolerance |λ|.

    >>> H = torch.diag(torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64))
    >>> found = largest_eigenvalue(lambda v: H @ v, torch.ones(3, dtype=torch.float64), tolerance=1e-10)
    >>> round(found.value, 9), found.converged
    (5.0, True)
    """
    v, done = start / start.norm(), 0
    while True:
        basis, diagonal, beside = _lanczos(product, v, min(CYCLE, len(v)))
        T = torch.diag(diagonal) + torch.diag(beside, 1) + torch.diag(beside, -1)
        _, vectors = torch.linalg.eigh(T)
        v = basis.T @ vectors[:, -1]
        v = v / v.norm()
        image = product(v)
        value = float(v @ image)
        residual = float((image - value * v).norm())
        done += len(diagonal) + 1
        converged = residual <= tolerance * abs(value)
        if converged or done >= most or not math.isfinite(value):
            return TopCurvature(value, residual, tolerance, done, converged)


def _lanczos(product: Callable[[Tensor], Tensor], v: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """An orthonormal basis `(m, q)` of the products of v, and the matrix in it: its diagonal, and beside that."""
    basis, diagonal, beside = [v], list[Tensor](), list[Tensor]()
    floor = torch.finfo(v.dtype).eps
    while True:
        image = product(basis[-1])
        diagonal.append(basis[-1] @ image)
        known = torch.stack(basis)
        for _ in range(2):  # twice is enough (Parlett 1980, The symmetric eigenvalue problem)
            image = image - known.T @ (known @ image)
        length = image.norm()
        scale = max(float(d.abs()) for d in [*diagonal, *beside])
        if len(diagonal) == steps or not length > floor * 8.0 * scale:
            return known, torch.stack(diagonal), torch.stack(beside) if beside else v.new_zeros(0)
        beside.append(length)
        basis.append(image / length)


def refuse_second_derivative(error: RuntimeError) -> UsageError:
    """What torch says where it has no second derivative, as a sentence."""
    why = str(error).strip().splitlines()[0]
    return UsageError(
        f"this model has no second derivative ({shown(why, quote=False, limit=120)}): "
        "put another operation in the place of that one, or measure the rate with sightline.lr_range_test"
    )
