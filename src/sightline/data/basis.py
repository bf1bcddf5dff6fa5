"""Factors of several columns of numbers: `poly(x, 2)`, `poly(x, 2, raw=True)`, `bs(x, df=5)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, shown
from .arithmetic import FLOATS, Arithmetic
from .bases import BASES, Polynomials, Powers, Splines, basis_of, learned_basis
from .formula import parse_factor
from .grammar import Expression, Step, columns_of, render
from .table import Table, number_label
from .transforms import Numeric, where

__all__ = ["Basis"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Basis:
    """Functions of one numeric factor, `of`: what `call` asks for, with what it learned from the training rows."""

    of: Numeric
    call: Step
    state: Polynomials | Powers | Splines

    @classmethod
    def learn(cls, expression: Expression, table: Table) -> Self:
        """Learn the state of the outermost function, and of those inside it, from the rows of a table.

        Raises:
            DataError: values that have no such basis.
        """
        of = Numeric.learn(expression[:-1], table)
        of.values(table)
        text = shown(render(expression), quote=False)
        call = expression[-1]
        return cls(of, call, learned_basis(table, of, call, text))

    @property
    def expression(self) -> Expression:
        """The program of the factor."""
        return (*self.of.expression, self.call)

    @property
    def text(self) -> str:
        """The name of the factor."""
        return render(self.expression)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, `poly(x, 2)[1]` and so on."""
        return tuple(f"{self.text}[{place + 1}]" for place in range(self.state.size))

    def values(self, table: Table) -> Array:
        """The columns on the rows of a table, shape `(n, k)`, all finite.

        Raises:
            DataError: a value outside of the range of a spline, or one that is too large; with its place.
        """
        x = self.of.values(table)
        self._check(table, x, self.state.knows(x), f"is outside of {self.state.range_text}")
        with np.errstate(all="ignore"):
            values = np.column_stack(self.state.columns(x, FLOATS))
        self._check(table, x, np.isfinite(values).all(axis=1), "is too large")
        return np.asarray(values)

    def run(self, table: Table, arithmetic: Arithmetic) -> list[Any]:
        """The columns in another arithmetic, each `(n,)`."""
        return self.state.columns(self.of.run(table, arithmetic), arithmetic)

    def exact(self, table: Table) -> bool:
        """Whether double-double holds its values without rounding that matters."""
        return self.state.keeps_digits and self.of.exact(table)

    def to_dict(self) -> dict[str, Any]:
        """The factor as plain JSON."""
        return {"expression": self.text, "learned": self.of.to_dict()["learned"], "state": self.state.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The factor that `to_dict` wrote; ValueError, TypeError, KeyError or FormulaError otherwise."""
        factor = parse_factor(values["expression"])
        if factor.function not in ("poly", "bs"):
            raise ValueError(f"{shown(factor.text)} has one column")
        of = Numeric.restored(factor.expression[:-1], values["learned"])
        call = factor.expression[-1]
        return cls(of, call, BASES[basis_of(call)].from_dict(values["state"], call))

    def _check(self, table: Table, x: Array, fine: NDArray[np.bool_], what: str) -> None:
        if not fine.all():
            row = int(np.argmin(fine))
            inner = render(self.of.expression)
            raise DataError(
                f"{where(table, row, *columns_of(self.expression)[:4])}: {shown(inner, quote=False)} = "
                f"{number_label(float(x[row]))} {what}, so {shown(self.text, quote=False)} has no value; correct the "
                "cell or remove the row"
            )
