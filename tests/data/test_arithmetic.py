"""The design beyond float64: double-double against exact fractions, those against fractions written out by hand."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.datasets
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.encode import Encoding
from sightline.data.formula import parse
from sightline.data.sources import open_source
from sightline.data.table import Column, Table
from sightline.errors import DataError

PRECISION = 2.0**-104


def written(folder, columns):
    """The columns as a text file."""
    path = folder / "t.csv"
    rows = zip(*columns.values(), strict=True)
    path.write_text(",".join(columns) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def learned(data, formula):
    table = open_source(data).read()
    return Encoding.learn(parse(formula, list(table.columns)), table), table


def largest_error(pair, fractions):
    pairs = zip(pair.fractions().ravel(), fractions.ravel(), strict=True)
    return max((float(abs(a - b) / abs(b)) if b else float(abs(a)) for a, b in pairs), default=0.0)


def solved(X, y):
    """The normal equations of [1 X] in rational numbers."""
    Z = [[Fraction(1), *row] for row in X]
    q = len(Z[0])
    rows = [[sum(r[i] * r[j] for r in Z) for j in range(q)] + [sum(r[i] * t for r, t in zip(Z, y, strict=True))] for i in range(q)]  # fmt: skip
    for i in range(q):
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in set(range(q)) - {i}:
            factor = rows[k][i]
            rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


COLUMNS = {
    "x": ["0.1", "-2.35", "3.7", "12345678901234567890.5", "1e-3", "0.30000000000000000001"],
    "z": ["7", "-1.25", "0.001", "2.5E+03", "11", "0.7"],
    "g": ["b", "a", "c", "a", "b", "a"],
    "y": ["1.1", "2", "3.3", "0.1000000000000000000002", "5", "6"],
}
X, Z, Y = ([Fraction(t) for t in COLUMNS[name]] for name in "xzy")
FORMULAS = {  # what stands on the right, what it is in fractions, the largest error in units of 2^-104
    "x": (lambda x, z: x, 1),
    "I(x + z)": (lambda x, z: x + z, 1),
    "I(x - 2.6*z)": (lambda x, z: x - Fraction("2.6") * z, 2),
    "I(x/z)": (lambda x, z: x / z, 4),
    "I(z/3 - x*z/7)": (lambda x, z: z / 3 - x * z / 7, 6),
    "I(-x^2)": (lambda x, z: -(x**2), 4),
    "I(x^10)": (lambda x, z: x**10, 20),
    "I(x^-3)": (lambda x, z: 1 / x**3, 12),
    "I((x - 0.1)^2 + 1)": (lambda x, z: (x - Fraction(1, 10)) ** 2 + 1, 6),
    "I(2^3 * x)": (lambda x, z: 8 * x, 2),
    "abs(x)": (lambda x, z: abs(x), 1),
    "x:z": (lambda x, z: x * z, 3),
    "abs(x):I(z^2)": (lambda x, z: abs(x) * z**2, 6),
}


@pytest.mark.parametrize("right", FORMULAS)
def test_arithmetic_in_both_is_that_of_fractions(tmp_path, right):
    encoding, table = learned(written(tmp_path, COLUMNS), f"y ~ {right}")
    function, bound = FORMULAS[right]
    want = np.array([function(x, z) for x, z in zip(X, Z, strict=True)], dtype=object)[:, None]
    fractions, pairs = encoding.fractions(table), encoding.pairs(table)
    assert fractions[:, -1].tolist() == want[:, 0].tolist()
    assert largest_error(pairs[:, -1:], want) <= bound * PRECISION
    np.testing.assert_allclose(pairs.hi, encoding.matrix(table), rtol=1e-12)  # cancellation in float64 costs the rest


def test_response_in_both(tmp_path):
    path = written(tmp_path, COLUMNS)
    encoding, table = learned(path, "y ~ x")
    assert encoding.response_fractions(table).tolist() == Y
    assert largest_error(encoding.response_pairs(table), np.array(Y)) <= PRECISION
    encoding, table = learned(path, "I(y*3 - 1) ~ x")
    assert encoding.response_fractions(table).tolist() == [3 * y - 1 for y in Y]


def test_categories_and_interactions(tmp_path):
    encoding, table = learned(written(tmp_path, COLUMNS), "y ~ 0 + g*x + C(z)")
    pairs, fractions = encoding.pairs(table), encoding.fractions(table)
    assert pairs.shape == fractions.shape == (6, len(encoding.terms))
    named = dict(zip(encoding.terms, fractions.T.tolist(), strict=True))
    for level in "abc":
        is_level = [Fraction(g == level) for g in COLUMNS["g"]]
        assert named[f"g[{level}]"] == is_level
        if level != "a":
            assert named[f"g[T.{level}]:x"] == [i * x for i, x in zip(is_level, X, strict=True)]
    assert largest_error(pairs, fractions) <= PRECISION
    np.testing.assert_allclose(encoding.matrix(table), pairs.hi, rtol=1e-15)


def test_center_takes_the_learned_double_and_scale_too(tmp_path):
    encoding, table = learned(written(tmp_path, COLUMNS), "y ~ center(x) + scale(z) + I(center(x)^2)")
    center, scale = (Fraction(encoding.factors[i].learned[0].mean) for i in (0, 1))
    sd = Fraction(encoding.factors[1].learned[0].sd)
    want = [[x - center, (z - scale) / sd, (x - center) ** 2] for x, z in zip(X, Z, strict=True)]
    assert encoding.fractions(table).tolist() == want
    assert largest_error(encoding.pairs(table), np.array(want)) <= 8 * PRECISION


@pytest.mark.parametrize("name", ["log", "log2", "log10", "log1p", "exp", "sin", "cos"])
def test_functions_take_the_double_and_give_one(tmp_path, name):
    encoding, table = learned(
        written(tmp_path, {"x": ["0.1", "2.5", "0.3333333333333333333333"], "y": [1, 2, 4]}), f"y ~ {name}(x)"
    )
    want = getattr(np, name)(np.array([0.1, 2.5, 1 / 3]))
    pairs = encoding.pairs(table)
    np.testing.assert_array_equal(pairs.hi[:, 0], want)
    assert not pairs.lo.any()
    assert encoding.fractions(table)[:, 0].tolist() == list(map(Fraction, want.tolist()))


def test_square_roots_go_on(tmp_path):
    texts = ["0.1", "2", "0.3333333333333333333333", "0", "1e200"]
    encoding, table = learned(written(tmp_path, {"x": texts, "y": range(5)}), "y ~ sqrt(x)")
    pairs = encoding.pairs(table)
    with localcontext(prec=60):
        want = np.array([Fraction(Decimal(t).sqrt()) for t in texts])
    assert largest_error(pairs[:, 0], want) <= 2 * PRECISION
    assert encoding.fractions(table)[:, 0].tolist() == pairs.fractions()[:, 0].tolist()


def test_powers_that_are_not_whole_or_not_constant_are_those_of_doubles(tmp_path):
    encoding, table = learned(
        written(tmp_path, {"x": ["0.1", "2.5", "7"], "y": [1, 2, 4]}), "y ~ I(x^0.5) + I(2^x) + I((x/8)^1001)"
    )
    x = np.array([0.1, 2.5, 7.0])
    assert encoding.fractions(table)[:, 0].tolist() == list(map(Fraction, np.sqrt(x).tolist()))
    np.testing.assert_allclose(encoding.pairs(table).hi[:, :2], np.column_stack([x**0.5, 2**x]), rtol=1e-15)
    assert not encoding.pairs(table).lo.any()


def test_doubles_are_what_they_hold(tmp_path):
    data = {"x": [0.1, 1 / 3, 2.0], "y": [0.2, 0.3, 1e-5]}
    encoding, table = learned(data, "y ~ I(x^2)")
    assert encoding.fractions(table)[:, 0].tolist() == [Fraction(v) ** 2 for v in data["x"]]
    assert encoding.response_fractions(table).tolist() == list(map(Fraction, data["y"]))


@given(
    st.lists(st.floats(-1e8, 1e8).filter(lambda v: v == 0 or abs(v) > 1e-8), min_size=4, max_size=8, unique=True),
    st.integers(-4, 6),
)
def test_any_doubles_any_power(values, power):
    values = [v or 1.0 for v in values]
    table = Table("d", {n: Column(n, np.array(values), "number") for n in "xy"}, len(values))
    encoding = Encoding.learn(parse(f"x ~ y + I(y^{power}) + y:I(y*3)"), table)
    assert largest_error(encoding.pairs(table), encoding.fractions(table)) <= 16 * PRECISION


@pytest.mark.parametrize("size", [1e300, 1e306])
def test_numbers_near_the_end_of_float64_are_at_least_the_doubles(size):
    """Splitting for exact products overflows above 1e300; the sum of parts must not."""
    table = Table("d", {n: Column(n, np.array([size, size / 3, -size]), "number", lambda: None) for n in "xy"}, 3)
    encoding = Encoding.learn(parse("x ~ y + I(y/3) + I(2*y) + abs(y) + I(-y^1)"), table)
    np.testing.assert_array_equal(encoding.pairs(table).hi, encoding.matrix(table))
    assert np.isfinite(encoding.pairs(table).lo).all()


def test_no_column_has_no_width():
    table = Table("d", {"y": Column("y", np.arange(3.0), "number")}, 3)
    encoding = Encoding.learn(parse("y ~ 1"), table)
    assert encoding.pairs(table).shape == encoding.fractions(table).shape == (3, 0)


@pytest.mark.parametrize("way", ["matrix", "pairs", "fractions"])
@pytest.mark.parametrize(
    ("formula", "columns", "message"),
    [
        ("y ~ I(1/x)", {"x": ["1", "0", "2"]}, r"line 3, column x: 1/x has no value at x = 0, since it divides by zero"),
        ("y ~ I(x^-2)", {"x": ["1", "0", "2"]}, r"line 3, column x: x\^-2 has no value at x = 0"),
        ("y ~ log(x)", {"x": ["1", "-1", "2"]}, r"line 3, column x: log\(x\) has no value at x = -1, since a logarithm"),
        ("y ~ sqrt(x)", {"x": ["1", "-1", "2"]}, r"sqrt\(x\) has no value at x = -1, since a square root"),
        ("y ~ I(x^0.5)", {"x": ["1", "-1", "2"]}, r"x\^0.5 has no value .* no real number"),
        ("y ~ I(x^2)", {"x": ["1", "1e200", "2"]}, r"x\^2 has no value at x = 1e\+200, since the power is too large"),
        ("y ~ exp(x)", {"x": ["1", "1000", "2"]}, r"exp\(x\) has no value at x = 1000, since the result is too large"),
        ("y ~ I(x*x)", {"x": ["1", "1e200", "2"]}, r"x \* x has no value at x = 1e\+200, since the result is too large"),
        ("y ~ x", {"x": ["1", "inf", "2"]}, "line 3, column x: inf is no finite number"),
        ("y ~ x", {"x": ["1", "NA", "2"]}, "line 3, column x: the value is missing"),
    ],
)  # fmt: skip
def test_the_same_refusals_in_every_arithmetic(tmp_path, way, formula, columns, message):
    encoding, table = learned(written(tmp_path, {**columns, "y": [1, 2, 3]}), formula)
    with pytest.raises(DataError, match=message):
        getattr(encoding, way)(table)


def test_what_is_zero_only_in_decimals_divides_by_zero_there(tmp_path):
    columns = {"x": ["0.1", "1"], "z": ["0.2", "1"], "w": ["0.3", "9"], "y": ["1", "2"]}
    encoding, table = learned(written(tmp_path, columns), "y ~ I(1/(x + z - w))")
    assert np.isfinite(encoding.matrix(table)).all()
    with pytest.raises(DataError, match=r"line 2, columns x, z, w: .* has no value .* divides by zero"):
        encoding.fractions(table)


# What exact designs are for


def test_wampler_2_has_its_powers_of_a_tenth_to_the_last_digit(tmp_path):
    """y = 1 + x/10 + ... + (x/10)^5, with five decimals: NIST StRD, Wampler2."""
    y = [sum(Fraction(x, 10) ** k for k in range(6)) for x in range(21)]
    path = written(tmp_path, {"y": [f"{float(v):.5f}" for v in y], "x": range(21)})
    encoding, table = learned(path, "y ~ x + I(x^2) + I(x^3) + I(x^4) + I(x^5)")
    assert encoding.response_fractions(table).tolist() == y
    assert solved(encoding.fractions(table), encoding.response_fractions(table)) == [
        Fraction(1, 10**k) for k in range(6)
    ]


def test_longley_has_the_certified_coefficients(tmp_path):
    """NIST StRD, Longley: all 15 digits."""
    frame = statsmodels.datasets.longley.load_pandas().data
    path = tmp_path / "longley.csv"
    frame.to_csv(path, index=False)
    encoding, table = learned(path, "TOTEMP ~ GNPDEFL + GNP + UNEMP + ARMED + POP + YEAR")
    certified = [
        -3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683, -1.03322686717359,
        -0.0511041056535807, 1829.15146461355,
    ]  # fmt: skip
    found = solved(encoding.fractions(table), encoding.response_fractions(table))
    assert [float(f"{float(v):.14e}") for v in found] == certified
    assert largest_error(encoding.pairs(table), encoding.fractions(table)) <= PRECISION


# Which columns are exact

EXACT = {
    "x": True, "w": True, "d": False, "I(x^2)": True, "I(x*w - 3)": True, "I(x/w)": True, "center(x)": True, "scale(x)": True,
    "abs(w)": True, "x:w": True, "g": True, "g:x": True, "C(w)": True, "I(-x)": True, "I(x^-1)": True, "log(x)": False, "sqrt(w)": False,
    "I(x^0.5)": False, "I(2^w)": False, "I(x*d)": False, "x:d": False, "x:log(w)": False, "I(x^1001)": False, "I(log(x) + w)": False,
}  # fmt: skip


@pytest.mark.parametrize("right", EXACT)
def test_columns_of_few_digits_and_arithmetic_are_exact(tmp_path, right):
    columns = {
        "x": ["0.1", "1.23456789012345", "0.5"], "w": ["1", "2", "9007199254740991"], "d": ["0.1", str(1 / 3), "2"],
        "g": ["a", "b", "a"], "y": ["1", "2", "3"],
    }  # fmt: skip
    if "^w" in right or "1001" in right:
        columns["w"], columns["x"] = ["1", "2", "3"], ["0.1", "1.1", "0.5"]
    encoding, table = learned(written(tmp_path, columns), f"y ~ {right}")
    assert set(encoding.exact(table).tolist()) == {EXACT[right]}
    doubles = {n: [v if n == "g" else float(v) for v in values] for n, values in columns.items()}
    encoding, table = learned(doubles, f"y ~ {right}")
    whole = EXACT[right] and "x" not in right
    assert set(encoding.exact(table).tolist()) == {whole}


def test_math_stays_what_it_was():
    """A whole power of float64 columns is Python's operator on them, as ever."""
    table = Table("d", {n: Column(n, np.array([1.1, 2.2, math.pi]), "number") for n in "xy"}, 3)
    matrix = Encoding.learn(parse("y ~ I(x^3) + I(x^2) + I(x^-1)"), table).matrix(table)
    x = table["x"].values
    np.testing.assert_array_equal(matrix, np.column_stack([x ** np.asarray(3.0), x**2, x**-1.0]))
