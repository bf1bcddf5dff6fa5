"""A finished run: what training reached, the truth beside it, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .data.design import Design, complete_rows
from .data.sources import open_source
from .errors import DataError, RunError, UsageError, nearest, shown
from .linear.metrics import regression_metrics
from .records import Coefficient, Direction, Epoch, Verdict, Warning
from .rows import Rows
from .runs.files import finite, read_json
from .runs.store import RunFolder, find_run, read_epochs

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

__all__ = ["Run", "load"]


@dataclass(frozen=True, repr=False)
class Run:
    """What `fit` and `solve` return and `load` reads back.

    `coefficients` is the table in the units of the data, `verdict` how the run ended and what to know about it,
    `epochs` all records (none for `solve`), `directions` the curvature of the loss, steepest first, with the epochs
    that each direction needs at the rate in use; `folder` where it was saved, or None.
    """

    result: Mapping[str, Any]
    design: Design
    coefficients: Sequence[Coefficient]
    verdict: Verdict
    epochs: Sequence[Epoch] = ()
    folder: Path | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    level: float = 0.95
    covariance_factor: NDArray[np.float64] | None = None
    directions: Sequence[Direction] = ()
    rows: Rows | None = None

    @property
    def model(self) -> torch.nn.Linear:
        """A `torch.nn.Linear(p, 1)` with the trained weights in the units of the data; it needs nothing of
        sightline.
        """
        from .engines.modules import linear_layer

        weight, bias = self._parameters
        return linear_layer(weight[None, :], None if bias is None else [bias], dtype=self.dtype)

    @property
    def _parameters(self) -> tuple[NDArray[np.float64], float | None]:
        values = np.array([0.0 if c.estimate is None else c.estimate for c in self.coefficients])
        return (values[1:], float(values[0])) if self.design.intercept else (values, None)

    def predict(self, table: object, interval: float | None = None) -> Any:
        """Predictions ŷ = Xw + b for the rows of a table, `(n,)`; not a number where a value is missing.

        With `interval`, say 0.95, a dict of arrays `prediction`, `low`, `high`: the prediction interval for one new
        observation at each row, ŷ ± t √(σ² + x'Cx), which belongs to the exact optimum. `table` is anything that
        `fit` reads.
        """
        if interval is not None and not 0.0 < interval < 1.0:
            raise UsageError(f"interval is {interval:g}: give a level between 0 and 1, such as 0.95")
        names = self.design.columns
        source = open_source(table)
        for name in names:
            if name not in source.columns:
                raise DataError(
                    f"the model needs column {shown(name)}, and {source.name} has none: {nearest(name, source.columns)}"
                )
        everything = source.read(names)
        missing = np.zeros(everything.rows, dtype=bool)
        for name in names:
            missing |= everything[name].missing
        present = everything.take(~missing)
        prediction = np.full(everything.rows, np.nan)
        weight, bias = self._parameters
        if present.rows:
            prediction[~missing] = self.design.encoding.matrix(present) @ weight + (bias or 0.0)
        if interval is None:
            return prediction
        half = np.full(everything.rows, np.nan)
        if present.rows:
            half[~missing] = self._half_width(self.design.matrix(present), interval)
        return {"prediction": prediction, "low": prediction - half, "high": prediction + half}

    def _half_width(self, X: NDArray[np.float64], level: float) -> NDArray[np.float64]:
        from .linear.inference import t_interval

        statistics, df = self.result["fit"], self.result["df"]
        if self.covariance_factor is None or statistics["sigma"] is None:
            raise UsageError("this fit has no residual degrees of freedom, so it has no intervals: use more rows")
        Z = np.column_stack([X, np.ones(len(X))]) if self.design.intercept else X
        leverage = ((Z @ self.covariance_factor.T) ** 2).sum(axis=1)
        return np.asarray(t_interval(level, df) * statistics["sigma"] * np.sqrt(1.0 + leverage))

    def evaluate(self, table: object) -> dict[str, Any]:
        """Metrics on the rows of a table that has the target too; see `linear.metrics`."""
        names = [*self.design.columns, *self.design.target_columns]
        complete, missing = complete_rows(open_source(table).read(dict.fromkeys(names)), dict.fromkeys(names))
        weight, bias = self._parameters
        predicted = self.design.encoding.matrix(complete) @ weight + (bias or 0.0)
        metrics = regression_metrics(self.design.encoding.response(complete), predicted)
        return {"rows": complete.rows, "missing": missing.rows, **metrics}

    def figure(self) -> Figure:
        """The data with the trained and the exact line (several columns: observed against predicted), and the loss."""
        from .views.figures import overview

        return overview(self)

    def training_rows(self) -> Rows | None:
        """The rows this run was trained on, read again from their file for a loaded run; None where they are gone
        or changed.
        """
        if self.rows is not None:
            return self.rows
        path = self.source.get("path")
        if not path or not Path(path).is_file():
            return None
        names = dict.fromkeys([*self.design.columns, *self.design.target_columns])
        table = open_source(path).read(names)
        if table.fingerprint != self.source.get("fingerprint"):
            return None
        return self.design.rows(complete_rows(table, names)[0])

    def summary(self) -> str:
        """The table and the verdict as text, at most 80 columns wide."""
        from .views.console import summary

        return summary(self)

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values: what `--json` prints."""
        return dict(finite(dict(self.result)))

    def __repr__(self) -> str:
        return f"{self.summary()}\n\n{self.verdict}"


def as_result(coefficients: Sequence[Coefficient], verdict: Verdict, **values: Any) -> dict[str, Any]:
    """The object of the public contract, in its order."""
    keys = (
        "run", "formula", "rows", "df", "loss_name", "loss", "exact_loss", "excess", "epochs", "verdict", "frozen_at",
        "coef", "fit", "curvature", "engine", "warnings", "optimizer",
    )  # fmt: skip
    values = {
        **values,
        "verdict": verdict.name,
        "coef": [asdict(c) for c in coefficients],
        "warnings": [{"code": w.code, "text": w.text, "fix": list(w.fix)} for w in verdict.warnings],
    }
    return {key: values[key] for key in keys}


def save_run(run: Run, folder: RunFolder, status: str) -> None:
    """Write the final run.json of a run."""
    folder.finish(
        status,
        result=run.result,
        sentence=run.verdict.sentence,
        dtype=run.dtype,
        level=run.level,
        covariance_factor=None if run.covariance_factor is None else run.covariance_factor.tolist(),
        directions=[asdict(d) for d in run.directions],
    )


def load(folder: str | Path) -> Run:
    """Read a run back from its folder (or its id, under ./runs or SIGHTLINE_RUNS); same numbers, in any process.

    Raises RunError if the folder is missing, damaged or unfinished, with what to do.
    """
    path = find_run(folder)
    values = read_json(path / "run.json")
    if values.get("format") != 1:
        raise RunError(
            f"{path} has format {values.get('format')}, this sightline reads 1: upgrade sightline to open it"
        )
    if "result" not in values:
        state = values.get("status")
        raise RunError(f"run {path.name} has no result yet (its status is {state}): wait for it, or train again")
    try:
        result = values["result"]
        coefficients = [Coefficient(**c) for c in result["coef"]]
        warnings = tuple(Warning(w["code"], w["text"], tuple(w["fix"])) for w in result["warnings"])
        verdict = Verdict(result["verdict"], values["sentence"], warnings)
        factor = values.get("covariance_factor")
        return Run(
            result, Design.from_dict(values["design"]), coefficients, verdict, list(read_epochs(path)), path,
            values.get("source", {}), values["dtype"], values["level"],
            None if factor is None else np.array(factor, dtype=np.float64).reshape(-1, len(coefficients)),
            [Direction(**d) for d in values.get("directions", ())],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path / 'run.json'} is damaged ({error}): restore the folder from a copy or train again"
        ) from None
