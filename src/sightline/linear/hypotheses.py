"""Linear hypotheses about coefficients, written as equations: `height = 0.5`, `2*a - b = 1`, `a = b = 0`, `a, b`.

    hypotheses = equation ("," equation)*
    equation   = sum ("=" sum)*                  without "=", the sum is compared with 0; a = b = 0 is a = b, b = 0
    sum        = product (("+" | "-") product)*
    product    = signed (("*" | "/") signed)*    only numbers multiply and divide
    signed     = ("+" | "-")* (number | name | "(" sum ")")

The text is worked off word by word with two stacks, numbers as the decimals that were typed; nothing recurses, and
nothing is handed to Python. Names are those of the coefficients, see `hypothesis_words.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormulaError, shown
from .hypothesis_words import EXAMPLE, Word, words

__all__ = ["Hypotheses", "linear_hypotheses"]

Array = NDArray[np.float64]
Form = dict[int, Fraction]  # a sum of coefficients by number, and a constant

CONSTANT = -1
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "signed": 3}
MAX_BITS = 4096  # of a numerator or denominator; a double needs 1,074
SMALLEST, LARGEST = Fraction(1, 10**300), Fraction(10**300)
ZERO = 1e-12  # what elimination leaves of a row that says nothing new, its largest entry being 1


@dataclass(frozen=True)
class Hypotheses:
    """Lθ = c, `L (m, q)` of rank m and `c (m,)`; `texts` are the m equations as they were written, `dropped` those
    that follow from others before them.
    """

    L: Array
    c: Array
    texts: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Equation:
    """Σ coefficients · form = -form[CONSTANT], written from `start` to `end`."""

    form: Form
    start: int
    end: int


def linear_hypotheses(text: str, terms: Sequence[str]) -> Hypotheses:
    """Read linear hypotheses about the coefficients named `terms (q,)`, as Lθ = c.

    >>> found = linear_hypotheses("2*a - b = 1, a = b", ["Intercept", "a", "b"])
    >>> found.L.tolist(), found.c.tolist(), found.texts
    ([[0.0, 2.0, -1.0], [0.0, 1.0, -1.0]], [1.0, 0.0], ('2*a - b = 1', 'a = b'))

    Raises:
        FormulaError: what cannot be read, with a caret under it; a name that no coefficient has; a hypothesis that
            names no coefficient, or contradicts those before it.
    """
    found = words(text, terms)
    if len(found) == 1:
        raise FormulaError(f"the hypothesis is empty: name a coefficient, {EXAMPLE}")
    equations = list(_equations(text, found))
    used = sorted({place for equation in equations for place in equation.form if place != CONSTANT})
    small = np.array([[float(e.form.get(place, 0)) for place in used] for e in equations])
    c = np.array([float(-e.form.get(CONSTANT, 0)) for e in equations])
    kept = _independent(small, c)
    if isinstance(kept, int):
        message = "no coefficients can fulfil this together with what stands before it: leave one of them out"
        raise FormulaError(message, formula=text, start=equations[kept].start, end=equations[kept].end)
    L = np.zeros((len(kept), len(terms)))
    L[:, used] = small[kept]
    texts = [" ".join(text[e.start : e.end].split()) for e in equations]
    dropped = tuple(text for number, text in enumerate(texts) if number not in kept)
    return Hypotheses(L, c[kept], tuple(texts[number] for number in kept), dropped)


def _independent(L: Array, c: Array) -> list[int] | int:
    """The rows of Lθ = c that say something new; or the number of the first that contradicts the others.

    Gaussian elimination, the pivot of each row its largest entry, after columns and rows are scaled to the size 1.
    """
    left = L / np.abs(L).max(axis=0)
    size = np.abs(left).max(axis=1)
    left, right = left / size[:, None], c / size
    reach = np.abs(right)  # the size of what was added up
    kept = []
    for i in range(len(left)):
        pivot = int(np.abs(left[i]).argmax())
        if abs(left[i, pivot]) > ZERO:
            kept.append(i)
            below = i + 1 + np.flatnonzero(left[i + 1 :, pivot])
            factor = left[below, pivot] / left[i, pivot]
            left[below] -= np.multiply.outer(factor, left[i])
            right[below] -= factor * right[i]
            reach[below] += np.abs(factor) * reach[i]
        elif abs(right[i]) > ZERO * reach[i]:
            return i
    return kept


def _equations(text: str, found: list[Word]) -> Iterator[_Equation]:
    """Each equation of the text; a chain a = b = 0 is two."""
    reader = _Reader(text, found)
    sides: list[_Equation] = []
    while True:
        sides.append(reader.sum())
        mark = reader.next()
        if mark.text == "=":
            continue
        if len(sides) == 1:
            sides.append(_Equation({}, sides[0].start, sides[0].end))
        for left, right in pairwise(sides):
            yield _equation(text, left, right)
        if mark.kind == "end":
            return
        sides = []


def _equation(text: str, left: _Equation, right: _Equation) -> _Equation:
    """The difference of two sides."""
    total = {place: value for place, value in _sum(dict(left.form), right.form, -1).items() if value}
    place: dict[str, Any] = {"formula": text, "start": left.start, "end": right.end}
    if total.keys() <= {CONSTANT}:
        named = (left.form.keys() | right.form.keys()) - {CONSTANT}
        problem = "names no coefficient" + (" that does not cancel" if named else "")
        written = shown(text[left.start : right.end])
        raise FormulaError(f"{written} {problem}: compare one with a number or another one, {EXAMPLE}", **place)
    if not all(SMALLEST < abs(value) < LARGEST for value in total.values()):
        raise FormulaError("a number that arises here is out of the range of a double: write another", **place)
    return _Equation(total, left.start, right.end)


class _Reader:
    """A place among the words, and two stacks: sums that are read, and operators that wait for their right side."""

    def __init__(self, text: str, found: list[Word]) -> None:
        self.text = text
        self.words = found
        self.index = 0
        self.values: list[Form] = []
        self.pending: list[tuple[str, Word]] = []

    @property
    def word(self) -> Word:
        """The word that is read next."""
        return self.words[self.index]

    def next(self) -> Word:
        """Take the next word."""
        word = self.word
        self.index += 1
        return word

    def sum(self) -> _Equation:
        """Read up to the next = or , or the end."""
        start = self.word.start
        while True:
            self._operand()
            while self.word.text == ")" and self.word.kind == "symbol":
                self._close()
            if self.word.kind == "end" or self.word.text in ("=", ","):
                break
            self._operator()
        end = self.words[self.index - 1].end
        self._apply(0)
        if self.pending:
            where = f"not closed before {shown(self.word.text)}" if self.word.text else "never closed"
            raise self.error(f"this '(' is {where}: add the ')' that belongs to it", self.pending[-1][1])
        return _Equation(self.values.pop(), start, end)

    def _operand(self) -> None:
        """Take signs and opening parentheses, then a coefficient or a number."""
        word = self.next()
        while word.kind == "symbol" and word.text in "+-(":
            if word.text != "+":
                self.pending.append(("(" if word.text == "(" else "signed", word))
            word = self.next()
        if word.kind == "name":
            self.values.append({word.place: Fraction(1)})
        elif word.kind == "number":
            self.values.append({CONSTANT: word.value})
        else:
            where = f"before {shown(word.text)}" if word.text else "at the end"
            raise self.error(f"a coefficient or a number is missing {where}: write one there, {EXAMPLE}", word)

    def _operator(self) -> None:
        word = self.word
        if word.kind != "symbol" or word.text not in "+-*/":
            message = f"an operator is missing before {shown(word.text)}: write * to multiply, or , between hypotheses"
            raise self.error(message, word)
        self._apply(PRECEDENCE[word.text])
        self.pending.append((word.text, self.next()))

    def _close(self) -> None:
        self._apply(0)
        if not self.pending:
            raise self.error("this ')' has no '(' before it: remove it", self.word)
        self.pending.pop()
        self.index += 1

    def _apply(self, lowest: int) -> None:
        """Apply the operators that wait, back to the last parenthesis, and bind at least as tightly as `lowest`."""
        while self.pending and PRECEDENCE.get(self.pending[-1][0], -1) >= lowest:
            operator, word = self.pending.pop()
            right = self.values.pop()
            left = {} if operator == "signed" else self.values.pop()
            sign = 1 if operator == "+" else -1
            form = self._scaled(left, right, word) if operator in "*/" else _sum(left, right, sign)
            if any(max(v.numerator.bit_length(), v.denominator.bit_length()) > MAX_BITS for v in form.values()):
                raise self.error("a number that arises here has too many digits: write a shorter one", word)
            self.values.append(form)

    def _scaled(self, left: Form, right: Form, word: Word) -> Form:
        """A sum multiplied or divided by a number."""
        if word.text == "/":
            if right.keys() - {CONSTANT}:
                raise self.error("a hypothesis cannot divide by a coefficient: divide by numbers only", word)
            if not any(right.values()):
                raise self.error("a division by zero: write another number", word)
            right = {CONSTANT: 1 / right[CONSTANT]}
        elif right.keys() - {CONSTANT}:
            left, right = right, left
        if right.keys() - {CONSTANT}:
            message = "a product of two coefficients is no linear hypothesis: multiply by numbers only"
            raise self.error(message, word)
        return {place: right[CONSTANT] * value for place, value in left.items()}

    def error(self, message: str, word: Word) -> FormulaError:
        """The error with a caret under the word."""
        return FormulaError(message, formula=self.text, start=word.start, end=word.end)


def _sum(left: Form, right: Form, sign: int) -> Form:
    """left + sign · right; `left` is used up."""
    for place, value in right.items():
        left[place] = left.get(place, Fraction()) + sign * value
    return left
