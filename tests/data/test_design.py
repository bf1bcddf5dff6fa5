"""The frozen design against formulaic and scikit-learn; coordinates there and back; what it refuses."""

from __future__ import annotations

import json
import math

import formulaic
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from sightline.data.design import Design
from sightline.data.formula import parse
from sightline.data.table import Column, Table
from sightline.data.usable import complete_rows
from sightline.errors import DataError, RunError, UsageError


def table_of(columns):
    made = {}
    for name, values in columns.items():
        text = any(isinstance(v, str) for v in values)
        array = np.array(list(values), dtype=object if text else np.float64)
        made[name] = Column(name, array, "text" if text else "number")
    return Table("data.csv", made, len(next(iter(columns.values()))))


def numbers(seed=0, n=20):
    rng = np.random.default_rng(seed)
    return {
        "a": 100.0 + rng.normal(size=n), "b": 1e-3 * rng.normal(size=n),
        "g": [("u", "v", "w")[i] for i in rng.integers(0, 3, n)],
        "y": rng.normal(size=n),
    }  # fmt: skip


def learn(columns, formula, **more):
    table = table_of(columns)
    return Design.learn(parse(formula, list(columns)), table, **more), table


@pytest.mark.parametrize(
    "formula",
    ["y ~ a + b", "y ~ a * b", "y ~ a + g", "y ~ a * g", "y ~ log(a) + I(b^2)", "y ~ 0 + a + b", "y ~ 0 + g + a"],
)
@pytest.mark.parametrize("standardize", [True, False])
def test_matrix_is_formulaics_standardized_by_scikit_learn(formula, standardize):
    """Column by column; the mean of 100 + u costs two digits of the sixteen, the scale none."""
    columns = numbers()
    design, table = learn(columns, formula, standardize=standardize)
    theirs = formulaic.model_matrix(formula.replace("^", "**"), pd.DataFrame(columns)).rhs
    theirs = theirs.rename(columns=lambda c: c.replace(" ** ", "^").replace("**", "^"))
    want = theirs[list(design.encoding.terms)].to_numpy(dtype=float)
    if standardize and design.intercept:
        want = StandardScaler().fit_transform(want)
    elif standardize:
        want = want / np.sqrt((want**2).mean(axis=0))
    np.testing.assert_allclose(design.matrix(table), want, rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(design.rows(table).y, columns["y"])
    assert set(design.terms) == set(theirs.columns)


def test_what_was_learned_is_applied_to_other_rows():
    columns = numbers()
    design, _ = learn(columns, "y ~ a + b")
    other = numbers(1)
    scaler = StandardScaler().fit(np.column_stack([columns["a"], columns["b"]]))
    want = scaler.transform(np.column_stack([other["a"], other["b"]]))
    np.testing.assert_allclose(design.matrix(table_of(other)), want, rtol=1e-11, atol=1e-11)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_units_and_training_coordinates_give_the_same_predictions(seed, standardize, intercept):
    columns = numbers(seed)
    design, table = learn(columns, "y ~ a + b" if intercept else "y ~ 0 + a + b", standardize=standardize)
    theta = np.random.default_rng(seed).normal(size=len(design.terms))
    inside = design.matrix(table) @ theta[:2] + (theta[2] if intercept else 0.0)
    named = dict(zip(design.terms, design.in_units(theta), strict=True))
    outside = named["a"] * np.array(columns["a"]) + named["b"] * np.array(columns["b"]) + named.get("Intercept", 0.0)
    # slope · 100 cancels against the intercept: three digits
    np.testing.assert_allclose(outside, inside, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(design.from_units(named), theta, rtol=1e-10, atol=1e-11)
    mapped = design.unit_map @ theta
    np.testing.assert_allclose(mapped, list(named.values()), rtol=1e-12, atol=1e-12)


def test_start_names_terms():
    design, _ = learn(numbers(), "y ~ a + b", standardize=False)
    assert design.from_units({"Intercept": -35.0, "b": 0.5}).tolist() == [0.0, 0.5, -35.0]
    assert design.from_units({}).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(UsageError, match="did you mean 'Intercept'"):
        design.from_units({"intercept": 1.0})


def test_constant_columns_are_known():
    columns = {**numbers(), "k": [3.0] * 20, "z": [0.0] * 20}
    design, table = learn(columns, "y ~ a + k + z")
    assert design.constant == ("k", "z")
    np.testing.assert_array_equal(design.matrix(table)[:, 1:], np.zeros((20, 2)))
    design, _ = learn(columns, "y ~ 0 + a + k + z")
    assert design.constant == ("z",)


def test_ranges_are_in_the_units_of_the_data():
    columns = numbers()
    design, _ = learn(columns, "y ~ a + b")
    assert design.low.tolist() == [min(columns["a"]), min(columns["b"])]
    assert design.high.tolist() == [max(columns["a"]), max(columns["b"])]


@pytest.mark.parametrize("power", [-900, -400, 0, 400, 900])
def test_scales_neither_overflow_nor_vanish(power):
    """Powers of two change no digit: the standardized column is the same to the last bits of mean and scale."""
    columns = numbers()
    near, _ = learn(columns, "y ~ a")
    far, table = learn({**columns, "a": [math.ldexp(v, power) for v in columns["a"]]}, "y ~ a")
    assert far.scale[0] == pytest.approx(math.ldexp(near.scale[0], power), rel=1e-14)
    np.testing.assert_allclose(far.matrix(table)[:, 0], near.matrix(table_of(columns))[:, 0], rtol=1e-11, atol=1e-12)


def test_values_whose_squares_vanish_are_refused_by_name():
    for size, standardize in ((1e-200, False), (1e-300, True)):
        with pytest.raises(DataError, match=r"'a'.*smaller unit"):
            learn({**numbers(), "a": [size * (i + 1) for i in range(20)]}, "y ~ a", standardize=standardize)


def test_values_whose_squares_overflow_are_refused_without_standardizing():
    columns = {**numbers(), "a": [1e200 * (i + 1) for i in range(20)]}
    with pytest.raises(DataError, match=r"'a'.*larger unit"):
        learn(columns, "y ~ a", standardize=False)
    learn(columns, "y ~ a")


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("formula", ["y ~ a * g", "y ~ 0 + log(a) + b", "log(a) ~ b"])
def test_plain_json_there_and_back_to_the_bit(formula, standardize):
    columns = numbers()
    design, table = learn(columns, formula, standardize=standardize)
    again = Design.from_dict(json.loads(json.dumps(design.to_dict(), allow_nan=False)))
    assert again.matrix(table).tobytes() == design.matrix(table).tobytes()
    assert (again.terms, again.columns, again.target_columns) == (design.terms, design.columns, design.target_columns)
    assert (again.constant, again.intercept, again.standardize) == (
        design.constant,
        design.intercept,
        design.standardize,
    )


@pytest.mark.parametrize("key", ["center", "scale", "encoding", "formula", "intercept", "columns"])
def test_a_damaged_design_is_a_run_error(key):
    values = learn(numbers(), "y ~ a")[0].to_dict()
    del values[key]
    with pytest.raises(RunError, match="train again"):
        Design.from_dict(values)


@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_infinity_is_refused_by_row_and_column_in_new_rows_too(bad):
    columns = numbers()
    design, _ = learn(columns, "y ~ a + b")
    columns["b"] = [*columns["b"][:7], bad, *columns["b"][8:]]
    with pytest.raises(DataError, match=r"data\.csv row 7, column b.*inf"):
        design.matrix(table_of(columns))
    with pytest.raises(DataError, match=r"data\.csv row 7, column b.*inf"):
        learn(columns, "y ~ a + b")


def test_complete_rows_counts_what_it_leaves_out():
    nan = math.nan
    table = table_of(
        {"a": [1.0, nan, 3.0, nan], "b": [nan, nan, 3.0, 4.0], "c": [1.0, 2.0, 3.0, 4.0], "unused": [nan] * 4}
    )
    kept, missing = complete_rows(table, ["a", "b", "c"])
    assert kept["c"].values.tolist() == [3.0]
    assert (missing.rows, dict(missing.by_column)) == (3, {"a": 2, "b": 2})
    assert kept.place(0) == table.place(2)  # a row still knows where it stood
    everything, none = complete_rows(table, ["c"])
    assert (everything.rows, none.rows, dict(none.by_column)) == (4, 0, {})
    with pytest.raises(DataError, match=r"'unused'.*no values"):
        complete_rows(table, ["unused", "c"])


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_tolerance_keeps_columns_that_are_far_from_zero(size):
    """A column at `size` with a spread of one is rounded by size · eps; the noise allowed for lies between that and 1e-6."""
    columns = {**numbers(), "a": [size + v - 100.0 for v in numbers()["a"]]}
    design, _ = learn(columns, "y ~ a + b")
    assert size * 2.2e-16 / np.std(columns["a"]) < design.noise[0] <= 1e-6
    np.testing.assert_array_equal(design.noise, design.rounding)


def test_columns_of_few_digits_have_no_noise_but_are_still_rounded_in_float64():
    columns = {**numbers(), "a": [1e6 + i for i in range(20)]}
    for intercept in ("", "0 + "):
        design, _ = learn(columns, f"y ~ {intercept}a + b + a:b + I(a^2)")
        assert design.exact.tolist() == [True, False, True, False]  # the square before the interaction
        assert design.noise[[0, 2]].tolist() == [2.0**-100] * 2
        assert design.noise[[1, 3]].tolist() == design.rounding[[1, 3]].tolist()
        assert design.rounding[0] > 1e-13 or intercept
        again = Design.from_dict(json.loads(json.dumps(design.to_dict())))
        assert again.noise.tolist() == design.noise.tolist()
        assert len(again.noise) == len(again.terms)


@pytest.mark.parametrize("bad", [[True, False], "x", {"a": 1}])
def test_a_damaged_list_of_exact_columns_is_a_run_error(bad):
    values = learn(numbers(), "y ~ a + b + g")[0].to_dict()
    with pytest.raises(RunError, match="train again"):
        Design.from_dict({**values, "exact": bad})
