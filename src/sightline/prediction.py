"""What a finished run says of rows of a table: predictions with intervals, classes with probabilities, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .class_metrics import class_metrics, parameters, without_probabilities
from .data.design import Design
from .data.table import Table
from .data.usable import complete
from .errors import UsageError, nearest, shown
from .linear.inference import t_interval, z_interval
from .linear.metrics import class_probabilities, regression_metrics
from .linear.row_products import row_products
from .records import Coefficient

__all__ = [
    "UNSEEN", "Known", "Uncertainty", "check_unseen", "classes_of", "interval_of", "known_rows", "measured",
    "parameters_of", "probabilities", "response_of", "strange_rows", "values_of",
]  # fmt: skip

Array = NDArray[np.float64]
KINDS = ("prediction", "confidence")
UNSEEN = ("error", "reference", "other")


def parameters_of(design: Design, coefficients: Sequence[Coefficient], loss: str) -> tuple[Array, Array]:
    """Weights `(k, p)` and biases `(k,)` of the estimates; of a softmax those with mean zero over the classes.

    Raises UsageError for coefficients at infinity.
    """
    values = np.array([0.0 if c.estimate is None else c.estimate for c in coefficients])
    if design.classes and np.isinf(values).any():
        raise UsageError(
            "the classes are separated and coefficients are at infinity, so there is no model to predict with: "
            "fit with a penalty, such as --l2 0.01"
        )
    return parameters(design, values, loss)


@dataclass(frozen=True)
class Uncertainty:
    """Of a prediction x'θ: σ, and the factor F `(rank, q)` with F'F = (Z'WZ)⁻¹; None where there is none."""

    sigma: float | None
    df: float | None
    factor: Array | None
    loss: str = "mse"


@dataclass(frozen=True)
class Known:
    """The rows of a table that have a value and a category in every column, and which these are.

    `unseen` is "reference" where categories that training did not have are taken as the reference, and `strange` how
    many rows of each column have one.
    """

    design: Design
    table: Table
    which: NDArray[np.bool_]
    unseen: str = "error"
    strange: Mapping[str, int] = field(default_factory=dict)

    def spread(self, values: Array) -> Array:
        """Not a number for the other rows."""
        found = np.full((len(self.which), *values.shape[1:]), np.nan)
        found[self.which] = values
        return found

    def scores(self, weight: Array, bias: Array) -> Array:
        """Xw + b `(n, m)` for `weight (m, p)` and `bias (m,)`."""
        if not self.table.rows:
            return np.zeros((0, len(weight)))
        return row_products(self.design.encoding.matrix(self.table, unseen=self.unseen), weight) + bias

    def numbers(self, weight: Array, bias: Array) -> Array:
        """Xw + b + offset `(n,)`."""
        return np.asarray(self.scores(weight, bias)[:, 0] + self.design.encoding.offset(self.table))


def known_rows(design: Design, table: Table, unseen: str = "error") -> Known:
    """The rows to predict for; a category that training did not have is an error, the "reference" or ("other") missing.

    Raises:
        DataError: an unseen category, when it is used.
    """
    keep, _ = complete(table, table.columns)
    strange = {} if unseen == "error" else strange_rows(design, table.take(keep))
    counts = {name: int(rows.sum()) for name, rows in strange.items()}
    if unseen == "other" and counts:
        keep[keep] = ~np.any(list(strange.values()), axis=0)
    return Known(design, table.take(keep), keep, unseen, counts)


def strange_rows(design: Design, table: Table) -> dict[str, NDArray[np.bool_]]:
    """For each column which rows `(n,)` have a category that training did not have, where there are any."""
    found = design.encoding.unseen(table) if table.rows else {}
    return {name: rows for name, rows in found.items() if rows.any()}


def check_unseen(unseen: str) -> None:
    """Refuse another word for what becomes of unseen categories."""
    if unseen not in UNSEEN:
        raise UsageError(f"unseen categories cannot be taken as {shown(unseen)}: {nearest(str(unseen), UNSEEN)}")


def response_of(loss: str, scores: Array) -> Array:
    """The prediction that a score stands for: e to its power for counts, else itself."""
    with np.errstate(over="ignore"):  # of a run that diverged
        return np.exp(scores) if loss == "poisson-nll" else scores


def values_of(known: Known, weight: Array, bias: Array) -> Array:
    """ŷ = Xw + b + offset for the rows of a table, `(n,)`; not a number where a value is missing."""
    return known.spread(known.numbers(weight, bias))


def interval_of(
    known: Known, weight: Array, bias: Array, about: Uncertainty, *, level: float, kind: str
) -> dict[str, Array]:
    """`prediction`, `low`, `high` `(n,)`: ŷ ± t √(σ²[+ x'Cx]), of one new observation or ("confidence") of the mean."""
    if not 0.0 < level < 1.0:
        raise UsageError(f"interval is {level:g}: give a level between 0 and 1, such as 0.95")
    if kind not in KINDS:
        raise UsageError(f"there is no interval {shown(kind)}: {nearest(kind, KINDS)}")
    if about.loss != "mse":
        raise UsageError(f"intervals of predictions are known for least squares, not for the {about.loss} loss")
    if about.factor is None or about.sigma is None:
        raise UsageError("this fit has no residual degrees of freedom, so it has no intervals: use more rows")
    values = values_of(known, weight, bias)
    Z = np.zeros((0, about.factor.shape[1]))
    if known.table.rows:
        Z = known.design.matrix(known.table, unseen=known.unseen)
        Z = np.column_stack([Z, np.ones(len(Z))]) if known.design.intercept else Z
    squares = row_products(Z, about.factor) ** 2
    variance = row_products(squares, np.ones((1, squares.shape[1])))[:, 0] + (1.0 if kind == "prediction" else 0.0)
    quantile = z_interval(level) if about.df is None else t_interval(level, about.df)
    half = known.spread(quantile * about.sigma * np.sqrt(variance))
    return {"prediction": values, "low": values - half, "high": values + half}


def probabilities(known: Known, weight: Array, bias: Array) -> Array:
    """P(class | x) `(n, K)` for the rows of a table, in the order of the classes; NaN where a value is missing.

    σ(Xw + b) of the second class for `weight (1, p)`, the softmax of Xw' + b for `weight (K, p)`.
    """
    return known.spread(class_probabilities(known.scores(weight, bias)))


def classes_of(probability: Array, labels: tuple[str, ...]) -> NDArray[Any]:
    """The most probable label of each row `(n,)`, None where it is not known; the first of equals."""
    known = np.isfinite(probability).all(axis=1)
    found = np.full(len(probability), None, dtype=object)
    found[known] = np.array(labels, dtype=object)[probability[known].argmax(axis=1)]
    return found


def measured(
    design: Design, observed: Array, scores: Array, weight: Array | None = None, *, loss: str, mean: Any = None
) -> dict[str, Any]:
    """Metrics of `scores (n, m)` for `observed (n,)`, as the target of the design is; R² of a number is about `mean`,
    one or `(n,)`, or without it about the mean of `observed`.
    """
    if design.classes:
        found = class_metrics(design.classes, observed.astype(np.intp), class_probabilities(scores), weight)
        return without_probabilities(found) if loss == "hinge" else found
    return regression_metrics(observed, response_of(loss, scores[:, 0]), weight, mean=mean)
