"""How well a least-squares fit predicts rows that it has not seen: leave-one-out and folds, without n or k fits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .exact import least_squares
from .projection import EPS, LOOSE, Projection
from .span import root_weights

__all__ = [
    "CrossValidation",
    "LeaveOneOut",
    "Validation",
    "cross_validate",
    "leave_one_out",
    "numbered",
    "summary_of_left_out",
]

Array = NDArray[np.float64]
ROUGH = 1e-4  # relative rounding of a column beyond which its products are not trusted
BLOCK = 65_536  # rows
WELL = 1e-5  # smallest share of the largest eigenvalue at which products of columns are solved: ten digits are kept


@dataclass(frozen=True)
class LeaveOneOut:
    """The residual of each row in the fit of all others `(n,)`, `press` = Σ w of their squares, `r2` = 1 - press / TSS.

    A row that alone determines a coefficient cannot be predicted by the others: its residual is NaN, and `press` and
    `r2` are None.
    """

    residual: Array
    press: float | None
    r2: float | None


def leave_one_out(fit: Projection, *, tss: float | None = None, weight: Any = None) -> LeaveOneOut:
    """Leave-one-out in closed form: r / (1 - h); `tss` is what R² compares with, `weight (n,)` that of the fit.

    Allen 1974, The relationship between variable selection and data augmentation and a method for prediction.

    >>> Z, residual = np.column_stack([[0.0, 1.0, 2.0], np.ones(3)]), [1.0, -2.0, 1.0]
    >>> leave_one_out(Projection.of(Z, residual)).residual.round(9).tolist()
    [6.0, -3.0, 6.0]
    """
    deletion = fit.deletion
    largest = float(np.abs(fit.given[fit.used] * fit.root).max(initial=0.0))
    residual = fit.given.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        found = deletion.residual * largest / fit.root / deletion.complement
    residual[fit.used] = np.where(deletion.complement > 0.0, found, np.nan)
    w = np.ones(len(residual)) if weight is None else np.asarray(weight, dtype=np.float64)
    press = float(w @ residual**2)
    if not math.isfinite(press):
        return LeaveOneOut(residual, None, None)
    return LeaveOneOut(residual, press, 1.0 - press / tss if tss else None)


def summary_of_left_out(y: Array, residual: Array, weight: Array | None, *, intercept: bool) -> Validation:
    """Of the residuals of rows left out one at a time `(n,)`, in blocks: R² is known where all of them are."""
    n = len(residual)
    sums = np.zeros(5)
    for part in (slice(i, i + BLOCK) for i in range(0, n, BLOCK)):
        known = ~np.isnan(residual[part])
        w = np.ones(len(known)) if weight is None else np.asarray(weight[part])
        errors = np.where(known, residual[part], 0.0)
        sums += (~known).sum(), w @ known, w @ errors**2, w.sum(), w @ y[part]
    undetermined, mass, press, whole, first = sums.tolist()
    if not mass:
        return Validation(n, residual, None, None, n)
    level, total = first / whole if intercept else 0.0, 0.0
    for part in (slice(i, i + BLOCK) for i in range(0, n, BLOCK)):
        off = (y[part] - level) ** 2
        total += float(off.sum() if weight is None else np.asarray(weight[part]) @ off)
    r2 = 1.0 - press / total if not undetermined and total > 0 else None
    return Validation(n, residual, math.sqrt(press / mass), r2, int(undetermined))


@dataclass(frozen=True)
class CrossValidation:
    """The residual of each row in the fit without its fold `(n,)`, and their weighted mean squares.

    `fold_mse (k,)` and `sizes (k,)` belong to the folds, `mse`, `rmse` and `r2` (about the mean; about zero without an
    intercept) to all rows together. `refitted` are the folds whose fit was made anew from the rows, because the others
    leave their columns ill-conditioned or deficient. Where they do not determine the prediction of a row, as that of a
    category that is in one fold only, its residual is NaN and the means are without it: `undetermined` counts these.
    """

    residual: Array
    fold_mse: Array
    sizes: NDArray[np.intp]
    mse: float | None
    rmse: float | None
    r2: float | None
    refitted: tuple[int, ...]
    undetermined: int


@dataclass(frozen=True)
class Validation:
    """Errors of predictions for rows left out: `folds` of them, or each row by itself (`folds` = n).

    `residual (n,)` of each row in the fit without its fold, NaN where the others do not determine its prediction:
    `undetermined` counts these, and the weighted root mean square and R² are without them.
    """

    folds: int
    residual: Array
    rmse: float | None
    r2: float | None
    undetermined: int


def cross_validate(
    X: Array, y: Array, fold: Any, *, intercept: bool = True, weight: Any = None, noise: Array | None = None
) -> CrossValidation:
    """Predict the rows of each fold by the weighted least-squares fit of all others.

    `X (n, p)`, `y (n,)`, and the fold of each row, 0 to k - 1, `(n,)`, as of `assign_folds`. One pass over the rows
    makes the sums of products of each fold about the common mean; those of all other folds are added up (never
    subtracted from a total, so nothing cancels) and solved. Where columns scaled to one length have κ² above 1e5, that
    fold is fitted anew by QR, with `noise (q,)` as in `least_squares`.

    Raises:
        UsageError: folds that are not numbered from 0, are empty, or do not go with the rows.

    >>> x, y = np.arange(6.0)[:, None], np.array([1.0, 3.0, 5.0, 7.0, 9.0, 12.0])
    >>> cross_validate(x, y, [0, 0, 1, 1, 2, 2]).residual.round(9).tolist()
    [0.8, 0.5, -0.176470588, -0.323529412, 0.0, 1.0]
    """
    rows = _Rows.of(X, y, intercept=intercept, weight=weight)
    fold, sizes = numbered(fold, len(rows.y))
    members = np.split(np.argsort(fold, kind="stable"), np.cumsum(sizes)[:-1])
    residual, refitted = np.empty(len(rows.y)), []
    products = [rows.products(part) for part in members]
    grain = rows.grain(np.sum(products, axis=0), noise)
    others = _sums_of_others(products)
    for k, part in enumerate(members):
        theta = _solve(next(others), grain)
        if theta is None:
            refitted.append(k)
            residual[part] = _refit(rows, np.flatnonzero(fold != k), part, grain)
        else:
            residual[part] = rows.y[part] - rows.design(part) @ theta
    return _summary(rows, residual, members, tuple(refitted))


@dataclass(frozen=True)
class _Rows:
    """Rows whose columns are taken about `center (p,)`, their weighted means, where there is an intercept; `y (n,)` is
    about its mean already.
    """

    X: Array
    y: Array
    root: Array
    center: Array
    intercept: bool

    @classmethod
    def of(cls, X: Any, y: Any, *, intercept: bool, weight: Any) -> _Rows:
        X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
        if X.ndim != 2 or y.shape != (len(X),):
            raise UsageError(
                f"columns of shape {X.shape} do not go with targets of shape {y.shape}: give (n, p) and (n,)"
            )
        root = root_weights(weight, len(y))
        if not intercept:
            return cls(X, y, root, np.zeros(X.shape[1]), False)
        share = root**2 / np.sum(root**2)
        level = float(share @ y)
        y = y - level
        y[np.abs(y) <= 4.0 * EPS * abs(level)] = 0.0  # a constant target
        return cls(X, y, root, share @ X, True)

    def grain(self, products: Array, noise: Array | None) -> Array:
        """Relative rounding of the centered columns and of that of ones, `(q,)`, from the `noise` before centering."""
        q = len(products) - 1
        grain = np.full(q, EPS) if noise is None else np.array(noise, dtype=np.float64)
        spread = np.sqrt(np.diag(products)[: len(self.center)] / np.sum(self.root**2))
        grain[: len(spread)] *= np.hypot(self.center, spread) / np.where(spread > 0, spread, 1.0)
        return grain

    def design(self, part: NDArray[np.intp]) -> Array:
        """[X 1] `(·, q)` of some rows."""
        rows = self.X[part] - self.center
        return np.column_stack([rows, np.ones(len(part))]) if self.intercept else rows

    def products(self, part: NDArray[np.intp]) -> Array:
        """√w [X 1 y] times itself, `(q + 1, q + 1)`."""
        block = np.column_stack([self.design(part), self.y[part]]) * self.root[part, None]
        return np.asarray(block.T @ block)


def numbered(fold: Any, rows: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The folds as whole numbers and how many rows each has."""
    fold = np.asarray(fold)
    if fold.shape != (rows,) or fold.dtype.kind not in "iu" or fold.min(initial=0) < 0:
        raise UsageError(f"folds of shape {fold.shape} for {rows:,} rows: give each row the number of its fold, from 0")
    sizes = np.bincount(fold)
    if len(sizes) < 2 or not sizes.all():
        raise UsageError(
            f"{np.count_nonzero(sizes)} of {len(sizes)} folds have rows: give rows to two or more, all of them"
        )
    return fold, sizes


def _sums_of_others(products: list[Array]) -> Iterator[Array]:
    """For each of them the sum of all others: of those before and of those after it."""
    after = [np.zeros_like(products[0])]
    for one in reversed(products[1:]):
        after.append(after[-1] + one)
    before = np.zeros_like(products[0])
    for one in products:
        yield before + after.pop()
        before = before + one


def _solve(products: Array, grain: Array) -> Array | None:
    """θ from the products of [X 1 y]; None where columns of one length are too close to dependent for that."""
    A, b = products[:-1, :-1], products[:-1, -1]
    length = np.sqrt(np.diag(A))
    if not length.all() or grain.max(initial=0.0) > ROUGH:
        return None
    values, vectors = np.linalg.eigh(A / length / length[:, None])
    if values[0] < WELL * values[-1]:
        return None
    return np.asarray(vectors @ ((vectors.T @ (b / length)) / values) / length)


def _refit(rows: _Rows, train: NDArray[np.intp], held: NDArray[np.intp], grain: Array) -> Array:
    """Residuals of the held rows in the fit of the others by QR; NaN where that does not determine the prediction."""
    root, design = rows.root[train], rows.design(held)
    exact = least_squares(rows.design(train) * root[:, None], rows.y[train] * root, intercept=False, noise=grain)
    residual = rows.y[held] - design @ exact.theta
    scaled, free = np.abs(design / exact.scale), exact.directions[exact.rank :]
    part = np.abs(design / exact.scale @ free.T)
    rounding = LOOSE * scaled.max(axis=1, initial=0.0, keepdims=True) + 64.0 * scaled @ (np.abs(free) * grain).T
    residual[(part > rounding).any(axis=1)] = np.nan
    return np.asarray(residual)


def _summary(
    rows: _Rows, residual: Array, members: list[NDArray[np.intp]], refitted: tuple[int, ...]
) -> CrossValidation:
    """Weighted means of the squares that are known."""
    w = np.where(np.isnan(residual), 0.0, rows.root**2)
    squares = w * np.nan_to_num(residual) ** 2
    sums = np.array([[squares[part].sum(), w[part].sum()] for part in members])
    with np.errstate(invalid="ignore"):
        fold_mse = sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)
    mass = float(w.sum())
    sizes = np.array([len(part) for part in members], dtype=np.intp)
    undetermined = int(np.isnan(residual).sum())
    if not mass:
        return CrossValidation(residual, fold_mse, sizes, None, None, None, refitted, undetermined)
    mse = float(squares.sum()) / mass
    y = rows.y - np.average(rows.y, weights=w) if rows.intercept else rows.y
    total = float(w @ y**2) / mass
    r2 = 1.0 - mse / total if total > 0 else None
    return CrossValidation(residual, fold_mse, sizes, mse, math.sqrt(mse), r2, refitted, undetermined)
