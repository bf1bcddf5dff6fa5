"""The sentences of the pictures of the way: loss, path, curvature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .readings import known, loss_at, num, whole

__all__ = ["WAY_READINGS"]

Array = NDArray[np.float64]
Scene = Mapping[str, Any]
Table = Mapping[str, Any]


def _loss(scene: Scene, table: Table) -> str:
    numbers = table["number"]
    losses = [loss_at(table, i) for i in range(len(numbers))]
    loss, exact = losses[-1], scene["loss"]["exact"]
    at = "before any update" if numbers[-1] < 1 else f"at epoch {whole(numbers[-1])}"
    if not (scene["loss"]["floor"] and known(exact) and scene["loss"]["attained"] is not False):
        return _plain_loss(scene, numbers, losses)
    if loss is None:
        return "No loss was measured yet."
    above, base = max(loss - exact, 4e-16 * abs(loss)), scene["loss"]["baseline"]
    lead = f"{num(above, 3)} above the exact loss {num(exact, 6)} {at}"
    if scene["intercept"] and scene["loss"]["name"] == "mse" and known(base) and base > exact * (1.0 + 1e-9):
        share = num(100.0 * above / (base - exact), 2)
        lead += f", {share} % of what there is to gain over always predicting the mean"
    return f"{lead}."


def _plain_loss(scene: Scene, numbers: Any, losses: Any) -> str:
    finite = [(v, k) for v, k in zip(losses, numbers, strict=True) if known(v)]
    if not finite:
        return "No finite loss was recorded."
    (last, at), (best, where) = finite[-1], min(finite, key=lambda one: one[0])
    why = "no exact floor is drawn, as the objective has a penalty"
    if scene["kind"] == "module":
        why = "a module has no exact floor"
    elif scene["loss"]["attained"] is False:
        why = "the loss falls for ever, it has no floor"
    lead = f"Loss {num(last, 6)} at epoch {whole(at)}, best so far {num(best, 6)} at epoch {whole(where)}"
    return f"{lead}; {why}."


def _components(system: Mapping[str, Any], units: Any) -> Array:
    """The error along each eigenvector `(r,)` of coefficients in the units of the data."""
    values = np.array(units, dtype=np.float64)
    slopes = values[1:] if system["intercept"] else values
    theta = slopes * np.array(system["scale"])
    if system["intercept"]:
        theta = np.append(theta, values[0] + slopes @ np.array(system["center"]))
    return np.asarray(np.array(system["vectors"]) @ (theta - np.array(system["optimum"])))


def _path(scene: Scene, table: Table) -> str:
    system = scene["systems"][0]
    rows = [(k, row) for k, row in zip(table["number"], table["parameters"], strict=True) if row]
    if not rows:
        return "No record yet."
    start, now = _components(system, rows[0][1]), _components(system, rows[-1][1])
    if not abs(start[-1]) > 0:
        return "The start has no error along the flattest direction."
    steep = 1.0 - abs(now[0] / start[0]) if abs(start[0]) > 0 else 1.0
    flat = 1.0 - abs(now[-1] / start[-1])
    return (
        f"At epoch {whole(rows[-1][0])} the way along the steepest direction is {_done(steep)}, along the flattest "
        f"{_done(flat)}."
    )


def _done(share: float) -> str:
    if share < 0:
        return "going the wrong way"
    if share > 0.9995:
        return "done"
    return f"{num(100.0 * share, 2 if share < 5e-5 else 3)} % done"


def _spectrum(scene: Scene, _: Table) -> str:
    system, step = scene["systems"][0], scene["step"]
    high, low = system["values"][0], system["values"][-1]
    lead = f"urvature {num(low, 3)} to {num(high, 4)}, condition number {num(high / low, 3)}"
    if system.get("near"):
        return f"Near the optimum: c{lead}. Farther away the loss has another shape."
    if not step.get("lr") or step.get("closed") is False:
        return f"C{lead}: plain gradient descent is stable up to the rate {num(2.0 / high, 4)}."
    beta = step.get("momentum") or 0.0
    limit = 2.0 * (1.0 + beta) / ((1.0 + 2.0 * beta if step.get("nesterov") and beta else 1.0) * high)
    return f"C{lead}: the largest stable rate is {num(limit, 4)}."


def _roc(scene: Scene, _: Table) -> str:
    curves, classes = scene["scored"]["roc"], scene["classes"]
    curve, name = curves[0 if len(curves) == 1 else 1], classes[1]
    return f"The area is {num(curve['area'], 4)}: the chance that a row of {name} scores above another."


WAY_READINGS = {"loss": _loss, "path": _path, "spectrum": _spectrum, "roc": _roc}
