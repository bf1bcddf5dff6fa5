"""Numeric factors: the program of an expression, run on the columns of a table.

`center` and `scale` are stateful: what they learn from the training rows is kept and applied to all others.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError, shown
from .arithmetic import FLOATS, Arithmetic, keeps_digits
from .formula import parse_factor
from .grammar import Expression, Step, columns_of, last_operand, quote, render
from .lexer import OPTIONS
from .table import Table, number_label

__all__ = ["TRANSFORMS", "Center", "Numeric", "Scale", "Transform"]

Array = NDArray[np.float64]


class Transform(Protocol):
    """What a stateful function of one column learned; a new one is a class like `Scale` in `TRANSFORMS`."""

    @classmethod
    def learn(cls, values: Array) -> Self:
        """Learn from the values of the training rows, shape `(n,)`."""

    def apply(self, values: Any, arithmetic: Arithmetic) -> Any:
        """Transform any values of an arithmetic with what was learned, shape `(n,)`."""

    def to_dict(self) -> dict[str, float]:
        """The state as plain numbers: the keyword arguments that make an equal transform."""


@dataclass(frozen=True, slots=True)
class Center:
    """`x - mean`."""

    mean: float

    @classmethod
    def learn(cls, values: Array) -> Self:
        """Learn the mean."""
        return cls(_mean_and_deviation(values)[0])

    def apply(self, values: Any, arithmetic: Arithmetic) -> Any:
        """Subtract the mean."""
        return arithmetic.operate("-", values, arithmetic.double(self.mean))

    def to_dict(self) -> dict[str, float]:
        """`{"mean": ...}`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scale:
    """`(x - mean) / sd` with the divisor n - 1 in the variance, as in R."""

    mean: float
    sd: float

    @classmethod
    def learn(cls, values: Array) -> Self:
        """Learn mean and standard deviation."""
        return cls(*_mean_and_deviation(values))

    def apply(self, values: Any, arithmetic: Arithmetic) -> Any:
        """Subtract the mean, divide by the standard deviation."""
        centered = arithmetic.operate("-", values, arithmetic.double(self.mean))
        return arithmetic.operate("/", centered, arithmetic.double(self.sd))

    def to_dict(self) -> dict[str, float]:
        """`{"mean": ..., "sd": ...}`."""
        return asdict(self)


TRANSFORMS: dict[str, type[Center] | type[Scale]] = {"center": Center, "scale": Scale}

REASONS = {
    "log": "a logarithm needs a number above 0",
    "log2": "a logarithm needs a number above 0",
    "log10": "a logarithm needs a number above 0",
    "log1p": "log1p needs a number above -1",
    "sqrt": "a square root needs a number that is not negative",
    "scale": "scale needs values that differ",
    "/0": "it divides by zero",
    "^": "the power is too large, or no real number",
}


def _mean_and_deviation(values: Array) -> tuple[float, float]:
    """Mean and standard deviation, safe from overflow; of equal values exactly that value and 0."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low, 0.0
    unit = 2.0 ** (math.frexp(max(abs(low), abs(high)))[1] - 1)
    scaled = values / unit
    mean = float(scaled.mean())
    mean += float((scaled - mean).mean())
    variance = float(((scaled - mean) ** 2).sum()) / (len(values) - 1)
    return mean * unit, math.sqrt(variance) * unit


@dataclass(frozen=True, slots=True)
class Numeric:
    """A factor that is one column of numbers: its program, and what its stateful functions learned."""

    expression: Expression
    learned: tuple[Center | Scale, ...] = ()

    @classmethod
    def learn(cls, expression: Expression, table: Table) -> Self:
        """Learn the state of all functions in the expression from the rows of a table."""
        return cls(expression, _run(expression, table, FLOATS)[1] if _stateful(expression) else ())

    @property
    def text(self) -> str:
        """The name of its coefficient."""
        return self.expression[0].name if len(self.expression) == 1 else render(self.expression)

    def values(self, table: Table) -> Array:
        """The factor on the rows of a table, shape `(n,)`, all finite.

        Raises:
            DataError: a value of which the expression has no finite value, with its place.
        """
        return np.asarray(self.run(table, FLOATS))

    def run(self, table: Table, arithmetic: Arithmetic) -> Any:
        """The factor in another arithmetic, shape `(n,)`."""
        return _run(self.expression, table, arithmetic, self.learned)[0]

    def exact(self, table: Table) -> bool:
        """Whether double-double holds its values without rounding that matters."""
        return keeps_digits(self.expression, lambda name: table[name].exact)

    def to_dict(self) -> dict[str, Any]:
        """The factor as plain JSON."""
        pairs = zip(_stateful(self.expression), self.learned, strict=True)
        learned = [{"function": name, **state.to_dict()} for name, state in pairs]
        return {"expression": render(self.expression), "learned": learned}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The factor that `to_dict` wrote; ValueError, TypeError, KeyError or FormulaError otherwise."""
        factor = parse_factor(values["expression"])
        if factor.function in OPTIONS:
            raise ValueError(f"{factor.function}(...) among the numbers")
        return cls.restored(factor.expression, values["learned"])

    @classmethod
    def restored(cls, expression: Expression, learned: Any) -> Self:
        """The factor of an expression with states as written; ValueError, TypeError or KeyError if they are not."""
        names, text = _stateful(expression), shown(render(expression))
        states = [dict(state) for state in learned]
        if [state.pop("function") for state in states] != names:
            raise ValueError(f"{text} has {len(states)} states for {len(names)} functions")
        for number in (number for state in states for number in state.values()):
            if not isinstance(number, float | int) or not math.isfinite(number):
                raise ValueError(f"the state of {text} is no number: {shown(number)}")
        pairs = zip(names, states, strict=True)
        return cls(expression, tuple(TRANSFORMS[name](**state) for name, state in pairs))


def _stateful(expression: Expression) -> list[str]:
    """The functions of an expression that learn, in the order in which they run."""
    return [step.name for step in expression if step.kind == "call" and step.name in TRANSFORMS]


def finite_numbers(table: Table, name: str, expression: Expression = ()) -> Array:
    """A column of numbers without a gap, for use in the expression."""
    if table[name].kind == "text":
        use = f", so {shown(render(expression), quote=False)} has no value" if len(expression) > 1 else ""
        raise DataError(
            f"column {shown(name)} of {table.source} is text{use}: name a column of numbers, "
            f"or write {shown(quote(name), quote=False)} alone to use it as categories"
        )
    values = table.numbers(name)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite))
        what = "the value is missing" if np.isnan(values[row]) else f"{values[row]} is no finite number"
        raise DataError(f"{where(table, row, name)}: {what}; fill it in or remove the row")
    return values


def where(table: Table, row: int, *names: str) -> str:
    """A place as the start of a sentence: `cars.csv line 3, column wt`."""
    listing = ", ".join(shown(name, quote=False) for name in names)
    return f"{table.source} {table.place(row)}, column{'s' * (len(names) > 1)} {listing}"


def _run(
    expression: Expression, table: Table, arithmetic: Arithmetic, learned: tuple[Center | Scale, ...] | None = None
) -> tuple[Any, tuple[Center | Scale, ...]]:
    """Run a program on all rows at once; without `learned`, learn on the way."""
    stack: list[Any] = []
    states: list[Center | Scale] = []
    for place, step in enumerate(expression, start=1):
        operand: Any = stack.pop() if step.kind not in ("column", "number") else None
        with np.errstate(all="ignore"):
            if step.kind == "column":
                finite_numbers(table, step.name, expression)
                stack.append(arithmetic.column(table[step.name]))
            elif step.kind == "number":
                stack.append(arithmetic.typed(step.number))
            elif step.kind == "sign":
                stack.append(-operand)
            elif step.kind == "operator":
                stack.append(arithmetic.operate(step.name, stack.pop(), operand))
            elif step.name in TRANSFORMS:
                values = arithmetic.along(operand, table.rows)
                state = TRANSFORMS[step.name].learn(values) if learned is None else learned[len(states)]
                states.append(state)
                stack.append(state.apply(values, arithmetic))
            else:
                stack.append(arithmetic.function(step.name, operand))
        finite = np.isfinite(arithmetic.floats(stack[-1]))
        if not finite.all():
            divisor = np.empty(0) if operand is None else arithmetic.floats(operand)
            raise _undefined(last_operand(expression[:place]), table, finite, divisor)
    return arithmetic.along(stack[0], table.rows), tuple(states)


def _undefined(
    expression: Expression, table: Table, finite: NDArray[np.bool_], operand: Array
) -> UsageError | DataError:
    """The error for an expression without a finite value in some row."""
    step, text = expression[-1], shown(render(expression), quote=False, limit=80)
    row = int(np.argmin(finite))
    zero = np.broadcast_to(operand, np.shape(finite) or 1)[row] == 0
    reason = REASONS.get(_reason(step, zero=bool(zero)), "the result is too large")
    names = columns_of(expression)[:4]
    if not names:
        return UsageError(f"{text} has no value, since {reason}: correct the formula")
    cells = ((shown(name, quote=False), table[name].values[row]) for name in names)
    at = ", ".join(f"{name} = {number_label(float(value))}" for name, value in cells)
    return DataError(
        f"{where(table, row, *names)}: {text} has no value at {at}, since {reason}; "
        f"correct the cell, remove the row, or leave {text} out of the formula"
    )


def _reason(step: Step, *, zero: bool) -> str:
    return "/0" if step.name == "/" and zero else step.name
