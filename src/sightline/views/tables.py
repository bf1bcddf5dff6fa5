"""What analysis finds, as tables of at most 80 columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..digits import Digits
from ..records import Coefficient
from ..words import count, plain
from .statistics import p_value, wrapped

if TYPE_CHECKING:
    from ..linear.anova import Anova
    from ..linear.assumptions import Test
    from ..linear.collinearity import Conditioning, Inflation
    from ..linear.crossval import Validation
    from ..linear.hypotheses import Hypotheses
    from ..linear.hypothesis_tests import ModelComparison, WaldTest
    from ..linear.influence import Influence

__all__ = [
    "anova_table",
    "assumption_table",
    "collinearity_table",
    "comparison_lines",
    "digits_table",
    "influence_table",
    "test_lines",
    "validation_lines",
]


def table(columns: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """A table whose first column is words, the others numbers."""
    widths = [max(len(title), *map(len, cells)) if cells else len(title) for title, cells in columns]
    first = min(widths[0], 79 - sum(w + 2 for w in widths[1:]))
    rows = [[title for title, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    lines = []
    for name, *cells in rows:
        short = name if len(name) <= first else name[: first - 3] + "..."
        lines.append(f" {short:<{first}}" + "".join(c.rjust(w + 2) for c, w in zip(cells, widths[1:], strict=True)))
    return lines


def _or_dash(value: float | None, text: Callable[[float], str] = plain) -> str:
    return "-" if value is None or math.isnan(value) else text(value)


def anova_table(found: Anova) -> list[str]:
    """Degrees of freedom, sums of squares, F and p of each term."""
    rows = [*found.terms, found.residuals]
    title = ("", "one after the other", "each after all that do not contain it", "each after all others")[found.type]
    return [
        f"analysis of variance, type {'I' * found.type}: {title}",
        *table(
            [
                ("", [row.term for row in rows]),
                ("df", [f"{row.df:,}" for row in rows]),
                ("sum of squares", [plain(row.sum_squares, 6) for row in rows]),
                ("mean square", [_or_dash(row.mean_square, lambda v: plain(v, 6)) for row in rows]),
                ("F", [_or_dash(row.f) for row in rows]),
                ("p", [_or_dash(row.p, p_value) for row in rows]),
            ]
        ),
    ]


def digits_table(coefficients: Sequence[Coefficient], digits: int, trusted: float) -> list[str]:
    """Exact coefficients and standard errors to that many significant digits, or as many as can be trusted."""
    most = max(1, min(digits, math.floor(trusted)))
    cells = [
        ("", [c.term for c in coefficients]),
        ("exact", [_to(c.exact, most) for c in coefficients]),
        ("std. error", [_to(c.std_error, most) for c in coefficients]),
    ]
    right = "all that can be trusted" if most < digits else "all of them right"
    lines = [f"to {count(most, 'digit')}, {right}"]
    if max(map(len, cells[0][1])) + max(map(len, cells[1][1])) + max(map(len, cells[2][1])) < 74:
        return [*lines, *table(cells)]
    for term, exact, error in zip(*(column for _, column in cells), strict=True):
        lines += [f" {term}", f"   {exact}", f"   std. error {error}"]
    return lines


def _to(value: float | None, digits: int) -> str:
    """As many digits as the number itself can be trusted to: a double to 15, whatever was asked."""
    if value is None:
        return "-"
    trusted = value.trusted if isinstance(value, Digits) else None
    return f"{value:#.{min(digits, 15 if trusted is None else max(1, math.floor(trusted)))}g}"


def test_lines(read: Hypotheses, test: WaldTest) -> list[str]:
    """A hypothesis, and how well the data bear it."""
    how = f"F({test.df}, {test.df_resid:g})" if test.df_resid is not None else f"chi-squared({test.df})"
    lines = wrapped(f"test of {', '.join(read.texts)}: {how} {plain(test.statistic)}, p {p_value(test.p)}", indent="  ")
    if read.dropped:
        lines += wrapped(f"  ({', '.join(read.dropped)} follows from the others)", indent="  ")
    return lines


def comparison_lines(small: str, large: str, found: ModelComparison) -> list[str]:
    """A smaller model against a larger one."""
    lines = wrapped(f"{small}  against  {large}", indent="  ")
    if found.statistic is None or found.p is None:
        return [*lines, " the larger model leaves no residuals to measure chance by"]
    how = f"F({found.df}, {found.df_resid})" if found.df_resid is not None else f"chi-squared({found.df})"
    return [*lines, f" {how} {plain(found.statistic)}, p {p_value(found.p)}"]


def collinearity_table(inflation: Sequence[Inflation], found: Conditioning) -> list[str]:
    """Variance inflation of each term, and the columns that nearly say the same."""
    cells = [
        ("", [one.group for one in inflation]),
        ("df", [str(one.df) for one in inflation]),
        ("GVIF" if any(one.df > 1 for one in inflation) else "VIF", [_or_dash(one.gvif) for one in inflation]),
        ("interval wider by", [_or_dash(one.scaled, lambda v: f"{v:.3g} x") for one in inflation]),
    ]
    lines = ["variance inflation: what the other terms cost each", *table(cells)] if inflation else []
    lines.append(f" largest condition index {plain(float(found.indices[-1]), 3)} (raw columns scaled to one length)")
    for near in found.dependencies:
        lines += wrapped(f" index {plain(near.index, 3)}: {', '.join(near.columns)} nearly say the same", indent="  ")
    return lines


def assumption_table(tests: Sequence[Test]) -> list[str]:
    """Tests of what standard errors assume, with what a small p says."""
    reasons = {t.reason for t in tests}
    if len(reasons) == 1 and None not in reasons:
        return [f"what the standard errors assume cannot be tested: {reasons.pop()}"]
    lines = [
        "what the standard errors assume",
        *table(
            [
                ("", [t.name for t in tests]),
                ("statistic", [_or_dash(t.statistic) for t in tests]),
                ("df", [", ".join(f"{df:,}" for df in t.df) or "-" for t in tests]),
                ("p", [_or_dash(t.p, p_value) for t in tests]),
            ]
        ),
    ]
    lines.append(" A small p says that")
    for t in tests:
        said = f"not defined: {t.reason}" if t.reason else t.meaning.removeprefix("A small p says that ")
        lines += wrapped(f" {t.name}: {said}", indent="   ")
    return lines


def influence_table(found: Influence, place: Callable[[int], str], rows: int = 5) -> list[str]:
    """The rows with the largest Cook's distance, named by their place in the data."""
    first = found.largest(rows)
    cells: list[tuple[str, list[str]]] = [("", [place(int(i)) for i in first.row])]
    for title, values in (
        ("Cook's distance", first.cook),
        ("leverage", first.leverage),
        ("standardized", first.standardized),
        ("studentized", first.studentized),
        ("DFFITS", first.dffits),
    ):
        cells.append((title, [_or_dash(value, lambda v: plain(v, 3)) for value in values.tolist()]))
    return ["rows with the most influence on the coefficients", *table(cells)]


def validation_lines(found: Validation) -> list[str]:
    """Errors on rows left out."""
    n = len(found.residual)
    how = "left out one at a time" if found.folds == n else f"left out in {count(found.folds, 'fold')}"
    lines = [
        f"cross-validation, {count(n, 'row')} {how}",
        f" root mean squared error {_or_dash(found.rmse)}, R2 {_or_dash(found.r2)}",
    ]
    if found.undetermined:
        what = count(found.undetermined, "row")
        lines += wrapped(
            f" without {what} that the others cannot predict, as they alone fix a coefficient", indent="   "
        )
    return lines
