"""What a finished run says of rows it is given: predictions with intervals, classes with probabilities, metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.design import Design
from .data.sources import open_source
from .data.table import Table
from .data.usable import complete_rows
from .errors import DataError, UsageError, nearest, shown
from .linear.inference import t_interval, z_interval
from .linear.metrics import class_probabilities, classification_metrics, regression_metrics

__all__ = ["Uncertainty", "classes_of", "evaluate", "interval_of", "probabilities", "values_of"]

Array = NDArray[np.float64]
KINDS = ("prediction", "confidence")


@dataclass(frozen=True)
class Uncertainty:
    """Of a prediction x'θ: σ, and the factor F `(rank, q)` with F'F = (Z'WZ)⁻¹; None where there is none."""

    sigma: float | None
    df: float | None
    factor: Array | None


@dataclass(frozen=True)
class _Present:
    """The rows of a table that have a value in every column, and which these are."""

    table: Table
    which: NDArray[np.bool_]

    def spread(self, values: Array) -> Array:
        """Not a number for the other rows."""
        found = np.full((len(self.which), *values.shape[1:]), np.nan)
        found[self.which] = values
        return found


def _present(design: Design, data: object) -> _Present:
    names, source = design.columns, open_source(data)
    for name in names:
        if name not in source.columns:
            raise DataError(
                f"the model needs column {shown(name)}, and {source.name} has none: {nearest(name, source.columns)}"
            )
    everything = source.read(names)
    missing = np.zeros(everything.rows, dtype=bool)
    for name in names:
        missing |= everything[name].missing
    return _Present(everything.take(~missing), ~missing)


def _scores(design: Design, table: Table, weight: Array, bias: Array) -> Array:
    """Xw + b `(n, m)` for `weight (m, p)` and `bias (m,)`."""
    if not table.rows:
        return np.zeros((0, len(weight)))
    return np.asarray(design.encoding.matrix(table) @ weight.T + bias)


def _numbers(design: Design, table: Table, weight: Array, bias: Array) -> Array:
    """Xw + b + offset `(n,)`."""
    return np.asarray(_scores(design, table, weight, bias)[:, 0] + design.encoding.offset(table))


def values_of(design: Design, data: object, weight: Array, bias: Array) -> Array:
    """ŷ = Xw + b + offset for the rows of a table, `(n,)`; not a number where a value is missing."""
    present = _present(design, data)
    return present.spread(_numbers(design, present.table, weight, bias))


def interval_of(
    design: Design, data: object, weight: Array, bias: Array, about: Uncertainty, *, level: float, kind: str
) -> dict[str, Array]:
    """`prediction`, `low`, `high` `(n,)`: ŷ ± t √(σ²[+ x'Cx]), of one new observation or ("confidence") of the mean."""
    if not 0.0 < level < 1.0:
        raise UsageError(f"interval is {level:g}: give a level between 0 and 1, such as 0.95")
    if kind not in KINDS:
        raise UsageError(f"there is no interval {shown(kind)}: {nearest(kind, KINDS)}")
    if about.factor is None or about.sigma is None:
        raise UsageError("this fit has no residual degrees of freedom, so it has no intervals: use more rows")
    present = _present(design, data)
    values = present.spread(_numbers(design, present.table, weight, bias))
    Z = np.zeros((0, about.factor.shape[1]))
    if present.table.rows:
        Z = design.matrix(present.table)
        Z = np.column_stack([Z, np.ones(len(Z))]) if design.intercept else Z
    variance = ((Z @ about.factor.T) ** 2).sum(axis=1) + (1.0 if kind == "prediction" else 0.0)
    quantile = z_interval(level) if about.df is None else t_interval(level, about.df)
    half = present.spread(quantile * about.sigma * np.sqrt(variance))
    return {"prediction": values, "low": values - half, "high": values + half}


def probabilities(design: Design, data: object, weight: Array, bias: Array) -> Array:
    """P(class | x) `(n, K)` for the rows of a table, in the order of the classes; NaN where a value is missing.

    σ(Xw + b) of the second class for `weight (1, p)`, the softmax of Xw' + b for `weight (K, p)`.
    """
    present = _present(design, data)
    return present.spread(class_probabilities(_scores(design, present.table, weight, bias)))


def classes_of(probability: Array, labels: tuple[str, ...]) -> NDArray[Any]:
    """The most probable label of each row `(n,)`, None where it is not known; the first of equals."""
    known = np.isfinite(probability).all(axis=1)
    found = np.full(len(probability), None, dtype=object)
    found[known] = np.array(labels, dtype=object)[probability[known].argmax(axis=1)]
    return found


def evaluate(design: Design, data: object, weight: Array, bias: Array) -> dict[str, Any]:
    """Metrics on the rows of a table that has the target, less the offsets as in training; see `linear.metrics`."""
    names = dict.fromkeys([*design.columns, *design.target_columns])
    complete, missing = complete_rows(open_source(data).read(names), names)
    scores = _scores(design, complete, weight, bias)
    observed = design.encoding.response(complete)
    counts = {"rows": complete.rows, "missing": missing.rows}
    if design.classes:
        return {**counts, **classification_metrics(observed.astype(np.intp), class_probabilities(scores))}
    return {**counts, **regression_metrics(observed, scores[:, 0])}
