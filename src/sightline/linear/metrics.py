"""How well predictions match observations."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import parts
from .classification import Bin, Ranks, bin_sums, bins_of, calibration_error, confusion_matrix, per_class, stated

__all__ = [
    "ClassSums", "Measured", "NumberSums", "class_probabilities", "classification_metrics", "regression_metrics",
]  # fmt: skip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NumberSums:
    """Of rows of `mass` Σ w and their residuals r = y - ŷ: Σ w r², Σ w |r|, max |r|, Σ w r; of y its mean, as far from
    the `first` of them, and the `spread` Σ w (y - ȳ)². Those of parts of the rows add up to those of all, as in Chan,
    Golub and LeVeque 1983, Algorithms for computing the sample variance.

    >>> y, found = np.array([1.0, 3.0, 8.0]), np.array([1.0, 2.0, 9.0])
    >>> parts = NumberSums.of(y[:1], found[:1]) + NumberSums.of(y[1:], found[1:])
    >>> parts.metrics()["mse"] == regression_metrics(y, found)["mse"], parts.spread
    (True, 26.0)
    """

    mass: float
    squares: float
    absolute: float
    largest: float
    residuals: float
    first: float
    off: float
    spread: float

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of(cls, observed: NDArray[Any], predicted: NDArray[Any], weight: Array | None = None) -> NumberSums:
        """Those of rows `(n,)`, at least one; a row of weight w counts as w rows."""
        w = np.ones(len(observed)) if weight is None else weight
        mass, residual = w.sum(), observed - predicted
        moved = observed - observed[0]
        off = w @ moved / mass
        values = (
            mass, w @ residual**2, w @ np.abs(residual), np.abs(residual).max(), w @ residual, observed[0], off,
            w @ (moved - off) ** 2,
        )  # fmt: skip
        return cls(*map(float, values))

    def __add__(self, other: NumberSums) -> NumberSums:
        mass, off = self.mass + other.mass, other.first - self.first + other.off
        apart, share = off - self.off, other.mass / (self.mass + other.mass)
        return NumberSums(
            mass, self.squares + other.squares, self.absolute + other.absolute, max(self.largest, other.largest),
            self.residuals + other.residuals, self.first, self.off + share * apart,
            self.spread + other.spread + self.mass * share * apart**2,
        )  # fmt: skip

    def metrics(self) -> dict[str, float | None]:
        """What `regression_metrics` has of all rows."""
        return {
            "mse": self.squares / self.mass,
            "rmse": math.sqrt(self.squares / self.mass),
            "mae": self.absolute / self.mass,
            "max_error": self.largest,
            "r2": 1.0 - self.squares / self.spread if self.spread > 0 else None,
            "mean_residual": self.residuals / self.mass,
        }


def regression_metrics(
    observed: NDArray[Any], predicted: NDArray[Any], weight: Array | None = None, *, mean: Any = None
) -> dict[str, float | None]:
    """Mean squared error, its root, mean and largest absolute error, R², mean residual; shapes `(n,)`.

    A row of weight w counts as w rows. R² is about the observed mean, or about `mean`, one or `(n,)`, such as that of
    other rows.

    >>> regression_metrics(np.array([1.0, 3.0]), np.array([1.0, 2.0]))["mse"]
    0.5
    """
    sums = NumberSums.of(observed, predicted, weight)
    if mean is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            about = (observed - mean) ** 2
            sums = replace(sums, spread=float(about.sum() if weight is None else weight @ about))
    return sums.metrics()


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


@dataclass(frozen=True)
class ClassSums:
    """Of rows of classes: the confusion matrix `counts (K, K)`, Σ w ln P(own class), Σ w Σ_k (P_k - [own is k])², and
    the `bins (3, 10)` of the calibration. Those of parts of the rows add up to those of all.
    """

    counts: Array
    log_own: float
    off: float
    bins: Array

    @classmethod
    def none(cls, classes: int) -> ClassSums:
        """Those of no rows."""
        return cls.of(np.zeros(0, dtype=np.intp), np.zeros((0, classes)))

    @classmethod
    def of(cls, codes: NDArray[np.intp], probability: Array, weight: Array | None = None) -> ClassSums:
        """Those of `probability (n, K)` for `codes (n,)`; a row of weight w counts as w rows."""
        n, K = probability.shape
        w = np.ones(n) if weight is None else weight
        with np.errstate(divide="ignore"):
            log_own = np.log(probability[np.arange(n), codes])
        off = ((probability - np.eye(K)[codes]) ** 2).sum(axis=1)
        return cls(
            confusion_matrix(codes, probability.argmax(axis=1), K, weight), float(w @ log_own), float(w @ off),
            bin_sums(*stated(codes, probability), weight),
        )  # fmt: skip

    def __add__(self, other: ClassSums) -> ClassSums:
        return ClassSums(
            self.counts + other.counts, self.log_own + other.log_own, self.off + other.off, self.bins + other.bins
        )

    def measured(self, area: Array) -> Measured:
        """What `classification_metrics` has of all rows, with the areas of the pairs of classes `(K, K)`."""
        counts, mass, bins = self.counts, self.counts.sum(), bins_of(self.bins)
        shares = counts.sum(axis=1) / mass
        seen = shares[shares > 0]
        values = {
            "log_loss": -self.log_own / mass,
            "accuracy": np.trace(counts) / mass,
            "brier": self.off / mass / (2.0 if len(counts) == 2 else 1.0),
            "auc": _mean_area(area),
            "balanced_accuracy": np.nanmean(per_class(counts)["recall"]),
            "baseline_accuracy": shares.max(),
            "baseline_log_loss": 0.0 - seen @ np.log(seen),
            "expected_calibration_error": calibration_error(bins),
        }
        known = {name: None if np.isnan(value) else float(value) for name, value in values.items()}
        return Measured(known, counts, area, tuple(bins))


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
    sums, ranks = ClassSums.none(probability.shape[1]), Ranks(probability.shape[1])
    for part in parts(probability):
        P, at, w = probability[part], codes[part].astype(np.intp), None if weight is None else weight[part]
        sums += ClassSums.of(at, P, w)
        ranks.add(at, P, w)
    return sums.measured(ranks.areas(codes, probability, weight))


def _mean_area(area: NDArray[np.float64]) -> float:
    """Of two classes that of the second; of more the mean over ordered pairs."""
    if len(area) == 2:
        return float(area[0, 1])
    return float(area[~np.eye(len(area), dtype=bool)].mean())
