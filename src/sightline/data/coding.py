"""How the categories of a term become columns: treatment coding by R's rule.

In a term, a categorical factor is coded by contrasts (`g[T.b]`, without the reference) if the term without that
factor is empty or contained in a term before it; otherwise by one indicator for every category (`g[a]`). Without an
intercept, the first categorical factor of the first term that has one gets all its indicators.

Where formulaic differs, R is followed: a term such as `a:b` without its main effects has the indicators of
all combinations (formulaic leaves out what the intercept already spans), so that some coefficients may not be
estimable; the factors of an interaction stand in the order in which the formula first names them; expressions
are named as R writes them, `I(x^2)` and `I(a/b)`.

Reference: Chambers and Hastie, Statistical Models in S, 1992, pages 38 to 40.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import shown
from .basis import Basis
from .categories import Categorical
from .transforms import Numeric

__all__ = ["Coded", "Product", "coded_terms", "factor_from", "names_of", "product_from", "size_of", "width_of"]


Coded = Numeric | Categorical | Basis


@dataclass(frozen=True, slots=True)
class Product:
    """A term: which of the encoding's factors it multiplies, and which of them have all their indicators."""

    factors: tuple[int, ...]
    full: tuple[bool, ...]


def size_of(factor: Coded) -> int:
    """The number of categories, 0 for numbers."""
    return len(factor.levels) if isinstance(factor, Categorical) else 0


def names_of(factor: Coded, *, full: bool) -> tuple[str, ...]:
    """The names of its columns in a term."""
    if isinstance(factor, Categorical):
        return factor.names(full=full)
    return factor.names if isinstance(factor, Basis) else (factor.text,)


def width_of(factor: Coded, *, full: bool) -> int:
    """The number of its columns in a term."""
    if isinstance(factor, Categorical):
        return len(factor.levels) - (not full)
    return factor.state.size if isinstance(factor, Basis) else 1


def coded_terms(terms: Sequence[tuple[int, ...]], factors: Sequence[Coded], *, intercept: bool) -> tuple[Product, ...]:
    """Decide by R's rule which categorical factors have all their indicators in which term."""
    sets = [frozenset(term) for term in terms]
    coded: list[list[bool]] = []
    for number, term in enumerate(terms):
        full = [False] * len(term)
        for place, factor in enumerate(term):
            if size_of(factors[factor]) and len(term) > 1:
                rest = sets[number] - {factor}
                full[place] = not any(rest <= before for before in sets[:number])
        coded.append(full)
    first = next((n for n, term in enumerate(terms) if any(size_of(factors[factor]) for factor in term)), None)
    if first is not None and not intercept:
        coded[first][[bool(size_of(factors[factor])) for factor in terms[first]].index(True)] = True
    return tuple(Product(term, tuple(full)) for term, full in zip(terms, coded, strict=True))


def factor_from(values: dict[str, Any]) -> Coded:
    if "state" in values:
        return Basis.from_dict(values)
    return Categorical.from_dict(values) if "levels" in values else Numeric.from_dict(values)


def product_from(values: Any, factors: Sequence[Coded]) -> Product:
    """A term from JSON; ValueError if the factors do not have it."""
    places, full = tuple(values["factors"]), tuple(values["full"])
    if not places or len(set(places)) != len(places) or len(places) != len(full):
        raise ValueError("a term is no list of different factors")
    for place, flag in zip(places, full, strict=True):
        if type(place) is not int or not 0 <= place < len(factors) or type(flag) is not bool:
            raise ValueError(f"a term has no factor {shown(place)} of {len(factors)}, coded {shown(flag)}")
        if flag and not size_of(factors[place]):
            raise ValueError(f"{shown(factors[place].text)} has no categories")
    return Product(places, full)
