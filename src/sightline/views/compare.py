"""Two runs side by side: what they found, how well they fit, and what was settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..words import plain
from .statistics import wrapped
from .subject import Subject
from .tables import table

__all__ = ["compared", "comparison"]

STATISTICS = ("loss", "exact_loss", "excess", "epochs", "verdict", "rows", "df")
FITS = ("sigma", "r2", "adj_r2", "f", "aic", "bic", "log_likelihood", "deviance", "mcfadden")


def compared(runs: Sequence[Subject]) -> dict[str, Any]:
    """The same as values: coefficients by term, statistics, and the settings that differ."""
    terms = list(dict.fromkeys(c.term for run in runs for c in run.coefficients))
    tables = [{c.term: c for c in run.coefficients} for run in runs]
    settings = [{**run.settings.to_dict(), "loss": run.result["loss_name"]} for run in runs]
    return {
        "runs": [run.result["run"] for run in runs],
        "formulas": [run.result["formula"] for run in runs],
        "coefficients": {
            term: [
                None if term not in t else {"estimate": t[term].estimate, "std_error": t[term].std_error}
                for t in tables
            ]
            for term in terms
        },
        "statistics": {
            **{name: [run.result[name] for run in runs] for name in STATISTICS},
            **{name: [run.result["fit"].get(name) for run in runs] for name in FITS},
        },
        "settings": {
            name: [s.get(name) for s in settings]
            for name in settings[0]
            if any(s.get(name) != settings[0][name] for s in settings)
        },
    }


def comparison(runs: Sequence[Subject]) -> list[str]:
    """Estimates with standard errors in parentheses, statistics below, then the settings that differ."""
    values = compared(runs)
    names = [run.folder.name if run.folder else f"run {i + 1}" for i, run in enumerate(runs)]
    lines = [
        part for name, f in zip(names, values["formulas"], strict=True) for part in wrapped(f" {name}: {f}", "   ")
    ]
    rows = {term: ["-" if c is None else _cell(c) for c in cells] for term, cells in values["coefficients"].items()}
    lines += ["", *_columns(rows, names)]
    rows = {
        name.replace("_", " "): [_text(v) for v in cells]
        for name, cells in values["statistics"].items()
        if any(v is not None for v in cells)
    }
    lines += ["", *_columns(rows, names)]
    if len({run.design.target for run in runs}) > 1:
        lines += ["", " the targets differ, so losses, AIC and BIC cannot be compared"]
    if values["settings"]:
        rows = {name: [_text(v) for v in cells] for name, cells in values["settings"].items()}
        lines += ["", " settings that differ", *_columns(rows, names)]
    return lines


def _columns(rows: dict[str, list[str]], names: Sequence[str]) -> list[str]:
    cells = list(rows.values())
    return table([("", list(rows)), *((name, [c[i] for c in cells]) for i, name in enumerate(names))])


def _cell(c: dict[str, float | None]) -> str:
    error = "" if c["std_error"] is None else f" ({plain(c['std_error'], 3)})"
    return plain(c["estimate"], 5) + error


def _text(value: Any) -> str:
    if isinstance(value, float):
        return plain(value, 6)
    if isinstance(value, dict):
        return ", ".join(f"{k}={_text(v)}" for k, v in value.items()) or "-"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) and value is not True else str(value)
