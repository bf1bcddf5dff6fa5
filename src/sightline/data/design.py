"""The frozen design: what was learned from the training rows once, and is applied to every row after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, RunError, UsageError, nearest, shown
from ..rows import Rows
from .encode import Encoding
from .formula import Formula
from .table import Table, names_of

__all__ = ["Design", "Missing", "complete_rows"]

Array = NDArray[np.float64]
LARGEST, SMALLEST = 1e150, 1e-150  # squares of larger values overflow float64, of smaller ones vanish


@dataclass(frozen=True, slots=True)
class Missing:
    """Rows left out because a used column has no value there: how many in all, and by column."""

    rows: int
    by_column: Mapping[str, int]


def complete_rows(table: Table, names: Iterable[str]) -> tuple[Table, Missing]:
    """The rows with a value in every used column, and what was left out."""
    keep = np.ones(table.rows, dtype=bool)
    by_column: dict[str, int] = {}
    for name in names:
        missing = table[name].missing
        if table.rows and missing.all():
            raise DataError(
                f"column {shown(name)} of {table.source} has no values at all: "
                "leave it out of the formula or fill it in"
            )
        if count := int(missing.sum()):
            by_column[name] = count
        keep &= ~missing
    if table.rows and not keep.any():
        raise DataError(
            f"every row of {table.source} misses a value in one of {names_of(by_column)}: "
            "leave out the column that misses most"
        )
    return table.take(keep), Missing(int((~keep).sum()), by_column)


@dataclass(frozen=True)
class Design:
    """Encoding of the columns, then (x - center) / scale; coefficients are mapped back to the units of the data.

    `terms (q,)` are the names of the coefficients, `Intercept` first; parameters θ `(q,)` in training coordinates
    hold the weights `(p,)`, then the bias. `constant` names columns without variation: they stay at zero and are
    not estimated. `low` and `high (p,)` are the ranges seen in training, in the units of the data. `columns` are
    those a prediction needs, `target_columns` those of the target.
    """

    formula: str
    target: str
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    encoding: Encoding
    intercept: bool
    standardize: bool
    center: Array
    scale: Array
    constant: tuple[str, ...]
    low: Array
    high: Array

    @classmethod
    def learn(cls, formula: Formula, table: Table, *, standardize: bool = True) -> Design:
        """Learn encoding, centers and scales from the training rows."""
        encoding = Encoding.learn(formula, table)
        X = encoding.matrix(table)
        _check_finite(X, encoding.terms, table)
        assert formula.response is not None
        low, high = X.min(axis=0), X.max(axis=0)
        _check_size(np.maximum(abs(low), abs(high)), encoding.terms, table.source, squares=not standardize)
        center, scale, constant = _center_and_scale(X, intercept=formula.intercept, standardize=standardize)
        names = tuple(np.array(encoding.terms, dtype=object)[constant])
        target_columns = tuple(formula.response.columns)
        columns = tuple(name for name in formula.columns if name not in target_columns)
        return cls(
            formula.text, formula.response.text, columns, target_columns, encoding, formula.intercept, standardize,
            center, scale, names, low, high,
        )  # fmt: skip

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the coefficients, in R's order."""
        return ("Intercept", *self.encoding.terms) if self.intercept else tuple(self.encoding.terms)

    @property
    def noise(self) -> Array:
        """Relative size of the rounding that each column of [X 1] may carry, `(q,)`: one far from zero has lost digits.

        A decimal near |center| is rounded by eps |center|, which is eps |center| / scale of a standardized column; held
        to 1e-6, so that a column by itself is never taken for rounding.
        """
        far = np.abs(self.center) / self.scale + 1.0
        noise = np.minimum(4.0 * np.finfo(np.float64).eps * far, 1e-6)
        return np.append(noise, np.finfo(np.float64).eps) if self.intercept else noise

    def rows(self, table: Table) -> Rows:
        """Numbers to train on: the table's rows in training coordinates, with their targets."""
        y = self.encoding.response(table)
        _check_finite(y[:, None], (self.target,), table)
        _check_size(np.array([np.abs(y).max(initial=0.0)]), (self.target,), table.source, squares=True)
        return Rows(self.matrix(table), y)

    def matrix(self, table: Table) -> Array:
        """`X (n, p)` in training coordinates."""
        X = self.encoding.matrix(table)
        _check_finite(X, self.encoding.terms, table)
        return (X - self.center) / self.scale

    @property
    def unit_map(self) -> Array:
        """The matrix `(q, q)` that turns θ into coefficients in the units of the data."""
        slopes = np.diag(1.0 / self.scale)
        if not self.intercept:
            return slopes
        top = np.append(-self.center / self.scale, 1.0)
        return np.vstack([top, np.column_stack([slopes, np.zeros(len(slopes))])])

    @np.errstate(over="ignore", invalid="ignore")
    def in_units(self, theta: Array) -> Array:
        """Coefficients in the units of the data, in the order of `terms`."""
        slopes = theta[: len(self.scale)] / self.scale
        if not self.intercept:
            return slopes
        return np.concatenate([[theta[-1] - slopes @ self.center], slopes])

    @np.errstate(over="ignore", invalid="ignore")
    def from_units(self, start: Mapping[str, float]) -> Array:
        """θ of the coefficients given by term, zero for the others."""
        for term in start:
            if term not in self.terms:
                raise UsageError(f"--start names no coefficient with {shown(term)}: {nearest(term, self.terms)}")
            if term in self.constant and start[term]:
                raise UsageError(
                    f"--start names {shown(term)}, which is constant and left out: give the Intercept alone"
                )
        slopes = np.array([start.get(term, 0.0) for term in self.encoding.terms], dtype=float)
        weight = slopes * self.scale
        theta = np.append(weight, start.get("Intercept", 0.0) + slopes @ self.center) if self.intercept else weight
        if not np.abs(theta).max(initial=0.0) < LARGEST:
            raise UsageError("--start is too far away, its loss overflows float64: start nearer")
        return theta

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; Python writes doubles so that they are read back to the bit."""
        arrays = {name: getattr(self, name).tolist() for name in ("center", "scale", "low", "high")}
        return {
            "formula": self.formula,
            "target": self.target,
            "columns": list(self.columns),
            "target_columns": list(self.target_columns),
            "encoding": self.encoding.to_dict(),
            "intercept": self.intercept,
            "standardize": self.standardize,
            "constant": list(self.constant),
            **arrays,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Design:
        """The design that `to_dict` wrote."""
        try:
            arrays = [np.array(values[name], dtype=np.float64) for name in ("center", "scale", "low", "high")]
            center, scale, low, high = arrays
            return cls(
                str(values["formula"]),
                str(values["target"]),
                tuple(values["columns"]),
                tuple(values["target_columns"]),
                Encoding.from_dict(values["encoding"]),
                bool(values["intercept"]),
                bool(values["standardize"]),
                center,
                scale,
                tuple(values["constant"]),
                low,
                high,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the design in run.json cannot be read ({error}): train again to make a new run") from None


def _center_and_scale(X: Array, *, intercept: bool, standardize: bool) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Mean and standard deviation (divisor n) of each column; without an intercept zero and the root mean square."""
    p = X.shape[1]
    unit = np.exp2(np.floor(np.log2(np.maximum(np.abs(X).max(axis=0, initial=0.0), 1e-300))))
    scaled = X / unit
    mean = scaled.mean(axis=0) if intercept else np.zeros(p)
    deviation = np.sqrt(np.mean((scaled - mean) ** 2, axis=0))
    constant = (X[:1] == X).all(axis=0) if intercept else (X == 0).all(axis=0)
    if not standardize:
        mean, deviation = np.zeros(p), 1.0 / unit
    center = np.where(constant & intercept, X[0], mean * unit)
    return center, np.where(constant, 1.0, deviation * unit), constant


def _check_finite(X: Array, terms: Iterable[str], table: Table) -> None:
    if np.isfinite(X).all():
        return
    row, column = np.argwhere(~np.isfinite(X))[0]
    name = list(terms)[column]
    raise DataError(
        f"{table.source} {table.place(int(row))}, column {shown(name, quote=False)}: the value is "
        f"{X[row, column]:g}, not a finite number; correct it or remove the row"
    )


def _check_size(largest: Array, terms: Iterable[str], source: str, *, squares: bool) -> None:
    for name, size in zip(terms, largest, strict=True):
        if size > (LARGEST if squares else 1e307):
            raise DataError(
                f"column {shown(name)} of {source} reaches {size:.3g}, whose square overflows float64: "
                "give it in a larger unit, for example divided by 1e300"
            )
        if 0.0 < size < (SMALLEST if squares else 1e-290):
            raise DataError(
                f"column {shown(name)} of {source} is at most {size:.3g}, whose square vanishes in float64: "
                "give it in a smaller unit, for example multiplied by 1e300"
            )
