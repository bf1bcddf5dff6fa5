"""From a formula and the training rows to an encoding: learned once, frozen, applied to every table after.

Categories are treatment coded by R's rule. In a term, a categorical factor is coded by contrasts (`g[T.b]`,
without the reference) if the term without that factor is empty or contained in a term before it; otherwise by
one indicator for every category (`g[a]`). Without an intercept, the first categorical factor of the first
term that has one gets all its indicators.

Where formulaic differs, R is followed: a term such as `a:b` without its main effects has the indicators of
all combinations (formulaic leaves out what the intercept already spans), so that some coefficients may not be
estimable; the factors of an interaction stand in the order in which the formula first names them; expressions
are named as R writes them, `I(x^2)` and `I(a/b)`.

Reference: Chambers and Hastie, Statistical Models in S, 1992, pages 38 to 40.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, FormulaError, RunError, SightlineError, shown
from .categories import Categorical
from .formula import Factor, Formula
from .grammar import Expression, columns_of, quote
from .table import Table
from .transforms import Numeric, where

__all__ = ["Encoding", "Product"]

MAX_COLUMNS = 100_000
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Product:
    """A term: which of the encoding's factors it multiplies, and which of them have all their indicators."""

    factors: tuple[int, ...]
    full: tuple[bool, ...]


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

    target: Numeric
    factors: tuple[Numeric | Categorical, ...]
    products: tuple[Product, ...]

    @classmethod
    def learn(cls, formula: Formula, table: Table) -> Self:
        """Learn from training rows, all of which have a value in every column that is used.

        Raises:
            FormulaError: a function that is not available yet.
            DataError: a column that cannot be used as the formula says.
        """
        if formula.response is None:
            raise FormulaError("the formula has no response: write one before a ~, as in weight ~ height")
        if not table.rows:
            raise DataError(f"{table.source} has no rows with a value in every used column: add rows")
        places: dict[Factor, int] = {}
        for factor in (factor for term in formula.terms for factor in term):
            places.setdefault(factor, len(places))
        _check_available(formula, places)
        if formula.response.function:
            _check_target(formula.response.expression, table)
        target = Numeric.learn(formula.response.expression, table)
        factors = tuple(_learn(factor, table) for factor in places)
        terms = [tuple(places[factor] for factor in term) for term in formula.terms]
        encoding = cls(target, factors, _coded(terms, factors, intercept=formula.intercept))
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
            for _ in range(self._width(product))
        )

    def matrix(self, table: Table) -> Array:
        """The design without an intercept column, shape `(n, p)`.

        Raises:
            DataError: a missing column, an unknown category, a value outside of a function's domain.
        """
        values = [f.values(table) if isinstance(f, Numeric) else f.codes(table) for f in self.factors]
        ends = np.cumsum([0, *map(self._width, self.products)])
        X = np.empty((table.rows, ends[-1]))
        for product, (start, end) in zip(self.products, pairwise(ends), strict=True):
            pairs = zip(product.factors, product.full, strict=True)
            block = reduce(_times, (self._block(place, values[place], full=full) for place, full in pairs))
            if len(product.factors) > 1 and not np.isfinite(block).all():
                raise self._overflow(product, block, table)
            X[:, start:end] = block
        return X

    def response(self, table: Table) -> Array:
        """The response, shape `(n,)`.

        Raises:
            DataError: a response that is not a number in every row.
        """
        _check_target(self.target.expression, table)
        return np.array(self.target.values(table))

    def to_dict(self) -> dict[str, Any]:
        """Everything that was learned, as plain JSON."""
        return {
            "target": self.target.to_dict(),
            "factors": [factor.to_dict() for factor in self.factors],
            "terms": [{"factors": list(p.factors), "full": list(p.full)} for p in self.products],
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The encoding that `to_dict` wrote.

        Raises:
            RunError: values that no encoding has.
        """
        try:
            target = Numeric.from_dict(values["target"])
            factors = tuple(_factor(factor) for factor in values["factors"])
            encoding = cls(target, factors, tuple(_product(term, factors) for term in values["terms"]))
            if sum(map(encoding._width, encoding.products)) > MAX_COLUMNS:
                raise ValueError(f"more than {MAX_COLUMNS:,} columns")
            if len(set(encoding.terms)) < len(encoding.terms):
                raise ValueError("two columns of the same name")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, SightlineError) as error:
            reason = shown(error, quote=False, limit=120)
            raise RunError(f"the encoding of the run cannot be read ({reason}): train again") from None
        return encoding

    def _names(self, product: Product) -> list[str]:
        names: list[tuple[str, ...]] = [()]
        for place, full in zip(product.factors, product.full, strict=True):
            factor = self.factors[place]
            own = (factor.text,) if isinstance(factor, Numeric) else factor.names(full=full)
            names = [(*before, name) for name in own for before in names]
        return [":".join(parts) for parts in names]

    def _width(self, product: Product) -> int:
        sizes = [_size(self.factors[place]) for place in product.factors]
        return math.prod(s - (not full) if s else 1 for s, full in zip(sizes, product.full, strict=True))

    def _block(self, place: int, values: NDArray[Any], *, full: bool) -> Array:
        """The columns of one factor in a term: its numbers, or its indicators, shape `(n, k)`."""
        size = _size(self.factors[place])
        if not size:
            return np.asarray(values[:, None])
        return np.asarray(values[:, None] == np.arange(0 if full else 1, size), dtype=np.float64)

    def _overflow(self, product: Product, block: Array, table: Table) -> DataError:
        row = int(np.argmin(np.isfinite(block).all(axis=1)))
        expressions = [self.factors[place].expression for place in product.factors]
        names = dict.fromkeys(name for expression in expressions for name in columns_of(expression))
        return DataError(
            f"{where(table, row, *names)}: the product {shown(self._names(product)[0], quote=False)} is too "
            "large; correct the cells, or divide the columns, as in I(x/1000)"
        )


def _size(factor: Numeric | Categorical) -> int:
    """The number of categories, 0 for numbers."""
    return 0 if isinstance(factor, Numeric) else len(factor.levels)


def _times(left: Array, right: Array) -> Array:
    """All products of a column of the left and one of the right, those of the left varying fastest."""
    with np.errstate(all="ignore"):
        products = right[:, :, None] * left[:, None, :]
    return products.reshape(len(left), left.shape[1] * right.shape[1])


def _factor(values: dict[str, Any]) -> Numeric | Categorical:
    return Categorical.from_dict(values) if "levels" in values else Numeric.from_dict(values)


def _check_target(expression: Expression, table: Table) -> None:
    for name in columns_of(expression):
        if table[name].kind == "text":
            raise DataError(
                f"the target {shown(name)} is text; a linear model needs numbers: name a column of numbers before the ~"
            )


def _learn(factor: Factor, table: Table) -> Numeric | Categorical:
    """A factor with what it learns: categories for C(...) and a column of text, else numbers."""
    plain_text = not factor.function and table[factor.columns[0]].kind == "text"
    if plain_text or factor.function == "C":
        return Categorical.learn(factor, table)
    return Numeric.learn(factor.expression, table)


def _coded(
    terms: Sequence[tuple[int, ...]], factors: Sequence[Numeric | Categorical], *, intercept: bool
) -> tuple[Product, ...]:
    """Decide by R's rule which categorical factors have all their indicators in which term."""
    sets = [frozenset(term) for term in terms]
    coded: list[list[bool]] = []
    for number, term in enumerate(terms):
        full = [False] * len(term)
        for place, factor in enumerate(term):
            if _size(factors[factor]) and len(term) > 1:
                rest = sets[number] - {factor}
                full[place] = not any(rest <= before for before in sets[:number])
        coded.append(full)
    first = next((n for n, term in enumerate(terms) if any(_size(factors[factor]) for factor in term)), None)
    if first is not None and not intercept:
        coded[first][[bool(_size(factors[factor])) for factor in terms[first]].index(True)] = True
    return tuple(Product(term, tuple(full)) for term, full in zip(terms, coded, strict=True))


def _product(values: Any, factors: Sequence[Numeric | Categorical]) -> Product:
    """A term from JSON; ValueError if the factors do not have it."""
    places, full = tuple(values["factors"]), tuple(values["full"])
    if not places or len(set(places)) != len(places) or len(places) != len(full):
        raise ValueError("a term is no list of different factors")
    for place, flag in zip(places, full, strict=True):
        if type(place) is not int or not 0 <= place < len(factors) or type(flag) is not bool:
            raise ValueError(f"a term has no factor {shown(place)} of {len(factors)}, coded {shown(flag)}")
        if flag and not _size(factors[place]):
            raise ValueError(f"{shown(factors[place].text)} has no categories")
    return Product(places, full)


def _check_available(formula: Formula, factors: dict[Factor, int]) -> None:
    for factor in factors:
        if factor.function in ("poly", "bs"):
            column = shown(quote(factor.columns[0]), quote=False)
            message = f"{factor.function} is not available yet; write I({column}^2) for a curve"
            raise FormulaError(message, formula=formula.text, start=factor.start, end=factor.end)


def _check_names(encoding: Encoding, table: Table, *, intercept: bool) -> None:
    """Refuse a design that is too wide, or of which two columns would have the same name."""
    width = sum(map(encoding._width, encoding.products))
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
