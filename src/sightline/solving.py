"""The public verb that trains nothing, and needs no torch: solve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .errors import UsageError, shown
from .prepare import prepare_for
from .run import Run
from .runs.store import default_output
from .settings import RunSettings
from .solution import solved

SOLVE_SETTINGS = (
    "level", "loss", "loss_opt", "class_weight", "weights", "l1", "l2", "robust", "cluster", "memory", "cache",
    "device",
)  # fmt: skip

__all__ = ["by_name", "output_folder", "solve"]


def by_name(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with a loss that is given as a module, and a device of torch, under their names."""
    loss, device = settings.get("loss"), settings.get("device")
    if type(device).__module__ == "torch":
        settings = {**settings, "device": str(device)}
    if loss is None or isinstance(loss, str):
        return settings
    from .engines.losses import named_loss

    name, options = named_loss(loss)
    return {**settings, "loss": name, "loss_opt": {**options, **settings.get("loss_opt", {})}}


def solve(
    data: object,
    formula: str | None = None,
    *,
    target: str | None = None,
    decimal: bool = False,
    output: str | os.PathLike[str] | bool | None = None,
    **settings: Any,
) -> Run:
    """The exact answer without training: the same coefficients, statistics, summary and to_dict as `fit`, estimate =
    exact.

    w, b = argmin Σ v (y - Xw - b)² / Σ v + l2 ‖w‖² / 2, refined in double-double where the rows are few or nearly
    collinear, from moments where they are many. Takes `weights`, `l2`, `robust`, `cluster`, `level` and `loss` of the
    settings of `fit`. The numbers of text files are the decimals that were typed, those of arrays the doubles that
    they hold; with `decimal` arrays hold the shortest decimals of their doubles. Writes a run folder only if
    `output` says where.

    >>> solve({"x": [0, 1, 2], "y": [1, 3, 5]}, "y ~ x").coefficients[1].exact
    2.0
    """
    chosen = RunSettings.of(by_name(settings))
    if untaken := [name for name in settings if name not in SOLVE_SETTINGS]:
        raise UsageError(f"solve trains nothing and takes no {shown(untaken[0])}: leave it out, or use fit")
    return solved(
        prepare_for(chosen, data, formula, target=target, decimal=decimal), chosen, output_folder(output, default=False)
    )


def output_folder(output: str | os.PathLike[str] | bool | None, *, default: bool) -> Path | None:
    """Where a run is written; None where it is not."""
    if output is None or isinstance(output, bool):
        wanted = default if output is None else output
        return default_output() if wanted else None
    return Path(output)
