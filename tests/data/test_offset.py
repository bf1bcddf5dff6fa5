"""`offset(...)`: a known part of the response, as R treats it; what it is worth in training, prediction and errors."""

import json
from fractions import Fraction

import numpy as np
import pytest
from tests.data.made import DATA, as_table, learn, random_columns, table

import sightline as sl
from sightline.data.design import Design
from sightline.data.encode import Encoding
from sightline.data.formula import parse
from sightline.errors import DataError, FormulaError

COLUMNS = random_columns(4)
DATA4 = as_table(COLUMNS)


def test_an_offset_is_no_term_but_a_column_that_is_used():
    formula = parse("y ~ a + offset(log(x)) + offset(I(2*z))", ["y", "a", "x", "z"])
    assert [factor.text for factor in formula.offsets] == ["offset(log(x))", "offset(I(2 * z))"]
    assert len(formula.terms) == 1
    assert formula.columns == ("y", "a", "x", "z")
    assert parse("y ~ a + offset(x) - offset(x)").offsets == ()


def test_the_response_loses_what_is_known():
    encoding = learn("y ~ a + offset(log(x)) + offset(z + 1)", DATA4)
    known = np.log(COLUMNS["x"]) + COLUMNS["z"] + 1
    np.testing.assert_allclose(encoding.response(DATA4), COLUMNS["y"] - known, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(encoding.offset(DATA4), known, rtol=1e-15, atol=1e-15)
    assert encoding.terms == ("a[T.q]", "a[T.r]")


def test_what_is_exact_stays_exact():
    data = table(y=[0.5, 3, 7], x=[1, 2, 3], z=[1 / 3, 1e-20, 4])
    encoding = learn("y ~ x + offset(z/3)", data)
    expected = [Fraction(y) - Fraction(z) / 3 for y, z in zip([0.5, 3.0, 7.0], [1 / 3, 1e-20, 4.0], strict=True)]
    assert encoding.response_fractions(data).tolist() == expected
    pairs = encoding.response_pairs(data).fractions()
    assert max(abs(a - b) for a, b in zip(pairs, expected, strict=True)) < Fraction(2) ** -100


def test_what_was_learned_survives_json():
    encoding = learn("y ~ a + offset(scale(x) + z)", DATA4)
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict(), allow_nan=False)))
    assert again == encoding
    assert (again.offset(DATA4) == encoding.offset(DATA4)).all()
    old = encoding.to_dict()
    del old["offsets"]
    assert Encoding.from_dict(old).offsets == ()


def test_the_target_says_what_it_is():
    assert Design.learn(parse("log(x) ~ a + offset(z)", tuple(COLUMNS)), DATA4).target == "log(x) - offset(z)"


def test_a_fit_is_that_of_the_difference_and_predictions_add_the_offset():
    columns = {name: COLUMNS[name].tolist() for name in ("y", "x", "z")}
    run, plain = sl.solve(columns, "y ~ x + offset(z)"), sl.solve(columns, "I(y - z) ~ x")
    assert [c.exact for c in run.coefficients] == [c.exact for c in plain.coefficients]
    assert run.result["fit"] == plain.result["fit"]
    np.testing.assert_allclose(run.predict(columns), plain.predict(columns) + COLUMNS["z"], rtol=1e-14, atol=1e-14)
    ours, theirs = run.predict(columns, 0.9), plain.predict(columns, 0.9)
    np.testing.assert_allclose(ours["high"] - ours["low"], theirs["high"] - theirs["low"], rtol=1e-12)
    np.testing.assert_allclose(ours["low"] - COLUMNS["z"], theirs["low"], rtol=0, atol=1e-12)
    assert run.evaluate(columns) == plain.evaluate(columns)
    with pytest.raises(DataError, match="the model needs column 'z'"):
        run.predict({"x": [1.0]})
    assert np.isnan(run.predict({"x": [1.0], "z": [None]})).all()


REFUSED = [
    ("y ~ a:offset(x)", r"offset\(...\) has the coefficient 1 and no interactions: add it with \+"),
    ("y ~ a*offset(x)", "no interactions"),
    ("y ~ (a + offset(x))^2", "no interactions"),
    ("offset(y) ~ a", r"offset\(...\) cannot be the response"),
    ("y ~ log(offset(x))", r"offset\(...\) cannot stand inside another function"),
    ("y ~ a + offset(x, 2)", r"offset\(...\) takes one argument only"),
    ("y ~ a + offset(2)", r"offset\(...\) names no column here"),
    ("y ~ a + offset()", "a column is missing before"),
    ("y ~ a + offset(y)", "'y' is the target and a feature too"),
    ("y ~ 0 + offset(x)", "no term and no intercept"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text, message):
    with pytest.raises(FormulaError, match=message) as caught:
        parse(text)
    assert "^" in caught.value.detail


def test_values_are_refused():
    with pytest.raises(DataError, match=r"column 'a' of data\.csv is text"):
        learn("y ~ x + offset(a)", DATA).response(DATA)
    data = table(y=[1, 2], x=[1, 2], z=[-1, 2])
    encoding = learn("y ~ x + offset(log(z))", data)
    with pytest.raises(DataError, match=r"line 2, column z: log\(z\) has no value at z = -1"):
        encoding.response(data)


def test_classes_have_no_offset_yet():
    message = r"offset\(x\) needs a target that is a number, and this one is a class: remove it, or use --loss mse"
    with pytest.raises(FormulaError, match=message) as caught:
        sl.solve({"y": ["a", "b", "a", "b"], "x": [1, 2, 3, 4], "z": [1, 3, 2, 5]}, "y ~ z + offset(x)")
    assert "^" * 9 in caught.value.detail
