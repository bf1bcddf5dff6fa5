"""A sheet of worked mathematics, and the three ways to write it: a terminal, Markdown, LaTeX.

In words and cells, `backticks` hold mathematics in the notation of `views.notation`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .notation import as_tex, as_text, broken, tex_escaped

__all__ = ["FORMATS", "Block", "Formulas", "Grid", "Heading", "Words", "written"]

WIDTH = 80
GLUE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Heading:
    """A title (level 1) or the title of a section (level 2)."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Formulas:
    """Formulas below each other."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table; the columns of numbers are on the right, the first on the left if `named`."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    named: bool = True


Block = Heading | Words | Formulas | Grid


def written(blocks: Sequence[Block], form: str) -> str:
    """The sheet in one of `FORMATS`.

    >>> print(written([Heading("Loss"), Words("The mean, `L`:"), Formulas(("L = Σ ℓᵢ / n",))], "text"))
    Loss
    <BLANKLINE>
    The mean, L:
    <BLANKLINE>
        L = Σ ℓᵢ / n
    """
    return FORMATS[form](blocks)


def _inline(text: str, words: Callable[[str], str], formula: Callable[[str], str]) -> str:
    parts = text.split("`")
    return "".join(formula(part) if i % 2 else words(part) for i, part in enumerate(parts))


def _same(text: str) -> str:
    return text


def _text(blocks: Sequence[Block]) -> str:
    return "\n\n".join("\n".join(_text_lines(block)) for block in blocks)


def _text_lines(block: Block) -> list[str]:
    if isinstance(block, Heading):
        return [*_wrapped(block.text), *(["=" * min(WIDTH, len(block.text))] if block.level == 1 else [])]
    if isinstance(block, Words):
        return _wrapped(block.text)
    if isinstance(block, Formulas):
        lines = []
        for formula in block.lines:
            first, *more = broken(as_text(formula), WIDTH - 4)
            lines += [f"    {first}", *(f"        {line}" for line in more)]
        return lines
    return _text_grid(block)


def _wrapped(text: str) -> list[str]:
    """Lines of words, where short mathematics is not torn apart."""
    kept = _inline(text, _same, lambda f: as_text(f).replace(" ", GLUE) if len(f) < 30 else as_text(f))
    return [line.replace(GLUE, " ") for line in textwrap.wrap(kept, WIDTH, break_on_hyphens=False)]


def _text_grid(grid: Grid) -> list[str]:
    rows = [tuple(_inline(cell, _same, as_text) for cell in row) for row in (grid.header, *grid.rows)]
    widths = [max(_cells(row[j]) for row in rows) for j in range(len(grid.header))]
    if grid.named:
        widths[0] = max(8, min(widths[0], WIDTH - 4 - sum(w + 2 for w in widths[1:])))
    lines = []
    for row in rows:
        first = row[0] if _cells(row[0]) <= widths[0] else row[0][: widths[0] - 3] + "..."
        padding = " " * (widths[0] - _cells(first))
        line = "    " + (first + padding if grid.named else padding + first)
        for cell, width in zip(row[1:], widths[1:], strict=True):
            line += " " * (width + 2 - _cells(cell)) + cell
        lines.append(line.rstrip())
    return lines


def _cells(text: str) -> int:
    """Columns of a terminal: accents that combine take none."""
    from unicodedata import combining

    return sum(not combining(c) for c in text)


def _markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(_markdown_block(block) for block in blocks)


def _markdown_words(text: str) -> str:
    return re.sub(r"([\\*_\[\]<>|$#~])", r"\\\1", text)


def _markdown_inline(text: str) -> str:
    return _inline(text, _markdown_words, lambda formula: f"${as_tex(formula)}$")


def _markdown_block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_markdown_inline(block.text)}"
    if isinstance(block, Words):
        return _markdown_inline(block.text)
    if isinstance(block, Formulas):
        return f"$$\n{_aligned(block)}\n$$"
    sides = [":--" if grid_left else "--:" for grid_left in (block.named, *[False] * (len(block.header) - 1))]
    rows = [block.header, tuple(sides), *block.rows]
    cells = [row if row == tuple(sides) else tuple(_markdown_inline(c) for c in row) for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _aligned(block: Formulas) -> str:
    """Formulas below each other, at their first sign of equality."""
    lines = []
    for formula in block.lines:
        first, *more = broken(formula, WIDTH)
        left, sign, right = re.match(r"(.*?)( = | ← | ≈ |$)(.*)", first, re.S).groups()  # type: ignore[union-attr]
        lines.append(f"{as_tex(left)} &{as_tex(sign)} {as_tex(right)}")
        lines += [rf"&\quad {as_tex(line)}" for line in more]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _latex(blocks: Sequence[Block]) -> str:
    body = "\n\n".join(_latex_block(block) for block in blocks)
    return f"{PREAMBLE}\n\\begin{{document}}\n\n{body}\n\n\\end{{document}}"


PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath}
\usepackage[margin=25mm]{geometry}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}"""


def _latex_inline(text: str) -> str:
    return _inline(text, tex_escaped, lambda formula: f"${as_tex(formula)}$")


def _latex_block(block: Block) -> str:
    if isinstance(block, Heading):
        return rf"\{'section' if block.level == 1 else 'subsection'}*{{{_latex_inline(block.text)}}}"
    if isinstance(block, Words):
        return _latex_inline(block.text)
    if isinstance(block, Formulas):
        return f"\\[\n{_aligned(block)}\n\\]"
    sides = ("l" if block.named else "r") + "r" * (len(block.header) - 1)
    rows = [" & ".join(_latex_inline(c) for c in row) + r" \\" for row in (block.header, *block.rows)]
    table = "\n".join([rows[0] + r" \hline", *rows[1:]])
    return f"\\begin{{center}}\n\\begin{{tabular}}{{{sides}}}\n{table}\n\\end{{tabular}}\n\\end{{center}}"


FORMATS: dict[str, Callable[[Sequence[Block]], str]] = {"text": _text, "markdown": _markdown, "latex": _latex}
