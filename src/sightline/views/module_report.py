"""The training of a module as text: what was trained, its losses, its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..records import Epoch, Verdict
from ..words import count, plain
from .console import warnings_text
from .statistics import wrapped
from .tables import table

__all__ = ["ModuleSubject", "curvature_lines", "epoch_columns", "heading", "module_summary"]

MOST_LINES = 12


class ModuleSubject(Protocol):
    """A finished training of a module, as it is shown; see `sightline.modules.run.ModuleRun` for what each part is."""

    @property
    def result(self) -> Mapping[str, Any]: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def epochs(self) -> Sequence[Epoch]: ...
    @property
    def folder(self) -> Path | None: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...


def module_summary(run: ModuleSubject) -> str:
    """What was trained, some of its epochs, and the verdict."""
    shown = table(epoch_columns(run.epochs, run.result["kept_epoch"]))
    lines = [*heading(run), "", *shown, *curvature_lines(run), *_place(run), ""]
    return "\n".join([*lines, *wrapped(str(run.verdict)), *warnings_text(run.verdict).splitlines()])


def heading(run: ModuleSubject) -> list[str]:
    """The module and its size, then how it was trained."""
    r, s = run.result, run.settings
    frozen = r["parameters"] - r["trainable"]
    held = f", {r['held_out']:,} held out" if r["held_out"] else ""
    o = r["optimizer"]
    groups = f" in the first of {o['groups']} groups" if "groups" in o else ""
    size = s.get("batch_size")
    source = s["data"].get("source")
    batches = f"batches of a {source}" if source else f"batches of {size:,}" if size else "full batch"
    how = (s["step"] and f"a step function of its own ({s['step']})") or f"{r['loss_name']}"
    casting = f", {s['autocast']} where torch can" if s["autocast"] else ""
    first = f"{r['module']}: {count(r['parameters'], 'parameter')}"
    first += f" ({frozen:,} frozen)" if frozen else ""
    rows = f"; {count(r['rows'], 'row')}" if r["rows"] else ""  # unknown of a stream that was never read to its end
    return [
        f"{first}{rows}{held}",
        *wrapped(f"{o['name']} on {how}, {batches}, rate {plain(o.get('lr'))}{groups}{casting}"),
    ]


def epoch_columns(epochs: Sequence[Epoch], kept: int) -> list[tuple[str, list[str]]]:
    """The columns of the first, the last, the one that was kept and some between, as many columns as were measured."""
    chosen = _some(epochs, kept)
    columns = [("epoch", [f"{e.number:,}" for e in chosen])]
    for name, values in (
        ("running loss", [e.running_loss for e in chosen]),
        ("loss at rest", [e.train_loss for e in chosen]),
        ("validation", [e.valid_loss for e in chosen]),
        ("gradient", [e.gradient_norm for e in chosen]),
    ):
        if any(v is not None for v in values):
            columns.append((name, [plain(v, 6) for v in values]))
    columns.append(("rate", [plain(e.lr) for e in chosen]))
    return columns


def _some(epochs: Sequence[Epoch], kept: int) -> list[Epoch]:
    """The first, the last, those between at equal ratios, and the one with this number."""
    if len(epochs) <= MOST_LINES:
        return list(epochs)
    last = len(epochs) - 1
    numbers = {0, 1, last, *(round(last ** (i / (MOST_LINES - 2))) for i in range(MOST_LINES - 1))}
    return [record for i, record in enumerate(epochs) if i in numbers or record.number == kept]


def curvature_lines(run: ModuleSubject) -> list[str]:
    """The last one that was measured, and the rate beside its limit."""
    found = run.result["curvature"]
    if not found:
        return []
    last = found[-1]
    limit = f"2 / λmax = {plain(last['lr_limit'])}" if last["value"] > 0 else "no limit, for the loss does not curve up"
    return ["", *wrapped(f" top curvature λmax {plain(last['value'])} at epoch {last['epoch']:,}: {limit}, "
                         f"the rate is {plain(last['lr'])}", "   ")]  # fmt: skip


def _place(run: ModuleSubject) -> list[str]:
    return ["", f" run {run.folder.name} in {run.folder}"] if run.folder else []


def fold_lines(found: Mapping[str, Any]) -> list[str]:
    """The table of `ModuleFolds.to_dict()`, and what it says."""
    folds = found["folds"]
    columns = [
        ("fold", [f"{f['number']}" for f in folds]),
        ("trained", [f"{f['trained']:,}" for f in folds]),
        ("held out", [f"{f['held_out']:,}" for f in folds]),
        ("epochs", [f"{f['epochs']:,}" for f in folds]),
        ("loss", [plain(f["loss"], 5) for f in folds]),
        ("trained loss", [plain(f["trained_loss"], 5) for f in folds]),
    ]
    if found["score"] is not None:
        columns.append(("score", [plain(f["score"]) for f in folds]))
    return [*table(columns), "", *wrapped(_folds_said(found))]


def _folds_said(found: Mapping[str, Any]) -> str:
    folds = found["folds"]
    ended = ", ".join(str(f["number"]) for f in folds if f["stop"] == "diverged")
    if ended and not math.isfinite(found["mean"]):
        return f"fold {ended} diverged, so there is no mean over {count(len(folds), 'fold')}: use a smaller rate"
    trained = sum(f["trained_loss"] for f in folds) / len(folds)
    said = f"held-out loss {plain(found['mean'], 3)} ± {plain(found['sd'], 2)} over {count(len(folds), 'fold')}"
    said += f"; of the rows trained on {plain(trained, 3)}"
    if found["score"] is not None:
        said += f"; score {plain(found['score'])} over all rows"
    return f"{said}; fold {ended} diverged" if ended else said
