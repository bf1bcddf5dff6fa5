"""A design of many categories without its columns of zeros and ones: the codes of the table stand for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..coded_rows import Block, CodedRows, Indicators
from .categories import Categorical
from .coding import Product
from .encode import Encoding
from .finite import check_finite, is_finite
from .grammar import columns_of
from .spread import Spread
from .stored import StoredTable, stored_codes
from .table import CodedColumn, Table
from .transforms import Numeric

__all__ = [
    "MOST_INDICATORS",
    "compact_rows",
    "compact_spread",
    "is_compact",
    "refuse_infinite",
    "refuse_unseen",
    "spread_of",
]

Array = NDArray[np.float64]
BLOCK = 65_536  # rows
MOST_INDICATORS = 2**24  # numbers of a design, 128 MB, beyond which codes take less time too


Blocks = Table | StoredTable


def is_compact(encoding: Encoding, rows: int, most: float) -> bool:
    """Whether the design of so many rows has more than `most` numbers, most of them indicators of categories."""
    p = len(encoding.terms)
    marked = sum(encoding.width(product) for product in encoding.products if _is_coded(encoding, product))
    return rows * p > most and 2 * marked >= p and rows > p


def _is_coded(encoding: Encoding, product: Product) -> bool:
    return len(product.factors) == 1 and isinstance(encoding.factors[product.factors[0]], Categorical)


def compact_rows(encoding: Encoding, table: Blocks, *, codes: bool = True) -> CodedRows:
    """The design of these rows in the units of the data, indicators as codes unless they are few."""
    ends = np.cumsum([0, *map(encoding.width, encoding.products)])
    parts, places, others = [], [], []
    for product, (start, end) in zip(encoding.products, pairwise(ends), strict=True):
        if codes and _is_coded(encoding, product):
            factor = encoding.factors[product.factors[0]]
            assert isinstance(factor, Categorical)
            parts.append(_indicators(factor, table, int(start), full=product.full[0]))
        else:
            places.append(np.arange(start, end))
            others.append(product)
    dense = _Dense(_some(encoding, others), table)
    columns = np.concatenate(places) if places else np.empty(0, dtype=np.intp)
    return CodedRows(table.rows, int(ends[-1]), tuple(parts), columns, dense)


def _indicators(factor: Categorical, table: Blocks, first: int, *, full: bool) -> Indicators:
    """The codes of a column as they are kept, where it has some; else the places of its levels."""
    if isinstance(table, StoredTable):
        stored, labels = stored_codes(table, factor.column)
        found = _placed(stored, factor.places(labels), first, full=full)
        return replace(found, unseen=_Unseen(factor, table, factor.places(labels) < 0))
    column = table[factor.column]
    if isinstance(column, CodedColumn):
        codes, places = column.codes, factor.places(column.labels)
        if (places[column.present] < 0).any():
            factor.codes(table)  # says where
    else:
        codes, places = factor.codes(table).astype(np.int32), np.arange(len(factor.levels))
    return _placed(codes, places, first, full=full)


def _placed(codes: Any, places: NDArray[np.intp], first: int, *, full: bool) -> Indicators:
    """The columns of the levels, of which the first has none unless the coding is full."""
    skipped = int(not full)
    return Indicators(codes, np.where(places >= skipped, first + places - skipped, -1))


@dataclass(frozen=True)
class _Unseen:
    """Refuses a label that a factor does not have, with its place in the file."""

    factor: Categorical
    table: StoredTable
    strange: NDArray[np.bool_]

    def __call__(self, first: int, codes: NDArray[np.int32]) -> None:
        if self.strange.any() and self.strange[codes].any():
            self.factor.codes(self.table.block(first, first + len(codes), [self.factor.column]))


def refuse_unseen(X: CodedRows, block: Block) -> None:
    """Refuse labels in these rows that the encoding did not learn."""
    for part, codes in zip(X.parts, block.codes, strict=True):
        if part.unseen is not None:
            part.unseen(block.first, codes)


def _some(encoding: Encoding, products: list[Product]) -> Encoding:
    """The encoding of these products alone."""
    used = list(dict.fromkeys(place for product in products for place in product.factors))
    moved = [replace(p, factors=tuple(used.index(place) for place in p.factors)) for p in products]
    return replace(encoding, factors=tuple(encoding.factors[place] for place in used), products=tuple(moved))


class _Dense:
    """The columns that are no indicators, of some rows at a time, each in one piece."""

    def __init__(self, encoding: Encoding, table: Blocks) -> None:
        self.encoding, self.table = encoding, table
        self.names = tuple(dict.fromkeys(name for f in encoding.factors for name in columns_of(f.expression)))
        self.plain = _plain_columns(encoding)

    def __call__(self, first: int, last: int) -> Array:
        table = self.table
        if self.plain and isinstance(table, StoredTable) and all(table[name].labels is None for name in self.plain):
            return table.numbers_of(self.plain, first, last).T  # as they are in the file
        return self.encoding.matrix(self.table.block(first, last, self.names), order="F")

    def refuse_infinite(self, first: int, block: Array) -> None:
        """Refuse numbers that are not finite, with their place in the file, in the words of rows in memory."""
        table = self.table.block(first, first + len(block), self.names)
        check_finite(self.encoding.matrix(table), self.encoding.terms, table)


def _plain_columns(encoding: Encoding) -> tuple[str, ...]:
    """The names of the columns where each column of the design is one of the table; else none."""
    factors = [encoding.factors[product.factors[0]] for product in encoding.products]
    if not all(len(product.factors) == 1 for product in encoding.products):
        return ()
    if not all(isinstance(factor, Numeric) and len(factor.expression) == 1 for factor in factors):
        return ()
    return tuple(factor.expression[0].name for factor in factors if isinstance(factor, Numeric))


def compact_spread(X: CodedRows, weight: Array | None) -> Spread:
    """Mean, spread and range of all columns `(p,)`: of indicators from how many rows have each code."""
    return spread_of(X, Spread.merged(_dense_blocks(X, weight)), [_count(part, len(X), weight) for part in X.parts])


def spread_of(X: CodedRows, others: Spread, counts: Sequence[Array]) -> Spread:
    """That of all columns, from that of the others and the weight of the rows of each code."""
    p, mass = X.shape[1], others.mass
    values = {name: np.zeros(p) for name in ("first", "shift", "off", "squares", "low", "high")}
    same = np.zeros(p, dtype=bool)
    for name, array in values.items():
        array[X.places] = getattr(others, name)
    same[X.places] = others.same
    for part, of_code in zip(X.parts, counts, strict=True):
        kept = part.columns >= 0
        columns, count = part.columns[kept], of_code[kept]
        share = count / mass
        values["off"][columns], values["squares"][columns] = share, count * (1.0 - share)
        values["low"][columns], values["high"][columns] = share >= 1.0, count > 0
        same[columns] = (count <= 0) | (share >= 1.0)
        own = part.columns[int(part.codes[0:1][0])]
        if own >= 0:
            values["first"][own] = 1.0
    return Spread(mass, same=same, **values)


def _dense_blocks(X: CodedRows, weight: Array | None) -> Iterator[tuple[Array, Array | None]]:
    for first in range(0, len(X), BLOCK):
        last = min(first + BLOCK, len(X))
        block = X.dense(first, last)
        refuse_infinite(X, first, block)
        yield block, None if weight is None else weight[first:last]


def refuse_infinite(X: CodedRows, first: int, block: Array) -> None:
    """Refuse numbers of these rows that are not finite."""
    if isinstance(X.dense, _Dense) and not is_finite(block):
        X.dense.refuse_infinite(first, block)


def _count(part: Indicators, rows: int, weight: Array | None) -> Array:
    """Σ w of the rows of each code."""
    count = np.zeros(len(part.columns))
    for first in range(0, rows, BLOCK):
        some = slice(first, first + BLOCK)
        count += np.bincount(part.codes[some], weights=None if weight is None else weight[some], minlength=len(count))
    return count
