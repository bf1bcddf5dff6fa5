"""What a training that has ended says: the verdict, the table, the result, as a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from .class_metrics import estimated_metrics
from .engines.forecast import Freeze
from .engines.problem import Problem
from .engines.stepping import settings_used
from .evidence import Evidence
from .prepared import Prepared
from .records import Coefficient, Epoch, Verdict, Warning
from .run import Run, as_result
from .runs.store import RunFolder
from .settings import RunSettings
from .trainable import theta_of
from .truth import Truth
from .tuning import Step
from .verdict import judge

__all__ = ["outcome"]


class Trained(Protocol):
    """What has been trained, as it is seen here; see `sightline.job.Job` for what each part is."""

    @property
    def prepared(self) -> Prepared: ...
    @property
    def truth(self) -> Truth: ...
    @property
    def settings(self) -> RunSettings: ...
    @property
    def step(self) -> Step: ...
    @property
    def problem(self) -> Problem: ...
    @property
    def freeze(self) -> Freeze | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def evidence(self) -> Evidence: ...
    @property
    def warnings(self) -> list[Warning]: ...
    @property
    def engine_name(self) -> str: ...
    @property
    def epochs(self) -> int: ...


def outcome(job: Trained, epochs: Sequence[Epoch], kept: Epoch | None, folder: RunFolder | None) -> Run:
    """The run of these records, with the parameters as they are now: those of the last record, or of the one `kept`."""
    theta = theta_of(job.problem.module)
    coefficients = job.truth.coefficients(job.truth.layout.in_units(theta))
    last = epochs[-1]
    excess = job.truth.excess(theta)
    frozen_at = _frozen_at(job, epochs)
    evidence = replace(job.evidence, epochs=job.epochs, last=last, excess=excess, best=_best(epochs), kept=kept)
    stopped = last.stop is not None and last.stop.reason == "frozen"
    if frozen_at is not None and frozen_at < last.number and (stopped or job.freeze is not None):
        evidence = replace(evidence, frozen_at=frozen_at, frozen_loss=last.train_loss)  # seen, not forecast
    verdict = judge(evidence, job.warnings)
    result = _result(job, coefficients, verdict, evidence, frozen_at=frozen_at, run=folder.id if folder else None)
    if job.prepared.valid is not None:
        result |= _validated(kept or last, len(job.prepared.valid))
    return Run(
        result, job.prepared.design, coefficients, verdict, epochs, folder.path if folder else None,
        job.prepared.manifest(), job.settings.dtype, job.settings, job.truth.rank,
        job.truth.covariance_factor(),
        job.truth.directions(evidence.contraction() if evidence.is_gradient_descent else None), job.prepared.rows,
    )  # fmt: skip


def _frozen_at(job: Trained, epochs: Sequence[Epoch]) -> int | None:
    """What was seen, where the run went on beyond the forecast; else the forecast."""
    if job.freeze is not None and epochs[-1].number <= job.freeze.epoch:
        return job.freeze.epoch
    return _last_change(epochs)


def _result(
    job: Trained,
    coefficients: Sequence[Coefficient],
    verdict: Verdict,
    evidence: Evidence,
    *,
    frozen_at: int | None,
    run: str | None,
) -> dict[str, Any]:
    last = evidence.last
    assert last is not None
    used = settings_used(job.problem.optimizer, job.problem.stepping)
    return as_result(
        coefficients,
        verdict,
        run=run,
        formula=job.prepared.design.formula,
        rows=len(job.prepared.rows),
        df=job.truth.df,
        loss_name=job.prepared.loss,
        loss=last.loss,
        exact_loss=job.truth.loss,
        excess=evidence.excess,
        epochs=last.number,
        frozen_at=frozen_at,
        fit=dict(job.truth.statistics),
        curvature=job.truth.curvature.summary(job.evidence.lr_limit),
        engine={"name": job.engine_name, "reason": job.reason},
        optimizer={"name": job.settings.optimizer.lower(), **used, "reason": job.step.reason},
        accuracy=job.truth.accuracy,
        metrics=estimated_metrics(
            job.prepared.design, job.prepared.rows, [c.estimate for c in coefficients], job.prepared.loss
        ),
    )


def _validated(shown: Epoch, rows: int) -> dict[str, Any]:
    """What the result says of validation rows, and of the epoch whose parameters it has."""
    return {"loss": shown.loss, "valid_loss": shown.valid_loss, "valid_rows": rows, "kept_epoch": shown.number}


def _best(epochs: Sequence[Epoch]) -> int:
    """The number of the record with the smallest loss."""
    return min(epochs, key=lambda e: float("inf") if e.loss is None or e.loss != e.loss else e.loss).number


def _last_change(epochs: Sequence[Epoch]) -> int | None:
    """The last record that differs from the one before it, if the run went on beyond it."""
    if len(epochs) < 2 or epochs[-1].parameters != epochs[-2].parameters or not epochs[-1].parameters:
        return None
    changed = (
        b.number for a, b in zip(reversed(epochs[:-1]), reversed(epochs), strict=False) if a.parameters != b.parameters
    )
    return next(changed, 0)
