"""Polynomials of degree 10 and 5 on the certified data of NIST: every printed digit, in powers and orthogonal."""

from decimal import Decimal
from importlib.resources import as_file, files

import numpy as np
import pytest

import sightline as sl
from sightline.validation import certified_sets

CERTIFIED = {name: values for name, _, values in certified_sets()}


def solved(name, formula):
    with as_file(files("sightline") / "certified" / f"{name}.csv") as path:
        return sl.solve(path, formula), np.genfromtxt(path, delimiter=",", names=True)


def as_printed(value, text):
    """The value rounded to the 15 digits that the certified one has."""
    return Decimal(f"{value:.14e}") == Decimal(f"{Decimal(text):.14e}")


@pytest.mark.parametrize(("name", "degree"), [("Filip", 10), ("Wampler1", 5), ("Wampler4", 5)])
def test_raw_powers_keep_every_certified_digit(name, degree):
    run, _ = solved(name, f"y ~ poly(x, {degree}, raw=True)")
    values = CERTIFIED[name]
    for c, text, error in zip(run.coefficients, values["coefficients"], values["standard_errors"], strict=True):
        assert as_printed(c.exact, text), c.term
        assert as_printed(c.std_error, error) or c.std_error is None or abs(c.std_error) < 1e-20
    assert run.coefficients[-1].term == f"poly(x, {degree}, raw=True)[{degree}]"


def test_orthogonal_ones_are_the_same_fit():
    run, data = solved("Filip", "y ~ poly(x, 10)")
    assert as_printed(run.result["fit"]["sigma"], CERTIFIED["Filip"]["residual_sd"])
    assert as_printed(run.result["fit"]["r2"], CERTIFIED["Filip"]["r_squared"])
    # of orthonormal columns Z the coefficient is z'y, and every standard error is sigma
    errors = [c.std_error for c in run.coefficients[1:]]
    np.testing.assert_allclose(errors, run.result["fit"]["sigma"], rtol=1e-9)
    raw, _ = solved("Filip", "y ~ poly(x, 10, raw=True)")
    x = {"x": np.linspace(data["x"].min(), data["x"].max(), 50)}
    # in powers the terms reach 1e9 and cancel to 1
    np.testing.assert_allclose(run.predict(x), raw.predict(x), rtol=0, atol=1e-5)
