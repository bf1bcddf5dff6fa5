"""The sums over rows that least squares needs, added up in float64 where the rows lie, or where they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..linear.moments import Moments
from ..linear.squared_error import SquaredError
from ..linear.triangle import is_steep
from .devices import explained

__all__ = ["form_on", "moments_on"]

Array = NDArray[np.float64]
Part = tuple[Tensor, Tensor, Tensor | None]  # rows (m, p), targets (m, k), weights (m,) of a block, on the device
BLOCK = 2**23  # numbers of a block at most, 64 MB in float64: the room that is needed beside the rows
RUN = 2048  # rows whose products are one sum: it bounds the rounding, and many runs at once keep a GPU busy
SAMPLE = 4096  # rows whose mean is subtracted first


def moments_on(device: torch.device, X: Any, y: Any, weight: Any = None) -> Moments:
    """The moments that `Moments.of` gives, added up on a device from blocks of rows in float64.

    Rows `X (n, p)` and targets `y (n,)` or `(n, k)` are tensors, wherever they are, or arrays; those that lie elsewhere
    are sent block by block, so they take no room beside one block. The mean of a sample of all rows is subtracted
    before a block is multiplied by itself, and what that leaves of the means is taken out of the sums at the end (Chan,
    Golub and LeVeque 1983), so data far from zero lose no digits.

    >>> m = moments_on(torch.device("cpu"), torch.tensor([[1.0], [3.0]]), torch.tensor([2.0, 6.0]))
    >>> m.n, m.x_mean.tolist(), m.xx.tolist(), m.xy.tolist(), m.yy.tolist()
    (2.0, [2.0], [[2.0]], [[4.0]], [8.0])
    """
    with explained(device, (X, y)):
        return _Sums(device, X, y, weight).moments()


def form_on(
    device: torch.device, X: Any, y: Any, *, intercept: bool = True, total: bool = False
) -> SquaredError | None:
    """The squared error that `SquaredError.of` gives, with every pass over the rows made on a device; None where the
    squares of the rows are beyond float64.

    >>> x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([1.0, 3.0, 5.0])
    >>> form = form_on(torch.device("cpu"), x, y)
    >>> round(form.value(np.array([[2.0]]), np.array([4.0])), 12)
    9.0
    """
    with explained(device, (X, y)):
        sums = _Sums(device, X, y, None)
        moments = sums.moments()
        if not (np.isfinite(moments.xx).all() and np.isfinite(moments.yy).all()):
            return None
        few = sums.factor_rows(moments) if is_steep(moments) else (np.zeros((1, sums.p)), np.zeros((1, sums.k)))
        form = SquaredError.of(*few, intercept=intercept, moments=moments)  # its minimum, and its root where steep
        squares, by_weight, by_bias = sums.residuals(form.weight, form.bias)
        count = sums.n * sums.k
        factor = float(count) if total else 1.0
        scale = factor / count
        return replace(
            form, minimum=float(squares.sum()) * scale, weight_gradient=-2.0 * scale * by_weight,
            bias_gradient=-2.0 * scale * by_bias, factor=factor,
        )  # fmt: skip


class _Sums:
    """Passes over blocks of rows on a device."""

    def __init__(self, device: torch.device, X: Any, y: Any, weight: Any) -> None:
        self.device, self._X, self._y, self._weight = device, X, y, weight
        self.n, self.p = len(X), int(X.shape[1])
        self.k = 1 if y.ndim == 1 else int(y.shape[1])

    def moments(self) -> Moments:
        """Of all rows; each block stands in one table [x, y, 1], whose product with itself has all sums in it."""
        p, q, shift = self.p, self.p + self.k + 1, self._shift()
        sums = torch.zeros(q, q, dtype=torch.float64, device=self.device)
        for table, weight in self._tables(shift):
            right = table if weight is None else table * weight[:, None]
            whole = len(table) - len(table) % RUN
            runs, right_runs = (t[:whole].reshape(-1, RUN, q) for t in (table, right))
            sums += torch.bmm(runs.transpose(1, 2), right_runs).sum(0)
            sums += table[whole:].T @ right[whole:]
        found, center = sums.cpu().numpy(), shift.cpu().numpy()
        n = float(found[-1, -1])
        left = found[-1, :-1] / n
        with np.errstate(invalid="ignore"):  # what is not finite is found in the sums
            centered = found[:-1, :-1] - n * np.outer(left, left)
        centered = (centered + centered.T) / 2.0  # products of a device need not be symmetric to the last bit
        mean, xx, xy = center + left, centered[:p, :p].copy(), centered[:p, p:].copy()
        return Moments(n, mean[:p], mean[p:], xx, xy, np.diag(centered)[p:].copy())

    def factor_rows(self, moments: Moments) -> tuple[Array, Array]:
        """p + k rows and targets whose distances from the means have the products that those of all rows have: the
        triangular factor of these.
        """
        center = np.concatenate([moments.x_mean, moments.y_mean])
        R = torch.zeros(0, self.p + self.k, dtype=torch.float64, device=self.device)
        for table, _ in self._tables(torch.from_numpy(center).to(self.device)):
            R = torch.linalg.qr(torch.cat([R, table[:, :-1]]), mode="r").R
        rows = R.cpu().numpy() + center
        return rows[:, : self.p], rows[:, self.p :]

    def residuals(self, slopes: Array, bias: Array | None) -> tuple[Array, Array, Array]:
        """Σ r² `(k,)`, Σ r x' `(k, p)` and Σ r `(k,)` of the residuals r = y - Xw' - b."""
        w = torch.from_numpy(slopes).to(self.device)
        b = None if bias is None else torch.from_numpy(bias).to(self.device)
        sums = torch.zeros(self.k, self.p + 2, dtype=torch.float64, device=self.device)
        for rows, y, _ in self._parts():
            x = rows.double()
            r = y.double() - x @ w.T
            r = r if b is None else r - b
            sums[:, 0] += (r * r).sum(0)
            sums[:, 1] += r.sum(0)
            sums[:, 2:] += r.T @ x
        found = sums.cpu().numpy()
        return found[:, 0], found[:, 2:], found[:, 1]

    def _tables(self, shift: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Each block as [x - shift, y - shift, 1] in float64, in room that the next one takes."""
        room = torch.empty(min(self._size, self.n), self.p + self.k + 1, dtype=torch.float64, device=self.device)
        for x, y, weight in self._parts():
            table = room[: len(x)]
            torch.sub(x, shift[: self.p], out=table[:, : self.p])
            torch.sub(y, shift[self.p :], out=table[:, self.p : -1])
            table[:, -1] = 1.0
            yield table, weight

    def _parts(self) -> Iterator[Part]:
        """The blocks of the rows on the device, in the dtype they have."""
        for first in range(0, self.n, self._size):
            part = slice(first, first + self._size)
            weight = None if self._weight is None else self._there(self._weight[part])
            yield self._there(self._X[part]), self._there(self._y[part]).reshape(-1, self.k), weight

    def _shift(self) -> Tensor:
        """The mean of rows drawn at random, the same at every call; of what is not finite, nothing."""
        drawn = torch.randint(self.n, (min(self.n, SAMPLE),), generator=torch.Generator().manual_seed(0))
        places = drawn.sort().values
        x, y = (self._there(v[places.to(v.device) if isinstance(v, Tensor) else places.numpy()]).double()
                for v in (self._X, self._y))  # fmt: skip
        mean = torch.cat([x, y.reshape(-1, self.k)], dim=1).mean(0)
        return torch.where(torch.isfinite(mean), mean, torch.zeros_like(mean))

    def _there(self, rows: Any) -> Tensor:
        """Those rows on the device."""
        found = rows if isinstance(rows, Tensor) else torch.from_numpy(_as_torch_takes(rows))
        found = found if found.is_floating_point() else found.double()
        return found.detach().to(self.device)

    @property
    def _size(self) -> int:
        """Rows of a block."""
        return RUN * max(1, BLOCK // (self.p + self.k + 1) // RUN)


def _as_torch_takes(block: NDArray[Any]) -> NDArray[Any]:
    """An array of floats that torch can be handed: none that is read backwards, or whose memory must not be written."""
    block = block if min(block.strides, default=0) >= 0 else block.copy()
    floats = block.dtype in (np.float32, np.float64)
    return np.require(block, None if floats else np.float64, "W")
