"""`sightline validate`: certified values of NIST and rational problems, on this machine."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

import sightline
from sightline.validation import certified_lines, certified_sets, rational_lines

SHARED = Path(__file__).resolve().parents[3] / "shared" / "nist"


def test_it_prints_its_table(cli):
    done = cli("validate")
    assert done.code == 0
    assert "78 of 78 certified numbers right in every digit" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_certified_numbers_in_every_digit():
    lines = list(certified_lines())
    assert sum(line.printed for line in lines) == 78
    assert [line.name for line in lines if line.certified != line.printed] == []


def test_rational_problems_to_a_condition_of_1e14():
    lines = list(rational_lines())
    assert max(line.condition for line in lines) > 1e14
    assert min(min(line.coefficient_digits, line.error_digits) for line in lines) > 18.0


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of certified data sets is not beside this checkout")
def test_certified_sets_beside_the_checkout():
    lines = list(certified_lines(SHARED))
    assert lines
    assert [line.name for line in lines if line.certified != line.printed] == []


def test_arrays_keep_13_digits():
    import csv
    from importlib.resources import files

    for name, formula, known in certified_sets():
        with (files("sightline") / "certified" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        run = sightline.solve({key: [float(row[key]) for row in rows] for key in rows[0]}, formula)
        for c, theta, error in zip(run.coefficients, known["coefficients"], known["standard_errors"], strict=True):
            for found, text in ((c.exact, theta), (c.std_error, error)):
                expected = Decimal(text)
                assert abs(Decimal(found) - expected) <= Decimal("1e-13") * (abs(expected) or 1), (name, c.term)


def test_json_carries_the_digits(cli, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n0,0\n1,1\n3,1\n")
    text = cli("solve", path, "y ~ x", "--loss", "mse", "--json").out
    assert '"exact": 0.285714285714285714285714' in text  # 2 / 7
    assert json.loads(text)["coef"][1]["exact"] == 2 / 7
