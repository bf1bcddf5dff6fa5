"""What a recipe that was trained once for each fold does on the rows it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASS_METRICS", "NUMBER_METRICS", "Fold", "KFold", "Values"]

Values = Mapping[str, float | None]
NUMBER_METRICS = ("rmse", "mae", "r2")
CLASS_METRICS = ("log_loss", "accuracy", "brier")


@dataclass(frozen=True)
class Fold:
    """One training on the rows of all other folds.

    `number` from 1; `trained` rows, `held_out` rows, and `validation` rows that only decided when to stop; `epochs`
    run, the name of the `verdict`, the codes of its `warnings`. `metrics` are of the rows held out, `trained_metrics`
    of the rows trained on; None where the training left no finite numbers, or the loss has no such metric.
    """

    number: int
    trained: int
    held_out: int
    validation: int
    epochs: int
    verdict: str
    warnings: tuple[str, ...]
    metrics: Values
    trained_metrics: Values


@dataclass(frozen=True)
class KFold:
    """A recipe measured on rows it was not trained on: everything is learned anew for each of the `folds`.

    `fold (n,)` is the number of the fold that holds each row out, `predictions` what the training on the other folds
    says of it: a number `(n,)`, for classes their probabilities `(n, K)` in the order of `classes`, for the hinge loss
    scores `(n,)`; both in the order of the rows used, NaN where the training left no finite numbers. `pooled` are the
    metrics of all rows together, R² about the mean of the rows that each fold was trained on, and `baseline` is the log
    loss of always stating the shares of the classes.
    """

    formula: str
    target: str
    loss: str
    seed: int
    folds: tuple[Fold, ...]
    fold: NDArray[np.intp] = field(repr=False)
    predictions: NDArray[np.float64] = field(repr=False)
    classes: tuple[str, ...]
    pooled: Values
    baseline: float | None = None

    @cached_property
    def mean(self) -> Values:
        """The mean over the folds of each metric of rows held out; None where a fold has none."""
        return self._over(lambda f: f.metrics, np.mean)

    @cached_property
    def sd(self) -> Values:
        """The standard deviation over the folds (divisor k - 1) of each metric of rows held out."""
        return self._over(lambda f: f.metrics, lambda values: np.std(values, ddof=1))

    @cached_property
    def trained(self) -> Values:
        """The mean over the folds of each metric of the rows trained on."""
        return self._over(lambda f: f.trained_metrics, np.mean)

    def _over(self, metrics: Callable[[Fold], Values], summary: Callable[[list[float]], Any]) -> Values:
        found: dict[str, float | None] = {}
        for name in self.pooled:
            values = [value for value in (metrics(f)[name] for f in self.folds) if value is not None]
            with np.errstate(over="ignore", invalid="ignore"):
                found[name] = float(summary(values)) if len(values) == len(self.folds) else None
        return found

    @property
    def verdict(self) -> str:
        """What the rows held out say of the recipe, and which folds did not train as they should."""
        from .views.fold_table import fold_verdict

        return fold_verdict(self.summary())

    def summary(self) -> dict[str, Any]:
        """The values of the table and the verdict, without what belongs to single rows."""
        return {
            "formula": self.formula, "target": self.target, "loss_name": self.loss, "rows": len(self.fold),
            "classes": list(self.classes), "seed": self.seed, "folds": [asdict(f) for f in self.folds],
            "mean": dict(self.mean), "sd": dict(self.sd), "pooled": dict(self.pooled), "trained": dict(self.trained),
            "baseline_log_loss": self.baseline,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them under "folds"."""
        rows = {"fold": self.fold.tolist(), "predictions": self.predictions.tolist()}
        return {**self.summary(), "verdict": self.verdict, **rows}

    def __str__(self) -> str:
        from .views.fold_table import fold_lines

        return "\n".join(fold_lines(self.summary()))
