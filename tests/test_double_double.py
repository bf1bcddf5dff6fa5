"""Double-double arithmetic against exact rational numbers, and the numbers that print its digits."""

from __future__ import annotations

import copy
import json
import math
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.digits import Digits
from sightline.double_double import PRECISION, Pair
from sightline.runs.files import json_text

moderate = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**12)


def pair(*values: Fraction) -> Pair:
    return Pair.of_fractions(list(values))


def worst(found: Pair, exact: list[Fraction]) -> float:
    """Largest relative error."""
    return max(
        float(abs((f - e) / e)) if e else float(abs(f)) for f, e in zip(found.fractions().ravel(), exact, strict=True)
    )


@given(moderate)
def test_a_pair_holds_a_rational_number_to_106_bits(value):
    assert worst(pair(value), [value]) <= 2.0**-105


@given(moderate, moderate)
def test_sums_products_and_quotients(a, b):
    """Cancellation: the operands, not the sum, set the size of the error."""
    x, y = pair(a), pair(b)
    a, b = x.fractions()[0], y.fractions()[0]
    size = float(abs(a) + abs(b))
    assert float(abs((x + y).fractions()[0] - (a + b))) <= PRECISION * max(float(abs(a + b)), 2.0**-53 * size)
    assert float(abs((x - y).fractions()[0] - (a - b))) <= PRECISION * max(float(abs(a - b)), 2.0**-53 * size)
    assert worst(x * y, [a * b]) <= PRECISION
    if b:
        assert worst(x / y, [a / b]) <= PRECISION


@given(st.fractions(min_value=Fraction(1, 10**6), max_value=10**9), st.integers(min_value=-6, max_value=10))
def test_roots_and_powers(value, exponent):
    x = pair(value)
    value = x.fractions()[0]
    root = x.sqrt().fractions()[0]
    assert float(abs(root * root - value) / value) <= 2 * PRECISION
    assert worst(x.power(exponent), [value**exponent]) <= 12 * PRECISION


def test_sums_and_matrix_products_of_many():
    rng = np.random.default_rng(0)
    A = Pair.of(rng.normal(size=(37, 4))) / Pair.of(3.0)
    x = Pair.of(rng.normal(size=(4, 2))) * Pair.of(1.0 / 7.0)
    exact = A.fractions() @ x.fractions()
    assert worst(A.times(x), exact.ravel().tolist()) <= 1e3 * PRECISION  # terms of both signs
    crossed = A.fractions().T @ A.fractions()
    assert worst(A.transposed_times(A), crossed.ravel().tolist()) <= 1e3 * PRECISION
    assert worst(A.sum(), A.fractions().sum(axis=0).tolist()) <= 1e3 * PRECISION


def test_no_rows_sum_to_zero():
    assert Pair.of(np.empty((0, 3))).sum().hi.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("spec", ["", ".3f", ".14e", ".15g", "12.4f", ",.2f", "+.6g", ".0f", "<20.5g"])
@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 0.1, 1234567.891, 1e-9, 6.02e23, -1e-300])
def test_without_more_digits_it_prints_as_a_float(spec, value):
    assert format(Digits(value), spec) == format(value, spec)


@given(st.integers(min_value=-(10**27), max_value=10**27), st.integers(min_value=-12, max_value=3))
def test_it_prints_the_digits_of_both_parts(mantissa, exponent):
    """27 digits of a pair, rounded to 15: the decimal module is the judge."""
    exact = Decimal(mantissa).scaleb(exponent)
    p = Pair.of_fractions([Fraction(exact)])
    number = p.digits()[0]
    held = Decimal(float(p.hi[0])) + 0
    assert float(number) == float(held)
    if mantissa:
        assert abs(Decimal(f"{number:.24e}") - exact) <= abs(exact) * Decimal("1e-23")
        assert Decimal(f"{number:.14e}") == Decimal(f"{number.decimal():.14e}")


def test_rounding_from_the_pair_not_from_its_rounding():
    """0.5 + 2^-60 rounds up at no decimals; its double alone rounds to even, down."""
    assert f"{Digits(0.5, 2.0**-60):.0f}" == "1"
    assert f"{0.5 + 2.0**-60:.0f}" == "0"
    assert f"{Digits(2.5, 1e-20):.1g}" == "3"


def test_it_is_a_float_that_copies_and_survives_json():
    third = Pair.of_fractions([Fraction(1, 3)]).digits(30.0)[0]
    assert third + 0.0 == 1 / 3
    assert math.isclose(third, 1 / 3)
    for twin in (copy.deepcopy(third), pickle.loads(pickle.dumps(third))):
        assert (float(twin), twin.low, twin.trusted) == (float(third), third.low, 30.0)
    text = json_text({"a": [third, 0.25, None, "x", True], "b": {}})
    assert json.loads(text)["a"][0] == 1 / 3
    assert text == '{"a": [0.3333333333333333333333333, 0.25, null, "x", true], "b": {}}'
    again = json.loads(text, parse_float=Digits.read)["a"]
    assert f"{again[0]:.24g}" == "0.333333333333333333333333"
    assert type(again[1]) is float


def test_text_reads_back_to_the_same_double():
    rng = np.random.default_rng(1)
    for value in rng.normal(size=200) * 10.0 ** rng.integers(-20, 20, 200):
        number = Digits(value, value * rng.uniform(-1, 1) * 2.0**-54, 20.0)
        assert float(number.text()) == value or abs(number.low) >= 0.49 * math.ulp(value)
