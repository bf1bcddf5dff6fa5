"""The data panels of a classifier: curve or map, calibration, ROC, confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..class_metrics import probabilities_at
from ..linear.classification import calibration, confusion_matrix, observed_shares, per_class, roc_curve, stated
from ..views.subject import Subject
from .sampling import chosen_rows, short
from .standpoint import Standpoint

__all__ = ["class_pictures"]

Array = NDArray[np.float64]
MOST_CORNERS = 120  # points of a ROC curve
MOST_LABELS = 30
BINS = 10


def class_pictures(stand: Standpoint, run: Subject | None) -> dict[str, Any]:
    """`map` with up to two numeric columns, `calibration`, `roc`, `confusion` of the trained model, else of the exact
    one; `separable` where no finite answer exists.
    """
    design, rows, truth = stand.design, stand.rows, stand.truth
    X = rows.X * design.scale + design.center
    codes = rows.y.astype(np.intp)
    kept = chosen_rows(len(rows), most=500)
    found: dict[str, Any] = {
        "separable": truth.optimum is None,
        "sample": {"of": truth.rows, "places": [rows.place(int(i)) for i in kept], "y": codes[kept].tolist()},
        "columns": list(design.encoding.terms),
        "columns_of_rows": [short(X[kept, j]) for j in range(min(2, X.shape[1]))],
    }
    if X.shape[1] == 1:
        found["shares"] = _shares(X[:, 0], codes, rows.weight, len(design.classes))
    if run is not None:
        of = "exact" if run.result["engine"]["name"] == "exact" else "trained"
        values = [c.estimate for c in run.coefficients]
    else:
        values, of = [c.exact for c in truth.coefficients(None)], "exact"
    probability = None if any(v is not None and not np.isfinite(v) for v in values) else (
        probabilities_at(design, X, values)
    )  # fmt: skip
    scores_only = truth.layout.loss == "hinge"
    if probability is None or len(design.classes) > MOST_LABELS or scores_only:
        return found
    return {**found, "scored": {"of": of, **_scores(codes, probability, rows.weight)}}


def _shares(x: Array, codes: NDArray[np.intp], weight: Array | None, classes: int) -> list[dict[str, Any]]:
    seen = observed_shares(x, codes, classes, weight)
    columns = zip(seen.x.tolist(), seen.rows.tolist(), seen.share, seen.low.tolist(), seen.high.tolist(), strict=True)
    return [{"x": x, "rows": n, "share": short(s), "low": low, "high": high} for x, n, s, low, high in columns]


def _scores(codes: NDArray[np.intp], P: Array, weight: Array | None) -> dict[str, Any]:
    happened, chance = stated(codes, P)
    bins = calibration(happened, chance, weight=weight, bins=BINS)
    counts = confusion_matrix(codes, P.argmax(axis=1), P.shape[1], weight)
    measured = {name: short(values) for name, values in per_class(counts).items()}
    curves = [roc_curve(codes == k, P[:, k], weight) for k in ([1] if P.shape[1] == 2 else range(P.shape[1]))]
    return {
        "calibration": [
            {"rows": b.rows, "predicted": b.predicted, "observed": b.observed, "low": b.low, "high": b.high}
            for b in bins
        ],
        "roc": [_corners(curve.false_positive, curve.true_positive, curve.threshold, curve.area) for curve in curves],
        "confusion": counts.tolist(),
        "accuracy": float(np.trace(counts) / counts.sum()),
        "guessing": float(counts.sum(axis=1).max() / counts.sum()),
        **measured,
    }  # fmt: skip


def _corners(x: Array, y: Array, threshold: Array, area: float) -> dict[str, Any]:
    picked = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_CORNERS)).astype(int))
    return {"x": short(x[picked], 5), "y": short(y[picked], 5), "threshold": short(threshold[picked], 5), "area": area}
