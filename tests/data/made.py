"""Small tables and encodings for the tests of formulas."""

import numpy as np

from sightline.data.encode import Encoding
from sightline.data.formula import parse
from sightline.data.table import Column, Table


def table(source="data.csv", **columns):
    """A table from lists: numbers with NaN, texts with None; `mixed` if texts and numbers come together."""
    made = {}
    for name, values in columns.items():
        numbers = [isinstance(value, int | float) for value in values]
        if all(numbers):
            made[name] = Column(name, np.array(values, dtype=np.float64), "number")
        else:
            texts = np.array([None if v is None else str(v) for v in values], dtype=object)
            made[name] = Column(name, texts, "mixed" if any(numbers) else "text")
    return Table(source, made, len(next(iter(columns.values()))), lambda row: f"line {row + 2}")


def learn(formula, data):
    return Encoding.learn(parse(formula, tuple(data.columns)), data)


def random_columns(seed, n=40):
    rng = np.random.default_rng(seed)
    return {
        "y": rng.normal(size=n),
        "x": rng.uniform(0.5, 3, n),
        "z": rng.normal(size=n) * 10,
        "a": rng.permutation(np.resize(["p", "q", "r"], n)),
        "b": rng.permutation(np.resize(["u", "v"], n)),
        "k": rng.permutation(np.resize([10.0, 2.0, 1.0], n)),
    }


def as_table(columns):
    return table(**{name: values.tolist() for name, values in columns.items()})


DATA = as_table(random_columns(0))
