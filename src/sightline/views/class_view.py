"""The numbers that pictures of a classifier are drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..class_metrics import parameters, probabilities_at
from ..records import Epoch
from .class_report import distinct, percent, short
from .drawing import EXACT, TRAINED
from .subject import Subject

__all__ = ["CLASS_COLORS", "Answer", "ClassView", "answers", "scattered", "span"]

Array = NDArray[np.float64]
# Told apart in normal, protan, deutan and tritan vision (CIE76 above 25), and with marks of different forms beside.
CLASS_COLORS = ("#0e1cae", "#04a88c", "#ec5610", "#aa4eb4", "#6b1e07", "#9167ff", "#4b2b46")


@dataclass(frozen=True)
class Answer:
    """A table of coefficients, its P `(n, K)` for the rows, and how its lines are drawn."""

    name: str
    values: tuple[float, ...]
    probability: Array | None
    style: dict[str, Any]


@dataclass(frozen=True)
class ClassView:
    """The rows of a run: `X (n, p)` in the units of the data, `codes (n,)`, `weight (n,)` or None, and P `(n, K)` as
    trained and by the exact answer, None where coefficients are at infinity.

    `trained` and `exact` are the tables of coefficients; `labels` are short enough for a picture.
    """

    run: Subject
    X: Array
    codes: NDArray[np.intp]
    weight: Array | None
    trained: tuple[float, ...]
    exact: tuple[float, ...]
    probability: Array | None
    exact_probability: Array | None
    labels: tuple[str, ...]

    @classmethod
    def of(cls, run: Subject, epoch: Epoch | None = None) -> ClassView | None:
        """The view of a run, at one of its epochs or as it ended; None where its rows are not at hand."""
        rows, design = run.training_rows(), run.design
        if rows is None:
            return None
        rows = rows.pictured()
        X = rows.X * design.scale + design.center
        exact = tuple(0.0 if c.exact is None else float(c.exact) for c in run.coefficients)
        trained = tuple(0.0 if c.estimate is None else float(c.estimate) for c in run.coefficients)
        if epoch is not None and epoch.parameters:
            trained = tuple(float(epoch.parameters[c.term]) for c in run.coefficients)
        return cls(
            run, X, rows.y.astype(np.intp), rows.weight, trained, exact,
            probabilities_at(design, X, trained), probabilities_at(design, X, exact),
            distinct(design.classes, 16),
        )  # fmt: skip

    @property
    def solved(self) -> bool:
        """Whether the estimates are the exact answer, without training."""
        return bool(self.run.result["engine"]["name"] == "exact")

    @property
    def names(self) -> tuple[str, ...]:
        """The labels as a sentence says them: numbers with the name of the target before them."""
        if not all(label.lstrip("-").replace(".", "").isdigit() for label in self.labels):
            return self.labels
        target = short(self.run.design.target, 15 - max(map(len, self.labels)))
        return tuple(f"{target} {label}" for label in self.labels)

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the columns, short enough for a picture."""
        return tuple(short(term, 28) for term in self.run.design.encoding.terms)

    @property
    def differs(self) -> bool:
        """Whether a picture would show the trained and the exact answer apart, or has only one of them."""
        if self.probability is None or self.exact_probability is None:
            return False
        return bool(np.abs(self.probability - self.exact_probability).max(initial=0.0) > 1e-3)

    @property
    def numeric(self) -> NDArray[np.bool_]:
        """Which columns `(p,)` have more than two values."""
        return np.array([_more_than_two(column) for column in self.X.T], dtype=bool)

    def grid(self, X: Array, values: tuple[float, ...]) -> Array | None:
        """P `(m, K)` at other points by a table of coefficients."""
        return probabilities_at(self.run.design, X, values)

    def log_odds(self, values: tuple[float, ...]) -> Array | None:
        """Of two classes, the log odds `(n,)` of the second; None where coefficients are at infinity."""
        weight, bias = parameters(self.run.design, np.array(values))
        with np.errstate(over="ignore", invalid="ignore"):
            scores = (self.X @ weight.T + bias)[:, 0]
        return scores if np.isfinite(scores).all() else None

    def accuracy(self) -> str:
        """The share of rows that are right, beside always guessing."""
        assert self.probability is not None
        right = np.average(self.probability.argmax(axis=1) == self.codes, weights=self.weight)
        shares = np.bincount(self.codes, weights=self.weight)
        most, guess = self.names[int(shares.argmax())], percent(float(shares.max() / shares.sum()))
        return f"right for {percent(float(right))} of rows (always guessing {most}: {guess})"

    def crossing(self, values: tuple[float, ...]) -> float | None:
        """Of two classes and one column, where both are equally likely: -intercept / slope."""
        slope, bias = values[-1], values[0] if self.run.design.intercept else 0.0
        if math.isinf(slope) and not self.run.design.intercept:
            return 0.0
        if not (math.isfinite(slope) and math.isfinite(bias) and slope):
            return self._step() if math.isinf(slope) else None
        return 0.0 - bias / slope

    def _step(self) -> float | None:
        """The middle of the gap between two separated classes in one column."""
        first, second = (self.X[self.codes == k, 0] for k in (0, 1))
        below, above = sorted((first, second), key=lambda x: (float(np.mean(x)), float(x.max())))
        return float(below.max() + above.min()) / 2.0


def _more_than_two(column: Array) -> bool:
    others = column[column != column[0]]
    return bool(len(others) and (others != others[0]).any())


def answers(view: ClassView) -> list[Answer]:
    """What was trained, solid, and what is exact, dashed; of a run that was only solved, the latter."""
    exact = {"color": EXACT, "linewidth": 1.4, "linestyle": "--", "zorder": 4}
    if view.solved:
        return [Answer("exact", view.exact, view.exact_probability, {**exact, "linewidth": 1.9})]
    solid = {"color": TRAINED, "linewidth": 2.2, "zorder": 4}
    return [
        Answer("trained", view.trained, view.probability, solid),
        Answer("exact", view.exact, view.exact_probability, exact),
    ]


def scattered(x: Array) -> Array:
    """Values, moved a little apart where many rows share few of them."""
    values = np.unique(x)
    if len(values) < 2 or len(values) > 40 or len(values) == len(x):
        return x
    return x + np.random.default_rng(0).uniform(-0.3, 0.3, len(x)) * float(np.diff(values).min())


def span(x: Array) -> Array:
    """Points from end to end of a column and a little beyond."""
    margin = (float(np.ptp(x)) or 1.0) / 14.0
    return np.linspace(float(x.min()) - margin, float(x.max()) + margin, 601)
