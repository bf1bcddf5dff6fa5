"""Sums of products of rows of which categories are kept as codes: counts with weights, and forms of each row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_rows import Block, CodedRows, add_rows, counted, take_rows

__all__ = ["Forms", "Squares", "placed_squares", "squares_of_clusters"]

Array = NDArray[np.float64]


class Squares:
    """What is added up over blocks for each weight: by pairs of codes, by codes, and of the other columns; sums that
    round are made of one block each, all of one size.
    """

    def __init__(self, rows: CodedRows, count: int) -> None:
        self.rows, self.count = rows, count
        self.sizes = [len(part.columns) for part in rows.parts]
        self.pairs = list(combinations(range(len(self.sizes)), 2))
        self.work = len(rows) * max(len(self.pairs), 1)
        d = len(rows.places) + 1
        self.tables = [np.zeros((count, self.sizes[i], self.sizes[j])) for i, j in self.pairs]
        self.by_code = [np.zeros((size, count * d)) for size in self.sizes]
        self.own = np.zeros((count, d, d))

    def add(self, block: Block, weights: Array, pool: ThreadPoolExecutor) -> None:
        """A block, of which no two jobs touch the same sums."""
        each = [np.ascontiguousarray(w) for w in weights.T]
        jobs = [pool.submit(self._pair, block, each, k) for k in range(len(self.pairs))]
        dense = np.column_stack([block.dense, np.ones(len(block.dense))])
        values = [dense * w[:, None] for w in each]
        for own, value in zip(self.own, values, strict=True):
            own += dense.T @ value
        together = np.hstack(values)
        jobs += [pool.submit(self._rows, block, together, i) for i in range(len(self.sizes))]
        for job in jobs:
            job.result()

    def _pair(self, block: Block, weights: list[Array], k: int) -> None:
        i, j = self.pairs[k]
        for table, weight in zip(self.tables[k], weights, strict=True):
            counted(block.codes[i], block.codes[j], table, weight, work=self.work)

    def _rows(self, block: Block, values: Array, i: int) -> None:
        self.by_code[i] += add_rows(block.codes[i], values, self.sizes[i])

    def found(self) -> Array:
        """In training coordinates."""
        rows, p = self.rows, self.rows.shape[1]
        places, d = np.append(rows.places, p), len(rows.places) + 1
        found = np.zeros((self.count, p + 1, p + 1))
        found[:, places[:, None], places] = self.own
        kept = [part.columns >= 0 for part in rows.parts]
        columns = [part.columns[k] for part, k in zip(rows.parts, kept, strict=True)]
        for at, k, sums in zip(columns, kept, self.by_code, strict=True):
            beside = np.moveaxis(sums[k].reshape(len(at), self.count, d), 1, 0)
            found[:, at[:, None], places], found[:, places[:, None], at] = beside, np.swapaxes(beside, 1, 2)
            found[:, at, at] = beside[:, :, -1]
        for (i, j), table in zip(self.pairs, self.tables, strict=True):
            cells = table[:, kept[i]][:, :, kept[j]]
            found[:, columns[i][:, None], columns[j]] = cells
            found[:, columns[j][:, None], columns[i]] = np.swapaxes(cells, 1, 2)
        return placed_squares(rows, found)


def placed_squares(rows: CodedRows, raw: Array) -> Array:
    """Σ w [x 1][x 1]' `(·, p + 1, p + 1)` from the same of indicators that are 0 and 1, in the place of these."""
    p, marked = rows.shape[1], rows.marked
    off, by = np.zeros(p + 1), np.ones(p + 1)
    off[marked], by[marked] = rows.zero[marked], (rows.one - rows.zero)[marked]
    raw *= by
    raw *= by[:, None]
    if off.any():
        row, column, corner = raw[:, p].copy(), raw[:, :, p].copy(), raw[:, p, p].copy()
        raw += off[:, None] * row[:, None, :] + column[:, :, None] * off
        raw += off[:, None] * off * corner[:, None, None]
    return raw


class Forms:
    """x'Vx of rows, from the entries of `V (q, q)` that belong to pairs of their codes; x ends with a one where V has
    a row for it.

    >>> from .coded_rows import Indicators
    >>> rows = CodedRows(3, 1, (Indicators(np.array([0, 1, 1]), np.array([-1, 0])),), np.array([], int),
    ...                  lambda a, b: np.empty((b - a, 0)))
    >>> Forms(rows, np.array([[2.0, 1.0], [1.0, 5.0]])).of(rows.placed_block(0, 3)).tolist()
    [5.0, 9.0, 9.0]
    """

    def __init__(self, rows: CodedRows, V: Array) -> None:
        p = rows.shape[1]
        by, off = np.ones(p), np.zeros(len(V))
        by[rows.marked] = (rows.one - rows.zero)[rows.marked]
        off[rows.marked] = rows.zero[rows.marked]
        off[p:] = 1.0
        self.constant, self.linear = float(off @ V @ off), 2.0 * (V @ off)[:p] * by
        self.parts, self.places = rows.parts, rows.places
        self.V = V[:p, :p] * by * by[:, None]
        self.own = self.V[np.ix_(self.places, self.places)]
        self.beside = [self._rows(part.columns, self.V[:, self.places]) for part in self.parts]
        alone = np.diag(self.V) + self.linear
        self.alone = [self._rows(part.columns, alone[:, None]) for part in self.parts]
        self.pairs = {
            (i, j): self._rows(self.parts[j].columns, self._rows(self.parts[i].columns, 2.0 * self.V).T).T
            for i, j in combinations(range(len(self.parts)), 2)
        }

    def of(self, block: Block) -> Array:
        """Of the rows of a block, `(m,)`."""
        dense, codes = block.dense, block.codes
        found = np.full((len(dense), 1), self.constant)
        found[:, 0] += ((dense @ self.own + self.linear[self.places]) * dense).sum(axis=1)
        beside = np.zeros(dense.shape)
        for own, alone, at in zip(self.beside, self.alone, codes, strict=True):
            take_rows(at, own, beside)
            take_rows(at, alone, found)
        found[:, 0] += 2.0 * (beside * dense).sum(axis=1)
        for (i, j), table in self.pairs.items():
            found[:, 0] += table[codes[i], codes[j]]
        return found[:, 0]

    def _rows(self, columns: NDArray[np.intp], table: Array) -> Array:
        """The row of each code; zeros of one without a column."""
        return np.ascontiguousarray(np.where(columns[:, None] >= 0, table[columns], 0.0))


def squares_of_clusters(X: CodedRows, pull: Array, clusters: NDArray[np.intp]) -> Array:
    """Σ ss' `(m, m, p + 1, p + 1)` of the sums s over the rows of each cluster of u ⊗ [x 1], u the `pull (n, m)`: sums
    of indicators that are 0 and 1 are sparse.
    """
    from scipy.sparse import coo_array

    groups, p, d, m = int(clusters.max(initial=0)) + 1, X.shape[1], len(X.places), pull.shape[1]
    marked: Any = coo_array((groups, m * p)).tocsr()
    dense = np.zeros((groups, m * (d + 1)))
    for first, last in X.blocks():
        block = X.placed_block(first, last)
        group, own = clusters[block.part], pull[block.part]
        ones = np.column_stack([block.dense, np.ones(len(own))])
        dense += add_rows(group.astype(np.int32), (own[:, :, None] * ones[:, None, :]).reshape(len(own), -1), groups)
        for part, codes in zip(X.parts, block.codes, strict=True):
            columns = part.columns[codes]
            kept = np.flatnonzero(columns >= 0)
            at = np.add.outer(columns[kept], p * np.arange(m)).ravel()
            entries = (own[kept].ravel(), (np.repeat(group[kept], m), at))
            marked = marked + coo_array(entries, shape=(groups, m * p)).tocsr()
    found = np.zeros((m, m, p + 1, p + 1))
    places = np.append(X.places, p)
    of_marks = (marked.T @ marked).toarray().reshape(m, p, m, p)
    found[:, :, :p, :p] = of_marks.swapaxes(1, 2)
    beside = (marked.T @ dense).reshape(m, p, m, d + 1).swapaxes(1, 2)
    at = X.marked
    found[:, :, at[:, None], places] = beside[:, :, at]
    found[:, :, places[:, None], at] = beside[:, :, at].transpose(1, 0, 3, 2)
    found[:, :, places[:, None], places] = (dense.T @ dense).reshape(m, d + 1, m, d + 1).swapaxes(1, 2)
    return placed_squares(X, found.reshape(m * m, p + 1, p + 1)).reshape(found.shape)
