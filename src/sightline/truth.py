"""The truth beside the training: what is known of a linear model and its loss without an epoch of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .linear.curvature import Curvature, epochs_per_digit, epochs_per_factor
from .linear.objective import Objective
from .parameters import Layout
from .records import Coefficient, Direction, Warning

__all__ = ["Truth", "about_constant", "collinear", "directions_of", "measured_excess"]

Array = NDArray[np.float64]
MOST_DIRECTIONS = 100


class Truth(Protocol):
    """What training is measured by, in training coordinates; θ `(k q,)` as `Layout` has it.

    `optimum` minimizes the objective, None where no θ does (separated classes) or none is best. `curvature` is that of
    the objective at the optimum, `quadratic` whether it is the same everywhere, `smooth` whether it has one at all.
    """

    @property
    def layout(self) -> Layout: ...
    @property
    def objective(self) -> Objective: ...
    @property
    def optimum(self) -> Array | None: ...
    @property
    def limit(self) -> Array | None:
        """θ*; where the loss falls for ever what the rows that do not move would have, None where that is unknown."""

    @property
    def loss(self) -> float: ...
    @property
    def baseline(self) -> float:
        """The loss of the best constant: the mean, or the shares of the classes."""

    @property
    def scale(self) -> float:
        """The size of loss that an excess is measured by: the baseline, where that cannot be negative."""

    @property
    def rows(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def curvature(self) -> Curvature: ...
    @property
    def quadratic(self) -> bool: ...
    @property
    def smooth(self) -> bool: ...
    @property
    def df(self) -> int: ...
    @property
    def accuracy(self) -> dict[str, Any]:
        """To how many digits the exact column holds, and how it was found."""

    @property
    def statistics(self) -> Mapping[str, Any]:
        """Fit statistics of the optimum, with the keys of the public contract and more."""

    def excess(self, theta: Array) -> float:
        """The objective at θ above its optimum."""

    def resolution(self, eps: float) -> float:
        """The smallest excess that arithmetic with this machine epsilon can tell from none."""

    def coefficients(self, estimate: Array | None = None) -> list[Coefficient]:
        """The table; `estimate` are trained coefficients in the order of `layout.names`, None for the exact ones."""

    def directions(self, contraction: Array | None) -> list[Direction]: ...
    def covariance_factor(self) -> Array | None: ...
    def warnings(self) -> list[Warning]:
        """What to know about columns, rows and classes."""


def measured_excess(truth: Truth, loss: float, theta: Array) -> float:
    """The objective at θ above its optimum, from the `loss` that was measured there: without a pass over the rows, and
    only as far as arithmetic can tell the two apart.
    """
    penalty, at = truth.objective.penalty, truth.optimum
    if not truth.objective.penalized:
        return loss - truth.loss
    return loss + penalty(theta) - truth.loss - (0.0 if at is None else penalty(at))


def about_constant(name: str) -> Warning:
    """A column without variation was left out."""
    text = f"column '{name}' is constant, so its coefficient is not estimable: it was left out"
    return Warning("SL-CONSTANT", text, (f"remove {name} from the formula",))


def directions_of(curvature: Curvature, layout: Layout, contraction: Array | None) -> list[Direction]:
    """Each direction that the data determine, steepest first, at most 100; `contraction (rank,)` is per epoch, None if
    unknown.
    """
    names = _parameter_names(layout)
    found = []
    for i in range(min(curvature.rank, len(curvature.directions), MOST_DIRECTIONS)):
        factor = math.inf if contraction is None else float(contraction[i])
        times = [epochs_per_factor(factor), epochs_per_digit(factor)]
        constant, digit = (time if math.isfinite(time) else None for time in times)
        parts = zip(names, curvature.directions[i].tolist(), strict=True)
        found.append(Direction(float(curvature.eigenvalues[i]), constant, digit, dict(parts)))
    return found


def _parameter_names(layout: Layout) -> list[str]:
    """The names of θ: terms, and for several outputs which of them."""
    design = layout.design
    outputs: Sequence[str] = [""]
    if layout.outputs > 1:
        outputs = [f"{c}: " for c in design.classes] or ["", "log variance: "]
    slopes = [f"{output}{term}" for output in outputs for term in design.encoding.terms]
    return [*slopes, *(f"{output}Intercept" for output in outputs if design.intercept)]


class Spanned(Protocol):
    """Directions in [X 1], those that the rows determine first."""

    @property
    def directions(self) -> Array: ...
    @property
    def rank(self) -> int: ...


def collinear(design: Design, exact: Spanned) -> list[tuple[str, ...]]:
    """The columns that take part in each direction which the data leave open."""
    free = exact.directions[exact.rank :]
    names = [*design.encoding.terms, *(["Intercept"] if design.intercept else [])]
    groups = []
    for direction in _sparse_basis(free):
        group = tuple(names[j] for j in np.flatnonzero(np.abs(direction) > 1e-6 * np.abs(direction).max()))
        if not (len(group) == 1 and group[0] in design.constant):
            groups.append(group)
    return groups


def _sparse_basis(free: Array) -> Array:
    """The same directions with as many zeros as elimination gives, so that each names only the columns it needs."""
    basis = free.copy()
    row = 0
    for column in reversed(range(basis.shape[1] if len(basis) else 0)):
        if row == len(basis):
            break
        pivot = row + int(np.argmax(np.abs(basis[row:, column])))
        if abs(basis[pivot, column]) < 1e-8:
            continue
        basis[[row, pivot]] = basis[[pivot, row]]
        basis[row] /= basis[row, column]
        others = np.arange(len(basis)) != row
        basis[others] -= np.outer(basis[others, column], basis[row])
        row += 1
    return basis
