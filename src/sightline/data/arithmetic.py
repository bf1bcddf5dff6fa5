"""The arithmetics in which the program of an expression can be run: float64, double-double, exact fractions.

Each has the same verbs over its own values: arrays of float64, `Pair`, object arrays of `Fraction`. Whatever has no
value becomes one that is not finite, and the machine in `transforms.py` refuses it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..double_double import Pair
from .grammar import Expression
from .table import Column

__all__ = ["FLOATS", "Arithmetic", "Fractions", "Pairs", "keeps_digits"]

Array = NDArray[np.float64]
MOST_POWER = 1000  # an exact power has this many times the digits

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "exp": np.exp, "sqrt": np.sqrt,
    "abs": np.abs, "sin": np.sin, "cos": np.cos, "I": np.positive,
}  # fmt: skip
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow,
}  # fmt: skip
KEEPING = ("I", "abs", "center", "scale")  # functions that double-double carries out


class Arithmetic(Protocol):
    """What a program needs of the values on its stack; they take + - * / and a sign by Python's operators."""

    def column(self, column: Column) -> Any:
        """A column of finite numbers, shape `(n,)`."""

    def typed(self, number: float) -> Any:
        """A number that the formula spells, shape `()`."""

    def double(self, values: ArrayLike) -> Any:
        """Doubles as they are, of any shape."""

    def operate(self, symbol: str, left: Any, right: Any) -> Any:
        """One of + - * / ^."""

    def function(self, name: str, values: Any) -> Any:
        """One of the functions that learn nothing."""

    def floats(self, values: Any) -> Array:
        """The nearest doubles, not finite where there is no value."""

    def along(self, values: Any, rows: int) -> Any:
        """A value for every row, shape `(n,)`."""


class Floats:
    """float64."""

    def column(self, column: Column) -> Array:
        return np.asarray(column.values)

    def typed(self, number: float) -> Array:
        return np.asarray(number)

    def double(self, values: ArrayLike) -> Array:
        return np.asarray(values, dtype=np.float64)

    def operate(self, symbol: str, left: Array, right: Array) -> Array:
        return np.asarray(OPERATORS[symbol](left, right))

    def function(self, name: str, values: Array) -> Array:
        return FUNCTIONS[name](values)

    def floats(self, values: Array) -> Array:
        return values

    def along(self, values: Array, rows: int) -> Array:
        return np.broadcast_to(values, rows)


FLOATS = Floats()


class Pairs:
    """Double-double; functions but `abs` and `sqrt` take the nearest double and give one. Columns are read once."""

    def __init__(self) -> None:
        self.known: dict[str, Pair] = {}

    def column(self, column: Column) -> Pair:
        if column.name not in self.known:
            self.known[column.name] = column.pair()
        return self.known[column.name]

    def typed(self, number: float) -> Pair:
        return Pair.of_fractions(np.asarray(_decimal(number), dtype=object))

    def double(self, values: ArrayLike) -> Pair:
        return Pair.of(values)

    def operate(self, symbol: str, left: Pair, right: Pair) -> Pair:
        plain = np.asarray(OPERATORS[symbol](left.hi, right.hi))
        if symbol != "^":
            return _settled(OPERATORS[symbol](left, right), plain)
        power = _whole(right.hi)
        return Pair.of(plain) if power is None else _settled(left.power(power), plain)

    def function(self, name: str, values: Pair) -> Pair:
        if name == "I":
            return values
        if name == "abs":
            return abs(values)
        return values.sqrt() if name == "sqrt" else Pair.of(FUNCTIONS[name](values.hi))

    def floats(self, values: Pair) -> Array:
        return values.hi

    def along(self, values: Pair, rows: int) -> Pair:
        return Pair(np.broadcast_to(values.hi, rows), np.broadcast_to(values.lo, rows))


class Fractions:
    """Exact rational numbers; where a function has none, what double-double has. Columns are read once."""

    def __init__(self) -> None:
        self.known: dict[str, NDArray[Any]] = {}

    def column(self, column: Column) -> NDArray[Any]:
        if column.name not in self.known:
            self.known[column.name] = column.fractions()
        return self.known[column.name]

    def typed(self, number: float) -> NDArray[Any]:
        return np.asarray(_decimal(number), dtype=object)

    def double(self, values: ArrayLike) -> NDArray[Any]:
        return _each(_exact, np.asarray(values, dtype=np.float64))

    def operate(self, symbol: str, left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
        if symbol == "/":
            return _each(_quotient, left, right)
        if symbol != "^":
            return np.asarray(OPERATORS[symbol](left, right), dtype=object)
        power = _whole(self.floats(right))
        if power is None:
            return self.double(self.floats(left) ** self.floats(right))
        raised = _each(lambda v: v ** abs(power), left)
        return raised if power >= 0 else _each(_quotient, np.asarray(Fraction(1), dtype=object), raised)

    def function(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        if name == "I":
            return values
        if name == "abs":
            return _each(abs, values)
        plain = FUNCTIONS[name](self.floats(values))
        if name == "sqrt" and np.isfinite(plain).all():
            return Pair.of_fractions(values).sqrt().fractions()
        return self.double(plain)

    def floats(self, values: NDArray[Any]) -> Array:
        return np.asarray(_each(_nearest, values), dtype=np.float64)

    def along(self, values: NDArray[Any], rows: int) -> NDArray[Any]:
        return np.broadcast_to(values, rows)


def keeps_digits(expression: Expression, few_digits: Callable[[str], bool]) -> bool:
    """Whether double-double loses nothing on the way from the columns to the value: no function, whole powers only."""
    stack: list[float] = []  # constants, NaN for what is none
    for step in expression:
        if step.kind == "number":
            stack.append(step.number)
        elif step.kind == "sign":
            stack.append(-stack.pop())
        elif step.kind == "operator":
            right = stack.pop()
            stack[-1] = math.nan
            if step.name == "^" and _whole(np.asarray(right)) is None:
                return False
        elif step.kind == "column":
            stack.append(math.nan)
            if not few_digits(step.name):
                return False
        elif step.name not in KEEPING:
            return False
    return True


def _whole(exponent: Array) -> int | None:
    """A constant whole exponent of bearable size."""
    if exponent.ndim or not (exponent == np.rint(exponent) and abs(exponent) <= MOST_POWER):
        return None
    return int(exponent)


def _settled(result: Pair, plain: Array) -> Pair:
    """Where the parts of double-double overflow before the number does, the double."""
    fine = np.isfinite(result.hi) & np.isfinite(result.lo)
    return Pair(np.where(fine, result.hi, plain), np.where(fine, result.lo, 0.0))


def _each(function: Callable[..., Any], *values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.frompyfunc(function, len(values), 1)(*values), dtype=object)


def _decimal(number: float) -> Fraction:
    return Fraction(repr(float(number)))


def _exact(value: float) -> Fraction | float:
    return Fraction(value) if math.isfinite(value) else value


def _quotient(a: Fraction, b: Fraction) -> Fraction | float:
    return a / b if b else math.nan


def _nearest(value: Fraction | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
