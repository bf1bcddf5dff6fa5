"""The small data of the stories, as scenes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..job import Job
from ..prepare import prepare_for
from ..run import Run
from ..runs.files import finite
from ..scenes.figures import table_of
from ..scenes.truths import truth_scene
from ..settings import RunSettings
from .commands import said_settings
from .scene import stand_of, verdict_of, with_readings

__all__ = ["stories"]


@cache
def stories() -> dict[str, Any]:
    """For each of them a scene, and the record before any update."""
    inches = np.array([0.02, -0.03, 0.01, 0.04, -0.02, 0.0, -0.01, 0.03, -0.04, 0.01])
    height = np.array([150.0, 155.0, 160.0, 163.0, 167.0, 170.0, 174.0, 178.0, 182.0, 187.0])
    weight = np.array([53.0, 55.5, 60.0, 61.0, 66.5, 68.0, 70.0, 76.5, 78.0, 84.0])
    x = np.append(np.arange(1.0, 12.0), 26.0)
    near = np.array([2.1, 2.9, 4.2, 4.8, 6.1, 6.8, 8.2, 8.9, 10.1, 10.8, 12.2])
    return {
        "heights": _scene(
            "heights.csv", "weight ~ height",
            {"height": [150.0, 160.0, 170.0, 175.0, 185.0], "weight": [55.0, 70.0, 64.0, 80.0, 75.0]},
            RunSettings(lr=3e-6, epochs=20, standardize=False, start={"Intercept": -35.0, "height": 0.45}),
        ),
        "collinear": _scene(
            "two rulers", "weight ~ cm + inch",
            {"cm": height.tolist(), "inch": (height / 2.54 + inches).tolist(), "weight": weight.tolist()},
            RunSettings(lr=0.2, epochs=100),
        ),
        "leverage": _scene(
            "twelve rows", "y ~ x", {"x": x.tolist(), "y": np.append(near, 14.0).tolist()},
            RunSettings(lr=0.2, epochs=20),
        ),
    }  # fmt: skip


def _scene(name: str, formula: str, data: dict[str, list[float]], settings: RunSettings) -> dict[str, Any]:
    job = Job.of(prepare_for(settings, data, formula, target=None), settings)
    run: Run = job.run(output=None)
    scene = {
        "format": 1, "id": "story", "status": "story", "started": None, "finished": None, "versions": {},
        "verdict": verdict_of(run.verdict), "before": [], "kind": "line", "name": name, "formula": formula,
        "target": job.prepared.design.target, "rows": len(job.prepared.rows), "fingerprint": None,
        "settings": said_settings(settings), "dtype": settings.dtype, "commands": [], "missing": None,
        **truth_scene(stand_of(job), None, settings, job.prepared.design),
    }  # fmt: skip
    table = {**table_of(run.epochs, [c.term for c in run.coefficients]), "generation": 0, "of": len(run.epochs)}
    return {"scene": with_readings(scene), "table": finite(table)}
