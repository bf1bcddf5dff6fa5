"""A formula as a list of words: names, numbers, quoted texts and symbols, each with its place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from ..errors import FormulaError, shown

__all__ = ["ALLOWED", "FUNCTIONS", "NUMERIC", "OPTIONS", "Cursor", "Token", "words"]

NUMERIC = ("log", "exp", "sqrt", "abs", "I", "center", "scale", "log2", "log10", "log1p", "sin", "cos")
OPTIONS = {"C": ("reference",), "poly": ("degree", "raw"), "bs": ("df", "degree", "knots"), "offset": ()}
FUNCTIONS = (*NUMERIC[:5], "C", *NUMERIC[5:], "poly", "bs", "offset")
ALLOWED = f"allowed are + - : * ^ ( ) 0 1 . and the functions {', '.join(FUNCTIONS)}"
MAX_LENGTH = 10_000
MAX_DEPTH = 100
NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
SYMBOLS = ("**", *"~+-:*^()/,=")

Kind = Literal["name", "quoted", "number", "string", "symbol", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """One word: its text as typed, and `value`, the name, text or number that it stands for."""

    kind: Kind
    text: str
    value: str
    start: int
    end: int


def words(text: str) -> list[Token]:
    """Split a formula into words; the last one is of kind `end`.

    >>> [word.text for word in words("y ~ log(x1)")]
    ['y', '~', 'log', '(', 'x1', ')', '']

    Raises:
        FormulaError: a character that no formula has; an open quote; a text of more than 10,000 characters.
    """
    if len(text) > MAX_LENGTH:
        message = f"the formula has {len(text):,} characters, more than {MAX_LENGTH:,}: shorten it, or use ."
        raise FormulaError(message)
    found: list[Token] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        word = _word(text, place)
        found.append(word)
        place = word.end
    return [*found, Token("end", "", "", len(text), len(text))]


def _word(text: str, start: int) -> Token:
    character = text[start]
    number = NUMBER.match(text, start)
    if number:
        return _number(text, start, number.end())
    if character == "." or character.isidentifier():
        end = start
        while end < len(text) and (text[end] == "." or f"a{text[end]}".isidentifier()):
            end += 1
        return Token("name", text[start:end], text[start:end], start, end)
    if character == "`":
        return _quoted(text, start)
    if character in "\"'":
        return _string(text, start)
    for symbol in SYMBOLS:
        if text.startswith(symbol, start):
            return Token("symbol", symbol, symbol, start, start + len(symbol))
    raise FormulaError(f"the formula may not use {shown(character)}: {ALLOWED}", formula=text, start=start)


def _number(text: str, start: int, end: int) -> Token:
    digits = text[start:end]
    if not math.isfinite(float(digits)):
        message = f"the number {shown(digits)} is too large: write a smaller one"
        raise FormulaError(message, formula=text, start=start, end=end)
    return Token("number", digits, digits, start, end)


def _quoted(text: str, start: int) -> Token:
    """A name between backticks; a doubled backtick inside stands for one."""
    end = start + 1
    while True:
        end = text.find("`", end) + 1
        if not end:
            message = "this backtick is never closed: put one more behind the name, as in `weight (kg)`"
            raise FormulaError(message, formula=text, start=start)
        if not text.startswith("`", end):
            return Token("quoted", text[start:end], text[start + 1 : end - 1].replace("``", "`"), start, end)
        end += 1


STRING = re.compile(r"""(["'])((?:\\.|(?!\1)[^\\])*)\1""", re.DOTALL)


def _string(text: str, start: int) -> Token:
    r"""A text between quotes, where a backslash keeps the next character as it is: "a \"b\"" is a "b"."""
    found = STRING.match(text, start)
    if not found:
        message = "this quote is never closed: put the same quote behind the text"
        raise FormulaError(message, formula=text, start=start)
    return Token("string", found[0], re.sub(r"\\(.)", r"\1", found[2], flags=re.DOTALL), start, found.end())


class Cursor:
    """A place among the words of a formula, and the errors that can be told from there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = words(text)
        self.index = 0
        self.depth = 0

    @property
    def word(self) -> Token:
        """The word that is read next."""
        return self.words[self.index]

    @property
    def ended(self) -> bool:
        """Whether all words are read."""
        return self.index == len(self.words) - 1

    def next(self) -> Token:
        """Take the next word; the end is never passed."""
        word = self.word
        self.index += not self.ended
        return word

    def accept(self, *symbols: str) -> bool:
        """Take the next word if it is one of these symbols."""
        found = self.word.kind == "symbol" and self.word.text in symbols
        self.index += found
        return found

    def at_call(self) -> bool:
        """Whether a function call starts here: a name with a parenthesis behind it."""
        follower = self.words[min(self.index + 1, len(self.words) - 1)]
        return self.word.kind == "name" and follower.kind == "symbol" and follower.text == "("

    def close(self, opened: Token) -> None:
        """Take the parenthesis that closes `opened`."""
        if self.accept(")"):
            return
        if self.ended:
            raise self.error("this '(' is never closed: add the ')' that belongs to it", opened)
        raise self.unexpected()

    @contextmanager
    def nested(self) -> Iterator[None]:
        """One level deeper, to a limit that keeps hostile text from exhausting the stack."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"the formula is nested deeper than {MAX_DEPTH} levels: use fewer parentheses")
        yield
        self.depth -= 1

    def error(self, message: str, word: Token | None = None) -> FormulaError:
        """The error with a caret under the word, or under the next one."""
        word = word or self.word
        return FormulaError(message, formula=self.text, start=word.start, end=word.end)

    def unexpected(self) -> FormulaError:
        """The error that says what is wrong with the next word here."""
        word, text = self.word, shown(self.word.text if self.word.kind == "symbol" else self.word.value)
        if self.ended:
            previous = shown(self.words[self.index - 1].text)
            return self.error(f"the formula ends too early: a column is missing after {previous}")
        if word.kind == "string":
            return self.error(
                f'{text} is a text in quotes, which may only stand in C(column, reference="..."); '
                "a column with an odd name goes between backticks, as in `weight (kg)`"
            )
        if word.kind != "symbol":
            return self.error(
                f"an operator is missing before {text}: write + between two terms, or * or : for interactions"
            )
        if word.text == "(":
            return self.error("an operator is missing before '(': write + or * between the two")
        if word.text == ")" and not self.depth:
            return self.error("this ')' has no '(' before it: remove it")
        if word.text in "/,=:~":
            return self.error(f"the formula may not use {text} here: {HERE[word.text]}")
        return self.error(f"a column is missing before {text}: write a name or a function of it there")


HERE = {
    "/": "division goes inside I(...), as in I(a/b); for nested factors write a + a:b",
    ",": "a comma only separates the arguments of a function; terms are joined with +",
    "=": "the response and the terms are joined by ~, as in weight ~ height, and nothing is compared",
    ":": "interactions stand outside of functions, as in log(a):b; inside, multiply with *",
    "~": "a formula has one ~, between the response and the terms",
}
