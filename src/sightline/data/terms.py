"""The right-hand side of a formula, read into sets of factors.

    sum     = ["+" | "-"] cross (("+" | "-") cross)*
    cross   = interaction ("*" interaction)*         a*b is a + b + a:b
    interaction = power (":" power)*
    power   = operand (("^" | "**") integer)*        (a + b)^2 is (a + b)*(a + b)
    operand = "0" | "1" | "." | column | function call | "(" sum ")"

A factor gets a bit when it is first named, as in R, and a term is a number with the bits of its factors:
order and repetition fall away by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import FormulaError, shown
from .grammar import Expression, Step, call, columns_of, render
from .lexer import Cursor, Token

__all__ = ["Factor", "Part", "Term", "TermReader", "read_factor"]

MAX_TERMS, MAX_PRODUCTS, MAX_POWER = 10_000, 2_000_000, 10
PRECEDENCE = {"+": 1, "-": 1, "*": 2, ":": 3, "^": 4, "**": 4}
EXAMPLE = "as in weight ~ height"


@dataclass(frozen=True, slots=True)
class Factor:
    """A column or one function call; equal to every other way of writing the same."""

    text: str
    expression: Expression
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return columns_of(self.expression)

    @property
    def function(self) -> str:
        """The outermost function, empty for a column."""
        last = self.expression[-1]
        return last.name if last.kind == "call" else ""


Term = tuple[Factor, ...]


def read_factor(cursor: Cursor) -> Factor:
    """Read a column name or a function call."""
    word = cursor.word
    if cursor.at_call():
        expression = call(cursor)
        return Factor(render(expression), expression, word.start, cursor.words[cursor.index - 1].end)
    if word.kind == "name" and word.text == ".":
        raise cursor.error("'.' stands for all other columns: name one column here")
    if word.kind == "number":
        raise cursor.error(f"{shown(word.text)} is a number: name a column here")
    if word.kind not in ("name", "quoted"):
        raise cursor.unexpected()
    cursor.next()
    if cursor.word.kind == "symbol" and cursor.word.text == "(":
        message = "a name between backticks is a column, not a function: add a +, or remove the backticks"
        raise cursor.error(message)
    return Factor(word.value, (Step("column", word.value),), word.start, word.end)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the right-hand side: its terms as bits, and what it says of the intercept, if anything."""

    terms: tuple[int, ...] = ()
    intercept: bool | None = None


class TermReader:
    """Reads the right-hand side; `columns` are what `.` chooses from, `target` what it leaves out."""

    def __init__(self, cursor: Cursor, columns: Sequence[str] | None, target: tuple[str, ...]) -> None:
        self.cursor = cursor
        self.columns = columns
        self.target = target
        self.named: list[Factor] = []
        self.bits: dict[Factor, int] = {}
        self.all: Part | None = None
        self.products = 0

    def term(self, bits: int) -> Term:
        """The factors of a bit set."""
        found: list[Factor] = []
        while bits:
            found.append(self.named[(bits & -bits).bit_length() - 1])
            bits &= bits - 1
        return tuple(found)

    def sum_of_terms(self, lowest: int = 1) -> Part:
        """Read everything whose operators bind at least as tightly as `lowest`."""
        left = self._operand(lowest)
        cursor = self.cursor
        while cursor.word.kind == "symbol" and PRECEDENCE.get(cursor.word.text, 0) >= lowest:
            symbol = cursor.next()
            if symbol.text in ("^", "**"):
                left = self._power(left, symbol)
            else:
                left = self._combine(left, self.sum_of_terms(PRECEDENCE[symbol.text] + 1), symbol)
        return left

    def _operand(self, lowest: int) -> Part:
        cursor, word = self.cursor, self.cursor.word
        if word.kind == "number":
            return self._number(cursor.next())
        if word.kind == "name" and word.text == "." and not cursor.at_call():
            return self._dot(cursor.next())
        if word.kind != "symbol":
            return Part((self._bit(read_factor(cursor)),))
        signs = lowest == 1 or (lowest == 2 and cursor.words[cursor.index + 1].kind == "number")
        if signs and cursor.accept("+", "-"):
            return self._combine(Part(), self.sum_of_terms(PRECEDENCE["*"]), word)
        if not cursor.accept("("):
            raise cursor.unexpected()
        with cursor.nested():
            part = self.sum_of_terms()
            cursor.close(word)
        return part

    def _number(self, word: Token) -> Part:
        """`1` and `0` speak of the intercept; no other number is a term."""
        if word.text not in ("0", "1"):
            raise self.cursor.error(
                f"{shown(word.text)} cannot be a term: only 1 and 0 can, with and without an intercept; "
                "arithmetic goes inside I(...), as in I(2*x)",
                word,
            )
        return Part((), word.text == "1")

    def _dot(self, word: Token) -> Part:
        """All columns but those of the response, in the order of the data."""
        if self.all is None:
            if self.columns is None:
                message = "'.' stands for all other columns, which are not known here: name the columns"
                raise self.cursor.error(message, word)
            names = [name for name in self.columns if name not in self.target]
            if not names:
                message = "'.' stands for no column, since the data has no other: write 1 for the mean alone"
                raise self.cursor.error(message, word)
            factors = (Factor(name, (Step("column", name),), word.start, word.end) for name in names)
            self.all = Part(self._unique((self._bit(factor) for factor in factors), word))
        return self.all

    def _bit(self, factor: Factor) -> int:
        if factor not in self.bits:
            self.bits[factor] = 1 << len(self.named)
            self.named.append(factor)
        return self.bits[factor]

    def _combine(self, left: Part, right: Part, symbol: Token) -> Part:
        """Two parts joined by + - * or :."""
        if symbol.text == "+":
            intercept = left.intercept if right.intercept is None else right.intercept
            return Part(self._unique((*left.terms, *right.terms), symbol), intercept)
        if symbol.text == "-":
            intercept = left.intercept if right.intercept is None else not right.intercept
            gone = set(right.terms)
            return Part(tuple(bits for bits in left.terms if bits not in gone), intercept)
        both = self._product(left, right, symbol)
        if symbol.text == ":":
            return both
        return Part(self._unique((*left.terms, *right.terms, *both.terms), symbol))

    def _product(self, left: Part, right: Part, symbol: Token) -> Part:
        """Every term of the left with every term of the right."""
        if left.intercept is not None or right.intercept is not None:
            raise self.cursor.error(
                f"0 and 1 cannot be joined by {shown(symbol.text)}: add or subtract them at the end, "
                "as in y ~ a*b - 1; arithmetic goes inside I(...), as in I(2*x)",
                symbol,
            )
        self.products += len(left.terms) * len(right.terms)
        if self.products > MAX_PRODUCTS:
            raise self._too_many(symbol)
        return Part(self._unique((a | b for a in left.terms for b in right.terms), symbol))

    def _power(self, part: Part, symbol: Token) -> Part:
        """`(a + b)^n`: all products of up to n of the terms."""
        word = self.cursor.word
        if word.kind != "number" or word.text not in map(str, range(1, MAX_POWER + 1)):
            raise self.cursor.error(
                f"a power of terms must be a whole number from 1 to {MAX_POWER}, as in (a + b)^2: "
                "for the power of a column write I(x^2)"
            )
        self.cursor.next()
        result = part
        for _ in range(int(word.text) - 1):
            result = self._product(result, part, symbol)
        return result

    def _unique(self, terms: Iterable[int], symbol: Token) -> tuple[int, ...]:
        """The terms, each once, unless they are more than anyone can fit."""
        found: dict[int, None] = {}
        for term in terms:
            found[term] = None
            if len(found) > MAX_TERMS:
                raise self._too_many(symbol)
        return tuple(found)

    def _too_many(self, symbol: Token) -> FormulaError:
        message = f"the formula expands to more than {MAX_TERMS:,} terms: cross or raise fewer columns"
        return self.cursor.error(message, symbol)
