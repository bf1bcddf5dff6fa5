"""Numbers as they were typed, against fractions of the very text, in every kind of file."""

from __future__ import annotations

import gzip
import json
import os
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.decimals import are_short
from sightline.data.sources import open_source
from sightline.data.table import Column
from sightline.double_double import Pair

BOUND = Fraction(1, 2**104)


@st.composite
def typed_numbers(draw):
    """1 to 25 digits with a sign, a point and an exponent, or without."""
    digits = draw(st.text("0123456789", min_size=1, max_size=25))
    point = draw(st.none() | st.integers(0, len(digits)))
    mantissa = digits if point is None else f"{digits[:point]}.{digits[point:]}"
    exponent = draw(st.just("") | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 200)))  # fmt: skip
    return draw(st.sampled_from(["", "-", "+"])) + mantissa + exponent


def column_of(texts, tmp_path, name="t.csv"):
    path = tmp_path / name
    path.write_text("x,y\n" + "".join(f"{t},1\n" for t in texts))
    return open_source(path).read(["x"])["x"]


def check(pair, fractions, texts):
    for hi, lo, exact, text in zip(pair.hi.tolist(), pair.lo.tolist(), fractions, texts, strict=True):
        want = Fraction(text)
        assert hi == float(text)
        assert exact == want
        assert abs(Fraction(hi) + Fraction(lo) - want) <= BOUND * abs(want)


@given(st.lists(typed_numbers(), min_size=1, max_size=30))
def test_text_files_hold_the_decimals_that_were_typed(tmp_path_factory, texts):
    column = column_of(texts, tmp_path_factory.mktemp("t"))
    check(column.pair(), column.fractions(), texts)


@pytest.mark.parametrize(
    "text",
    [
        "0.1", "1e-3", "4.5E+07", "12345678901234567890", "1e22", "1e23", "9007199254740993", "0.1000000000000000055",
        "3.00000000000000000001", "1e-30", "-7.1e-200", "1.", ".5", "123456789012345e15", "0.30000000000000004",
        "179769313486231570e291", "100000000000000000000000.1", "-0", "+12.50",
    ],
)  # fmt: skip
def test_what_a_double_does_not_tell_is_read_from_the_text(tmp_path, text):
    column = column_of([text, "2"], tmp_path)
    check(column.pair(), column.fractions(), [text, "2"])


def test_spaces_quotes_and_other_digits_are_no_matter(tmp_path):
    texts = [" 0.1234567890123456789 ", '"0.1234567890123456789"', "１.１234567890123456789"]
    column = column_of(texts, tmp_path)
    assert column.kind == "number"
    check(column.pair(), column.fractions(), ["0.1234567890123456789"] * 2 + ["1.1234567890123456789"])


def test_numbers_beyond_doubles_and_gaps_do_no_harm(tmp_path):
    column = column_of(
        ["1e-999999999999", "1e400", "NA", "5e-324", "0." + "0" * 5000 + "1", "1." + "3" * 6000], tmp_path
    )
    pair = column.pair()
    np.testing.assert_array_equal(pair.hi, [0.0, np.inf, np.nan, 5e-324, 0.0, 4.0 / 3.0])
    assert pair.lo[:5].tolist() == [0.0] * 5
    assert abs(Fraction(pair.hi[5]) + Fraction(pair.lo[5]) - Fraction(4, 3)) < 2 * BOUND


def test_long_cells_stay_with_their_rows(tmp_path):
    texts = [f"{i}.0000000000000000000{i}" if i % 3 else str(i / 8) for i in range(1, 60)]
    path = tmp_path / "t.csv"
    path.write_text("x,g\n" + "".join(f"{t},a\n" for t in texts))
    table = open_source(path).read()
    keep = np.arange(59) % 2 == 0
    some = table.take(keep).take(np.arange(30) > 4)
    left = texts[::2][5:]
    check(some["x"].pair(), some["x"].fractions(), left)


@pytest.mark.parametrize("rows", [3, 60_000])
def test_quoted_files_and_large_ones_keep_the_order(tmp_path, rows):
    texts = [f"0.{i:020d}" for i in range(1, rows + 1)]
    path = tmp_path / "t.csv"
    path.write_text("x,g\n" + "".join(f'{t},"a\nb"\n' for t in texts))
    column = open_source(path).read(["x"])["x"]
    assert column.fractions().tolist() == [Fraction(i, 10**20) for i in range(1, rows + 1)]


def test_odd_headers_take_the_other_way_to_the_cells(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_bytes(b'\n"x\ny"\tz\r\n0.12345678901234567890\t1\n5\t2\n')
    column = open_source(path).read()["x\ny"]
    assert column.fractions().tolist() == [Fraction("0.12345678901234567890"), 5]


@pytest.mark.parametrize("pack", ["gzip", "utf-16"])
def test_packed_files(tmp_path, pack):
    text = "x,y\n0.1234567890123456789012,1\n2,3\n"
    path = tmp_path / ("t.csv.gz" if pack == "gzip" else "t.csv")
    path.write_bytes(gzip.compress(text.encode()) if pack == "gzip" else text.encode("utf-16"))
    column = open_source(path).read()["x"]  # the temporary copy lives as long as the column may need it
    assert column.fractions()[0] == Fraction("0.1234567890123456789012")


@pytest.mark.parametrize("change", ["other", "same size", "gone"])
def test_a_file_that_changed_gives_the_shortest_decimals_instead(tmp_path, change):
    column = column_of(["0.12345678901234567891", "0.1"], tmp_path)
    path = tmp_path / "t.csv"
    if change == "gone":
        path.unlink()
    else:
        path.write_text("x,y\n0.12345678901234567899,1\n0.1,1\n" if change == "same size" else "x\n1\n")
        os.utime(path, ns=(1, 1))
    value = 0.12345678901234567891
    assert column.fractions().tolist() == [Fraction(repr(value)), Fraction(1, 10)]


@given(st.lists(typed_numbers(), min_size=1, max_size=10), st.booleans())
def test_json_numbers_are_as_typed_too(tmp_path_factory, texts, lines):
    texts = [str(Decimal(t)).replace("+", "").replace("E", "e") for t in texts]  # what JSON lets a number look like
    records = [f'{{"x": {t}, "g": "a"}}' for t in texts]
    path = tmp_path_factory.mktemp("t") / "t.json"
    path.write_text("\n".join(records) if lines else f"[{', '.join(records)}]")
    column = open_source(path).read(["x"])["x"]
    check(column.pair(), column.fractions(), texts)


def test_json_numbers_in_quotes_and_gaps(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"x": 0.12345678901234567890}\n{"g": 1}\n{"x": "0.98765432109876543210"}\n{"x": 12345678901234567890}\n'
    )
    column = open_source(path).read(["x"])["x"].take(np.array([True, False, True, True]))
    assert column.fractions().tolist() == [
        Fraction("0.12345678901234567890"), Fraction("0.98765432109876543210"), 12345678901234567890,
    ]  # fmt: skip


# Doubles


def sources(tmp_path):
    values = [0.1, 1 / 3, -4.5e7, 1e23]
    frame = pd.DataFrame({"x": values})
    pl.from_pandas(frame).write_parquet(tmp_path / "t.parquet")
    pl.from_pandas(frame).write_ipc(tmp_path / "t.arrow")
    return values, [{"x": values}, {"x": np.array(values)}, frame, tmp_path / "t.parquet", tmp_path / "t.arrow"]


def test_arrays_frames_and_binary_files_are_the_doubles_that_they_hold(tmp_path):
    values, data = sources(tmp_path)
    for one in data:
        column = open_source(one).read()["x"]
        assert column.fractions().tolist() == list(map(Fraction, values))
        assert column.pair().lo.tolist() == [0.0] * 4


def test_with_decimal_they_are_what_they_print_as(tmp_path):
    values, data = sources(tmp_path)
    for one in data:
        column = open_source(one, decimal=True).read()["x"]
        check(column.pair(), column.fractions(), map(repr, values))
        source = open_source(open_source(one), decimal=True)
        assert source.read()["x"].fractions().tolist() == [Fraction(repr(v)) for v in values]


def test_with_decimal_text_files_are_still_as_typed(tmp_path):
    (tmp_path / "t.csv").write_text("x,g\n0.1000000000000000055,a\n2,b\n")
    table = open_source(tmp_path / "t.csv", decimal=True).read()
    assert table["x"].fractions()[0] == Fraction("0.1000000000000000055")
    assert table["g"].typed is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e290, max_value=1e290).filter(lambda v: v == 0 or abs(v) > 1e-250), min_size=1, max_size=20))  # fmt: skip
def test_the_shortest_decimal_of_any_double(values):
    """Beyond these sizes the low part leaves the range of float64."""
    column = Column("x", np.array(values), "number", lambda: None)
    check(column.pair(), column.fractions(), map(repr, values))


# How many digits


@given(
    st.lists(st.decimals(-(10**30), 10**30, allow_nan=False).map(lambda d: float(f"{d:.14e}")), min_size=1, max_size=20)
)
def test_fifteen_digits_are_short(values):
    assert are_short(np.array(values))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_more_digits_are_not_unless_the_number_is_whole(value):
    digits = len(Decimal(repr(value)).normalize().as_tuple().digits)
    assert are_short(np.array([value])) == (digits <= 15 or (value.is_integer() and abs(value) < 2**53))


def test_one_long_number_far_down_is_found():
    values = np.append(np.full(5000, 0.25), 1 / 3)
    assert not are_short(values)
    assert are_short(values[:-1])


@pytest.mark.parametrize(
    ("values", "typed", "exact"),
    [([1.0, 2.0**52], False, True), ([1.0, 0.5], False, False), ([2.0**53], False, False), ([0.5, 1e-3], True, True), ([1 / 3], True, False)],
)  # fmt: skip
def test_columns_know_whether_their_digits_are_few(values, typed, exact):
    column = Column("x", np.array(values), "number", (lambda: None) if typed else None)
    assert column.exact is exact


def test_cells_are_read_once_and_only_when_asked_for(tmp_path, monkeypatch):
    from sightline.data.text_files import TextFile

    asked = []
    original = TextFile._long_cells
    monkeypatch.setattr(TextFile, "_long_cells", lambda self, *more: asked.append(1) or original(self, *more))
    (tmp_path / "t.csv").write_text("x,z\n0.12345678901234567891,1\n0.1,2\n")
    table = open_source(tmp_path / "t.csv").read()
    assert table["x"].exact is False
    assert not asked
    for name in ("x", "z"):
        assert isinstance(table.take(np.array([True, False]))[name].pair(), Pair)
    assert asked == [1]


def test_json_cells_are_those_of_json(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps([{"x": 0.1 + 0.2}, {"x": 10**25}]))
    assert open_source(path).read()["x"].fractions().tolist() == [Fraction("0.30000000000000004"), 10**25]
