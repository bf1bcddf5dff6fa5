"""Python source as text: values as literals that nothing can break out of, and lines broken as ruff breaks them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["WIDTH", "assigned", "called", "listed", "literal", "remark"]

WIDTH = 100
INDENT = "    "


def literal(value: object) -> str:
    r"""A number, text, None, or a list, tuple or dict of such as Python reads it back, texts in ASCII where they do not
    print.

    >>> print(literal('it\'s "x"'), literal("a\nb"), literal((0.9, None)))
    'it\'s "x"' "a\nb" (0.9, None)
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        parts = ", ".join(map(literal, value))
        return f"[{parts}]" if isinstance(value, list) else f"({parts}{',' * (len(value) == 1)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else f'float("{float(value)}")'
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    raise TypeError(f"a {type(value).__name__} has no literal")


def _text(text: str) -> str:
    """In the quotes that need fewer escapes, double ones where both need as many."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    body = "".join(c if c in "'\"" else repr(c)[1:-1] for c in text)
    return quote + body.replace(quote, "\\" + quote) + quote


def remark(text: str, limit: int = 80) -> str:
    r"""Text for a comment: on one line, whatever it holds, and cut to the limit.

    >>> remark("y ~ x\nimport os")
    'y ~ x\\nimport os'
    """
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return line if len(line) <= limit else line[: limit - 3] + "..."


def assigned(name: str, text: str) -> list[str]:
    """The lines of `name = "text"`: in parentheses where it fits only so."""
    value = literal(text)
    if len(f"{name} = {value}") <= WIDTH or len(INDENT + value) > WIDTH:
        return [f"{name} = {value}"]
    return [f"{name} = (", f"{INDENT}{value}", ")"]


def called(head: str, arguments: Sequence[str]) -> list[str]:
    """The lines of `head(arguments)`: one, or with the arguments on a line of their own, or on one each."""
    line = f"{head}({', '.join(arguments)})"
    if len(line) <= WIDTH or not arguments:
        return [line]
    inner = INDENT + ", ".join(arguments)
    middle = [inner] if len(inner) <= WIDTH else [f"{INDENT}{argument}," for argument in arguments]
    return [f"{head}(", *middle, ")"]


def listed(head: str, values: Sequence[object], indent: str = "", end: str = "") -> list[str]:
    """The lines of `head[values]end`: one, or where that is too long each value on a line of its own.

    >>> listed("names = ", ["a", "b"])
    ['names = ["a", "b"]']
    """
    line = f"{indent}{head}{literal(list(values))}{end}"
    if len(line) <= WIDTH:
        return [line]
    inner = [
        line
        for value in values
        for line in (
            listed("", value, indent + INDENT, ",")
            if isinstance(value, list)
            else [f"{indent}{INDENT}{literal(value)},"]
        )
    ]
    return [f"{indent}{head}[", *inner, f"{indent}]{end}"]
