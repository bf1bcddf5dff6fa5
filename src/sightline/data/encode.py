"""From a formula and the training rows to an encoding: learned once, frozen, applied to every table after."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..double_double import Pair
from ..errors import DataError, FormulaError, RunError, SightlineError, shown
from .arithmetic import FLOATS, Arithmetic, Fractions, Pairs
from .basis import Basis
from .categories import Categorical
from .coding import Coded, Product, coded_terms, factor_from, names_of, product_from, width_of
from .formula import Factor, Formula
from .grammar import columns_of
from .table import Table
from .target import check_number, learn_target, learned_offsets
from .transforms import Numeric, where

__all__ = ["Encoding", "Product"]

MAX_COLUMNS = 100_000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """How rows become numbers: the response, the factors with what they learned, and their products.

    >>> from sightline.data.formula import parse
    >>> from sightline.data.table import Column
    >>> y, g = Column("y", np.array([1.0, 2, 3]), "number"), Column("g", np.array(["b", "a", "c"]), "text")
    >>> table = Table("data.csv", {"y": y, "g": g}, 3)
    >>> encoding = Encoding.learn(parse("y ~ g"), table)
    >>> encoding.terms, encoding.matrix(table).tolist()
    (('g[T.b]', 'g[T.c]'), [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    """

    target: Numeric | Categorical
    factors: tuple[Coded, ...]
    products: tuple[Product, ...]
    offsets: tuple[Numeric, ...] = ()

    @classmethod
    def learn(cls, formula: Formula, table: Table, *, classes: Sequence[str] = ()) -> Self:
        """Learn from training rows, all of which have a value in every column that is used.

        With `classes` the response is the place of a label among them, else it is a number.

        Raises:
            FormulaError: a formula without a response; an offset where the response is a class.
            DataError: a column that cannot be used as the formula says.
        """
        if formula.response is None:
            raise FormulaError("the formula has no response: write one before a ~, as in weight ~ height")
        if not table.rows:
            raise DataError(f"{table.source} has no rows with a value in every used column: add rows")
        places: dict[Factor, int] = {}
        for factor in (factor for term in formula.terms for factor in term):
            places.setdefault(factor, len(places))
        target, offsets = learn_target(formula.response, table, classes), learned_offsets(formula, table, classes)
        factors = tuple(_learn(factor, table) for factor in places)
        terms = [tuple(places[factor] for factor in term) for term in formula.terms]
        encoding = cls(target, factors, coded_terms(terms, factors, intercept=formula.intercept), offsets)
        _check_names(encoding, table, intercept=formula.intercept)
        return encoding

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The names of the columns of the design, shape `(p,)`, without the intercept."""
        return tuple(name for product in self.products for name in self._names(product))

    @cached_property
    def column_groups(self) -> tuple[str, ...]:
        """For each column of the design the name of the term that it comes from, shape `(p,)`."""
        return tuple(
            ":".join(self.factors[place].text for place in product.factors)
            for product in self.products
            for _ in range(self.width(product))
        )

    @property
    def term_factors(self) -> dict[str, frozenset[str]]:
        """For each term the factors that it multiplies."""
        texts = [[self.factors[place].text for place in product.factors] for product in self.products]
        return {":".join(parts): frozenset(parts) for parts in texts}

    def unseen(self, table: Table) -> dict[str, NDArray[np.bool_]]:
        """For each column of categories which rows have one that the training rows did not have, each `(n,)`."""
        return {f.column: f.unseen(table) for f in self.factors if isinstance(f, Categorical)}

    def matrix(self, table: Table, *, unseen: str = "error", order: Literal["C", "F"] = "C") -> Array:
        """The design without an intercept column, shape `(n, p)`; "reference" takes an unseen category as that.

        Raises:
            DataError: a missing column, an unknown category, a value outside of a function's domain.
        """
        values = [
            f.codes(table, unseen=unseen) if isinstance(f, Categorical) else f.values(table) for f in self.factors
        ]
        ends = np.cumsum([0, *map(self.width, self.products)])
        X = _empty(table, int(ends[-1]), order)
        for product, (start, end) in zip(self.products, pairwise(ends), strict=True):
            pairs = zip(product.factors, product.full, strict=True)
            block = reduce(_times, (self._block(place, values[place], full=full) for place, full in pairs))
            if len(product.factors) > 1 and not np.isfinite(block).all():
                raise self._overflow(product, block, table)
            X[:, start:end] = block
        return X

    def pairs(self, table: Table) -> Pair:
        """The design to some 31 digits, shape `(n, p)`: from the numbers as typed, in double-double arithmetic.

        A function such as `log` takes the nearest double and gives one. For rows that `matrix` takes.
        """
        columns = self._columns(table, Pairs())
        return Pair.stack(columns) if columns else Pair.of(np.empty((table.rows, 0)))

    def fractions(self, table: Table) -> NDArray[Any]:
        """The design in exact rational numbers, an array `(n, p)` of `Fraction`, for few rows."""
        columns = self._columns(table, Fractions())
        return np.column_stack(columns) if columns else np.empty((table.rows, 0), dtype=object)

    def exact(self, table: Table) -> NDArray[np.bool_]:
        """Which columns of the design double-double holds without rounding that matters, shape `(p,)`."""
        exact = [isinstance(f, Categorical) or f.exact(table) for f in self.factors]
        kept = [all(exact[place] for place in product.factors) for product in self.products]
        return np.repeat(np.array(kept, dtype=bool), [self.width(product) for product in self.products])

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels of the response, none if it is a number."""
        return self.target.levels if isinstance(self.target, Categorical) else ()

    def response(self, table: Table) -> Array:
        """The response less the offsets, shape `(n,)`; of a class its place among `classes`.

        Raises:
            DataError: a response that is not a number in every row, or a label that is no class.
        """
        return np.array(self._response(table, FLOATS))

    def offset(self, table: Table) -> Array:
        """The sum of the offsets, which predictions of the response add, shape `(n,)`."""
        return sum((offset.values(table) for offset in self.offsets), np.zeros(table.rows))

    def response_pairs(self, table: Table) -> Pair:
        """The response to some 31 digits, shape `(n,)`."""
        response: Pair = self._response(table, Pairs())
        return response

    def response_fractions(self, table: Table) -> NDArray[Any]:
        """The response in exact rational numbers, an array `(n,)` of `Fraction`."""
        return np.asarray(self._response(table, Fractions()))

    def to_dict(self) -> dict[str, Any]:
        """Everything that was learned, as plain JSON."""
        return {
            "target": self.target.to_dict(),
            "factors": [factor.to_dict() for factor in self.factors],
            "terms": [{"factors": list(p.factors), "full": list(p.full)} for p in self.products],
            "offsets": [offset.to_dict() for offset in self.offsets],
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The encoding that `to_dict` wrote.

        Raises:
            RunError: values that no encoding has.
        """
        try:
            target = factor_from(values["target"])
            if isinstance(target, Basis):
                raise ValueError("a response of several columns")
            factors = tuple(factor_from(factor) for factor in values["factors"])
            offsets = tuple(Numeric.from_dict(offset) for offset in values.get("offsets", []))
            encoding = cls(target, factors, tuple(product_from(term, factors) for term in values["terms"]), offsets)
            if sum(map(encoding.width, encoding.products)) > MAX_COLUMNS:
                raise ValueError(f"more than {MAX_COLUMNS:,} columns")
            if len(set(encoding.terms)) < len(encoding.terms):
                raise ValueError("two columns of the same name")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, SightlineError) as error:
            reason = shown(error, quote=False, limit=120)
            raise RunError(f"the encoding of the run cannot be read ({reason}): train again") from None
        return encoding

    def _response(self, table: Table, arithmetic: Arithmetic) -> Any:
        if isinstance(self.target, Categorical):
            return arithmetic.double(self.target.codes(table))
        check_number(self.target.expression, table)
        value = self.target.run(table, arithmetic)
        with np.errstate(all="ignore"):
            for offset in self.offsets:
                value = arithmetic.operate("-", value, offset.run(table, arithmetic))
        return value

    def _columns(self, table: Table, arithmetic: Arithmetic) -> list[Any]:
        """The columns of the design in another arithmetic, each `(n,)`."""
        values: list[Any] = [
            f.codes(table) if isinstance(f, Categorical) else f.run(table, arithmetic) for f in self.factors
        ]

        def block(place: int, full: bool) -> list[Any]:
            factor = self.factors[place]
            if isinstance(factor, Categorical):
                codes = range(0 if full else 1, len(factor.levels))
                return [arithmetic.double(values[place] == code) for code in codes]
            return list(values[place]) if isinstance(factor, Basis) else [values[place]]

        def times(left: list[Any], right: list[Any]) -> list[Any]:
            return [arithmetic.operate("*", a, b) for b in right for a in left]

        with np.errstate(all="ignore"):
            blocks = ([block(*part) for part in zip(p.factors, p.full, strict=True)] for p in self.products)
            return [column for parts in blocks for column in reduce(times, parts)]

    def _names(self, product: Product) -> list[str]:
        names: list[tuple[str, ...]] = [()]
        for place, full in zip(product.factors, product.full, strict=True):
            own = names_of(self.factors[place], full=full)
            names = [(*before, name) for name in own for before in names]
        return [":".join(parts) for parts in names]

    def width(self, product: Product) -> int:
        """How many columns a term has."""
        parts = zip(product.factors, product.full, strict=True)
        return math.prod(width_of(self.factors[place], full=full) for place, full in parts)

    def _block(self, place: int, values: NDArray[Any], *, full: bool) -> Array:
        """The columns of one factor in a term: its numbers, or its indicators, shape `(n, k)`."""
        factor = self.factors[place]
        if isinstance(factor, Categorical):
            return np.asarray(values[:, None] == np.arange(0 if full else 1, len(factor.levels)), dtype=np.float64)
        return values if isinstance(factor, Basis) else values[:, None]

    def _overflow(self, product: Product, block: Array, table: Table) -> DataError:
        row = int(np.argmin(np.isfinite(block).all(axis=1)))
        expressions = [self.factors[place].expression for place in product.factors]
        names = dict.fromkeys(name for expression in expressions for name in columns_of(expression))
        return DataError(
            f"{where(table, row, *names)}: the product {shown(self._names(product)[0], quote=False)} is too "
            "large; correct the cells, or divide the columns, as in I(x/1000)"
        )


def _empty(table: Table, width: int, order: Literal["C", "F"]) -> Array:
    try:
        return np.empty((table.rows, width), order=order)
    except MemoryError:
        raise DataError(
            f"the formula makes {width:,} columns of the {table.rows:,} rows of {table.source}, "
            f"{8 * width * table.rows / 1e9:,.0f} GB, more than there is memory: leave out interactions or columns "
            "with many categories, or use fewer rows"
        ) from None


def _times(left: Array, right: Array) -> Array:
    """All products of a column of the left and one of the right, those of the left varying fastest."""
    with np.errstate(all="ignore"):
        products = right[:, :, None] * left[:, None, :]
    return products.reshape(len(left), left.shape[1] * right.shape[1])


def _learn(factor: Factor, table: Table) -> Coded:
    """A factor with what it learns: categories for C(...) and a column of text, else numbers."""
    plain_text = not factor.function and table[factor.columns[0]].kind == "text"
    if plain_text or factor.function == "C":
        return Categorical.learn(factor, table)
    if factor.function in ("poly", "bs"):
        return Basis.learn(factor.expression, table)
    return Numeric.learn(factor.expression, table)


def _check_names(encoding: Encoding, table: Table, *, intercept: bool) -> None:
    """Refuse a design that is too wide, or of which two columns would have the same name."""
    width = sum(map(encoding.width, encoding.products))
    if width > MAX_COLUMNS:
        raise DataError(
            f"the formula makes {width:,} columns of {table.source}, more than {MAX_COLUMNS:,}: "
            "leave out interactions of columns with many categories"
        )
    names = Counter(encoding.terms)
    if intercept and "Intercept" in names:
        raise DataError("a column is named 'Intercept', as the model's intercept: rename or omit it")
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise DataError(f"two coefficients would both be named {shown(twice[0])}: rename one of the columns")
