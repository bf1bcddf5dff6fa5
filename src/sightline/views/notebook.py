"""Runs and tables of coefficients as a notebook displays them; see `markup` for what that HTML may hold."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..markup import table_html, verdict_html
from ..records import Coefficient
from ..words import count
from .class_report import metrics_lines
from .console import column_text, interval_text, or_dash, t_text
from .module_report import ModuleSubject, curvature_lines, epoch_columns, heading
from .statistics import distance_lines, p_value, statistics_lines
from .subject import Told

__all__ = ["coefficients_html", "module_html", "run_html"]

MOST_ROWS = 200


def coefficients_html(coefficients: Sequence[Coefficient], *, statistic: str = "t", level: float | None = None) -> str:
    """The table with every column; estimate and exact side by side."""
    shown = coefficients[:MOST_ROWS]
    columns = [
        ("term", [c.term for c in shown]),
        ("estimate", column_text([c.estimate for c in shown])),
        ("exact", column_text([c.exact for c in shown])),
        ("std. error", column_text([c.std_error for c in shown])),
        (statistic, [or_dash(c.t, t_text) for c in shown]),
        ("p", [or_dash(c.p, p_value) for c in shown]),
        ("interval" if level is None else f"{100 * level:g} % interval", [interval_text(c) for c in shown]),
        ("off by", [or_dash(c.off_by, lambda v: f"{v:+.2f} se" if abs(v) < 1e4 else f"{v:+.1e} se") for c in shown]),
    ]
    return table_html(columns, more=len(coefficients) - len(shown))


def run_html(run: Told) -> str:
    """What was fitted, the table, the statistics, the verdict."""
    df = run.result["df"]
    head = f"{count(run.result['rows'], 'row')}, {count(df, 'degree')} of freedom"
    statistic = "z" if run.design.classes or run.result["fit"].get("normal") else "t"
    return "".join(
        [
            f"<div><strong>{escape(run.result['formula'])}</strong> &nbsp; {head}</div>",
            coefficients_html(run.coefficients, statistic=statistic, level=run.level),
            _lines(statistics_lines(run)),
            _as_typed(metrics_lines(run)),
            _lines(distance_lines(run)),
            verdict_html(run.verdict.name, run.verdict.sentence, run.verdict.warnings),
        ]
    )


def module_html(run: ModuleSubject) -> str:
    """What was trained, some of its epochs, the verdict."""
    first, *rest = heading(run)
    return "".join(
        [
            f"<div><strong>{escape(first)}</strong></div>",
            _lines(rest),
            table_html(epoch_columns(run.epochs, run.result["kept_epoch"])),
            _lines(curvature_lines(run)),
            verdict_html(run.verdict.name, run.verdict.sentence, run.verdict.warnings),
        ]
    )


def _as_typed(lines: Sequence[str]) -> str:
    """Lines that have columns of their own, as a screen shows them."""
    style = "background:transparent;color:inherit;opacity:.85;margin:.4em 0"
    return f'<pre style="{style}">{escape(chr(10).join(lines))}</pre>' if lines else ""


def _lines(lines: Sequence[str]) -> str:
    """Lines of text, those that were broken for a narrow screen put together again."""
    joined: list[str] = []
    for line in lines:
        if line.startswith("   ") and joined:
            joined[-1] += f" {line.strip()}"
        elif line.strip():
            joined.append(line.strip())
    return "".join(f'<div style="opacity:.85">{escape(line)}</div>' for line in joined)
