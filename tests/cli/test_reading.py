"""What is said while a large file is read, and while its numbers are passed over."""

from __future__ import annotations

import re

import pytest

from sightline import coded_rows
from sightline.cli import reading
from sightline.data import slices

from .conftest import cli as cli


@pytest.fixture
def slow(monkeypatch):
    """Every look at the clock is two seconds after the last one."""
    now = [0.0]

    def clock():
        now[0] += 2.0
        return now[0]

    monkeypatch.setattr(reading.time, "perf_counter", clock)
    monkeypatch.setattr(coded_rows, "UNIT", 5000)
    monkeypatch.setattr(coded_rows, "NUMBERS", 2**14)


@pytest.fixture
def path(tmp_path):
    lines = [f"{i},{i % 7},{3 * i + i % 5}" for i in range(20_000)]
    (tmp_path / "d.csv").write_text("x,z,y\n" + "\n".join(lines) + "\n")
    return tmp_path / "d.csv"


def test_passes_are_numbered_and_of_least_squares_counted(slow, path, cli, monkeypatch):
    monkeypatch.setattr(slices, "PIECE", 30_000)
    said = cli("solve", path, "y ~ x + z", "--memory", "1kB").err
    lines = [line for line in said.splitlines() if " pass " in line]
    numbers = [int(n) for n in re.findall(r"pass (\d)", "\n".join(lines))]
    assert numbers == sorted(numbers)
    assert set(numbers) == {2, 3, 4}
    for number in (2, 3, 4):
        assert any(f"pass {number} of 4: " in line for line in lines)
    assert not any(re.search(r"pass [34]:", line) for line in lines)
    assert re.search(r"reading \S+d\.csv: \d+ %, [\d,]+ rows, \d+ MB/s, \d+ (s|min) left", said)
    assert "100 %, 20,000 rows" in said
    joined = " ".join(said.split())
    assert "read piece by piece; pieces take 200 MB and more, which is more than --memory says" in joined


def test_the_end_of_a_pass_is_said_once(slow, capsys):
    heard = reading.Reading("d.csv")
    for _ in range(2):  # passes, in whose last block more is asked for several times
        for first, last in ((0, 50), (50, 100), (90, 100), (95, 100)):
            heard.passed(first, last, 100)
    said = capsys.readouterr().err
    assert said.count("pass 2: 100 %, 100 rows") == said.count("pass 3: 100 %, 100 rows") == 1


def test_other_losses_have_as_many_passes_as_they_need(slow, path, cli):
    said = cli("solve", path, "y ~ x + z", "--memory", "1kB", "--loss", "huber").err
    assert "pass 2:" in said
    assert " of 4" not in said


def test_a_bar_on_a_terminal_is_one_line(slow, capsys, monkeypatch):
    monkeypatch.setattr(reading.sys.stderr, "isatty", lambda: True, raising=False)
    heard = reading.Reading("d.csv")
    for share in (10, 40, 100):
        heard(share, share, 100)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.count("\r") == 3
    assert told.endswith("MB/s\x1b[K\n")


def test_quick_files_say_nothing(path, cli):
    assert "MB/s" not in cli("solve", path, "y ~ x + z", "--memory", "1kB").err
