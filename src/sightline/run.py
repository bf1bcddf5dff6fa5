"""A finished run: what training reached, the truth beside it, and what can be asked of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .account import Account, read_account, read_finished, readable
from .by_pieces import is_too_large, most_numbers, rows_again
from .data.design import Design
from .data.sources import open_source
from .data.split import split
from .data.usable import usable_rows
from .errors import DataError, UsageError
from .evaluating import evaluated
from .prediction import Uncertainty, parameters_of
from .predictor import Asked, Predictor
from .records import Coefficient, Direction, Verdict
from .rows import Rows
from .runs.store import RunFolder

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from .views.scene_figures import Figures

__all__ = ["Run", "load", "load_without_records"]


@dataclass(frozen=True, repr=False)
class Run(Account):
    """What `fit` and `solve` return and `load` reads back.

    `coefficients` is the table in the units of the data, `verdict` how the run ended and what to know about it,
    `epochs` all records (none for `solve`), `directions` the curvature of the loss, steepest first, with the epochs
    that each direction needs at the rate in use; `folder` where it was saved, or None.
    """

    design: Design
    rank: int = 0
    covariance_factor: NDArray[np.float64] | None = None
    directions: Sequence[Direction] = ()
    rows: Rows | None = None

    @property
    def model(self) -> torch.nn.Linear:
        """A `torch.nn.Linear` with the trained weights in the units of the data; it needs nothing of sightline.

        One output for a number and for two classes (the log odds of the second), K for a softmax over K classes, two
        for the Gaussian likelihood (mean and log variance). The offsets of the formula are no part of it: add them to
        its output.
        """
        from .engines.modules import linear_layer

        trained = self.predictor
        return linear_layer(trained.weight, trained.bias if self.design.intercept else None, dtype=self.dtype)

    @cached_property
    def predictor(self) -> Predictor:
        """What answers `predict`, `probabilities` and `evaluate`, of files larger than memory piece by piece."""
        loss = self.result["loss_name"]
        about = Uncertainty(self.result["fit"]["sigma"], self.result["df"], self.covariance_factor, loss)
        return Predictor(self.design, *parameters_of(self.design, self.coefficients, loss), about)

    def predict(
        self, table: object, interval: float | None = None, *, kind: str = "prediction", unseen: str = "error",
        memory: Any = None,
    ) -> Any:  # fmt: skip
        """Predictions ŷ = Xw + b (of counts e to that power) for the rows of a table, `(n,)`; not a number where a
        value is missing.

        With `interval`, say 0.95, a dict of arrays `prediction`, `low`, `high`: ŷ ± t √(σ² + x'Cx), the interval for
        one new observation (of weight 1) at each row, or with `kind` "confidence" ŷ ± t √(x'Cx), that of the mean; both
        belong to the exact optimum and to errors of equal variance. Of classes, the most probable label, None where a
        value is missing. Offsets in the formula are added. A category that training did not have is an error, or with
        `unseen` taken as the "reference", or ("other") as a missing value. `table` is anything that `fit` reads; a file
        whose rows take more than `memory`, such as "500MB" (without it half of the machine's), is read piece by piece,
        and only the result stays in memory.
        """
        with closing(self.predictor.predictions(table, Asked(unseen, memory), interval, kind=kind)) as answers:
            if interval is None:
                return np.concatenate([answer.columns["prediction"] for answer in answers])
            parts = [answer.columns for answer in answers]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def probabilities(self, table: object, *, unseen: str = "error", memory: Any = None) -> NDArray[np.float64]:
        """P(class | x) `(n, K)` for the rows of a table, in the order of `design.classes`; NaN for a missing value.

        `unseen` and `memory` are as in `predict`. Raises UsageError where the target is a number.
        """
        if not self.design.classes:
            raise UsageError("this model predicts a number and has no probabilities: use predict")
        if self.result["loss_name"] == "hinge":
            raise UsageError("the hinge loss gives scores, not probabilities: use predict, or fit with --loss bce")
        return self.predictor.probabilities(table, Asked(unseen, memory))

    def evaluate(self, table: object, *, unseen: str = "error", memory: Any = None) -> dict[str, Any]:
        """Metrics on the rows of a table that has the target too; see `linear.metrics`.

        `unseen` and `memory` are as in `predict`, and with "other" such rows are left out; the entry `unseen` counts
        them.
        """
        return evaluated(self.predictor, table, Asked(unseen, memory)).metrics

    def figure(self) -> Figure:
        """The data with the trained and the exact line (several columns: observed against predicted), and the loss."""
        from .views.figures import overview

        return overview(self)

    @cached_property
    def figures(self) -> Figures:
        """The panels of the page as pictures, each into axes of yours: `run.figures.loss(ax=axes)`; see `Figures`."""
        from .scenes.figures import figures_of

        return figures_of(self)

    def training_rows(self) -> Rows | None:
        """The rows this run was trained on, read again from their file for a loaded run; None where they are gone
        or changed.
        """
        if self.rows is not None:
            return self.rows
        path = self.source.get("path")
        if not path or not Path(path).is_file():
            return None
        try:
            source, columns = open_source(path), self.design.training_columns
            if is_too_large(source, len(columns), self.settings.memory):
                return rows_again(source, self.design, self.settings, self.source.get("fingerprint"))
            table = source.read(columns)
        except DataError:  # what stands there now is other data
            return None
        if table.fingerprint != self.source.get("fingerprint"):
            return None
        if isinstance(self.settings.validation, float):
            names = dict.fromkeys([*self.design.target_columns, *self.design.columns])
            usable = usable_rows(table, names, weights=self.design.weights, cluster=self.design.cluster)
            table = split(usable, self.settings.validation, seed=self.settings.seed)[0].table
        return self.design.rows(table, most=most_numbers(self.settings))

    def tidy(self, frame: str | None = None) -> Any:
        """The coefficients as columns: a dict of lists, or a DataFrame of `frame` ("pandas", "polars", "pyarrow").

        `term, estimate, std_error, statistic, p_value, conf_low, conf_high` as broom has them; `exact` and `off_by`
        beside. Standard errors and what follows from them belong to `exact`.
        """
        from .tidy import as_frame, tidied

        return as_frame(tidied(self), frame)

    def glance(self, frame: str | None = None) -> Any:
        """The fit in one row, as `tidy`: R², σ, F, log-likelihood, AIC, BIC, deviance, and loss beside exact loss."""
        from .tidy import as_frame, glanced

        return as_frame(glanced(self), frame)

    def augment(self, frame: str | None = None) -> Any:
        """Each row trained on, as `tidy`: place, target, fitted value, residual, leverage, σ without the row, Cook's
        distance, standardized and studentized residual, of the exact answer. Of classes the prediction, probabilities
        and the row's part of the deviance; of two also log odds as `fitted`, the deviance residual and its influence.

        Raises RunError where the rows of a loaded run are gone.
        """
        from .tidy import as_frame, augmented

        return as_frame(augmented(self), frame)


def as_result(coefficients: Sequence[Coefficient], verdict: Verdict, **values: Any) -> dict[str, Any]:
    """The object of the public contract, in its order; `metrics` only where the target has classes."""
    keys = (
        "run", "formula", "rows", "df", "loss_name", "loss", "exact_loss", "excess", "epochs", "verdict", "frozen_at",
        "coef", "fit", "curvature", "engine", "warnings", "optimizer", "accuracy",
    )  # fmt: skip
    values = {
        **values,
        "verdict": verdict.name,
        "coef": [{key: getattr(c, key) for key in Coefficient.__slots__} for c in coefficients],
        "warnings": [{"code": w.code, "text": w.text, "fix": list(w.fix)} for w in verdict.warnings],
    }
    found = {key: values[key] for key in keys}
    return found if values.get("metrics") is None else {**found, "metrics": values["metrics"]}


def save_run(run: Run, folder: RunFolder, status: str) -> None:
    """Write the final run.json of a run."""
    folder.finish(
        status,
        result=run.result,
        sentence=run.verdict.sentence,
        dtype=run.dtype,
        rank=run.rank,
        covariance_factor=None if run.covariance_factor is None else run.covariance_factor.tolist(),
        directions=[asdict(d) for d in run.directions],
        infinite={c.term: c.exact > 0 for c in run.coefficients if c.exact is not None and math.isinf(c.exact)},
    )


def load(folder: str | Path) -> Run:
    """Read a run back from its folder (or its id, under ./runs or SIGHTLINE_RUNS); same numbers, in any process.

    Raises RunError if the folder is missing, damaged or unfinished, UsageError if it is of a module, with what to do.
    """
    return _read(folder, records=True)


def load_without_records(folder: str | Path) -> Run:
    """The same with no `epochs`, of which there may be a million."""
    return _read(folder, records=False)


def _read(folder: str | Path, *, records: bool) -> Run:
    path, values = read_finished(folder)
    with readable(path):
        told = read_account(path, values, records=records)
        factor = values.get("covariance_factor")
        return Run(
            told.result, Design.from_dict(values["design"]), told.coefficients, told.verdict, told.epochs, path,
            told.source, told.dtype, told.settings, values["rank"],
            None if factor is None else np.array(factor, dtype=np.float64).reshape(-1, len(told.coefficients)),
            [Direction(**d) for d in values.get("directions", ())],
        )  # fmt: skip
