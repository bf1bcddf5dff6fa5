"""How well predictions match observations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import parts
from .classification import (
    BINS,
    Bin,
    Ranks,
    bin_sums,
    bins_of,
    calibration_error,
    confusion_matrix,
    per_class,
    stated,
)  # fmt: skip

__all__ = ["Measured", "class_probabilities", "classification_metrics", "regression_metrics"]

Array = NDArray[np.float64]


@np.errstate(over="ignore", invalid="ignore")
def regression_metrics(
    observed: NDArray[Any], predicted: NDArray[Any], weight: Array | None = None, *, mean: Any = None
) -> dict[str, float | None]:
    """Mean squared error, its root, mean and largest absolute error, R², mean residual; shapes `(n,)`.

    A row of weight w counts as w rows. R² is about the observed mean, or about `mean`, one or `(n,)`, such as that of
    other rows.

    >>> regression_metrics(np.array([1.0, 3.0]), np.array([1.0, 2.0]))["mse"]
    0.5
    """
    residual = observed - predicted
    mse = float(np.average(residual**2, weights=weight))
    center = np.average(observed, weights=weight) if mean is None else mean
    spread = float(np.average((observed - center) ** 2, weights=weight))
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": float(np.average(np.abs(residual), weights=weight)),
        "max_error": float(np.max(np.abs(residual))),
        "r2": 1.0 - mse / spread if spread > 0 else None,
        "mean_residual": float(np.average(residual, weights=weight)),
    }


def class_probabilities(scores: NDArray[Any]) -> NDArray[np.float64]:
    """`(n, K)` from scores: [1 - σ(s), σ(s)] for `scores (n, 1)`, the softmax of each row for `(n, K)`.

    >>> class_probabilities(np.array([[0.0]])).tolist(), class_probabilities(np.array([[2.0, 2.0]])).tolist()
    ([[0.5, 0.5]], [[0.5, 0.5]])
    """
    from scipy.special import expit, softmax

    if scores.shape[1] == 1:
        return np.column_stack([expit(-scores[:, 0]), expit(scores[:, 0])])
    return np.asarray(softmax(scores, axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Measured:
    """What is measured of a classifier: `values` by name, the confusion matrix `counts (K, K)`, the areas of all pairs
    of classes `area (K, K)`, and the calibration table; see `linear.classification`.
    """

    values: dict[str, float | None]
    counts: Array
    area: Array
    bins: tuple[Bin, ...]


def classification_metrics(codes: NDArray[np.intp], probability: Array, weight: Array | None = None) -> Measured:
    """How well `probability (n, K)` fits `codes (n,)`; a row of weight w counts as w rows.

    `log_loss` is -mean ln P(own class), and `baseline_log_loss` what always stating the shares of the classes gives;
    `accuracy` the share of rows whose most probable class (the first of equals) is their own, `baseline_accuracy` that
    of always guessing the most frequent class, `balanced_accuracy` the mean recall of the classes that have rows.
    `brier` is mean (P - 1)² of the second class where there are two, else the mean of Σ over all classes (Brier 1950).
    `auc` is the chance that a row of the second class scores above one of the first (ties half); with more classes the
    mean over ordered pairs (Hand and Till 2001), None where a class has no row. `expected_calibration_error` is that of
    ten bins. `probability` may be on the disk, or made of rows that are: blocks of it are read, in two passes.

    >>> found = classification_metrics(np.array([0, 1]), np.array([[0.5, 0.5], [0.25, 0.75]])).values
    >>> {name: round(found[name], 4) for name in ("log_loss", "accuracy", "brier", "auc", "baseline_accuracy")}
    {'log_loss': 0.4904, 'accuracy': 1.0, 'brier': 0.1562, 'auc': 1.0, 'baseline_accuracy': 0.5}
    """
    K = probability.shape[1]
    total, log_own, off, counts, bins = 0.0, 0.0, 0.0, np.zeros((K, K)), np.zeros((3, BINS))
    ranks = Ranks(K)
    for part in parts(probability):
        P, at, w = probability[part], codes[part].astype(np.intp), None if weight is None else weight[part]
        with np.errstate(divide="ignore"):
            logs = np.log(P[np.arange(len(at)), at])
        square = ((P - np.eye(K)[at]) ** 2).sum(axis=1)
        total += float(len(at) if w is None else w.sum())
        log_own += float(logs.sum() if w is None else w @ logs)
        off += float(square.sum() if w is None else w @ square)
        counts += confusion_matrix(at, P.argmax(axis=1), K, w)
        bins += bin_sums(*stated(at, P), weight=w)
        ranks.add(at, P, w)
    area, table = ranks.areas(codes, probability, weight), bins_of(bins)
    shares = counts.sum(axis=1) / counts.sum()
    seen = shares[shares > 0]
    values = {
        "log_loss": -log_own / total,
        "accuracy": np.trace(counts) / counts.sum(),
        "brier": off / (2.0 if K == 2 else 1.0) / total,
        "auc": _mean_area(area),
        "balanced_accuracy": np.nanmean(per_class(counts)["recall"]),
        "baseline_accuracy": shares.max(),
        "baseline_log_loss": 0.0 - seen @ np.log(seen),
        "expected_calibration_error": calibration_error(table),
    }
    known = {name: None if np.isnan(value) else float(value) for name, value in values.items()}
    return Measured(known, counts, area, tuple(table))


def _mean_area(area: NDArray[np.float64]) -> float:
    """Of two classes that of the second; of more the mean over ordered pairs."""
    if len(area) == 2:
        return float(area[0, 1])
    return float(area[~np.eye(len(area), dtype=bool)].mean())
