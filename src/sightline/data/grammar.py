"""Below the terms of a formula: its words, and the arithmetic inside its function calls.

    sum     = product (("+" | "-") product)*         the four levels are one loop over `PRECEDENCE`
    product = signed (("*" | "/") signed)*
    signed  = "-" signed | power
    power   = operand (("^" | "**") signed)?         as in R, -a^2 is -(a^2) and 2^3^2 is 2^(3^2)
    operand = number | name | "(" sum ")" | function "(" sum ("," option)* ")"

Text becomes a flat program in postfix order (`Expression`), which `transforms.py` runs on columns. Nothing in
a formula is ever handed to Python: what is not in the fixed lists of `lexer.py` is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..errors import FormulaError, nearest, shown
from .lexer import FUNCTIONS, OPTIONS, Cursor, Token, words

__all__ = ["Expression", "Step", "call", "columns_of", "last_operand", "quote", "render"]

PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4, "**": 4}
SIGNED, ATOM = 3, 5

Option = bool | float | str | tuple[float, ...]
MOST = {"degree": 30, "df": 1000}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a postfix program: push a column or a number, or apply a sign, an operator, a function."""

    kind: Literal["column", "number", "sign", "operator", "call"]
    name: str = ""
    number: float = 0.0
    options: tuple[tuple[str, Option], ...] = ()


Expression = tuple[Step, ...]


def call(cursor: Cursor) -> Expression:
    """Read one function call, of any function in the list."""
    word = cursor.next()
    if word.text not in FUNCTIONS:
        raise cursor.error(f"unknown function {shown(word.text)}: {nearest(word.text, FUNCTIONS)}", word)
    opened = cursor.next()
    steps: list[Step] = []
    with cursor.nested():
        if word.text == "C":
            steps.append(_column(cursor, "C(...) takes the name of one column, as in C(g)"))
        else:
            _arithmetic(cursor, steps)
        options = tuple(_options(cursor, word.text))
        cursor.close(opened)
    if word.text == "bs":
        _check_bs(cursor, dict(options), word)
    if not any(step.kind == "column" for step in steps):
        raise cursor.error(f"{word.text}(...) names no column here: write one inside its parentheses", word)
    return (*steps, Step("call", word.text, options=options))


def _arithmetic(cursor: Cursor, steps: list[Step], lowest: int = 1) -> None:
    """Append the program of everything whose operators bind at least as tightly as `lowest`."""
    _operand(cursor, steps)
    while cursor.word.kind == "symbol" and PRECEDENCE.get(cursor.word.text, 0) >= lowest:
        symbol = cursor.next().text.replace("**", "^")
        if symbol == "^":
            with cursor.nested():
                _arithmetic(cursor, steps, PRECEDENCE["^"])
        else:
            _arithmetic(cursor, steps, PRECEDENCE[symbol] + 1)
        steps.append(Step("operator", symbol))


def _operand(cursor: Cursor, steps: list[Step]) -> None:
    word = cursor.word
    if cursor.at_call():
        if word.text in OPTIONS:
            message = f"{word.text}(...) cannot stand inside another function: make it a term of its own"
            raise cursor.error(message, word)
        steps.extend(call(cursor))
    elif word.kind in ("name", "quoted"):
        steps.append(_column(cursor, "inside a function '.' cannot stand for all columns: name one"))
    elif word.kind == "number":
        steps.append(Step("number", number=float(cursor.next().value)))
    elif cursor.accept("-", "+"):
        with cursor.nested():
            _arithmetic(cursor, steps, PRECEDENCE["^"])
        if word.text == "-":
            steps.append(Step("sign", "-"))
    elif cursor.accept("("):
        with cursor.nested():
            _arithmetic(cursor, steps)
            cursor.close(word)
    else:
        raise cursor.unexpected()


def _column(cursor: Cursor, otherwise: str) -> Step:
    if cursor.word.kind not in ("name", "quoted") or cursor.word.text == "." or cursor.at_call():
        raise cursor.error(otherwise)
    return Step("column", cursor.next().value)


def _options(cursor: Cursor, function: str) -> Iterator[tuple[str, Option]]:
    """The arguments behind the first: `2`, `degree=2`, `raw=True`, `reference="b"`."""
    known = OPTIONS.get(function, ())
    seen: set[str] = set()
    while cursor.accept(","):
        if not known:
            message = f"{function}(...) takes one argument only: remove the comma and what follows it"
            raise cursor.error(message)
        word, name = cursor.word, ""
        if word.kind == "name" and cursor.words[cursor.index + 1].text == "=":
            name = word.value
            cursor.index += 2
        positional = not name and function != "C" and not seen
        meant = known[0] if positional else name
        if meant not in known or meant in seen:
            wanted = " and ".join(f"{choice}=..." for choice in known)
            message = f"{function}(...) takes {wanted} behind the column, each once and by name"
            raise cursor.error(message, word)
        seen.add(meant)
        yield name, _option(cursor, meant)


def _option(cursor: Cursor, name: str) -> Option:
    if name == "knots":
        return tuple(_knots(cursor))
    negative = cursor.accept("-")
    word = cursor.word
    if name == "raw" and word.text in ("True", "False", "TRUE", "FALSE") and not negative:
        return cursor.next().text.upper() == "TRUE"
    if name == "reference" and word.kind == "string" and not negative:
        return cursor.next().value
    whole = word.value.isdigit() and not negative and 1.0 <= float(word.value) <= MOST.get(name, 0)
    if word.kind == "number" and (name == "reference" or whole):
        return float(cursor.next().value) * (-1.0 if negative else 1.0)
    wanted = {"raw": "True or False", "reference": 'a category: a text in quotes, as in "b", or a number'}
    number = f"a whole number from 1 to {MOST.get(name, 0):,}"
    raise cursor.error(f"{name}= must be {wanted.get(name, number)}", word)


def _knots(cursor: Cursor) -> Iterator[float]:
    """`c(1, 2.5)`, in rising order."""
    word, last = cursor.word, -math.inf
    if not (cursor.at_call() and word.text == "c"):
        raise cursor.error("knots= must be numbers in rising order, as in knots=c(2, 3.5)", word)
    cursor.index += 2
    while True:
        sign = -1.0 if cursor.accept("-") else 1.0
        number = cursor.word
        if number.kind != "number" or not sign * float(number.value) > last:
            raise cursor.error("knots= must be numbers in rising order, as in knots=c(2, 3.5)")
        last = sign * float(cursor.next().value)
        yield last
        if not cursor.accept(","):
            break
    cursor.close(word)


def _check_bs(cursor: Cursor, options: dict[str, Option], word: Token) -> None:
    """Refuse df and knots together, and fewer columns than a piece of the spline has."""
    df, degree = options.get("df", options.get("")), options.get("degree", 3.0)
    if df is not None and "knots" in options:
        raise cursor.error("bs(...) takes df= or knots=, not both, as each tells the other: remove one", word)
    if isinstance(df, float) and isinstance(degree, float) and df < degree:
        message = f"df= of bs(...) must be at least its degree, {degree:g}: raise df, or give a lower degree="
        raise cursor.error(message, word)


def columns_of(expression: Expression) -> tuple[str, ...]:
    """The columns that an expression reads, each once, in the order of their first use."""
    return tuple(dict.fromkeys(step.name for step in expression if step.kind == "column"))


def last_operand(expression: Expression) -> Expression:
    """The part of a program that computes its last value."""
    place, wanted = len(expression), 1
    while wanted:
        place -= 1
        wanted += {"operator": 1, "column": -1, "number": -1}.get(expression[place].kind, 0)
    return expression[place:]


def render(expression: Expression) -> str:
    """An expression as the text that R names it by; reading that text gives the same expression.

    >>> render((Step("column", "odd name"), Step("sign", "-"), Step("call", "I")))
    'I(-`odd name`)'
    """
    stack: list[tuple[str, int]] = []
    for step in expression:
        if step.kind == "operator":
            right, left = stack.pop(), stack.pop()
            stack.append(_binary(step.name, left, right))
        elif step.kind == "sign":
            stack.append(("-" + _within(stack.pop(), SIGNED), SIGNED))
        elif step.kind == "call":
            arguments = ", ".join([stack.pop()[0], *map(_option_text, step.options)])
            stack.append((f"{step.name}({arguments})", ATOM))
        else:
            stack.append((quote(step.name) if step.kind == "column" else number_text(step.number), ATOM))
    return stack[-1][0]


def _binary(symbol: str, left: tuple[str, int], right: tuple[str, int]) -> tuple[str, int]:
    level = PRECEDENCE[symbol]
    spaced = f" {symbol} " if symbol in "+-*" else symbol
    power = symbol == "^"
    return _within(left, level + power) + spaced + _within(right, SIGNED if power else level + 1), level


def _within(part: tuple[str, int], lowest: int) -> str:
    text, level = part
    return text if level >= lowest else f"({text})"


def _option_text(option: tuple[str, Option]) -> str:
    name, value = option
    if isinstance(value, str):
        text = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    elif isinstance(value, tuple):
        text = f"c({', '.join(map(number_text, value))})"
    else:
        text = str(value) if isinstance(value, bool) else number_text(value)
    return f"{name}={text}" if name else text


def number_text(value: float) -> str:
    """A number as a formula writes it: 2, not 2.0."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def quote(name: str) -> str:
    """A column name as a formula must write it: between backticks unless it is a plain name.

    >>> quote("height"), quote("weight (kg)")
    ('height', '`weight (kg)`')
    """
    plain = name != "." and name.isprintable() and _is_name(name)
    return name if plain else "`" + name.replace("`", "``") + "`"


def _is_name(name: str) -> bool:
    try:
        found = words(name)
    except FormulaError:
        return False
    return len(found) == 2 and found[0].kind == "name" and found[0].text == name
