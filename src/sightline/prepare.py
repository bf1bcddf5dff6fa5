"""From data and a formula to rows in training coordinates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .data.design import Design, Missing, complete_rows
from .data.formula import formula_for, parse
from .data.sources import open_source
from .data.table import Table
from .errors import DataError, UsageError, nearest, shown
from .rows import Rows
from .words import count

__all__ = ["Prepared", "prepare"]

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+|[+-]?\d{1,3}(\.\d{3})+,\d+")


@dataclass(frozen=True)
class Prepared:
    """The rows and the design that made them; `name` is how messages name the data, `label` how a command line does."""

    design: Design
    rows: Rows
    missing: Missing
    name: str
    label: str
    columns_used: int
    path: str | None
    fingerprint: str

    def manifest(self) -> dict[str, Any]:
        """Where the rows came from, as run.json tells it."""
        return {
            "name": self.label,
            "path": self.path,
            "fingerprint": self.fingerprint,
            "rows": len(self.rows),
            "missing": {"rows": self.missing.rows, "by_column": dict(self.missing.by_column)},
        }


def prepare(
    data: object, formula: str | None = None, *, target: str | None = None, standardize: bool = True
) -> Prepared:
    """Read the used columns, leave out rows that miss a value, learn the design, make the rows."""
    if isinstance(formula, Mapping) or not (formula is None or isinstance(formula, str)):
        raise UsageError(f"the formula is a {type(formula).__name__}: give text such as 'weight ~ height'")
    source = open_source(data)
    if (formula is None) == (target is None):
        example = f"for example 'y ~ x', with columns of {source.name}: {nearest('', source.columns)}"
        raise UsageError(f"give a formula or a target, one of the two: {example}")
    if target is not None:
        if target not in source.columns:
            raise DataError(f"no column {shown(target)} in {source.name}: {nearest(target, source.columns)}")
        formula = formula_for(target, source.columns)
    assert formula is not None
    parsed = parse(formula, source.columns)
    table = source.read(parsed.columns)
    for name in parsed.columns:
        _refuse_decimal_commas(table, name)
    complete, missing = complete_rows(table, parsed.columns)
    if complete.rows < 2:
        left = f" after leaving out {count(missing.rows, 'row')} with missing values" if missing.rows else ""
        raise DataError(f"{source.name} has {count(complete.rows, 'usable row')}{left}: a fit needs at least 2")
    design = Design.learn(parsed, complete, standardize=standardize)
    return Prepared(
        design,
        design.rows(complete),
        missing,
        source.name,
        str(data) if source.path else source.name,
        len(parsed.columns),
        source.path,
        table.fingerprint,
    )


def _refuse_decimal_commas(table: Table, name: str) -> None:
    """Numbers such as 8,18 would pass as categories."""
    column = table[name]
    present = [value for value in column.values if value is not None] if column.kind == "text" else []
    if present and all(DECIMAL_COMMA.fullmatch(value) for value in present):
        raise DataError(
            f"column {shown(name)} of {table.source} has decimal commas, such as {shown(present[0])}: "
            "write the numbers with points"
        )
