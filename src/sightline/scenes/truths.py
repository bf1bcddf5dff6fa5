"""The truth beside a run, for a page: the exact table, the curvature, and what the data panels draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.design import Design
from ..records import Coefficient
from ..settings import RunSettings
from ..views.subject import Subject
from .standpoint import Standpoint
from .systems import systems_of

__all__ = ["truth_scene"]

MOST_COEFFICIENTS = 1000


def truth_scene(stand: Standpoint | None, run: Subject | None, settings: RunSettings, design: Design) -> dict[str, Any]:
    """Exact coefficients, loss, curvature; panels of the data from the rows, where `stand` has them."""
    table = stand.truth.coefficients(None) if stand else list(run.coefficients) if run else []
    scene: dict[str, Any] = {
        "coef": [_line(c) for c in table[:MOST_COEFFICIENTS]],
        "level": settings.level,
        "loss": _loss(stand, run, settings),
        "fit": _fit(stand, run),
        "curvature": _curvature(stand, run),
        "step": _step(stand, run),
        "classes": list(design.classes),
        "intercept": design.intercept,
        "rank": stand.truth.rank if stand else None,
        **systems_of(stand, run),
    }
    if run is not None:
        scene["frozen_at"], scene["metrics"] = run.result["frozen_at"], run.result.get("metrics")
        scene["engine"] = run.result["engine"]
        scene["kept"] = run.result.get("kept_epoch")
    elif stand is not None:
        scene["frozen_at"] = stand.frozen_at
        scene["engine"] = dict(stand.engine)
    if stand is not None:
        scene.update(_pictures(stand, run, settings))
    return scene


def _pictures(stand: Standpoint, run: Subject | None, settings: RunSettings) -> dict[str, Any]:
    from .classes import class_pictures
    from .residuals import residual_pictures

    if stand.design.classes:
        return class_pictures(stand, run)
    return residual_pictures(stand, settings)


def _line(c: Coefficient) -> dict[str, Any]:
    numbers = {name: getattr(c, name) for name in ("exact", "std_error", "t", "p", "low", "high")}
    return {"term": c.term, **{k: None if v is None else float(v) for k, v in numbers.items()}}


def _loss(stand: Standpoint | None, run: Subject | None, settings: RunSettings) -> dict[str, Any]:
    """The loss by name, its exact value and that of the best constant; `floor` is whether it is a lower bound."""
    if stand is not None:
        truth = stand.truth
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


def _fit(stand: Standpoint | None, run: Subject | None) -> dict[str, Any]:
    if run is not None:
        return {**run.result["fit"], "df": run.result["df"]}
    return {} if stand is None else {**stand.truth.statistics, "df": stand.truth.df}


def _curvature(stand: Standpoint | None, run: Subject | None) -> dict[str, Any] | None:
    if stand is not None:
        return stand.truth.curvature.summary(stand.evidence.lr_limit)
    return run.result["curvature"] if run is not None else None


def _step(stand: Standpoint | None, run: Subject | None) -> dict[str, Any]:
    """The optimizer as it is used."""
    closed = _closed(stand, run)
    if run is not None:
        return {**run.result["optimizer"], "closed": closed}
    if stand is None:
        return {}
    return {**stand.optimizer, "closed": closed}


def _closed(stand: Standpoint | None, run: Subject | None) -> bool:
    """Whether its path is one of gradient descent at one rate on all rows."""
    if stand is not None:
        options = stand.step.options
        return stand.evidence.is_gradient_descent and not options.get("dampening") and not options.get("maximize")
    s = run.settings if run is not None else RunSettings()
    return s.optimizer.lower() == "sgd" and s.batch_size is None and s.schedule is None and not (s.warmup or s.opt)
