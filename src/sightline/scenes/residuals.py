"""The data panels of least squares: points, added variables, four pictures of residuals, of the exact answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..linear.smooth import lowess
from ..settings import RunSettings
from .sampling import EXTREME, chosen_rows, counts, extreme, short
from .standpoint import Standpoint

__all__ = ["residual_pictures"]

Array = NDArray[np.float64]
BINNED = 5000  # rows above which a picture shows how many there are, not each of them
ADDED = 12  # columns with an added-variable picture of their own
ADDED_ROWS = 200
BLOCK = 65_536
GRID = 41


def residual_pictures(stand: Standpoint, settings: RunSettings) -> dict[str, Any]:
    """`rows` of the pictures with their names, `points` or `added`, and `residuals`; `band` of one column.

    All of the exact answer, whatever training has reached.
    """
    truth, rows = stand.truth, stand.rows
    if truth.optimum is None:
        return {}
    theta, y = truth.optimum, rows.y
    if len(theta) != rows.X.shape[1] + int(truth.layout.design.intercept):
        return {}
    fitted = _fitted(rows.X, theta, truth.layout.design.intercept)
    counts_of = truth.layout.loss == "poisson-nll"
    if counts_of:
        with np.errstate(over="ignore"):
            fitted = np.exp(fitted)
    residual = y - fitted
    factor = truth.covariance_factor() if truth.layout.loss == "mse" else None
    measures = _measures(stand, residual, factor)
    named = {name: extreme(np.abs(values)) for name, values in measures.items() if name in ("residual", "cook")}
    named["standardized"] = extreme(np.abs(measures["standardized"])) if "standardized" in measures else []
    always = sorted({i for found in named.values() for i in found})
    kept = chosen_rows(len(y), always)
    shown: dict[str, Any] = {
        "sample": {
            "of": truth.rows,
            "looked": len(y),
            "places": [rows.place(int(i)) for i in kept],
            "y": short(y[kept]),
        },
        "residuals": {
            **_residual_columns(fitted, measures, kept, named),
            "rounding": _is_rounding(residual, y),
            "penalized": truth.objective.penalized,
        },
        "link": "log" if counts_of else None,
    }
    return {**shown, **_data(stand, kept, factor, settings)}


def _fitted(X: Array, theta: Array, intercept: bool) -> Array:
    return np.asarray(X @ theta[: X.shape[1]] + (theta[-1] if intercept else 0.0))


def _is_rounding(residual: Array, y: Array) -> bool:
    """Whether the fit goes through every row, as far as float64 can tell."""
    largest = float(np.abs(y).max(initial=0.0))
    return float(np.abs(residual).max(initial=0.0)) <= 1e-11 * largest


def _measures(stand: Standpoint, residual: Array, factor: Array | None) -> dict[str, Array]:
    """Residuals, and of least squares leverage, standardized residuals and Cook's distance, by ‖F z‖²."""
    rows, design, truth = stand.rows, stand.design, stand.truth
    found = {"residual": residual}
    df = truth.df
    if factor is None or df <= 0:
        return found
    w = np.ones(len(rows)) if rows.weight is None else rows.weight
    leverage = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        Z = np.column_stack([rows.X[part], np.ones(len(rows.X[part]))]) if design.intercept else rows.X[part]
        leverage[part] = w[part] * ((Z @ factor.T) ** 2).sum(axis=1)
    sigma2 = float(truth.statistics["sigma"] or 0.0) ** 2  # of all rows, of which these may be a sample
    if not sigma2 > 0.0 or _is_rounding(residual, rows.y):
        return {**found, "leverage": leverage}
    left = np.where(leverage < 1.0 - 1e-10, 1.0 - leverage, np.nan)
    standardized = np.sqrt(w) * residual / np.sqrt(sigma2 * left)
    cook = standardized**2 * leverage / (left * truth.rank)
    return {**found, "leverage": leverage, "standardized": standardized, "cook": cook}


def _residual_columns(
    fitted: Array, measures: dict[str, Array], kept: NDArray[np.intp], named: dict[str, list[int]]
) -> dict[str, Any]:
    """One value for each row shown; `extreme` are places in these columns, most extreme first."""
    where = {int(i): place for place, i in enumerate(kept)}
    columns: dict[str, Any] = {"fitted": short(fitted[kept])}
    for name, values in measures.items():
        columns[name] = short(values[kept])
    columns["extreme"] = {name: [where[i] for i in rows][:EXTREME] for name, rows in named.items()}
    columns["smooth"] = _smooth(fitted[kept], measures["residual"][kept])
    if "standardized" in measures:
        columns["quantile"] = short(_normal_scores(measures["standardized"])[kept])
        columns["spread"] = _smooth(fitted[kept], np.sqrt(np.abs(measures["standardized"][kept])))
    return columns


def _smooth(x: Array, y: Array) -> dict[str, Any] | None:
    """A lowess line through the rows shown."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 4 or not np.ptp(x) > 0:
        return None
    order = np.argsort(x, kind="stable")
    steps = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), 80)).astype(int))]
    line = lowess(x, y)
    return {"x": short(x[steps]), "y": short(line[steps])}


def _normal_scores(values: Array) -> Array:
    """Where each value would stand if all were normal, as R's ppoints."""
    known = np.flatnonzero(np.isfinite(values))
    n, scores = len(known), np.full(len(values), np.nan)
    a = 0.375 if n <= 10 else 0.5
    order = known[np.argsort(values[known], kind="stable")]
    scores[order] = special.ndtri((np.arange(1, n + 1) - a) / (n + 1 - 2 * a))
    return scores


def _data(stand: Standpoint, kept: NDArray[np.intp], factor: Array | None, settings: RunSettings) -> dict[str, Any]:
    """One column: its points; several: observed against predicted, and the added-variable pictures."""
    design, rows = stand.design, stand.rows
    names = design.encoding.terms
    if len(names) == 1:
        x = rows.X[:, 0] * design.scale[0] + design.center[0]
        found: dict[str, Any] = {"points": {"name": names[0], "x": short(x[kept])}}
        if len(x) > BINNED:
            found["points"]["counts"] = counts(x, rows.y)
        band = _band(stand, x, factor, settings)
        return {**found, "band": band} if band else found
    return {"columns": list(names), "added": [_added(stand, j) for j in range(min(len(names), ADDED))]}


def _band(stand: Standpoint, x: Array, factor: Array | None, settings: RunSettings) -> dict[str, Any] | None:
    """ŷ ± t √(σ² + x'Cx): where one new observation lies, of the exact line."""
    df, design = stand.truth.df, stand.design
    if factor is None or df < 1 or stand.rows.weight is not None:
        return None
    margin = (x.max() - x.min()) / 7.0 or 1.0
    at = np.linspace(x.min() - margin, x.max() + margin, GRID)
    z = (at - design.center[0]) / design.scale[0]
    Z = np.column_stack([z, np.ones(GRID)]) if design.intercept else z[:, None]
    sigma = stand.truth.statistics["sigma"]
    t = float(special.stdtrit(df, 0.5 + settings.level / 2.0))
    half = t * float(sigma) * np.sqrt(1.0 + ((Z @ factor.T) ** 2).sum(axis=1))
    return {"x": short(at), "half": short(half), "level": settings.level}


def _added(stand: Standpoint, j: int) -> dict[str, Any]:
    """Column j and the target, both less what the other columns explain: the slope is the coefficient of j."""
    design, rows = stand.design, stand.rows
    kept = chosen_rows(len(rows), most=20_000)  # of more rows a sample tells the same
    X = rows.X[kept]
    w = np.ones(len(kept)) if rows.weight is None else rows.weight[kept]
    others = np.delete(X, j, axis=1)
    Z = np.column_stack([others, np.ones(len(kept))]) if design.intercept else others
    root = np.sqrt(w)[:, None]
    both = np.column_stack([X[:, j], rows.y[kept]])
    solution = np.linalg.lstsq(root * Z, root * both, rcond=None)[0]
    left = both - Z @ solution
    alone = float(np.linalg.norm(left[:, 0])) > 1e-8 * float(np.linalg.norm(both[:, 0]))
    picked = chosen_rows(len(kept), most=ADDED_ROWS)
    return {
        "name": design.encoding.terms[j], "alone": alone,
        "x": short(left[picked, 0] * design.scale[j]), "y": short(left[picked, 1]),
        "places": [rows.place(int(i)) for i in kept[picked]],
    }  # fmt: skip
