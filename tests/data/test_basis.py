"""`poly` and `bs`: R's numbers, patsy's and formulaic's columns, exact arithmetic, and what is refused."""

import json
import math

import numpy as np
import patsy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.made import DATA, as_table, learn, random_columns, table

from sightline.data.encode import Encoding
from sightline.errors import DataError, FormulaError, RunError

SPEED = [4, 4, 7, 7, 8, 9, 10, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15,
         15, 16, 16, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 20, 20, 20, 20, 20, 22, 23, 24, 24, 24, 24, 25]  # fmt: skip
DIST = [2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80, 20, 26,
        54, 32, 40, 32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54, 70, 92, 93, 120, 85]  # fmt: skip
CARS = table(speed=SPEED, dist=DIST)


def coefficients(formula, data):
    encoding = learn(formula, data)
    X = np.column_stack([np.ones(data.rows), encoding.matrix(data)])
    return np.linalg.lstsq(X, encoding.response(data), rcond=None)[0]


# as R prints them: summary(lm(dist ~ poly(speed, 2), cars)) and so on
@pytest.mark.parametrize(
    ("formula", "data", "printed", "half_unit"),
    [
        ("dist ~ poly(speed, 2)", CARS, [42.980, 145.552, 22.996], 5e-4),
        ("dist ~ poly(speed, 3)", CARS, [42.98, 145.55, 23.00, 13.80], 5e-3),
        ("dist ~ poly(speed, 2, raw=True)", CARS, [2.47014, 0.91329, 0.09996], 5e-6),
    ],
)
def test_coefficients_are_those_of_r(formula, data, printed, half_unit):
    np.testing.assert_allclose(coefficients(formula, data), printed, rtol=0, atol=1.01 * half_unit)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("bs(x, df=5)", "bs(x, df=5, degree=3)"),
        ("bs(x)", "bs(x, df=3)"),
        ("bs(x, 7, degree=1)", "bs(x, df=7, degree=1)"),
        ("bs(z, knots=c(-10, 0.5, 4))", "bs(z, knots=[-10, 0.5, 4])"),
        ("bs(z, knots=c(1), degree=2)", "bs(z, knots=[1], degree=2)"),
        ("bs(log(x), df=4)", "bs(np.log(x), df=4)"),
    ],
)
def test_splines_are_those_of_patsy(ours, theirs):
    columns = random_columns(3)
    expected = np.asarray(patsy.dmatrix(f"0 + {theirs}", columns, eval_env=patsy.EvalEnvironment([{"np": np}])))
    encoding = learn(f"y ~ {ours}", as_table(columns))
    np.testing.assert_allclose(encoding.matrix(as_table(columns)), expected, rtol=0, atol=1e-14)


def test_new_rows_get_the_polynomial_of_the_training_rows():
    encoding = learn("y ~ poly(x, 2)", table(y=[1, 2, 3, 4, 5], x=[1, 2, 3, 4, 5]))
    expected = [[3 / math.sqrt(10), (9 - 2) / math.sqrt(14)], [0, -2 / math.sqrt(14)]]
    np.testing.assert_allclose(encoding.matrix(table(x=[6, 3])), expected, rtol=0, atol=1e-15)
    assert encoding.terms == ("poly(x, 2)[1]", "poly(x, 2)[2]")
    assert encoding.column_groups == ("poly(x, 2)", "poly(x, 2)")
    assert learn("y ~ poly(x)", CARS_XY).terms == ("poly(x)[1]",)


CARS_XY = table(y=DIST, x=SPEED)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.integers(0, 100))
def test_polynomials_are_orthonormal(degree, center, spread, seed):
    x = center + spread * np.random.default_rng(seed).normal(size=30)
    data = table(y=list(range(30)), x=x.tolist())
    Z = np.column_stack([np.full(30, 30**-0.5), learn(f"y ~ poly(x, {degree})", data).matrix(data)])
    # alpha and x - alpha are rounded by eps |x| of the spread, and the recurrence amplifies by its degree
    tolerance = 1e-13 * (1 + abs(center) / spread) * 4**degree
    np.testing.assert_allclose(Z.T @ Z, np.eye(degree + 1), rtol=0, atol=tolerance)


@pytest.mark.parametrize("formula", ["y ~ poly(x, 10, raw=True)", "y ~ poly(x, 6)", "y ~ a*poly(x, 3)"])
def test_double_double_holds_polynomials(formula):
    columns = random_columns(2)
    data = table(**{**{n: v.tolist() for n, v in columns.items()}, "x": np.round(columns["x"], 3).tolist()})
    encoding = learn(formula, data)
    pairs, fractions = encoding.pairs(data).fractions(), encoding.fractions(data)
    scale = max(1.0, float(max(abs(v) for v in fractions.ravel())))
    assert max(abs(a - b) for a, b in zip(pairs.ravel(), fractions.ravel(), strict=True)) < 1e-28 * scale


def test_raw_powers_are_the_powers_to_every_digit():
    powers = learn("y ~ " + " + ".join(["x", *(f"I(x^{k})" for k in range(2, 11))]), DATA)
    raw = learn("y ~ poly(x, 10, raw=True)", DATA)
    assert (raw.matrix(DATA) == powers.matrix(DATA)).all()
    assert (raw.pairs(DATA).lo == powers.pairs(DATA).lo).all()
    assert (raw.exact(DATA) == powers.exact(DATA)).all()
    assert raw.exact(table(y=[1, 2], x=[1, 2])).all()
    assert not learn("y ~ bs(x)", CARS_XY).exact(CARS_XY).any()


BASES = [
    "y ~ poly(x, 3)", "y ~ poly(log(x), 2, raw=True)", "y ~ bs(x, df=6)", "y ~ bs(x, knots=c(1, 2), degree=2)*a",
    "y ~ poly(scale(z), 2) + poly(x, degree=2):b", "y ~ bs(center(x))",
]  # fmt: skip


@pytest.mark.parametrize("text", BASES)
def test_what_was_learned_survives_json_and_rows_in_blocks(text):
    encoding = learn(text, DATA)
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict(), allow_nan=False)))
    assert again == encoding
    whole = encoding.matrix(DATA)
    for start in range(0, 40, 7):
        keep = (np.arange(40) >= start) & (np.arange(40) < start + 7)
        assert (again.matrix(DATA.take(keep)) == whole[keep]).all()
    assert again.matrix(DATA.take(np.zeros(40, dtype=bool))).shape == (0, len(encoding.terms))


FORMULAS = [
    ("bs(x, df=2)", r"df= of bs\(...\) must be at least its degree, 3: raise df"),
    ("bs(x, 5, knots=c(1, 2))", "takes df= or knots=, not both"),
    ("bs(x, knots=c(2, 1))", r"knots= must be numbers in rising order, as in knots=c\(2, 3.5\)"),
    ("bs(x, knots=c(1, 1))", "in rising order"),
    ("bs(x, knots=c())", "in rising order"),
    ("bs(x, knots=c(x))", "in rising order"),
    ("bs(x, knots=2)", "in rising order"),
    ("bs(x, knots=c(1)", r"this '\(' is never closed"),
    ("bs(x, df=1001)", "df= must be a whole number from 1 to 1,000"),
    ("poly(x, 0)", "degree= must be a whole number from 1 to 30"),
    ("poly(x, 31, raw=True)", "degree= must be a whole number from 1 to 30"),
    ("log(bs(x))", "cannot stand inside another function"),
]


@pytest.mark.parametrize(("term", "message"), FORMULAS)
def test_arguments_are_refused(term, message):
    with pytest.raises(FormulaError, match=message) as caught:
        learn(f"y ~ {term}", DATA)
    assert "^" in caught.value.detail


VALUES = [
    ("poly(k, 3)", r"poly\(k, 3\) needs more than 3 different values, and the rows of data.csv have 3: lower"),
    ("poly(a, 2)", "column 'a' of data.csv is text"),
    ("poly(I(x * 1e200), 2)", "is out of the reach of float64 on the rows of data.csv: bring the column near 1"),
    ("poly(I(x * 1e-200), 2)", "is out of the reach of float64"),
    ("poly(I(x * 1e200), 2, raw=True)", r"line 2, column x: I\(x \* 1e\+200\) = .* is too large, so poly"),
    ("bs(x, knots=c(9))", "has a knot at 9, which is not between the lowest and the highest value of data.csv"),
    ("bs(k, df=12)", r"has a knot at 1, .* give knots=c\(...\) inside of them, or a smaller df="),
    ("bs(I(x - x))", r"needs values that differ, and all are 0: leave it out"),
]


@pytest.mark.parametrize(("term", "message"), VALUES)
def test_values_are_refused(term, message):
    with pytest.raises(DataError, match=message) as caught:
        learn(f"y ~ {term}", DATA).matrix(DATA)
    assert "\n" not in caught.value.message


def test_a_spline_has_no_value_outside_of_its_range():
    encoding = learn("y ~ bs(x, df=5)", CARS_XY)
    message = (
        r"new.csv line 3, column x: x = 25.5 is outside of the training range from 4 to 25, so bs\(x, df=5\) has no"
    )
    with pytest.raises(DataError, match=message):
        encoding.matrix(table("new.csv", x=[4, 25.5]))
    np.testing.assert_allclose(encoding.matrix(table(x=[4, 25])), [[0, 0, 0, 0, 0], [0, 0, 0, 0, 1]])


DAMAGES = [
    ("y ~ poly(x, 2)", "alpha", [1.0]), ("y ~ poly(x, 2)", "alpha", [1.0, math.inf]),
    ("y ~ poly(x, 2)", "norm2", [1.0, 2.0, 0.0, 1.0]), ("y ~ poly(x, 2)", "norm2", None),
    ("y ~ poly(x, 2)", "norm2", ["1"] * 4), ("y ~ poly(x, 2, raw=True)", "alpha", []),
    ("y ~ bs(x, df=5)", "knots", [1.0]), ("y ~ bs(x, df=5)", "knots", [2.0, 1.0]),
    ("y ~ bs(x, df=5)", "knots", [1.0, 99.0]), ("y ~ bs(x, df=5)", "low", 3.5), ("y ~ bs(x)", "high", -1.0),
    ("y ~ bs(x, knots=c(1))", "knots", [2.0]), ("y ~ bs(x)", "low", True), ("y ~ bs(x)", "high", 10**400),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "value"), DAMAGES)
def test_damaged_state_is_refused(text, key, value):
    state = learn(text, DATA).to_dict()
    state["factors"][0]["state"][key] = value
    with pytest.raises(RunError, match=r"the encoding of the run cannot be read \(.*\): train again"):
        Encoding.from_dict(state)


def test_a_basis_is_no_response_and_no_column_is_a_basis():
    state = learn("y ~ poly(x, 2)", DATA).to_dict()
    with pytest.raises(RunError, match="a response of several columns"):
        Encoding.from_dict({**state, "target": state["factors"][0]})
    state["factors"][0]["expression"] = "log(x)"
    with pytest.raises(RunError, match="has one column"):
        Encoding.from_dict(state)
