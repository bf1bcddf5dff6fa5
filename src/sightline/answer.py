"""The exact coefficients in the units of the data: which path to take, and to how many digits the result holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .answer_of_many import MANY_COLUMNS, Answer, Pairs, are_many, float64_digits, from_blocks, from_moments
from .coded_blocks import ByCodes, by_codes
from .data.design import Design
from .digits import Digits
from .double_double import PRECISION, Pair
from .linear.exact import EPS, Exact, least_squares, scaled_svd
from .linear.gram import gram_factor
from .linear.refined import Refined, refined_least_squares, refined_ridge
from .linear.triangle import rows_factor
from .rows import Rows

__all__ = ["Determined", "answer", "determined_columns", "estimable", "moderate", "refinement"]

Array = NDArray[np.float64]
STEEP = 1e5  # condition number from which float64 loses digits that people look at
TIE = 1e-9  # shorter than the column before, so that rounding does not choose
ENTRIES, STEEP_ENTRIES = 1_000_000, 5_000_000  # rows times columns whose coefficients are refined: about 1 µs each
SQUARES, STEEP_SQUARES = 1_000_000, 20_000_000  # rows times columns squared whose variances are: about 0.4 µs each


def answer(design: Design, rows: Rows, pairs: Pairs | None, penalty: Array, *, device: str = "auto") -> Answer:
    """Take the path that these rows ask for: moments where they are many, double-double where they are few or steep.

    The moments are added up on the `device`; every other path is the CPU's.
    """
    n, q = len(rows), len(design.terms)
    if rows.coded:
        return from_blocks(design, rows, penalty, device)
    found = from_moments(design, rows, penalty, device) if are_many(n, q) else None
    if found is not None:
        return found
    exact = _by_qr(design, rows, penalty)
    worth, variances = refinement(n, q, exact.condition)
    if pairs is not None and worth:
        found = _refined(design, rows, exact, pairs(), penalty, variances=variances)
        if found is not None:
            return found
    digits = float64_digits(exact)
    why = "too nearly collinear columns" if worth else "too many rows"
    reason = f"Householder QR, not refined for {why}; κ {exact.condition:.3g}"
    return Answer(exact, tuple(design.in_units(exact.theta).tolist()), None, digits, "QR", reason)


@dataclass(frozen=True)
class Determined:
    """What rows determine without a penalty: as many columns as their rank, `kept`, chosen by pivoting; and which
    `directions (q, q)`, as least squares has them. `R (q, q)` is the triangular factor of √w [1 X] of rows on the disk,
    `counted` whether products of codes were enough to know it.
    """

    kept: NDArray[np.intp]
    directions: Array
    rank: int
    R: Array
    intercept: bool
    counted: bool = False

    def factor(self, columns: NDArray[np.intp]) -> Array:
        """R of some columns."""
        first = int(self.intercept)
        chosen = np.concatenate([np.arange(first), columns + first])
        return self.R if len(chosen) == len(self.R) else np.asarray(np.linalg.qr(self.R[:, chosen], mode="r"))


def determined_columns(design: Design, rows: Rows) -> Determined:
    """From least squares in float64; of rows on the disk from their triangular factor, in one pass."""
    intercept, p = design.intercept, rows.X.shape[1]
    if not rows.on_disk:
        penalty = np.zeros(len(design.terms))
        found = from_moments(design, rows, penalty) if are_many(len(rows), len(penalty)) else None
        exact = _by_qr(design, rows, penalty) if found is None else found.exact
        kept = independent(rows, exact, intercept=intercept)
        return Determined(kept, exact.directions, exact.rank, exact.factor, intercept)
    first = int(intercept)
    known = _factor_of_codes(rows, intercept=intercept)
    R = rows_factor(rows.X, rows.weight, intercept=intercept) if known is None else known
    if p + first > MANY_COLUMNS and _is_full(R):
        return Determined(np.arange(p), np.eye(p + first), p + first, R, intercept, known is not None)
    factor = scaled_svd(np.roll(R, -first, axis=1), p + first, design.rounding)
    kept = np.arange(p) if factor.rank == p + first else pivoted(R[first:, first:], factor.rank - first)
    return Determined(kept, factor.directions, factor.rank, R, intercept, known is not None)


def _factor_of_codes(rows: Rows, *, intercept: bool) -> Array | None:
    """The same factor of rows whose categories are codes, from their counts; None where these do not tell."""
    X = by_codes(rows.X)
    found = gram_factor(X, rows.weight, intercept=intercept) if isinstance(X, ByCodes) else None
    return None if found is None else np.asarray(np.linalg.qr(np.roll(found, int(intercept), axis=1), mode="r"))


def _is_full(R: Array) -> bool:
    """Whether all columns are determined, by a bound that takes less time than singular values."""
    from scipy.linalg.lapack import dtrcon

    length = np.sqrt((R**2).sum(axis=0))
    return bool((length > 0).all() and dtrcon(R / length)[0] > 1.0 / STEEP)


def _by_qr(design: Design, rows: Rows, penalty: Array) -> Exact:
    return least_squares(
        rows.X, rows.y, intercept=design.intercept, weight=rows.weight, weight_decay=penalty, noise=design.noise
    )


def refinement(n: int, q: int, condition: float) -> tuple[bool, bool]:
    """Whether coefficients and whether variances are worth double-double: a second, some more where float64 fails.

    >>> refinement(100, 3, 10.0), refinement(50_000, 10, 10.0), refinement(10**6, 3, 10.0), refinement(10**6, 3, 1e9)
    ((True, True), (True, False), (False, False), (True, True))
    """
    steep = condition > STEEP
    coefficients = n * q <= (STEEP_ENTRIES if steep else ENTRIES)
    return coefficients, coefficients and n * q * q <= (STEEP_SQUARES if steep else SQUARES)


def _refined(
    design: Design, rows: Rows, exact: Exact, pairs: tuple[Pair, Pair], penalty: Array, *, variances: bool
) -> Answer | None:
    """In double-double; of columns that repeat each other, only the coefficients that the data determine."""
    if not exact.rank or not (moderate(pairs[0].hi) and moderate(pairs[1].hi)):
        return None
    if penalty.any():
        return _penalized(design, rows, exact, pairs, penalty)
    (A, y), intercept = pairs, design.intercept
    y = y.reshape(len(rows), 1)
    varying = np.flatnonzero(~np.isin(design.encoding.terms, design.constant))
    kept = independent(rows, exact, intercept=intercept)
    if len(kept) < len(varying) and design.exact.all():  # float64 may not tell apart what exact columns do
        found = refined_least_squares(A[:, varying], y, intercept=intercept, weight=rows.weight, variances=variances)
        if found is not None:
            kept, exact = varying, replace(exact, rank=len(varying) + int(intercept))
            return _refined_answer(design, exact, found, kept, y)
    found = refined_least_squares(A[:, kept], y, intercept=intercept, weight=rows.weight, variances=variances)
    return None if found is None else _refined_answer(design, exact, found, kept, y)


def moderate(values: Array) -> bool:
    """Whether the squares of the largest magnitudes, and of their roundings, are far from the ends of float64."""
    largest = np.abs(values).max(axis=0, initial=0.0)
    return bool(((largest == 0) | ((largest > 1e-100) & (largest < 1e100))).all())


def _refined_answer(design: Design, exact: Exact, found: Refined, kept: NDArray[np.intp], y: Pair) -> Answer:
    full = len(kept) + len(design.constant) == len(design.encoding.terms)
    coefficients, variances = _spread(found, kept, design, exact)
    theta = _to_training(coefficients, design) if full else exact.theta
    rss, tss = _sums(exact, found, typed=_is_typed(design, y))
    exact = replace(exact, theta=theta, rss=rss, tss=tss)
    values = coefficients.digits(found.digits)
    reason = f"QR refined in double-double, {found.steps} steps; κ {found.condition:.3g}"
    if full:
        return Answer(exact, tuple(values), variances, found.digits, "double-double", reason)
    digits = min(found.digits, float64_digits(exact))
    return Answer(
        exact, tuple(values), variances, digits, "double-double", f"{reason}; what the data leave open, in float64"
    )


def independent(rows: Rows, exact: Exact, *, intercept: bool) -> NDArray[np.intp]:
    """As many columns as the rank, chosen by pivoting; all of them where the rank is full."""
    p, rank = rows.X.shape[1], exact.rank - int(intercept)
    if rank >= p:
        return np.arange(p)
    return pivoted(rows.X - rows.X.mean(axis=0) if intercept else rows.X, rank)


def pivoted(X: Array, count: int) -> NDArray[np.intp]:
    """So many of the columns, in their order: each is the one that those before it leave most of; of equal ones the
    first.
    """
    from scipy.linalg import qr

    length = np.linalg.norm(X, axis=0) * (1.0 + TIE * np.arange(X.shape[1]))
    *_, order = qr(X / np.where(length > 0, length, 1.0), mode="economic", pivoting=True)
    return np.sort(order[:count])


def _spread(found: Refined, kept: NDArray[np.intp], design: Design, exact: Exact) -> tuple[Pair, Pair | None]:
    """In the order of the terms; what the data leave open has its least-norm coefficient, and no variance."""
    first = int(design.intercept)
    places = np.append(kept + first, 0) if first else kept
    known = estimable(design, exact)[places]

    def placed(source: Pair, others: Array) -> Pair:
        target = Pair.of(others)
        target.hi[places[known]], target.lo[places[known]] = source.hi[known], source.lo[known]
        return target

    coefficients = placed(found.coefficients[:, 0], design.in_units(exact.theta))
    if found.variances is None:
        return coefficients, None
    return coefficients, placed(found.variances, np.full(len(design.terms), np.nan))


def estimable(design: Design, exact: Exact) -> NDArray[np.bool_]:
    """Whether the data determine the coefficient of each term, `(q,)`."""
    if exact.rank == len(exact.theta):
        return ~np.isin(design.terms, design.constant)
    scaled = design.unit_map / exact.scale
    scaled[:, [design.encoding.terms.index(name) for name in design.constant]] = 0.0  # they stay at zero
    scaled = scaled / np.maximum(np.abs(scaled).max(axis=1, keepdims=True), np.finfo(float).tiny)
    part = np.abs(exact.directions[exact.rank :] @ scaled.T).max(axis=0, initial=0.0)
    return np.asarray((part < 1e-8) & ~np.isin(design.terms, design.constant))


def _to_training(coefficients: Pair, design: Design) -> Array:
    """θ in training coordinates: slopes times scale, then the intercept at the centers."""
    slopes = coefficients[int(design.intercept) :]
    weights = (slopes * design.scale).hi
    return np.append(weights, (coefficients[0] + (slopes * design.center).sum()).hi) if design.intercept else weights


def _sums(exact: Exact, found: Refined, *, typed: bool) -> tuple[Digits, Digits]:
    """RSS and total beyond float64; residuals that are rounding of the data alone are none."""
    rss, tss = found.rss[0], found.tss[0]
    nothing = exact.rows * (PRECISION * 64.0 if typed else 4.0 * EPS) ** 2 * exact.squares
    if float(rss.hi) <= nothing:
        rss = Pair.of(0.0)
    trusted = -math.log10(4.0 * PRECISION * math.sqrt(exact.squares / float(rss.hi))) if rss.hi else None
    total = tss if exact.tss else Pair.of(0.0)
    return rss.digits(trusted)[0], total.digits(trusted)[0]


def _is_typed(design: Design, y: Pair) -> bool:
    """Whether every number is exact as it stands: whole, or a decimal of at most 15 digits in a text file."""
    whole = bool((y.hi == np.rint(y.hi)).all())
    short = all(float(f"{value:.15g}") == value for value in y.hi.ravel().tolist())
    return bool(design.exact.all()) and short and (whole or bool(y.lo.any()))


def _penalized(design: Design, rows: Rows, exact: Exact, pairs: tuple[Pair, Pair], penalty: Array) -> Answer | None:
    """The penalty as rows of its own, in training coordinates, where it is defined."""
    (A, y), n = pairs, len(rows)
    Z = (A - design.center) / Pair.of(design.scale)
    ones = [Pair.of(np.ones(n))] if design.intercept else []
    Z = Pair.stack([*(Z[:, j] for j in range(Z.shape[1])), *ones])
    found = refined_ridge(Z, y.reshape(n, 1), penalty * (exact.mass / 2.0), weight=rows.weight)
    if found is None:
        return None
    theta = found.coefficients[:, 0]
    slopes = theta[: len(design.scale)] / Pair.of(design.scale)
    coefficients = [slopes[j] for j in range(len(design.scale))]
    if design.intercept:
        coefficients.insert(0, theta[-1] - (slopes * design.center).sum())
    values = tuple(c.digits(found.digits)[0] for c in coefficients)
    reason = f"penalized QR refined in double-double, {found.steps} steps"
    return Answer(replace(exact, theta=theta.hi), values, None, found.digits, "double-double", reason)
