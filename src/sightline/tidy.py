"""A run as tables of columns: its coefficients, its fit in one row, its rows with what the model says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .analysis import design_matrix, residual_sum_of_squares, residuals, rows_at_once
from .linear.classes.influence import logistic_influence
from .linear.influence import Influence, influence_of
from .linear.metrics import class_probabilities
from .prediction import classes_of, parameters_of
from .views.subject import Subject

__all__ = ["as_frame", "augmented", "glanced", "tidied"]

Array = NDArray[np.float64]
Columns = dict[str, list[Any]]


def as_frame(columns: Columns, library: str | None) -> Any:
    """The columns as they are, or as a DataFrame of "pandas", "polars" or "pyarrow" where that is installed."""
    if library is None:
        return columns
    import narwhals as nw

    from .errors import UsageError, shown

    backend: Any = library
    try:
        return nw.from_dict(columns, backend=backend).to_native()
    except (ImportError, ModuleNotFoundError, ValueError, TypeError):
        message = (
            f"there is no DataFrame of {shown(library)} here: install it, name pandas, polars or pyarrow, or take the"
        )
        raise UsageError(f"{message} dict") from None


def tidied(run: Subject) -> Columns:
    """One row for each coefficient."""
    table = run.coefficients
    return {
        "term": [c.term for c in table],
        "estimate": [c.estimate for c in table],
        "std_error": [c.std_error for c in table],
        "statistic": [c.t for c in table],
        "p_value": [c.p for c in table],
        "conf_low": [c.low for c in table],
        "conf_high": [c.high for c in table],
        "exact": [c.exact for c in table],
        "off_by": [c.off_by for c in table],
    }


def glanced(run: Subject) -> Columns:
    """One row for the whole fit."""
    s, r = run.result["fit"], run.result
    if "null_deviance" in s:
        intercepts = max(len(run.design.classes) - 1, 1) * int(run.design.intercept)
        values = {
            "null_deviance": s["null_deviance"],
            "df_null": r["rows"] - intercepts,
            "log_lik": s["log_likelihood"],
            "aic": s["aic"],
            "bic": s["bic"],
            "deviance": s["deviance"],
            "df_residual": s["df_resid"],
            "nobs": r["rows"],
        }
    else:
        values = {
            "r_squared": s["r2"],
            "adj_r_squared": s["adj_r2"],
            "sigma": s["sigma"],
            "statistic": s["f"],
            "p_value": s["f_p"],
            "df": s["df_model"] or None,  # broom has none where there is no F
            "log_lik": s["log_likelihood"],
            "aic": s["aic"],
            "bic": s["bic"],
            "deviance": residual_sum_of_squares(run),
            "df_residual": s["df_resid"],
            "nobs": r["rows"],
        }
    values |= {"loss": r["loss"], "exact_loss": r["exact_loss"], "verdict": r["verdict"]}
    return {name: [value] for name, value in values.items()}


def augmented(run: Subject) -> Columns:
    """One row for each row that was trained on, named by its place in the data.

    What belongs to a fit without a penalty, from the leverage on, is left out of one with a penalty.
    """
    if run.design.classes:
        return _of_classes(run)
    r = residuals(run)
    columns = {
        "row": [r.rows.place(i) for i in range(len(r.y))],
        run.design.target: r.y.tolist(),
        "fitted": r.fitted.tolist(),
        "residual": r.residual.tolist(),
    }
    if _penalized(run):
        return columns
    found = influence_of(r.fit)
    return columns | {
        "leverage": found.leverage.tolist(),
        "sigma": _sigma_without(run, found).tolist(),
        "cooks_distance": found.cook.tolist(),
        "standardized_residual": found.standardized.tolist(),
        "studentized_residual": found.studentized.tolist(),
    }


def _penalized(run: Subject) -> bool:
    return bool(run.settings.l2 or run.settings.weight_decay)


def _sigma_without(run: Subject, found: Influence) -> Array:
    """σ of the fit without each row `(n,)`: σ t / t* of its residuals t and t*; both zero, σ √(df/(df - 1))."""
    sigma, df = float(run.result["fit"]["sigma"] or np.nan), run.result["fit"]["df_resid"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = found.standardized / found.studentized
    unmoved = np.sqrt(df / (df - 1)) if df > 1 else np.nan
    return np.asarray(sigma * np.where(found.standardized == 0.0, unmoved, ratio))


def _of_classes(run: Subject) -> Columns:
    rows, design = rows_at_once(run), run.design
    exact = [replace(c, estimate=c.exact) for c in run.coefficients]
    weight, bias = parameters_of(design, exact, run.result["loss_name"])
    scores = (rows.X * design.scale + design.center) @ weight.T + bias
    P, codes = class_probabilities(scores), rows.y.astype(np.intp)
    prior = np.ones(len(rows)) if rows.weight is None else rows.weight
    columns: Columns = {
        "row": [rows.place(i) for i in range(len(rows))],
        design.target: [design.classes[k] for k in codes],
        "predicted": classes_of(P, design.classes).tolist(),
        **{f"p({label})": P[:, k].tolist() for k, label in enumerate(design.classes)},
        "deviance": (-2.0 * prior * np.log(P[np.arange(len(P)), codes])).tolist(),
    }
    if len(design.classes) > 2 or _penalized(run):
        return columns
    found = logistic_influence(design_matrix(run, rows), codes, P, rows.weight)
    return columns | {
        "fitted": scores[:, 0].tolist(),
        "residual": found.deviance.tolist(),
        "leverage": found.leverage.tolist(),
        "sigma": found.sigma.tolist(),
        "cooks_distance": found.cook.tolist(),
        "standardized_residual": found.standardized.tolist(),
    }
