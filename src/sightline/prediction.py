"""What a finished run says of rows it is given: predictions with intervals, classes with probabilities, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .class_metrics import class_metrics, parameters, without_probabilities
from .data.design import Design
from .data.sources import open_source
from .data.table import Table
from .data.usable import usable_rows
from .errors import DataError, UsageError, nearest, shown
from .linear.inference import t_interval, z_interval
from .linear.metrics import class_probabilities, regression_metrics
from .records import Coefficient

__all__ = [
    "UNSEEN", "Known", "Uncertainty", "classes_of", "evaluate", "interval_of", "known_rows", "measured",
    "parameters_of", "probabilities", "response_of", "unseen_counts", "values_of",
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

    `unseen` is "reference" where categories that training did not have are taken as the reference.
    """

    design: Design
    table: Table
    which: NDArray[np.bool_]
    unseen: str = "error"

    def spread(self, values: Array) -> Array:
        """Not a number for the other rows."""
        found = np.full((len(self.which), *values.shape[1:]), np.nan)
        found[self.which] = values
        return found

    def scores(self, weight: Array, bias: Array) -> Array:
        """Xw + b `(n, m)` for `weight (m, p)` and `bias (m,)`."""
        if not self.table.rows:
            return np.zeros((0, len(weight)))
        return np.asarray(self.design.encoding.matrix(self.table, unseen=self.unseen) @ weight.T + bias)

    def numbers(self, weight: Array, bias: Array) -> Array:
        """Xw + b + offset `(n,)`."""
        return np.asarray(self.scores(weight, bias)[:, 0] + self.design.encoding.offset(self.table))


def known_rows(design: Design, data: object, unseen: str = "error") -> Known:
    """The rows to predict for; a category that training did not have is an error, the "reference" or ("other") missing.

    Raises:
        UsageError: another word for `unseen`.
        DataError: a column that is missing; an unseen category, when it is used.
    """
    _check_unseen(unseen)
    everything = _read(design, data)
    keep = _complete(everything)
    if unseen == "other" and keep.any():
        keep[keep] = ~_strange(design, everything.take(keep))
    return Known(design, everything.take(keep), keep, unseen)


def unseen_counts(design: Design, data: object, *, target: bool = False) -> dict[str, int]:
    """For each column how many rows have a category that training did not have, where there are any.

    Of the rows with a value in every column of the features, and with `target` in those of the target too.
    """
    everything = _read(design, data, design.target_columns if target else ())
    found = design.encoding.unseen(everything.take(_complete(everything)))
    return {name: int(strange.sum()) for name, strange in found.items() if strange.any()}


def _check_unseen(unseen: str) -> None:
    if unseen not in UNSEEN:
        raise UsageError(f"unseen categories cannot be taken as {shown(unseen)}: {nearest(str(unseen), UNSEEN)}")


def _read(design: Design, data: object, also: Sequence[str] = ()) -> Table:
    source = open_source(data)
    names = tuple(dict.fromkeys([*design.columns, *also]))
    for name in names:
        if name not in source.columns:
            raise DataError(
                f"the model needs column {shown(name)}, and {source.name} has none: {nearest(name, source.columns)}"
            )
    return source.read(names)


def _complete(table: Table) -> NDArray[np.bool_]:
    """The rows with a value in every column."""
    missing = np.zeros(table.rows, dtype=bool)
    for name in table.columns:
        missing |= table[name].missing
    return ~missing


def _strange(design: Design, table: Table) -> NDArray[np.bool_]:
    """The rows with a category that training did not have."""
    strange = np.zeros(table.rows, dtype=bool)
    for rows in design.encoding.unseen(table).values():
        strange |= rows
    return strange


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
    variance = ((Z @ about.factor.T) ** 2).sum(axis=1) + (1.0 if kind == "prediction" else 0.0)
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


def evaluate(
    design: Design, data: object, weight: Array, bias: Array, *, unseen: str = "error", loss: str = "mse"
) -> dict[str, Any]:
    """Metrics on the rows of a table that has the target, less the offsets as in training; see `linear.metrics`.

    Of classes see `class_metrics`; their rows are weighted by the column of the run's weights where the table has it,
    and `weights` names it. A category that training did not have is an error, the "reference", or ("other") its row is
    left out; `unseen` counts these rows.

    Raises:
        UsageError: another word for `unseen`.
        DataError: a column that is missing, an unseen category, no row that is left.
    """
    _check_unseen(unseen)
    source = open_source(data)
    by = design.weights if design.classes and design.weights in source.columns else None
    everything = _read(design, source, [*design.target_columns, *filter(None, [by])])
    names = [name for name in everything.columns if name != by or name in design.columns]
    usable = usable_rows(everything, names, weights=by)
    strange = _strange(design, usable.table)
    keep = ~strange if unseen == "other" else np.ones(len(strange), dtype=bool)
    used, prior = usable.table.take(keep), None if usable.weight is None else usable.weight[keep]
    if not used.rows:
        raise DataError(
            f"every row of {used.source} has a category that the model was not trained on, so none is left to "
            "evaluate: take these as the reference category, or train again with such rows"
        )
    scores = Known(design, used, np.ones(used.rows, dtype=bool), unseen).scores(weight, bias)
    observed = design.encoding.response(used)
    counts = {"rows": used.rows, "missing": usable.missing.rows, "unseen": int(strange.sum())}
    named = {"weights": by} if design.classes else {}
    return {**counts, **named, **measured(design, observed, scores, prior, loss=loss)}


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
