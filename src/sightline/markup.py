"""What a notebook shows of a value beside its plain text: HTML that inherits the colors of the page it is put into.

No scripts, no addresses, every name escaped. Words have the color of the page, so that they can be read on white and on
dark; only signs and lines have colors, which stand out on both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Any

__all__ = ["BAD", "EXACT", "GOOD", "NOW", "SLOW", "bundle", "table_html", "verdict_html"]

GOOD, SLOW, BAD, NOW, EXACT = "#0f8f8f", "#c8600f", "#d6336c", "#5b66d6", "#c8600f"  # 3:1 on white and on dark
KINDS = {"CONVERGED": ("✓", GOOD), "DIVERGED": ("✕", BAD)}
CELL = "padding:.15em .7em;border:0;color:inherit;background:transparent;text-align:"
HEAD = "border-bottom:1px solid currentColor;font-weight:600;"


def bundle(
    text: str, html: str, include: Collection[str] | None = None, exclude: Collection[str] | None = None
) -> dict[str, str]:
    """Both forms by their media types, without those that were not asked for; plain text always.

    >>> bundle("1", "<b>1</b>", exclude={"text/html"})
    {'text/plain': '1'}
    """
    wanted = (not include or "text/html" in include) and "text/html" not in (exclude or ())
    return {"text/plain": text, "text/html": html} if wanted else {"text/plain": text}


def verdict_html(name: str, sentence: str, warnings: Iterable[Any] = ()) -> str:
    """The word with its sign, the sentence, then the warnings and what fixes them.

    >>> "<b>" in verdict_html("CONVERGED", "<b>")
    False
    """
    sign, color = KINDS.get(name, ("!", SLOW))
    head = (
        f'<span aria-hidden="true" style="color:{color};font-weight:bold">{sign}</span> '
        f"<strong>{escape(name)}</strong>: {escape(sentence)}"
    )
    style = f"border-left:4px solid {color};padding:.1em .8em;margin:.6em 0;max-width:60em"
    return f'<div style="{style}"><div>{head}</div>{_warnings_html(name, list(warnings))}</div>'


def _warnings_html(name: str, warnings: Sequence[Any]) -> str:
    """All that is to know but what divergence proved right, then everything that fixes it, once."""
    shown = [w for w in warnings if not (name == "DIVERGED" and w.code == "SL-LR-LIMIT")]
    told = [f'<div style="margin:.4em 0"><strong>{escape(w.code)}</strong>: {escape(w.text)}</div>' for w in shown]
    fixes = list(dict.fromkeys(fix for w in warnings for fix in w.fix))
    lead = "any one of these fixes it:" if len(fixes) > 1 else "this fixes it:"
    style = "background:transparent;color:inherit;white-space:pre-wrap;overflow-wrap:anywhere"
    lines = [f'<div style="margin-left:1.2em"><code style="{style}">{escape(fix)}</code></div>' for fix in fixes]
    return "".join([*told, *([f"<div>{lead}</div>", *lines] if fixes else [])])


def table_html(columns: Sequence[tuple[str, Sequence[str]]], *, more: int = 0) -> str:
    """A table whose first column names its rows and whose other columns are numbers; `more` rows are left out.

    >>> table_html([("term", ["a < b"]), ("estimate", ["1.5"])]).count("a &lt; b")
    1
    """
    head = "".join(_cell("th", title, i, HEAD) for i, (title, _) in enumerate(columns))
    rows = zip(*(cells for _, cells in columns), strict=True)
    body = "".join(f'<tr style="background:transparent">{"".join(_row(row))}</tr>' for row in rows)
    left = f'<div style="opacity:.75">and {more:,} more</div>' if more > 0 else ""
    style = "border-collapse:collapse;margin:.4em 0;color:inherit;font-variant-numeric:tabular-nums"
    return (
        f'<div style="overflow-x:auto"><table style="{style}"><thead><tr style="background:transparent">{head}</tr>'
        f"</thead><tbody>{body}</tbody></table>{left}</div>"
    )


def _row(cells: Iterable[str]) -> Iterable[str]:
    return (_cell("td" if i else "th", text, i) for i, text in enumerate(cells))


def _cell(tag: str, text: str, place: int, extra: str = "") -> str:
    scope = ' scope="col"' if extra else ' scope="row"' if tag == "th" else ""
    align = "right;white-space:nowrap" if place else "left;overflow-wrap:anywhere"
    return f'<{tag}{scope} style="{CELL}{align};{extra}">{escape(text)}</{tag}>'
