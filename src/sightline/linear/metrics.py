"""How well predictions match observations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["class_probabilities", "classification_metrics", "regression_metrics"]


def regression_metrics(observed: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float | None]:
    """Mean squared error, its root, mean and largest absolute error, R² about the observed mean, mean residual; shapes
    `(n,)`.

    >>> regression_metrics(np.array([1.0, 3.0]), np.array([1.0, 2.0]))["mse"]
    0.5
    """
    residual = observed - predicted
    mse = float(np.mean(residual**2))
    spread = float(np.mean((observed - observed.mean()) ** 2))
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": float(np.mean(np.abs(residual))),
        "max_error": float(np.max(np.abs(residual))),
        "r2": 1.0 - mse / spread if spread > 0 else None,
        "mean_residual": float(residual.mean()),
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


def classification_metrics(codes: NDArray[np.intp], probability: NDArray[np.float64]) -> dict[str, float | None]:
    """Log-loss -mean ln P(own class), accuracy, Brier score and AUC for `codes (n,)` and `probability (n, K)`.

    The Brier score is mean (P - 1)² of the second class where there are two, else the mean of Σ over all classes
    (Brier 1950). AUC is the chance that a row of the second class scores above one of the first (ties half); with more
    classes the mean over ordered pairs (Hand and Till 2001). None where a class has no row.

    >>> found = classification_metrics(np.array([0, 1]), np.array([[0.5, 0.5], [0.25, 0.75]]))
    >>> {name: round(value, 4) for name, value in found.items()}
    {'log_loss': 0.4904, 'accuracy': 1.0, 'brier': 0.1562, 'auc': 1.0}
    """
    n, K = probability.shape
    own = probability[np.arange(n), codes]
    with np.errstate(divide="ignore"):
        log_loss = float(-np.mean(np.log(own)))
    off = (probability - np.eye(K)[codes]) ** 2
    pairs = [(a, b) for a in range(K) for b in range(K) if a != b and (K > 2 or b == 1)]
    areas = [_area(probability[codes == a, b], probability[codes == b, b]) for a, b in pairs]
    known = [area for area in areas if area is not None]
    return {
        "log_loss": log_loss,
        "accuracy": float(np.mean(probability.argmax(axis=1) == codes)),
        "brier": float(np.mean(off.sum(axis=1) / (2.0 if K == 2 else 1.0))),
        "auc": float(np.mean(known)) if len(known) == len(areas) else None,
    }


def _area(negative: NDArray[np.float64], positive: NDArray[np.float64]) -> float | None:
    """The share of pairs in which the positive one is above, by ranks (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    a, b = len(negative), len(positive)
    if not a or not b:
        return None
    ranks = rankdata(np.concatenate([positive, negative]))[:b]
    return float((ranks.sum() - b * (b + 1) / 2.0) / (a * b))
