"""A linear hypothesis as a list of words: coefficients, numbers and symbols, each with its place.

The names of coefficients can hold almost anything (`Species[T.b]`, `log(x + 1)`, `poly(x, 2)[1]`, `a:b`), so where one
may stand, the longest known name is taken first. Failing that, names are compared without backticks, and without
spaces beside a symbol: `` `odd name`:b `` and `log(x+1)` are found too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

from ..errors import FormulaError, nearest, shown

__all__ = ["EXAMPLE", "Word", "words"]

MAX_LENGTH = 10_000
EXAMPLE = "as in height = 0.5 or 2*a - b = 1"
NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
SYMBOLS = ("==", *"=+-*/(),")
SPACE = re.compile(r"(?<!\s)(?:(?<!\w)\s++|\s++(?!\w))")  # spaces that do not part two words
PIECE = re.compile(r"`((?:[^`]|``)*)`|.", re.DOTALL)
LONGER = re.compile(r"[\[(]|\s*:")  # behind these the name goes on
CLOSED = r"`(?:[^`]|``)*`|\[[^\]]*\]|\((?:[^()]|\([^()]*\))*\)"
RUN = re.compile(rf"(?=[\w.`])(?:[\w.]|{CLOSED}|\s*:\s*(?=[\w.`]))+")
OPERATOR = re.compile(r"[-+*/=,]")


@dataclass(frozen=True, slots=True)
class Word:
    """One word from `start` to `end`; `place` is the number of a coefficient, `value` that of a number."""

    kind: Literal["name", "number", "symbol", "end"]
    text: str
    start: int
    end: int
    place: int = -1
    value: Fraction = Fraction()


def words(text: str, terms: Sequence[str]) -> list[Word]:
    """Split a hypothesis about the coefficients named `terms` into words; the last one is of kind `end`.

    >>> [word.text for word in words("2*log(x+1) = `odd name`", ["log(x + 1)", "odd name"])]
    ['2', '*', 'log(x + 1)', '=', 'odd name', '']

    Raises:
        FormulaError: a name that no coefficient has, with the nearest ones; more than 10,000 characters.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a hypothesis is a text, not {type(text).__name__}: write it in quotes, {EXAMPLE}")
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"the hypothesis has {len(text):,} characters, more than {MAX_LENGTH:,}: test fewer at once")
    names = _Names(text, terms)
    found: list[Word] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        operand = not found or (found[-1].kind == "symbol" and found[-1].text != ")")
        word = (operand and names.at(place)) or _plain(text, place) or names.at(place)
        if not word:
            raise _unknown(text, place, terms)
        found.append(word)
        place = word.end
    return [*found, Word("end", "", len(text), len(text))]


def _plain(text: str, start: int) -> Word | None:
    """A number or a symbol."""
    number = NUMBER.match(text, start)
    if number:
        return Word("number", number[0], start, number.end(), value=_value(text, number))
    for symbol in SYMBOLS:
        if text.startswith(symbol, start):
            return Word("symbol", symbol[0], start, start + len(symbol))
    return None


def _value(text: str, number: re.Match[str]) -> Fraction:
    """The decimal as typed; one out of the range of a double is refused before its digits are written out."""
    size = float(number[0])
    nothing = not re.search("[1-9]", re.split("[eE]", number[0])[0])
    if not math.isfinite(size) or (size == 0 and not nothing):
        message = (
            f"the number {shown(number[0])} is too {'small' if size == 0 else 'large'} for a double: write another"
        )
        raise FormulaError(message, formula=text, start=number.start(), end=number.end())
    return Fraction() if nothing else Fraction(number[0])


def _unknown(text: str, start: int, terms: Sequence[str]) -> FormulaError:
    """The error for a name or a character that stands for nothing."""
    run = RUN.match(text, start)
    if run:
        name = run[0].replace("`", "")
        message = f"no coefficient is named {shown(name)}: {nearest(name, terms)}"
    elif text[start] == "`":
        message = "this backtick is never closed: put one more behind the name, as in `odd name`"
    else:
        message = f"a hypothesis may not use {shown(text[start])}: write coefficients, numbers and + - * / ( ) = ,"
    return FormulaError(message, formula=text, start=start, end=run.end() if run else start + 1)


class _Names:
    """The known names in a text: as they are written, else squeezed."""

    def __init__(self, text: str, terms: Sequence[str]) -> None:
        self.text = text
        self.terms = terms
        self.exact = {term: place for place, term in enumerate(terms)}
        self.sizes = _sizes(self.exact)

    def at(self, start: int) -> Word | None:
        """The longest name that starts here."""
        for size in self.sizes:
            name, end = self.text[start : start + size], start + size
            if name in self.exact and self._ends(end) and not NUMBER.fullmatch(name):
                return Word("name", name, start, end, self.exact[name])
        return self._squeezed(start)

    def _squeezed(self, start: int) -> Word | None:
        text, ends = _squeeze(self.text, start, max(self._squeezed_sizes, default=0))
        for size in self._squeezed_sizes:
            place = self._squeezed_names.get(text[:size]) if size <= len(text) else None
            if place is not None and self._named(start, ends[size - 1]):
                return Word("name", self.terms[place], start, ends[size - 1], place)
        return None

    def _named(self, start: int, end: int) -> bool:
        """Whether this part of the text is one name: numbers and operators are not, unless quoted or in brackets."""
        part = re.sub(CLOSED, "", self.text[start:end])
        return self._ends(end) and not NUMBER.fullmatch(part) and not OPERATOR.search(part)

    def _ends(self, end: int) -> bool:
        """Whether a name can end here: not within a word, nor where it goes on with [ or ( or :."""
        within = re.fullmatch(r"[\w.]{2}", self.text[end - 1 : end + 1])
        return end > 0 and not within and not LONGER.match(self.text, end)

    @cached_property
    def _squeezed_names(self) -> dict[str, int]:
        """Names without spaces beside symbols, where that leaves them different."""
        names = [SPACE.sub("", term) for term in self.terms]
        often = Counter(names)
        return {name: place for place, name in enumerate(names) if often[name] == 1}

    @cached_property
    def _squeezed_sizes(self) -> list[int]:
        return _sizes(self._squeezed_names)


def _sizes(names: Iterable[str]) -> list[int]:
    """The lengths of names, longest first."""
    return sorted({len(name) for name in names if name}, reverse=True)


def _squeeze(text: str, start: int, size: int) -> tuple[str, list[int]]:
    """About `size` characters from a place on, without backticks around names and spaces beside symbols; and the place
    behind each, or 0 where a name cannot end because it is quoted.
    """
    characters: list[str] = []
    ends: list[int] = []
    for piece in PIECE.finditer(text, start):
        inner = piece[0] if piece[1] is None else piece[1].replace("``", "`").strip()
        characters += inner
        ends += [0] * (len(inner) - 1) + [piece.end()] * bool(inner)
        size -= len(inner) if piece[1] else not inner.isspace()
        if size < 0:
            break
    full = "".join(characters)
    dropped = {place for spaces in SPACE.finditer(full) for place in range(*spaces.span())}
    kept = [place for place in range(len(full)) if place not in dropped]
    return "".join(full[place] for place in kept), [ends[place] for place in kept]
