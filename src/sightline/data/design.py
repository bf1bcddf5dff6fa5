"""The frozen design: what was learned from the training rows once, and is applied to every row after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, RunError, UsageError, nearest, shown
from ..rows import Rows
from .compact import compact_rows, compact_spread, is_compact
from .encode import Encoding
from .finite import check_finite
from .formula import Formula
from .spread import Spread
from .table import Table
from .usable import usable_rows

__all__ = ["Design", "check_finite", "check_size"]

Array = NDArray[np.float64]
LARGEST, SMALLEST = 1e150, 1e-150  # squares of larger values overflow float64, of smaller ones vanish
EPS = float(np.finfo(np.float64).eps)
NOISE_OF_EXACT = 2.0**-100  # of columns that double-double holds, with some bits for the arithmetic


@dataclass(frozen=True)
class Design:
    """Encoding of the columns, then (x - center) / scale; coefficients are mapped back to the units of the data.

    `terms (q,)` are the names of the coefficients, `Intercept` first; parameters θ `(q,)` in training coordinates
    hold the weights `(p,)`, then the bias. `constant` names columns without variation: they stay at zero and are
    not estimated. `low` and `high (p,)` are the ranges seen in training, in the units of the data. `columns` are
    those a prediction needs, `target_columns` those of the target. `exact (p,)` tells the columns that double-double
    holds without rounding that matters. With offsets the target is the response less them, `y - offset(z)`, and
    predictions add them again. `weights` and `cluster` name the columns of each row's weight and cluster;
    `class_weight (K,)` multiplies the weights of the rows of each class, empty where all count alike.
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
    exact: NDArray[np.bool_]
    weights: str | None = None
    cluster: str | None = None
    class_weight: tuple[float, ...] = ()

    @classmethod
    def learn(
        cls,
        formula: Formula,
        table: Table,
        *,
        standardize: bool = True,
        weight: Array | None = None,
        classes: Sequence[str] = (),
        most: float = inf,
    ) -> Design:
        """Learn encoding, centers and scales from training rows of `weight (n,)`; `classes` if the target is one.

        Indicators of a design with more than `most` numbers are never made, and counted instead.
        """
        assert formula.response is not None
        encoding = Encoding.learn(formula, table, classes=classes)
        target = " - ".join(factor.text for factor in (formula.response, *formula.offsets))
        target_columns = tuple(formula.response.columns)
        columns = tuple(name for name in formula.columns if name not in target_columns)
        zero, none = np.zeros(len(encoding.terms)), np.zeros(len(encoding.terms), dtype=bool)
        design = cls(
            formula.text, target, columns, target_columns, encoding, formula.intercept, standardize,
            zero, zero + 1.0, (), zero, zero, none,
        )  # fmt: skip
        if is_compact(encoding, table.rows, most):
            return design.spread_over(compact_spread(compact_rows(encoding, table), weight), none, table.source)
        X = encoding.matrix(table)
        check_finite(X, encoding.terms, table)
        low, high = X.min(axis=0), X.max(axis=0)
        check_size(
            np.maximum(abs(low), abs(high)), encoding.terms, table.source, squares=bool(classes) or not standardize
        )
        center, scale, constant = _center_and_scale(X, weight, intercept=formula.intercept, standardize=standardize)
        names = tuple(np.array(encoding.terms, dtype=object)[constant])
        exact = encoding.exact(table)
        return replace(design, center=center, scale=scale, constant=names, low=low, high=high, exact=exact)

    def spread_over(self, spread: Spread, exact: NDArray[np.bool_], source: str) -> Design:
        """The same encoding with the centers, scales and ranges of columns of this spread."""
        check_size(np.maximum(abs(spread.low), abs(spread.high)), self.encoding.terms, source, squares=True)
        p = len(spread.mean)
        constant = spread.same if self.intercept else spread.same & (spread.first == 0)
        center, scale = np.zeros(p), np.ones(p)
        if self.standardize:
            center, scale = (spread.mean, spread.deviation) if self.intercept else (center, spread.size)
        names = tuple(np.array(self.encoding.terms, dtype=object)[constant])
        center = np.where(constant & self.intercept, spread.first, center)
        scale = np.where(constant, 1.0, scale)
        return replace(self, center=center, scale=scale, constant=names, low=spread.low, high=spread.high, exact=exact)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the coefficients, in R's order."""
        return ("Intercept", *self.encoding.terms) if self.intercept else tuple(self.encoding.terms)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that the target has, in the order of their codes 0..K-1; none if it is a number."""
        return self.encoding.classes

    @property
    def training_columns(self) -> tuple[str, ...]:
        """The columns that training reads, each once."""
        extra = (name for name in (self.weights, self.cluster) if name is not None)
        return tuple(dict.fromkeys([*self.columns, *self.target_columns, *extra]))

    @property
    def rounding(self) -> Array:
        """Relative size of the rounding of each column of [X 1] in float64, `(q,)`: far from zero digits are lost.

        A decimal near |center| is rounded by eps |center|, which is eps |center| / scale of a standardized column; held
        to 1e-6, so that a column by itself is never taken for rounding.
        """
        far = np.abs(self.center) / self.scale + 1.0
        rounding = np.minimum(4.0 * EPS * far, 1e-6)
        return np.append(rounding, EPS) if self.intercept else rounding

    @property
    def noise(self) -> Array:
        """The same for the columns as they were meant, `(q,)`: those that double-double holds have next to none."""
        exact = np.append(self.exact, False) if self.intercept else self.exact
        return np.where(exact, NOISE_OF_EXACT, self.rounding)

    def rows(self, table: Table, *, most: float = inf) -> Rows:
        """Numbers to train on: the usable rows of a table in training coordinates, with targets, weights, clusters;
        more than `most` as codes, where most of them are indicators.
        """
        names = dict.fromkeys([*self.target_columns, *self.columns])
        usable = usable_rows(table, names, weights=self.weights, cluster=self.cluster)
        y = self.encoding.response(usable.table)
        check_finite(y[:, None], (self.target,), usable.table)
        check_size(np.array([np.abs(y).max(initial=0.0)]), (self.target,), table.source, squares=True)
        weight = usable.weight
        if self.class_weight:
            weight = np.array(self.class_weight)[y.astype(np.intp)] * (1.0 if weight is None else weight)
        if is_compact(self.encoding, usable.table.rows, most):
            X: Any = compact_rows(self.encoding, usable.table).placed(self.center, self.scale)
        else:
            X = self.matrix(usable.table)
        return Rows(X, y, weight, usable.cluster, usable.clusters, usable.table.place)

    def matrix(self, table: Table, *, unseen: str = "error") -> Array:
        """`X (n, p)` in training coordinates; with "reference" an unseen category is taken as that."""
        X = self.encoding.matrix(table, unseen=unseen)
        check_finite(X, self.encoding.terms, table)
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
        # One column after the other, as a dot product adds in an order that differs between libraries and machines.
        bias = np.subtract.accumulate([theta[-1], *(slopes * self.center)])[-1]
        return np.concatenate([[bias], slopes])

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
            "exact": self.exact.tolist(),
            "weights": self.weights,
            "cluster": self.cluster,
            "class_weight": list(self.class_weight),
            **arrays,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Design:
        """The design that `to_dict` wrote."""
        try:
            arrays = [np.array(values[name], dtype=np.float64) for name in ("center", "scale", "low", "high")]
            center, scale, low, high = arrays
            exact = np.array(values.get("exact", [False] * len(center)), dtype=bool)
            weights, cluster = (None if values.get(k) is None else str(values[k]) for k in ("weights", "cluster"))
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
                exact.reshape(center.shape),
                weights,
                cluster,
                tuple(map(float, values.get("class_weight", ()))),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the design in run.json cannot be read ({error}): train again to make a new run") from None


def _center_and_scale(
    X: Array, weight: Array | None, *, intercept: bool, standardize: bool
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Mean and standard deviation (divisor Σw) of each column; without an intercept zero and the root mean square."""
    p = X.shape[1]
    unit = np.exp2(np.floor(np.log2(np.maximum(np.abs(X).max(axis=0, initial=0.0), 1e-300))))
    spread = Spread.of(X / unit, None if weight is None else weight / np.exp2(np.floor(np.log2(weight.max()))))
    mean, deviation = (spread.mean, spread.deviation) if intercept else (np.zeros(p), spread.size)
    constant = spread.same if intercept else (X == 0).all(axis=0)
    if not standardize:
        mean, deviation = np.zeros(p), 1.0 / unit
    center = np.where(constant & intercept, X[0], mean * unit)
    return center, np.where(constant, 1.0, deviation * unit), constant


def check_size(largest: Array, terms: Iterable[str], source: str, *, squares: bool) -> None:
    """Refuse columns whose numbers, or their squares, are beyond float64."""
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
