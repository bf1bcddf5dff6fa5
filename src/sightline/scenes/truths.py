"""The truth beside a run, for a page: the exact table, the curvature, and what the data panels draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.design import Design
from ..job import Job
from ..records import Coefficient
from ..run import Run
from ..settings import RunSettings
from .systems import systems_of

__all__ = ["truth_scene"]

MOST_COEFFICIENTS = 1000


def truth_scene(job: Job | None, run: Run | None, settings: RunSettings, design: Design) -> dict[str, Any]:
    """Exact coefficients, loss, curvature; panels of the data from the rows, where `job` has them."""
    table = job.truth.coefficients(None) if job else list(run.coefficients) if run else []
    scene: dict[str, Any] = {
        "coef": [_line(c) for c in table[:MOST_COEFFICIENTS]],
        "level": settings.level,
        "loss": _loss(job, run, settings),
        "fit": _fit(job, run),
        "curvature": _curvature(job, run),
        "step": _step(job, run),
        "classes": list(design.classes),
        **systems_of(job, run),
    }
    if run is not None:
        scene["frozen_at"], scene["metrics"] = run.result["frozen_at"], run.result.get("metrics")
        scene["engine"] = run.result["engine"]
    elif job is not None:
        scene["frozen_at"] = job.freeze.epoch if job.freeze else None
        scene["engine"] = {"name": job.engine_name, "reason": job.reason}
    if job is not None:
        scene.update(_pictures(job, run, settings))
    return scene


def _pictures(job: Job, run: Run | None, settings: RunSettings) -> dict[str, Any]:
    from .classes import class_pictures
    from .residuals import residual_pictures

    if job.prepared.design.classes:
        return class_pictures(job, run)
    return residual_pictures(job, settings)


def _line(c: Coefficient) -> dict[str, Any]:
    numbers = {name: getattr(c, name) for name in ("exact", "std_error", "t", "p", "low", "high")}
    return {"term": c.term, **{k: None if v is None else float(v) for k, v in numbers.items()}}


def _loss(job: Job | None, run: Run | None, settings: RunSettings) -> dict[str, Any]:
    """The loss by name, its exact value and that of the best constant; `floor` is whether it is a lower bound."""
    if job is not None:
        truth = job.truth
        exact, name = float(truth.loss), truth.layout.loss
        baseline: float | None = float(truth.baseline)
        attained = truth.optimum is not None
    elif run is not None:
        exact, name = run.result["exact_loss"], run.result["loss_name"]
        baseline = (run.result["fit"] or {}).get("baseline_loss")
        attained = not any(c.exact is not None and np.isinf(c.exact) for c in run.coefficients)
    else:
        return {"name": settings.loss, "exact": None, "baseline": None, "floor": False, "attained": None}
    return {
        "name": name, "exact": exact, "baseline": baseline, "floor": not settings.penalizes, "attained": attained,
    }  # fmt: skip


def _fit(job: Job | None, run: Run | None) -> dict[str, Any]:
    if run is not None:
        return {**run.result["fit"], "df": run.result["df"]}
    return {} if job is None else {**job.truth.statistics, "df": job.truth.df}


def _curvature(job: Job | None, run: Run | None) -> dict[str, Any] | None:
    if job is not None:
        return job.truth.curvature.summary(job.evidence.lr_limit)
    return run.result["curvature"] if run is not None else None


def _step(job: Job | None, run: Run | None) -> dict[str, Any]:
    """The optimizer as it is used."""
    closed = _closed(job, run)
    if run is not None:
        return {**run.result["optimizer"], "closed": closed}
    if job is None:
        return {}
    return {"name": job.settings.optimizer, **job.step.options, "reason": job.step.reason, "closed": closed}


def _closed(job: Job | None, run: Run | None) -> bool:
    """Whether its path is one of gradient descent at one rate on all rows."""
    if job is not None:
        options = job.step.options
        return job.evidence.is_gradient_descent and not options.get("dampening") and not options.get("maximize")
    s = run.settings if run is not None else RunSettings()
    return s.optimizer.lower() == "sgd" and s.batch_size is None and s.schedule is None and not (s.warmup or s.opt)
