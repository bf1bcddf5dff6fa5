"""What `poly` and `bs` learn from the training rows, and the columns that they make of any rows.

References: Chambers and Hastie, Statistical Models in S, 1992, chapter 7 (R's `poly` and `bs`); Forsythe, Generation
and use of orthogonal polynomials for data-fitting with a digital computer, 1957; de Boor, A Practical Guide to Splines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..double_double import Pair
from ..errors import DataError
from .arithmetic import Arithmetic, Pairs
from .grammar import Step
from .table import Table, number_label
from .transforms import Numeric

__all__ = ["BASES", "Polynomials", "Powers", "Splines", "basis_of", "learned_basis"]

Array = NDArray[np.float64]
DEGREE = {"poly": 1, "bs": 3}


@dataclass(frozen=True, slots=True)
class Polynomials:
    """Orthonormal polynomials over the training rows, by their recurrence, as R's `poly`.

    `P₁ = x - α₁`, `Pₖ₊₁ = (x - αₖ₊₁) Pₖ - (νₖ₊₁/νₖ) Pₖ₋₁`, and the columns are `Pₖ/√νₖ₊₁`; `alpha (d,)`, and `norm2
    (d + 2,)` is 1, n, ΣP₁², ... For any α and ν the columns span the powers, so rounded ones lose no digit of a fit.
    """

    alpha: tuple[float, ...]
    norm2: tuple[float, ...]
    keeps_digits: ClassVar[bool] = True
    range_text: ClassVar[str] = ""

    @classmethod
    def learn(cls, table: Table, of: Numeric, call: Step, text: str) -> Self:
        """Learn the recurrence in double-double, as its sums cancel."""
        x: Pair = of.run(table, Pairs())
        degree, different = _degree(call), len(np.unique(x.hi))
        if degree >= different:
            raise DataError(
                f"{text} needs more than {degree} different values, and the rows of {table.source} have {different}: "
                "lower the degree"
            )
        with np.errstate(all="ignore"):
            alpha, norm2 = _recurrence(x, degree)
        if not all(map(math.isfinite, (*alpha, *norm2))) or min(norm2) < 1e-290:
            raise DataError(
                f"{text} is out of the reach of float64 on the rows of {table.source}: bring the column near 1 by "
                "center or scale inside, or lower the degree"
            )
        return cls(alpha, norm2)

    @property
    def size(self) -> int:
        """The number of columns."""
        return len(self.alpha)

    def knows(self, x: Array) -> NDArray[np.bool_]:
        """Polynomials have a value everywhere."""
        return np.ones(len(x), dtype=bool)

    def columns(self, x: Any, arithmetic: Arithmetic) -> list[Any]:
        """The columns of the rows x `(n,)`, each `(n,)`."""
        step, double = arithmetic.operate, arithmetic.double
        last = step("-", x, double(self.alpha[0]))
        found: list[Any] = [last]
        for k in range(1, self.size):
            ratio = double(self.norm2[k + 1] / self.norm2[k])
            before = found[-2] if k > 1 else double(1.0)
            product = step("*", step("-", x, double(self.alpha[k])), last)
            last = step("-", product, step("*", ratio, before))
            found.append(last)
        return [step("/", p, double(math.sqrt(norm))) for p, norm in zip(found, self.norm2[2:], strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """`{"alpha": [...], "norm2": [...]}`."""
        return {"alpha": list(self.alpha), "norm2": list(self.norm2)}

    @classmethod
    def from_dict(cls, values: Any, call: Step) -> Self:
        """The state that `to_dict` wrote; ValueError, TypeError or KeyError otherwise."""
        alpha, norm2 = _numbers(values["alpha"]), _numbers(values["norm2"])
        if len(alpha) != _degree(call) or len(norm2) != len(alpha) + 2 or min(norm2) <= 0.0:
            raise ValueError("the recurrence of poly does not fit its degree")
        return cls(alpha, norm2)


@dataclass(frozen=True, slots=True)
class Powers:
    """The powers x, x², ..., x^d, which learn nothing."""

    degree: int
    keeps_digits: ClassVar[bool] = True
    range_text: ClassVar[str] = ""

    @property
    def size(self) -> int:
        """The number of columns."""
        return self.degree

    def knows(self, x: Array) -> NDArray[np.bool_]:
        """Powers have a value everywhere."""
        return np.ones(len(x), dtype=bool)

    def columns(self, x: Any, arithmetic: Arithmetic) -> list[Any]:
        """The columns of the rows x `(n,)`, each `(n,)`; the very values of `I(x^k)`."""
        powers = (arithmetic.operate("^", x, arithmetic.typed(k)) for k in range(2, self.degree + 1))
        return [x, *powers]

    def to_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    @classmethod
    def from_dict(cls, values: Any, call: Step) -> Self:
        """The state that `to_dict` wrote; ValueError otherwise."""
        if values != {}:
            raise ValueError("raw powers have no state")
        return cls(_degree(call))


@dataclass(frozen=True, slots=True)
class Splines:
    """B-splines between `low` and `high`, without the first, which an intercept spans; as R's and patsy's `bs`.

    Without `knots=` the inner knots are the quantiles at even steps, `df - degree` of them.
    """

    degree: int
    knots: tuple[float, ...]
    low: float
    high: float
    keeps_digits: ClassVar[bool] = False

    @classmethod
    def learn(cls, table: Table, of: Numeric, call: Step, text: str) -> Self:
        """Learn the range and the quantiles."""
        x = of.values(table)
        low, high = float(x.min()), float(x.max())
        if low == high:
            raise DataError(f"{text} needs values that differ, and all are {number_label(low)}: leave it out")
        options = dict(call.options)
        knots = options.get("knots")
        if not isinstance(knots, tuple):
            knots = tuple(np.quantile(x, np.linspace(0.0, 1.0, _inner(call) + 2)[1:-1]).tolist())
        outside = [knot for knot in knots if not low < knot < high]
        if outside:
            raise DataError(
                f"{text} has a knot at {number_label(outside[0])}, which is not between the lowest and the highest "
                f"value of {table.source}, {number_label(low)} and {number_label(high)}: give knots=c(...) inside of "
                "them, or a smaller df="
            )
        return cls(_degree(call), knots, low, high)

    @property
    def size(self) -> int:
        """The number of columns."""
        return len(self.knots) + self.degree

    @property
    def range_text(self) -> str:
        """The range of the training rows, for a sentence."""
        return f"the training range from {number_label(self.low)} to {number_label(self.high)}"

    def knows(self, x: Array) -> NDArray[np.bool_]:
        """Whether each row is inside of the range."""
        return np.asarray((x >= self.low) & (x <= self.high))

    def columns(self, x: Any, arithmetic: Arithmetic) -> list[Any]:
        """The columns of the rows x `(n,)`, each `(n,)`: doubles, in every arithmetic."""
        from scipy.interpolate import BSpline

        values = np.clip(arithmetic.floats(x), self.low, self.high)
        if not len(values):
            return [arithmetic.double(values)] * self.size
        ends = self.degree + 1
        knots = np.array([*[self.low] * ends, *self.knots, *[self.high] * ends])
        found = BSpline.design_matrix(np.array(values), knots, self.degree).toarray()
        return [arithmetic.double(column) for column in found.T[1:]]

    def to_dict(self) -> dict[str, Any]:
        """`{"knots": [...], "low": ..., "high": ...}`."""
        return {"knots": list(self.knots), "low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, values: Any, call: Step) -> Self:
        """The state that `to_dict` wrote; ValueError, TypeError or KeyError otherwise."""
        knots, ends = _numbers(values["knots"]), _numbers([values["low"], values["high"]])
        wanted = dict(call.options).get("knots", knots)
        fits = len(knots) == _inner(call) and wanted == knots
        if (
            not fits
            or list(knots) != sorted(knots)
            or not all(ends[0] < knot < ends[1] for knot in (*knots, sum(ends) / 2))
        ):
            raise ValueError("the knots of bs do not fit its arguments")
        return cls(_degree(call), knots, *ends)


BASES: dict[str, type[Polynomials] | type[Powers] | type[Splines]] = {
    "poly": Polynomials, "raw": Powers, "bs": Splines,
}  # fmt: skip


def basis_of(call: Step) -> str:
    """Which of `BASES` a call asks for."""
    return "raw" if dict(call.options).get("raw") else call.name


def learned_basis(table: Table, of: Numeric, call: Step, text: str) -> Polynomials | Powers | Splines:
    """The basis that a call asks for, learned from the rows of a table."""
    if basis_of(call) == "raw":
        return Powers(_degree(call))
    return (Polynomials if call.name == "poly" else Splines).learn(table, of, call, text)


def _degree(call: Step) -> int:
    options = dict(call.options)
    given = options.get("degree", options.get("", DEGREE["poly"]) if call.name == "poly" else DEGREE["bs"])
    assert isinstance(given, float | int)
    return int(given)


def _inner(call: Step) -> int:
    """The number of inner knots that bs(...) asks for."""
    options = dict(call.options)
    knots = options.get("knots")
    if isinstance(knots, tuple):
        return len(knots)
    df = options.get("df", options.get("", _degree(call)))
    assert isinstance(df, float | int)
    return int(df) - _degree(call)


def _recurrence(x: Pair, degree: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """α and ν of the monic orthogonal polynomials over the rows x `(n,)`."""
    before, last = Pair.of(np.zeros(len(x))), Pair.of(np.ones(len(x)))
    alpha: list[float] = []
    norm2 = [1.0, float(len(x))]
    for _ in range(degree):
        square = last * last
        alpha.append(float(((x * square).sum() / square.sum()).hi))
        before, last = last, (x - alpha[-1]) * last - before * (norm2[-1] / norm2[-2])
        norm2.append(float((last * last).sum().hi))
    return tuple(alpha), tuple(norm2)


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    found = tuple(values) if isinstance(values, list) else ()
    if not isinstance(values, list) or not all(type(v) in (int, float) and math.isfinite(v) for v in found):
        raise ValueError("what poly or bs learned is no list of numbers")
    return tuple(float(v) for v in found)
