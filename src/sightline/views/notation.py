"""Formulas as plain text, with numbers in place of symbols, and as TeX.

A formula is one line of Unicode such as "w ← w - lr · g". Between START and END stands a name that is no mathematics.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

__all__ = ["END", "START", "as_tex", "as_text", "broken", "named", "number", "substituted", "tex_escaped"]

START, END = "\x02", "\x03"


def named(name: str) -> str:
    """A name as an index, "w[height]" in text and w with a subscript in TeX."""
    return START + "".join(c if c.isprintable() else "?" for c in name) + END


def number(value: float, digits: int = 4) -> str:
    """A number to so many significant digits, without an exponent where it is of a human size.

    >>> number(-34.9998308, 9), number(3e-06, 9), number(4131.125, 9), number(56741.99, 4), number(-0.0, 9)
    ('-34.9998308', '3e-6', '4131.125', '56742', '0')
    """
    if not math.isfinite(value):
        return "not finite"
    if value == 0.0:
        return "0"
    text = f"{value:.{digits}g}"
    mantissa, exponent, power = text.partition("e")
    if not exponent:
        return text
    return f"{value:.0f}" if 0 < int(power) < 7 else f"{mantissa}e{int(power)}"


def substituted(formula: str, values: Mapping[str, str]) -> str:
    """The formula with numbers for its symbols, negative ones in parentheses.

    >>> substituted("w - lr · g", {"w": "0.45", "lr": "3e-6", "g": "-9509"})
    '0.45 - 3e-6 · (-9509)'
    >>> substituted("v / (1 - β₂ᵗ)", {"v": "-0.5", "β₂": "0.9", "t": "12"})
    '-0.5 / (1 - 0.9¹²)'
    """
    raised = str(values.get("t", "t")).translate(SUPERSCRIPT)
    text = formula.replace("ᵗ", RAISED)
    symbols = "|".join(re.escape(s) for s in sorted(values, key=len, reverse=True))

    def put(match: re.Match[str]) -> str:
        value = values[match[0]]
        power = text[match.end() : match.end() + 1] in (RAISED, "²")
        return (
            f"({value})" if (value.startswith("-") and (match.start() or power)) or ("e" in value and power) else value
        )

    return re.sub(rf"(?<![A-Za-zα-ω])(?:{symbols})(?![A-Za-zα-ω\u0300-\u036f])", put, text).replace(RAISED, raised)


RAISED = "\x04"
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def as_text(formula: str) -> str:
    """The formula for a terminal.

    >>> as_text("w" + named("height") + " · x")
    'w[height] · x'
    """
    return formula.replace(START, "[").replace(END, "]")


def broken(formula: str, width: int) -> list[str]:
    """The formula in lines of about that width, broken before = + - and never inside a root or a name."""
    pieces = _pieces(formula)
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) > width - (4 if len(lines) > 1 else 0):
            lines.append(piece.lstrip())
        else:
            lines[-1] += piece
    return lines


def _pieces(formula: str) -> list[str]:
    """Cut before each " = ", " + ", " - " that is not inside a root, a power or a name."""
    pieces, start, roots, name = [], 0, [], False
    for i, c in enumerate(formula):
        name = c == START or (name and c != END)
        if c == "(":
            roots.append(i > 0 and formula[i - 1] == "√")
        elif c == ")" and roots:
            roots.pop()
        if formula[i : i + 3] in (" = ", " + ", " - ") and not name and not any(roots) and i > start:
            pieces.append(formula[start:i])
            start = i
    return [*pieces, formula[start:]]


def as_tex(formula: str) -> str:
    r"""The formula as TeX, for math mode.

    >>> as_tex("w ← w - lr · m̂ / (√v̂ + ε)")
    'w \\leftarrow w - \\mathrm{lr} \\cdot \\hat{m} / (\\sqrt{\\hat{v}} + \\varepsilon)'
    >>> as_tex("∂L/∂b = 2/n Σ (ŷᵢ - yᵢ) ≈ 3e-6")
    '\\frac{\\partial L}{\\partial b} = 2/n \\sum (\\hat{y}_{i} - y_{i}) \\approx 3 \\cdot 10^{-6}'
    """
    names: list[str] = []

    def keep(match: re.Match[str]) -> str:
        names.append(match[1])
        return f"\x05{chr(0xE000 + len(names) - 1)}"

    text = re.sub(f"{START}(.*?){END}", keep, formula)
    text = re.sub("∂(L|ℓ)/∂(\\w(?:\x05.)?)", r"\\frac{\\partial \1}{\\partial \2}", text)
    text = re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)e(-?)(\d+)(?!\w)", r"\1 \\cdot 10^{\2\3}", text)
    text = _roots(text)
    text = re.sub("(.)\u0302", r"\\hat{\1}", text)
    for marks, sign, plain in ((RAISED_MARKS, "^", RAISED_PLAIN), (LOWERED_MARKS, "_", LOWERED_PLAIN)):
        table = str.maketrans(marks, plain)
        text = re.sub(f"[{marks}]+", lambda m, t=table, s=sign: f"{s}{{{m[0].translate(t)}}}", text)  # type: ignore[misc]
    text = re.sub(r"(?<![A-Za-z\\])(lr|wd|log|exp)(?![A-Za-z])", lambda m: WORDS[m[1]], text)
    text = "".join(SIGNS.get(c, c) for c in text)
    text = re.sub(r" {2,}", " ", text)
    first = r"(?:_\{(\w+)\})?"  # a number and a name share one index
    return re.sub(f"{first}\x05(.)", lambda m: _index(m[1], names[ord(m[2]) - 0xE000]), text).strip()


def _index(number: str | None, name: str) -> str:
    return f"_{{{f'{number},' if number else ''}\\text{{{tex_escaped(name)}}}}}"


def _roots(text: str) -> str:
    """√(...) and √x as \\sqrt{...}."""
    while (at := text.find("√")) >= 0:
        if text[at + 1 : at + 2] == "(":
            depth, end = 1, at + 2
            while end < len(text) and depth:
                depth += (text[end] == "(") - (text[end] == ")")
                end += 1
            inside = text[at + 2 : end - 1]
        else:
            found = re.match("[\\d.]+(?: \\\\cdot 10\\^{-?\\d+})?|.[\u0302]?", text[at + 1 :])
            inside = found[0] if found else ""
            end = at + 1 + len(inside)
        text = f"{text[:at]}\\sqrt{{{inside}}}{text[end:]}"
    return text


RAISED_MARKS, RAISED_PLAIN = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵗᶻ", "0123456789-tz"
LOWERED_MARKS, LOWERED_PLAIN = "₀₁₂₃₄₅₆₇₈₉ᵢⱼₖ", "0123456789ijk"
WORDS = {"lr": r"\mathrm{lr}", "wd": r"\mathrm{wd}", "log": r"\log", "exp": r"\exp"}
SIGNS = {
    "·": r"\cdot", "←": r"\leftarrow", "ŷ": r"\hat{y}", "ȳ": r"\bar{y}", "ḡ": r"\bar{g}", "β": r"\beta",
    "Σ": r"\sum", "∂": r"\partial ", "λ": r"\lambda", "ε": r"\varepsilon", "α": r"\alpha", "μ": r"\mu", "τ": r"\tau",
    "η": r"\eta", "θ": r"\theta", "φ": r"\varphi", "ℓ": r"\ell", "≈": r"\approx", "×": r"\times", "…": r"\ldots",
    "≤": r"\le", "⋆": "*",
}  # fmt: skip


def tex_escaped(text: str) -> str:
    r"""Text that TeX prints as it is.

    >>> print(tex_escaped("50% of a_b"))
    50\% of a\_b
    """
    return "".join(ESCAPES.get(c, c) for c in text)


ESCAPES = {
    **{c: "\\" + c for c in "%&#_{}$"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}",
}  # fmt: skip
