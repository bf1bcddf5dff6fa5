"""Folds as text: a line for each, their mean, spread and pooled value, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..words import count, plain
from .statistics import wrapped

__all__ = ["fold_lines", "fold_verdict"]

TITLES = {"rmse": "RMSE", "mae": "MAE", "r2": "R2", "log_loss": "log loss", "accuracy": "accuracy", "brier": "Brier"}
MOST = 24  # lines; of more folds the first are shown, and those that did not train well are told
IN_UNITS = ("rmse", "mae")
NEAR = 1.05  # times the error of the rows trained on, which no one would call worse
FAR = 1.5  # times that error, from where the model follows its own rows too closely
OVERFIT = "fewer columns, more rows, or --l2"
SAID = {
    "DIVERGED": ("diverged: lower the learning rate", "Every fold DIVERGED: lower the learning rate."),
    "NOT_CONVERGED": (
        "did not converge",
        "No fold converged, so these are the errors of the recipe as it stands, not of its optimum.",
    ),
    "STOPPED_EARLY": ("stopped early, as asked", "Every fold stopped early, as asked."),
}


def fold_lines(found: Mapping[str, Any]) -> list[str]:
    """The table of `KFold.summary()`, and the verdict on it."""
    folds = found["folds"]
    names = [name for name in TITLES if found["pooled"].get(name) is not None or name in _known(folds)]
    shown = folds if len(folds) <= MOST else folds[: MOST - 4]
    columns = [_column(found, shown, name) for name in names]
    head = f"{count(len(folds), 'fold')}, each predicted by a training on all others (fold seed {found['seed']})"
    titles = "".join(TITLES[name].rjust(len(cells[0]) + 2) for name, cells in zip(names, columns, strict=True))
    lines = [head, f" {'fold':<5}{'trained':>10}{'held out':>10}{'epochs':>8}  {'verdict':<13}{titles}"]
    for i, fold in enumerate(shown):
        cells = "".join("  " + cells[i] for cells in columns)
        lines.append(
            f" {fold['number']:<5,}{fold['trained']:>10,}{fold['held_out']:>10,}{fold['epochs']:>8,}"
            f"  {fold['verdict']:<13}{cells}"
        )
    if len(shown) < len(folds):
        lines.append(f" ... and {count(len(folds) - len(shown), 'fold')} more")
    for i, title in enumerate(("mean", "standard deviation", "all rows together"), start=len(shown)):
        lines.append(f" {title:<48}" + "".join("  " + cells[i] for cells in columns))
    return [*lines, "", *wrapped(fold_verdict(found))]


def fold_verdict(found: Mapping[str, Any]) -> str:
    """The error of rows held out beside that of rows trained on, and which folds did not train as they should."""
    return " ".join([_sentence(found), *_trainings(found["folds"]), *_separated(found["folds"])])


def _known(folds: Sequence[Mapping[str, Any]]) -> set[str]:
    return {name for fold in folds for name, value in fold["metrics"].items() if value is not None}


def _column(found: Mapping[str, Any], shown: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    own = [fold["metrics"][name] for fold in shown]
    digits = _decimals([fold["metrics"]["mae"] for fold in shown]) if name in IN_UNITS else 4
    cells = [_cell(v, digits) for v in [*own, *(found[key][name] for key in ("mean", "sd", "pooled"))]]
    width = max(len(TITLES[name]), *map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _decimals(values: Sequence[float | None]) -> int | None:
    """Those of four digits of the middle error, None where errors are too large or too small for that."""
    sizes = sorted(abs(v) for v in values if v and math.isfinite(v))
    middle = sizes[len(sizes) // 2] if sizes else 1.0
    return max(0, 3 - math.floor(math.log10(middle))) if 1e-3 <= middle < 1e6 else None


def _cell(value: float | None, decimals: int | None) -> str:
    """With that many decimals where seven digits hold it, so that three columns fit."""
    if value is None:
        return "-"
    if decimals is None or not abs(value) < 10 ** (7 - decimals):
        return plain(value, 3 if value > 0.0 else 2)
    return f"{value:.{decimals}f}"


def _main(found: Mapping[str, Any]) -> str:
    """The metric that the sentence is about: that of the loss, as far as rows held out have it."""
    if not found["classes"]:
        return "mae" if found["loss_name"] == "l1" else "rmse"
    return "accuracy" if found["loss_name"] == "hinge" else "log_loss"


def _sentence(found: Mapping[str, Any]) -> str:
    name, folds = _main(found), found["folds"]
    held, trained, title = found["mean"][name], found["trained"][name], TITLES[name]
    if held is None or trained is None:
        lost = [fold["number"] for fold in folds if fold["metrics"][name] is None]
        return f"no held-out {title}, as {_listed(lost)} left no finite numbers."
    head = f"held-out {title} {_with_spread(held, found['sd'][name])} over {count(len(folds), 'fold')}"
    head += f"; trained {title} {plain(trained, 3)}"
    diverged = any(fold["verdict"] == "DIVERGED" for fold in folds)
    return f"{head}." if diverged else f"{head}: {_judged(found, name, held, trained)}."


def _with_spread(mean: float, sd: float) -> str:
    """Both to the second digit of the smaller one.

    >>> _with_spread(9.1234, 1.2345), _with_spread(0.581, 0.0296), _with_spread(5.52, 10.36), _with_spread(1e9, 3e8)
    ('9.1 ± 1.2', '0.581 ± 0.030', '5.5 ± 10.4', '1e+09 ± 3e+08')
    """
    if not (math.isfinite(sd) and 1e-4 <= sd < 1e6 and abs(mean) < 1e6):
        return f"{plain(mean, 3)} ± {plain(sd, 2)}"
    decimals = max(0, 1 - math.floor(math.log10(min(sd, max(abs(mean), sd / 100)))))
    return f"{mean:.{decimals}f} ± {sd:.{decimals}f}"


def _judged(found: Mapping[str, Any], name: str, held: float, trained: float) -> str:
    if useless := _useless(found, name, overfit=held > FAR * trained):
        return useless
    if name == "accuracy":
        return f"{100 * abs(trained - held):.0f} points {'less' if held < trained else 'more'} on rows not seen"
    if held <= NEAR * trained:
        return "rows not seen are predicted as well as those trained on"
    times = held / trained if trained > 0 else math.inf
    worse = f"{100 * (times - 1):.0f} % more" if times < 3 else f"{plain(times, 3)} times as much"
    close = f", as the model follows its own rows closely: {OVERFIT}" if times > FAR else ""
    return f"{worse} on rows not seen{close}"


def _useless(found: Mapping[str, Any], name: str, *, overfit: bool) -> str | None:
    """Where a constant predicts as well."""
    open_end = any(fold["verdict"] == "NOT_CONVERGED" for fold in found["folds"])
    cure = OVERFIT if overfit else "train longer" if open_end else "find columns that tell more"
    r2, baseline = found["pooled"].get("r2"), found["baseline_log_loss"]
    if r2 is not None and r2 <= 0.0:
        return f"no better than always predicting the mean of {found['target']}; {cure}"
    if name == "log_loss" and baseline is not None and found["pooled"][name] >= baseline:
        return f"no better than always stating the shares of the classes ({plain(baseline, 3)}); {cure}"
    return None


def _trainings(folds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Folds that diverged, or did not converge."""
    numbers = {word: [f["number"] for f in folds if f["verdict"] == word] for word in SAID}
    return [
        SAID[word][1] if len(own) == len(folds) else f"{_listed(own)} {SAID[word][0]}.".capitalize()
        for word, own in numbers.items()
        if own
    ]


def _separated(folds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where no coefficients are the best, the errors depend on when the training ends."""
    own = [f["number"] for f in folds if "SL-SEPARABLE" in f["warnings"]]
    where = _listed(own) if len(own) < len(folds) else "every fold"
    what = "the classes of the rows trained on are separated, so no coefficients are the best: add --l2 0.01"
    return [f"In {where} {what}."] if own else []


def _listed(numbers: Sequence[int]) -> str:
    """Which folds: the first of many by number."""
    some = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8:,} more" if len(numbers) > 8 else "")
    return f"fold{'s' if len(numbers) > 1 else ''} {some}"
