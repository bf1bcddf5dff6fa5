"""The exact answer as a run of its own, without training."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from .evidence import Evidence
from .prepare import Prepared
from .records import Verdict
from .run import Run, as_result, save_run
from .runs.store import RunFolder
from .settings import RunSettings
from .truth import Truth
from .tuning import Step
from .verdict import warnings_before

__all__ = ["solved"]


def solved(prepared: Prepared, settings: RunSettings, output: Path | None) -> Run:
    """Solve, and put the answer into the same form as a trained run; `output` None writes no folder."""
    truth = Truth.of(prepared.design, prepared.rows, level=settings.level)
    evidence = Evidence(
        truth,
        truth.exact.theta,
        settings,
        Step({"lr": truth.curvature.best_lr}, "not trained"),
        prepared.label,
        prepared.path is not None,
    )
    verdict = Verdict("CONVERGED", "solved exactly, without training", tuple(warnings_before(evidence)))
    coefficients = truth.coefficients()
    manifest = {"settings": settings.to_dict(), "design": prepared.design.to_dict(), "source": prepared.manifest()}
    folder = RunFolder.create(output, manifest) if output else None
    c, exact = truth.curvature, truth.exact
    result = as_result(
        coefficients,
        verdict,
        run=folder.id if folder else None,
        formula=prepared.design.formula,
        rows=len(prepared.rows),
        df=truth.statistics.df_resid,
        loss_name=settings.loss,
        loss=exact.loss,
        exact_loss=exact.loss,
        excess=0.0,
        epochs=0,
        frozen_at=None,
        fit=asdict(truth.statistics),
        curvature={"min": c.min, "max": c.max, "condition": c.condition, "lr_limit": c.lr_limit()},
        engine={"name": "exact", "reason": "asked to solve: Householder QR, no training"},
        optimizer={"name": "none"},
    )
    run = Run(
        result, prepared.design, coefficients, verdict, (), None, prepared.manifest(), "float64", settings.level,
        truth.covariance_factor(), truth.directions(None), prepared.rows,
    )  # fmt: skip
    if folder is None:
        return run
    from .runs.checkpoint import save_model  # the only step that needs torch

    save_model(folder.path, run.model.state_dict())
    save_run(run, folder, "done")
    return replace(run, folder=folder.path)
