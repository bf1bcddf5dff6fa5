"""The exact answer as a run of its own, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .class_metrics import metrics_of
from .class_truth import ClassTruth
from .evidence import Evidence
from .prepare import Prepared
from .records import Coefficient, Direction, Verdict
from .run import Run, as_result, save_run
from .runs.store import RunFolder
from .settings import RunSettings
from .truth import Truth
from .tuning import Step
from .verdict import warnings_before

__all__ = ["solved"]

SENTENCE = "solved exactly, without training"


def solved(prepared: Prepared, settings: RunSettings, output: Path | None) -> Run:
    """Solve, and put the answer into the same form as a trained run; `output` None writes no folder."""
    manifest = {"settings": settings.to_dict(), "design": prepared.design.to_dict(), "source": prepared.manifest()}
    answer = _classes(prepared, settings) if prepared.design.classes else _number(prepared, settings)
    folder = RunFolder.create(output, manifest) if output else None
    result = as_result(
        answer.coefficients,
        answer.verdict,
        run=folder.id if folder else None,
        formula=prepared.design.formula,
        rows=len(prepared.rows),
        loss_name=prepared.loss,
        excess=0.0,
        epochs=0,
        frozen_at=None,
        engine={"name": "exact", "reason": "asked to solve, no training"},
        optimizer={"name": "none"},
        **answer.values,
    )
    run = Run(
        result, prepared.design, answer.coefficients, answer.verdict, (), None, prepared.manifest(), "float64",
        settings, answer.rank, answer.factor, answer.directions, prepared.rows,
    )  # fmt: skip
    if folder is None:
        return run
    if not any(w.code == "SL-SEPARABLE" for w in answer.verdict.warnings):  # there is no model at infinity
        from .runs.checkpoint import save_model  # the only step that needs torch

        save_model(folder.path, run.model.state_dict())
    save_run(run, folder, "done")
    return replace(run, folder=folder.path)


@dataclass(frozen=True)
class _Answer:
    """What a run says of a solution; `values` are entries of its result."""

    coefficients: Sequence[Coefficient]
    verdict: Verdict
    rank: int
    factor: NDArray[np.float64] | None
    directions: Sequence[Direction]
    values: Mapping[str, Any]


def _number(prepared: Prepared, settings: RunSettings) -> _Answer:
    truth = Truth.of(prepared.design, prepared.rows, settings, pairs=prepared.pairs)
    evidence = Evidence(
        truth,
        truth.exact.theta,
        settings,
        Step({"lr": truth.curvature.best_lr}, "not trained"),
        prepared.label,
        prepared.path is not None,
    )
    verdict = Verdict("CONVERGED", SENTENCE, tuple(warnings_before(evidence)))
    c, exact = truth.curvature, truth.exact
    values = {
        "df": truth.statistics.df_resid,
        "loss": exact.loss,
        "exact_loss": exact.loss,
        "fit": asdict(truth.statistics),
        "curvature": {"min": c.min, "max": c.max, "condition": c.condition, "lr_limit": c.lr_limit()},
        "accuracy": truth.accuracy,
    }
    factor, directions = truth.covariance_factor(), truth.directions(None)
    return _Answer(truth.coefficients(), verdict, exact.rank, factor, directions, values)


def _classes(prepared: Prepared, settings: RunSettings) -> _Answer:
    truth = ClassTruth.of(prepared.design, prepared.rows, settings, pairs=prepared.pairs)
    warnings = tuple(truth.warnings())
    at_infinity = any(w.code == "SL-SEPARABLE" for w in warnings)
    sentence = "solved exactly, but the maximum of the likelihood lies at infinity" if at_infinity else SENTENCE
    verdict = Verdict("CONVERGED", sentence, warnings)
    values = {
        "df": truth.statistics.df_resid,
        "loss": truth.loss,
        "exact_loss": truth.loss,
        "fit": {**dict.fromkeys(("sigma", "r2", "adj_r2", "f", "f_p")), **asdict(truth.statistics)},
        "curvature": truth.curvature(),
        "accuracy": truth.accuracy,
        "metrics": metrics_of(prepared.design, prepared.rows, truth.fit.probabilities),
    }
    return _Answer(truth.coefficients(), verdict, truth.fit.coefficients.hi.size, None, (), values)
