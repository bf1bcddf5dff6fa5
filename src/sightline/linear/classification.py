"""Where a classifier is right: confusion matrix, areas under ROC curves, calibration with Wilson's intervals.

A weight counts as that many rows, as it does in the likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import parts

__all__ = [
    "BINS",
    "Bin",
    "Ranks",
    "Roc",
    "Shares",
    "areas",
    "bin_sums",
    "bins_of",
    "calibration",
    "calibration_error",
    "confusion_matrix",
    "observed_shares",
    "per_class",
    "roc_curve",
    "stated",
    "wilson_interval",
]

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
BINS = 10


def confusion_matrix(codes: Codes, predicted: Codes, classes: int, weight: Array | None = None) -> Array:
    """`(K, K)`: how many rows of class i (a line) were predicted as class j (a column), from codes `(n,)`.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    cells = np.bincount(codes * classes + predicted, weights=weight, minlength=classes * classes)
    return cells.astype(np.float64).reshape(classes, classes)


def per_class(counts: Array) -> dict[str, Array]:
    """From a confusion matrix `(K, K)` for each class `(K,)`: precision, recall and F1 = 2 TP / (2 TP + FP + FN).

    Not a number where it has no meaning: the precision of a class that was never predicted, the recall of one without
    rows.

    >>> {name: values.round(4).tolist() for name, values in per_class(np.array([[2.0, 1.0], [0.0, 3.0]])).items()}
    {'precision': [1.0, 0.75], 'recall': [0.6667, 1.0], 'f1': [0.8, 0.8571]}
    """
    right, observed, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": right / predicted,
            "recall": right / observed,
            "f1": 2.0 * right / (observed + predicted),
        }


def areas(codes: Codes, probability: Array, weight: Array | None = None) -> Array:
    """`A (K, K)`: the chance that a row of class b has a larger P(b) than a row of class a (ties half), at A[a, b].

    The areas under the ROC curves of all pairs of classes (Mann and Whitney 1947; Hand and Till 2001). Not a number
    where a class has no row. Two passes over the rows, and of each row one number is kept.

    >>> areas(np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.9, 0.1], [0.4, 0.6]])).tolist()[0][1]
    0.5
    """
    ranks = Ranks(probability.shape[1])
    for part in parts(probability):
        ranks.add(codes[part], probability[part], None if weight is None else weight[part])
    return ranks.areas(codes, probability, weight)


class Ranks:
    """Of each class its own probability in its own rows: one number of each row, and its weight where it has one."""

    def __init__(self, classes: int) -> None:
        self._own: list[list[tuple[Array, Array | None]]] = [[] for _ in range(classes)]

    def add(self, codes: Codes, probability: Array, weight: Array | None) -> None:
        """Some more rows."""
        for b, own in enumerate(self._own):
            mine = codes == b
            own.append((probability[mine, b], None if weight is None else weight[mine]))

    def areas(self, codes: Codes, probability: Array, weight: Array | None) -> Array:
        """`areas` of all rows, once all have been added, in a second pass."""
        K = len(self._own)
        ranks = [_Rank.of(own) for own in self._own]
        size, above = np.zeros(K), np.zeros((K, K))
        for part in parts(probability):
            P, at = probability[part], codes[part].astype(np.intp)
            w = np.ones(len(at)) if weight is None else weight[part]
            size += np.bincount(at, weights=w, minlength=K)
            for b in range(K):
                above[:, b] += np.bincount(at, weights=w * ranks[b].share_above(P[:, b]), minlength=K)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(above / size[:, None])


@dataclass(frozen=True)
class _Rank:
    """Values in rising order, and where they have weights the sum of those before each, and of all."""

    values: Array
    before: Array | None

    @classmethod
    def of(cls, parts: Sequence[tuple[Array, Array | None]]) -> _Rank:
        values = np.concatenate([part for part, _ in parts])
        weights = [weight for _, weight in parts if weight is not None]
        if not weights:
            values.sort()
            return cls(values, None)
        order = np.argsort(values, kind="stable")
        return cls(values[order], np.concatenate([[0.0], np.cumsum(np.concatenate(weights)[order])]))

    def share_above(self, values: Array) -> Array:
        """For each value which share lies above it, of equal ones a half."""
        at, order = np.empty((2, len(values)), dtype=np.intp), np.argsort(values)
        at[0, order] = np.searchsorted(self.values, values[order], side="left")
        at[1, order] = np.searchsorted(self.values, values[order], side="right")
        low, high = at if self.before is None else self.before[at]
        total = float(len(self.values) if self.before is None else self.before[-1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((total - 0.5 * (low + high)) / total)


@dataclass(frozen=True)
class Roc:
    """Points of a ROC curve `(m,)`, thresholds falling from infinity: positive is what scores at least that."""

    false_positive: Array
    true_positive: Array
    threshold: Array

    @property
    def area(self) -> float:
        """The area under the curve, by trapezoids."""
        steps = np.diff(self.false_positive)
        return float(steps @ (self.true_positive[1:] + self.true_positive[:-1]) / 2.0)


def roc_curve(positive: NDArray[np.bool_], score: Array, weight: Array | None = None) -> Roc:
    """The share of the others and of the positive rows at or above each different score `(n,)`.

    >>> curve = roc_curve(np.array([False, True, True]), np.array([0.2, 0.1, 0.6]))
    >>> curve.true_positive.tolist(), curve.false_positive.tolist(), curve.area
    ([0.0, 0.5, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0], 0.5)
    """
    w = np.ones(len(score)) if weight is None else weight
    values, place = np.unique(-score, return_inverse=True)
    hits, alarms = (np.cumsum(np.bincount(place, weights=w * which)) for which in (positive, ~positive))
    with np.errstate(invalid="ignore"):
        return Roc(
            np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1]), np.append(np.inf, 0.0 - values)
        )


def wilson_interval(share: Array, n: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Where a proportion may lie that was seen as `share` in `n` rows (Wilson 1927): the score test turned round.

    >>> [round(float(end), 4) for end in wilson_interval(np.array(0.8), np.array(10.0))]
    [0.4902, 0.9433]
    """
    from scipy.special import ndtri

    z2 = float(ndtri(0.5 + level / 2.0)) ** 2
    middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n)
    half = np.sqrt(z2 * (share * (1.0 - share) / n + z2 / (4.0 * n * n))) / (1.0 + z2 / n)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


@dataclass(frozen=True)
class Bin:
    """Rows whose probability is above `start` and at most `end`: how many, the mean probability, the share observed
    with its interval from `low` to `high`.
    """

    start: float
    end: float
    rows: float
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Shares:
    """Rows grouped along one column: the mean of x, how many, the share of each class `(groups, classes)`, and of the
    second class the interval from `low` to `high`.
    """

    x: Array
    rows: Array
    share: Array
    low: Array
    high: Array


def observed_shares(x: Array, codes: Codes, classes: int, weight: Array | None = None) -> Shares:
    """Observed shares of the classes in groups of neighboring rows: the values of x where they are few, else quantiles.

    >>> observed_shares(np.array([1.0, 1.0, 2.0, 2.0]), np.array([0, 1, 1, 1]), 2).share.tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    w = np.ones(len(x)) if weight is None else weight
    different = np.unique(x)
    m = int(np.clip(len(x) // 15, 3, 12))
    edges = different[1:] if len(different) <= 12 else np.unique(np.quantile(x, np.arange(1, m) / m))
    group = np.searchsorted(edges, x, side="right")
    counts = np.zeros((len(edges) + 1, classes))
    np.add.at(counts, (group, codes), w)
    kept = counts.sum(axis=1) > 0
    size = counts.sum(axis=1)[kept]
    share = counts[kept] / size[:, None]
    low, high = wilson_interval(share[:, 1], size)
    return Shares(np.bincount(group, weights=w * x, minlength=len(kept))[kept] / size, size, share, low, high)


def stated(codes: Codes, probability: Array) -> tuple[NDArray[np.bool_], Array]:
    """What a classifier states `(n,)`, and whether it came true: of two classes that it is the second, of more that it
    is the predicted one (the confidence of Guo and others 2017).
    """
    if probability.shape[1] == 2:
        return codes == 1, probability[:, 1]
    return codes == probability.argmax(axis=1), probability.max(axis=1)


def calibration(
    happened: NDArray[np.bool_],
    probability: Array,
    *,
    weight: Array | None = None,
    bins: int = BINS,
    level: float = 0.95,
) -> list[Bin]:
    """Stated probabilities `(n,)` beside what `happened (n,)`, in bins of equal width; bins without rows are left out.

    >>> [(b.end, b.rows, b.observed) for b in calibration(np.array([True, False, True]), np.array([0.1, 0.1, 0.9]))]
    [(0.1, 2.0, 0.5), (0.9, 1.0, 1.0)]
    """
    return bins_of(bin_sums(happened, probability, weight, bins), level)


def bin_sums(happened: NDArray[np.bool_], probability: Array, weight: Array | None = None, bins: int = BINS) -> Array:
    """`(3, bins)`: rows, their stated probabilities and what happened, each added up in every bin; sums of parts of the
    rows add up to those of all.

    >>> bin_sums(np.array([True, False]), np.array([0.2, 0.7]), bins=2).tolist()
    [[1.0, 1.0], [0.2, 0.7], [1.0, 0.0]]
    """
    w = np.ones(len(probability)) if weight is None else weight
    edges = np.arange(bins + 1) / bins
    place = np.searchsorted(edges[1:-1], probability)
    sums = (np.ones(len(w)), probability, happened)
    return np.array([np.bincount(place, weights=w * v, minlength=bins) for v in sums])


def bins_of(sums: Array, level: float = 0.95) -> list[Bin]:
    """The bins that have rows, from their sums `(3, bins)`."""
    rows, stated_sum, seen = sums
    edges = np.arange(len(rows) + 1) / len(rows)
    found = []
    for k in np.flatnonzero(rows > 0):
        share = float(seen[k] / rows[k])
        low, high = wilson_interval(np.array(share), rows[k], level)
        found.append(
            Bin(
                float(edges[k]), float(edges[k + 1]), float(rows[k]), float(stated_sum[k] / rows[k]), share,
                float(low), float(high),
            )
        )  # fmt: skip
    return found


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error Σ n_b |observed_b - predicted_b| / n (Naeini, Cooper and Hauskrecht 2015).

    >>> calibration_error([Bin(0.0, 0.5, 3.0, 0.25, 0.5, 0.0, 1.0), Bin(0.5, 1.0, 1.0, 0.75, 0.75, 0.0, 1.0)])
    0.1875
    """
    total = sum(b.rows for b in bins)
    return sum(b.rows * abs(b.observed - b.predicted) for b in bins) / total if total else float("nan")
