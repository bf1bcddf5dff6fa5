"""What the symbols of a worked step are called, and how many digits its numbers have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.design import Design
from ..worked import Worked
from .notation import named, number

__all__ = ["DIGITS", "Labels"]

Array = NDArray[np.float64]
DIGITS = {"float32": 7, "float64": 9}  # float32 holds about 7; 9 of float64 are right after a few dozen operations
MOST_TERMS = 3


@dataclass(frozen=True)
class Labels:
    """`parameters (q,)` in the order of θ, such as w, b, or w[height], b, with the classes k of a softmax before them;
    `inputs (p,)`, such as x or x[height].
    """

    parameters: tuple[str, ...]
    inputs: tuple[str, ...]
    target: str
    digits: int

    @classmethod
    def of(cls, worked: Worked) -> Labels:
        """The labels of a run's step."""
        return cls.named(worked.design, outputs=worked.loss.outputs, digits=DIGITS[worked.dtype])

    @classmethod
    def named(cls, design: Design, *, outputs: int = 1, digits: int = 9) -> Labels:
        """The labels of a design."""
        terms = [clean(t) for t in design.encoding.terms]
        inputs = tuple("x" if len(terms) == 1 else "x" + named(t) for t in terms)
        slopes, biases = [""] if len(terms) == 1 else terms, ["b"]
        weights = ["w" + (named(t) if t else "") for t in slopes]
        if outputs > 1:
            classes = [clean(c) for c in design.classes]
            weights = ["w" + named(", ".join(filter(None, (c, t)))) for c in classes for t in slopes]
            biases = ["b" + named(c) for c in classes]
        return cls((*weights, *(biases if design.intercept else [])), inputs, clean(design.target), digits)

    def number(self, value: float) -> str:
        """A number to as many digits as the dtype bears."""
        return number(float(value), self.digits)

    def chosen(self, most: int = MOST_TERMS) -> list[int]:
        """The parameters that are worked out one by one: the first, and the last, which is the intercept."""
        q = len(self.parameters)
        return list(range(q)) if q <= most else [*range(most - 1), q - 1]

    def linear(self, left: str) -> str:
        """The linear predictor of one output: "ŷ = w · x + b"."""
        p = len(self.inputs)
        at = list(range(p)) if p <= MOST_TERMS else [0, 1, p - 1]
        parts = [f"{self.parameters[j]} · {self.inputs[j]}" for j in at]
        if p > MOST_TERMS:
            parts.insert(2, "…")
        return f"{left} = {' + '.join([*parts, *(['b'] if len(self.parameters) > p else [])]) or '0'}"

    def sum(self, values: Sequence[float], most: int = 6) -> str:
        """a + b - c, the middle left out where there are many."""
        shown = [float(v) for v in (values if len(values) <= most else values[: most - 1])]
        text = self.number(shown[0]) + "".join(f" {'-' if v < 0 else '+'} {self.number(abs(v))}" for v in shown[1:])
        return text + (" + …" if len(values) > most else "")

    def products(self, columns: Sequence[Array], most: int = 5) -> str:
        """a · b + c · d, one product for each row; the rows after the first few left out where there are many."""
        n = len(columns[0])
        parts = [
            " · ".join([self.number(columns[0][i]), *(self.factor(c[i]) for c in columns[1:])])
            for i in range(n if n <= most else 3)
        ]
        text = parts[0] + "".join(f" - {p[1:]}" if p.startswith("-") else f" + {p}" for p in parts[1:])
        return text + (" + …" if n > most else "")

    def factor(self, value: float) -> str:
        """A number inside a product: in parentheses where it is negative."""
        text = self.number(value)
        return f"({text})" if text.startswith("-") else text


def clean(name: str) -> str:
    """A name that breaks neither a line nor the marks around mathematics."""
    return "".join(c if c.isprintable() and c != "`" else "'" for c in name)
