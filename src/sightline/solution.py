"""The exact answer as a run of its own, without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from .class_metrics import metrics_of, probabilities_of
from .class_truth import ClassTruth
from .prepared import Prepared
from .records import Verdict
from .run import Run, as_result, save_run
from .runs.store import RunFolder
from .settings import RunSettings
from .truth import Truth
from .truths import truth_of

__all__ = ["solved"]

SENTENCE = "solved exactly, without training"
AT_INFINITY = "solved exactly, but the optimum lies at infinity"


def solved(prepared: Prepared, settings: RunSettings, output: Path | None) -> Run:
    """Solve, and put the answer into the same form as a trained run; `output` None writes no folder."""
    manifest = {"settings": settings.to_dict(), "design": prepared.design.to_dict(), "source": prepared.manifest()}
    if settings.device not in ("auto", "cpu"):
        from .engines.devices import device_named  # which needs torch

        device_named(settings.device)
    truth = truth_of(prepared, settings)
    verdict = Verdict("CONVERGED", SENTENCE if truth.optimum is not None else AT_INFINITY, tuple(truth.warnings()))
    coefficients = truth.coefficients()
    folder = RunFolder.create(output, manifest) if output else None
    result = as_result(
        coefficients,
        verdict,
        run=folder.id if folder else None,
        formula=prepared.design.formula,
        rows=len(prepared.rows),
        df=truth.df,
        loss_name=prepared.loss,
        loss=truth.loss,
        exact_loss=truth.loss,
        excess=0.0,
        epochs=0,
        frozen_at=None,
        fit=dict(truth.statistics),
        curvature=truth.curvature.summary(),
        engine={"name": "exact", "reason": "asked to solve, no training"},
        optimizer={"name": "none"},
        accuracy=truth.accuracy,
        metrics=metrics_of(prepared.design, prepared.rows, _probabilities(truth, prepared), prepared.loss),
    )
    run = Run(
        result, prepared.design, coefficients, verdict, (), None, prepared.manifest(), "float64",
        settings, truth.rank, truth.covariance_factor(), truth.directions(None), prepared.rows,
    )  # fmt: skip
    if folder is None:
        return run
    if truth.optimum is not None:  # there is no model at infinity
        from .runs.checkpoint import save_model  # the only step that needs torch

        save_model(folder.path, run.model.state_dict())
    save_run(run, folder, "done")
    return replace(run, folder=folder.path)


def _probabilities(truth: Truth, prepared: Prepared) -> Any:
    """P(class) of the rows at the optimum, or at its limit; of rows that come in blocks from their scores, so that rows
    that are the same tie.
    """
    design, rows = prepared.design, prepared.rows
    if isinstance(truth, ClassTruth) and (truth.optimum is None or not rows.on_disk):
        return truth.fit.probabilities
    exact = [c.exact for c in truth.coefficients()]
    return probabilities_of(design, rows, exact) if design.classes else None
