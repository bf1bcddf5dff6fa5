"""One sentence for each picture, made from its numbers: the same on the page and above a figure.

A scene and a table of records are what `sightline.scenes` makes of a run; the sentences are of the last record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["COLUMNS", "READINGS", "about", "known", "loss_at", "num", "standing_readings", "whole"]

Scene = Mapping[str, Any]
Table = Mapping[str, Any]
SCALES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


def known(x: Any) -> bool:
    """Whether x is a finite number."""
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def num(x: float | None, digits: int = 4) -> str:
    """A number with so many significant digits, as the page writes it.

    >>> num(29.0287671), num(3.52473e-5), num(56741.9897), num(-0.5657534246575342, 6)
    ('29.03', '3.525e-5', '56,740', '−0.565753')
    """
    if x is None or x != x:
        return "unknown"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    size = abs(x)
    if 1e4 <= size < 1e6:
        text = f"{float(f'{x:.{digits}g}'):,.2f}".rstrip("0").rstrip(".")
    elif size >= 1e6 or size < 1e-3:
        mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    elif size >= 10.0**digits:
        text = f"{float(f'{x:.{digits}g}'):.0f}"
    else:
        text = f"{x:#.{digits}g}".rstrip(".")
        if "e" in text:  # rounded up to one more digit
            text = f"{float(text):.0f}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def whole(x: float) -> str:
    """A whole number with commas."""
    return f"{math.floor(x + 0.5):,}" if known(x) else "never"


def about(x: float) -> str:
    """A number of epochs in words.

    >>> about(24.2), about(32_390_000.0), about(math.inf)
    ('24', '32 million', 'never')
    """
    if not known(x):
        return "never"
    for size, word in SCALES:
        if x >= 0.9995 * size:
            return f"{float(f'{x / size:.2g}'):g} {word}"
    return whole(float(f"{x:.2g}")) if x >= 1e4 else whole(x)


def loss_at(table: Table, i: int) -> float | None:
    """The loss of a record: at rest where it was measured, else while the parameters moved."""
    value = table["train_loss"][i]
    found: float | None = table["running_loss"][i] if value is None else value
    return found


def _fit(scene: Scene, table: Table) -> str:
    now, terms = _now(table), [c["term"] for c in scene["coef"]]
    exact = [c["exact"] for c in scene["coef"]]
    if now is None:
        return "No record yet."
    link = scene.get("link")
    beside = f"; exact: {_equation(terms, exact, link)}" if all(map(known, exact)) else ""
    rows = scene["sample"]["of"]
    seen = f" {rows:,} rows, {len(scene['points']['x'])} of them drawn over how many there are."
    binned = seen if "counts" in scene["points"] else ""
    return f"Now: {scene['target']} = {_equation(terms, now, link)}{beside}.{binned}"


def _now(table: Table) -> list[float] | None:
    return next((row for row in reversed(table["parameters"]) if row), None)


def _equation(terms: Sequence[str], values: Sequence[float], link: str | None = None) -> str:
    line = f"{num(values[-1])} × {_short(terms[-1], 16)}"
    line = line if len(terms) == 1 else f"{line} {'−' if values[0] < 0 else '+'} {num(abs(values[0]))}"
    return f"exp({line})" if link == "log" else line


def _short(text: str, most: int = 24) -> str:
    return text[: most - 1] + "…" if len(text) > most else text


def _coefficients(scene: Scene, table: Table) -> str:
    now = _now(table)
    if now is None and any(known(c["exact"]) for c in scene["coef"]):
        return "Solved without training: the exact answer, and what it is uncertain by."
    offs = [
        ((now[i] - c["exact"]) / c["std_error"], c["term"])
        for i, c in enumerate(scene["coef"])
        if now and known(c["exact"]) and c["std_error"]
    ]
    if not offs:
        first = scene["coef"][0] if scene["coef"] else {}
        return (
            "Standard errors are not known here." if known(first.get("exact")) else "No finite exact answer is known."
        )
    worst, name = max(offs, key=lambda one: abs(one[0]))
    size = abs(worst)
    if size < 5e-7:
        return "All coefficients are at their exact values."
    amount = num(size, 2) if size < 0.005 else f"{size:.{2 if size < 10 else 0}f}"
    meaning = (
        "less than the data can tell" if size < 0.5
        else "a difference that matters for the table" if size < 2
        else "far outside what the data allow"
    )  # fmt: skip
    return f"{name} is farthest from its exact value, by {amount} standard errors: {meaning}."


def _residuals(scene: Scene, _: Table) -> str:
    r = scene["residuals"]
    if r["rounding"]:
        return "The exact answer goes through every row: what is left is rounding."
    values = [abs(v) for v in r["residual"] if known(v)]
    spread = max(values, default=0.0) or 1.0
    bend = max(r["smooth"]["y"]) - min(r["smooth"]["y"]) if r["smooth"] else 0.0
    shape = "the smooth line stays near zero"
    if bend > 0.5 * spread:
        shape = "the smooth line bends: something is missing from the formula"
    if r["penalized"]:
        shape = "the penalty tilts the smooth line"
    if len(r["fitted"]) < 10:
        shape = "too few rows to see a bend"
    return f"Farthest from their prediction{_looked(scene)}: {_named(scene, r['extreme']['residual'])}; {shape}."


def _looked(scene: Scene) -> str:
    """Where there are more rows than a picture is made of."""
    sample = scene["sample"]
    return f" of {sample['looked']:,} of the {sample['of']:,} rows" if sample["looked"] < sample["of"] else ""


def _named(scene: Scene, rows: Sequence[int]) -> str:
    names = [scene["sample"]["places"][i] for i in rows]
    return "".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"


def _quantiles(scene: Scene, _: Table) -> str:
    far = sum(known(v) and abs(v) > 3 for v in scene["residuals"]["standardized"])
    say = "none of the rows shown is beyond 3 standard deviations"
    if far:
        say = f"{far:,} of the rows shown {'is' if far == 1 else 'are'} beyond 3 standard deviations"
    return f"On the dashed line residuals would be normal; {say}."


def _scale_location(scene: Scene, _: Table) -> str:
    spread = scene["residuals"].get("spread")
    if not spread:
        return "There are too few rows for a smooth line."
    first, last = spread["y"][0], spread["y"][-1]
    if max(first, last) > 1.6 * min(first, last):
        way = "grows" if last > first else "falls"
        return (
            f"By the smooth line the spread {way} along the fitted values: robust standard errors (--robust hc3) are "
            "safer."
        )
    return "By the smooth line the spread is about even."


def _leverage(scene: Scene, _: Table) -> str:
    r = scene["residuals"]
    if not r["extreme"].get("cook"):
        return "Standardized residuals are not defined here."
    top = r["extreme"]["cook"][0]
    size = r["cook"][top]
    say = "the fit hangs on it" if size > 1 else "look at it" if size > 0.5 else "no row decides the fit"
    return f"Largest Cook's distance{_looked(scene)}: {scene['sample']['places'][top]} with {num(size, 3)}; {say}."


def _calibration(scene: Scene, _: Table) -> str:
    bins = scene["scored"]["calibration"]
    off = [b for b in bins if b["predicted"] < b["low"] or b["predicted"] > b["high"]]
    say = "every group is within what chance allows"
    if off:
        say = f"{len(off):,} of {len(bins)} groups {'lies' if len(off) == 1 else 'lie'} outside of what chance allows"
    return f"Of the {scene['scored']['of']} model, {say}."


COLUMNS = {"residuals": "residual", "qq": "quantile", "scale_location": "standardized", "leverage": "leverage"}
READINGS: dict[str, Callable[[Scene, Table], str]] = {
    "fit": _fit,
    "coefficients": _coefficients,
    "residuals": _residuals,
    "qq": _quantiles,
    "scale_location": _scale_location,
    "leverage": _leverage,
    "calibration": _calibration,
}


def standing_readings(scene: Scene) -> dict[str, str]:
    """The sentences that stay the same whichever epoch is shown, by picture, of those that this scene has."""
    residuals = scene.get("residuals") or {}
    there = [name for name, column in COLUMNS.items() if column in residuals]
    return {name: READINGS[name](scene, {}) for name in [*there, *(["calibration"] if "scored" in scene else [])]}
