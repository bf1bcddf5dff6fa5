"""Records as columns, read on while the file grows."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

from sightline.runs.series import MOST_NUMBERS, Series


def line(number, loss=1.0, **more):
    values = {
        "number": number, "running_loss": None, "train_loss": loss, "valid_loss": None, "gradient_norm": 0.5, "lr": 0.1,
        "rows": 5 * number, "seconds": 0.01 * number, "parameters": {"a": float(number), "b": 2.0}, "stop": None,
    }  # fmt: skip
    return json.dumps({**values, **more}) + "\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epochs.jsonl"


def test_it_reads_on_and_waits_for_half_a_line(path, tmp_path):
    series = Series(tmp_path)
    assert not series.read()
    path.write_text(line(0) + line(1)[:30])
    assert series.read()
    assert (len(series), series.last) == (1, 0)
    assert not series.read()
    with open(path, "a") as file:
        file.write(line(1)[30:] + line(2, loss=None, running_loss=3.0, stop={"reason": "epochs", "sentence": "all"}))
    assert series.read()
    assert series.last == 2
    table = series.table(series.places(), ["b", "a"])
    assert table["train_loss"] == [1.0, 1.0, None]
    assert table["running_loss"] == [None, None, 3.0]
    assert table["parameters"] == [[2.0, 0.0], [2.0, 1.0], [2.0, 2.0]]


def test_damaged_lines_are_passed_over(path, tmp_path):
    path.write_bytes(line(0).encode() + b"garbage\n\n\xff\xfe\n" + b'{"number": 1}\n' + b"[1, 2]\n" + line(2).encode())
    series = Series(tmp_path)
    series.read()
    assert series.table(series.places(), ["a"])["number"] == [0, 2]
    assert series.table(series.places(), ["a"])["parameters"] == [[0.0], [2.0]]


def test_a_file_that_is_replaced_begins_again(path, tmp_path):
    path.write_text(line(0) + line(1) + line(2))
    series = Series(tmp_path)
    series.read()
    aside = tmp_path / "aside"
    aside.write_text(line(0, loss=9.0))
    os.replace(aside, path)
    series.read()
    assert (len(series), series.generation) == (1, 1)
    assert series.columns["train_loss"][0] == 9.0


def test_of_many_records_the_extremes_and_both_ends_stay(path, tmp_path):
    rng = np.random.default_rng(0)
    losses = rng.random(50_000) + 1.0
    losses[31_234], losses[44_321] = 99.0, -5.0
    path.write_text("".join(line(i, loss=float(v)) for i, v in enumerate(losses)))
    series = Series(tmp_path)
    series.read()
    places = series.places()
    assert len(places) < 2000
    assert places == sorted(set(places))
    assert {0, 1, 2, 31_234, 44_321, 49_999} <= set(places)
    after = series.places(after=49_990)
    assert after == list(range(49_991, 50_000))


def test_parameters_of_wide_models_are_few(path, tmp_path):
    names = [f"c{j}" for j in range(600)]
    path.write_text("".join(line(i, parameters=dict.fromkeys(names, 1.0)) for i in range(300)))
    series = Series(tmp_path)
    series.read()
    rows = series.table(series.places(), names)["parameters"]
    assert 2 <= sum(row is not None for row in rows) <= MOST_NUMBERS // 600
    assert rows[0] is not None
    assert rows[-1] is not None


def test_one_record_is_found_by_its_number(path, tmp_path):
    path.write_text(line(0) + line(10) + line(20))
    series = Series(tmp_path)
    series.read()
    assert series.record(15)["number"] == 10
    assert series.record(-1) is None


def test_numbers_that_are_none_are_not_numbers(path, tmp_path):
    path.write_text(line(0, loss=None))
    series = Series(tmp_path)
    series.read()
    assert math.isnan(series.columns["train_loss"][0])
