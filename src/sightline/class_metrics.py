"""All that is measured of a classifier, as plain values with stable names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_blocks import ByCodes, by_codes
from .data.design import Design
from .linear.classification import per_class
from .linear.derived import Derived
from .linear.metrics import Measured, class_probabilities, classification_metrics
from .linear.row_products import row_products
from .rows import Rows

__all__ = [
    "class_metrics", "class_metrics_of", "estimated_metrics", "metrics_of", "parameters", "probabilities_at",
    "probabilities_of",
    "without_probabilities",
]  # fmt: skip

Array = NDArray[np.float64]
MOST_LABELS = 6  # the result of a run keeps confusion matrices up to this size


def class_metrics(
    labels: Sequence[str], codes: NDArray[np.intp], probability: Array, weight: Array | None = None
) -> dict[str, Any]:
    """Metrics of `probability (n, K)` for `codes (n,)`: those of `linear.metrics`, the confusion matrix (a line for
    each observed class), each class by itself, and the calibration table with 95 % Wilson intervals.

    >>> found = class_metrics(("a", "b"), np.array([0, 1]), np.array([[0.5, 0.5], [0.25, 0.75]]))
    >>> found["confusion"], found["classes"][0]["recall"]
    ({'labels': ['a', 'b'], 'counts': [[1, 0], [0, 1]]}, 1.0)
    """
    return class_metrics_of(labels, classification_metrics(codes, probability, weight))


def class_metrics_of(labels: Sequence[str], found: Measured) -> dict[str, Any]:
    """The same of what has been measured of them."""
    counts = [[_whole(v) for v in line] for line in found.counts.tolist()]
    return {
        **found.values,
        "confusion": {"labels": list(labels), "counts": counts},
        "classes": _classes(labels, found.counts, found.area),
        "calibration": [
            {"from": b.start, "to": b.end, "rows": _whole(b.rows), "predicted": b.predicted, "observed": b.observed,
             "low": b.low, "high": b.high}
            for b in found.bins
        ],
    }  # fmt: skip


def _classes(labels: Sequence[str], counts: Array, area: Array) -> list[dict[str, Any]]:
    """`auc` of each class is that of its own probability, against the rows of all others."""
    measured, size = per_class(counts), counts.sum(axis=1)
    found = []
    for k, label in enumerate(labels):
        others = (np.arange(len(labels)) != k) & (size > 0)
        auc = float(np.average(area[others, k], weights=size[others])) if others.any() else math.nan
        values = {**{name: float(v[k]) for name, v in measured.items()}, "auc": auc}
        known = {name: None if math.isnan(v) else v for name, v in values.items()}
        found.append({"label": label, "rows": _whole(size[k]), "predicted": _whole(counts[:, k].sum()), **known})
    return found


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else float(value)


def parameters(design: Design, values: Array, loss: str = "bce") -> tuple[Array, Array]:
    """Weights `(k, p)` and biases `(k,)` of the coefficients as the table has them, in the units of the data; of a
    softmax those with mean zero over the classes.
    """
    table = values.reshape(-1, len(design.terms))
    if loss == "cross-entropy" or len(design.classes) > 2:
        table = np.vstack([np.zeros(table.shape[1]), table])
        with np.errstate(invalid="ignore", over="ignore"):
            table = table - table.mean(axis=0)
    first = int(design.intercept)
    return table[:, first:], table[:, 0] if first else np.zeros(len(table))


def probabilities_at(design: Design, X: Array, values: Sequence[float | None]) -> Array | None:
    """P(class) `(n, K)` by a table of coefficients, None as zero, for `X (n, p)` in the units of the data; None where
    coefficients are at infinity or no numbers.
    """
    weight, bias = parameters(design, np.array([0.0 if v is None else v for v in values]))
    with np.errstate(over="ignore", invalid="ignore"):
        scores = row_products(X, weight) + bias  # rows that are the same tie
    return class_probabilities(scores) if np.isfinite(scores).all() else None


def probabilities_of(design: Design, rows: Rows, values: Sequence[float | None]) -> Any:
    """The same of rows in training coordinates; of rows on the disk they are made block by block, as they are read."""
    if not rows.on_disk:
        return probabilities_at(design, rows.X * design.scale + design.center, values)
    weight, bias = parameters(design, np.array([0.0 if v is None else v for v in values]))
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.abs(weight) @ np.maximum(np.abs(design.low), np.abs(design.high)) + np.abs(bias)
    if not np.isfinite(largest).all():
        return None
    if isinstance(by_codes(rows.X), ByCodes):
        plain = ByCodes(rows.blocks.placed(np.zeros(len(design.center)), np.ones(len(design.scale))))
        return Derived(plain, lambda block: class_probabilities(block.scores(weight) + bias), len(design.classes))
    return Derived(
        rows.X,
        lambda X: class_probabilities(row_products(X * design.scale + design.center, weight) + bias),
        len(design.classes),
    )


def estimated_metrics(design: Design, rows: Rows, values: Sequence[float | None], loss: str) -> dict[str, Any] | None:
    """The metrics of a table of coefficients on the rows they were trained on, as `metrics_of`."""
    if not design.classes:
        return None
    return metrics_of(design, rows, probabilities_of(design, rows, values), loss)


def metrics_of(design: Design, rows: Rows, probability: Array | None, loss: str) -> dict[str, Any] | None:
    """The metrics that the result of a run keeps; None for a number, and where there are no probabilities."""
    if not design.classes or probability is None:
        return None
    codes = np.asarray(rows.y).astype(np.min_scalar_type(len(design.classes)))
    found = class_metrics(design.classes, codes, probability, _prior(design, rows, codes))
    if len(design.classes) > MOST_LABELS:
        del found["confusion"]
    return without_probabilities(found) if loss == "hinge" else found


def _prior(design: Design, rows: Rows, codes: NDArray[np.intp]) -> Array | None:
    """The weights of the rows themselves: those of classes say what training cares for, not how many rows there are."""
    if rows.weight is None or not design.class_weight:
        return rows.weight
    return None if design.weights is None else rows.weight / np.array(design.class_weight)[codes]


def without_probabilities(metrics: dict[str, Any]) -> dict[str, Any]:
    """The same of scores that are no log odds: what only ranks and signs tell."""
    return {
        **metrics,
        **dict.fromkeys(("log_loss", "brier", "expected_calibration_error", "baseline_log_loss")),
        "calibration": [],
    }
