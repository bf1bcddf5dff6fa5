"""The exact answer of many rows: from moments or counts, refined by passes, on a device where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_sums import coded_moments, coded_residual_pass
from .data.design import Design
from .data.kept import keep_sums, kept_sums
from .double_double import Pair
from .linear.curvature import MOST_PARAMETERS
from .linear.exact import EPS, Exact
from .linear.from_moments import least_squares_from_moments
from .linear.from_triangle import least_squares_from_triangle
from .linear.moments import Moments
from .linear.wide import least_squares_by_eigenvalues, least_squares_of_many_columns
from .rows import Rows

__all__ = ["MANY_COLUMNS", "Answer", "Pairs", "are_many", "float64_digits", "from_blocks", "from_moments"]

Array = NDArray[np.float64]
Pairs = Callable[[], tuple[Pair, Pair]]  # the columns (n, p) and the target (n,), as they were typed
MANY_COLUMNS = 500  # from which on all singular values take longer than the answer
MANY = 20_000_000  # rows times columns squared: from here on moments pay


@dataclass(frozen=True)
class Answer:
    """The optimum in float64 with its geometry, in training coordinates, and its coefficients in units of the data.

    `coefficients (q,)` and `variances (q,)` (in units of σ², None where float64 has to do) are in the order of
    `Design.terms`; `digits` of them can be trusted; `path` and `reason` say how they were found.
    """

    exact: Exact
    coefficients: tuple[float, ...]
    variances: Pair | None
    digits: float
    path: str
    reason: str
    moments: Moments | None = None


def are_many(n: int, q: int) -> bool:
    """Whether n rows with q coefficients are so many that moments pay."""
    return n * q * q > MANY and n > 20 * q


def float64_digits(exact: Exact) -> float:
    """What Householder QR keeps for these columns."""
    return max(0.0, -math.log10(8.0 * len(exact.theta) * EPS * max(exact.condition, 1.0)))


def from_moments(design: Design, rows: Rows, penalty: Array, device: str = "auto") -> Answer | None:
    moments, where = _moments(rows, device)
    found = least_squares_from_moments(
        rows.X, rows.y, moments, intercept=design.intercept, weight=rows.weight, weight_decay=penalty
    )
    if found is None:
        return None
    exact, digits = found
    reason = f"centered moments of {len(rows):,} rows{where}, refined by passes over them; κ {exact.condition:.3g}"
    return Answer(exact, tuple(design.in_units(exact.theta).tolist()), None, digits, "moments", reason, moments)


def _moments(rows: Rows, device: str) -> tuple[Moments, str]:
    """Of all rows, and where they were added up, as words."""
    if device in ("auto", "cpu"):
        if rows.coded:
            return coded_moments(rows.blocks, rows.y[:, None], rows.weight), ""
        return Moments.of(rows.X, rows.y, rows.weight), ""
    from .engines.device_moments import moments_on
    from .engines.devices import device_named

    place = device_named(device)
    return moments_on(place, rows.X, rows.y, rows.weight), f" added up on {place}"


def _kept_moments(folder: Path | None) -> tuple[Moments, str] | None:
    """Those that were added up before, of the same columns of the same file."""
    known = None if folder is None else kept_sums(folder / "moments.npz", [f.name for f in fields(Moments)])
    return None if known is None else (Moments(**known | {"n": float(known["n"])}), "")


def from_blocks(design: Design, rows: Rows, penalty: Array, device: str) -> Answer:
    """Rows that come in blocks: categories are counted, and no column of theirs is ever made, but for columns so nearly
    collinear that only their triangular factor tells them apart.
    """
    X, y, weight = rows.blocks, rows.y[:, None], rows.weight
    moments, where = _kept_moments(X.kept) or (_moments(rows, "cpu" if X.parts else device))
    if X.kept is not None and not where:
        keep_sums(X.kept / "moments.npz", {f.name: getattr(moments, f.name) for f in fields(moments)})

    def residuals(slopes: Array, bias: Array | None) -> tuple[Array, Array, Array]:
        return coded_residual_pass(X, y, slopes, bias, weight)

    q = len(design.terms)
    asked: dict[str, Any] = {
        "rows": len(y), "intercept": design.intercept, "weight": weight, "penalty": np.broadcast_to(penalty, q),
    }  # fmt: skip
    path, how = ("counts", "counts of categories in") if X.parts else ("moments", "centered moments of")
    if q <= MANY_COLUMNS:
        found = least_squares_from_moments(
            X, rows.y, moments, intercept=design.intercept, weight=weight, weight_decay=penalty, residuals=residuals
        )
    else:
        found = least_squares_of_many_columns(moments, residuals, **asked)
    if found is None and q <= MOST_PARAMETERS:
        exact = least_squares_from_triangle(
            X, rows.y, intercept=design.intercept, weight=weight, weight_decay=penalty, noise=design.rounding,
            moments=moments, residuals=residuals,
        )  # fmt: skip
        found, path, how = (exact, float64_digits(exact)), "QR by blocks", "triangular factor merged from blocks of"
    exact, digits = found or least_squares_by_eigenvalues(moments, residuals, **asked)
    reason = f"{how} {len(y):,} rows{where}, refined by passes over them; κ {exact.condition:.3g}"
    return Answer(exact, tuple(design.in_units(exact.theta).tolist()), None, digits, path, reason, moments)
