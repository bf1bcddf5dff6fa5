"""Predictions and metrics of a file read piece by piece: the bytes and the numbers of one that is read at once."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest
import sklearn.metrics as skm

import sightline
from sightline import by_pieces, ranking, tables
from sightline.cli import apply, reading
from sightline.data import parquet, scratch, slices
from sightline.errors import DataError, UsageError

from .cli.conftest import cli as cli

ROWS = 400


@pytest.fixture(params=[(1_200, 7), (5_000, 100), (2**24, 2**22)], ids=["tiny", "small", "usual"])
def sizes(request, monkeypatch):
    """Bytes of a piece, and numbers of a design at a time; of scores in memory a few hundred."""
    piece, numbers = request.param
    monkeypatch.setattr(slices, "PIECE", piece)
    monkeypatch.setattr(tables, "NUMBERS", numbers)
    monkeypatch.setattr(parquet, "ROWS", max(1, piece // 20))
    monkeypatch.setattr(ranking, "HELD", max(40, piece // 20))
    monkeypatch.setattr(ranking, "MERGED", max(20, piece // 20))
    monkeypatch.setattr(reading, "PATIENCE", 1e9)


def made():
    """Two numbers, a category, counts, two and three classes, weights; a few cells are missing."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=ROWS).round(3), (1e3 + rng.normal(size=ROWS)).round(2)
    g = np.array(list("abc"))[rng.integers(3, size=ROWS)]
    score = x + (g == "b") + rng.normal(size=ROWS)
    return {
        "x": x, "z": z, "g": g, "y": (2 * x - z + (g == "c") + rng.normal(size=ROWS)).round(3),
        "n": rng.poisson(np.exp(0.3 * x)), "two": np.where(score > 0, "yes", "no"),
        "three": np.array(["low", "mid", "top"])[np.digitize(score, [-0.5, 1.0])], "w": rng.integers(3, size=ROWS) / 2,
    }  # fmt: skip


def write(path, columns, *, missing=True, added=()):
    lines = [",".join(columns)]
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        cells = [str(v) for v in row]
        if missing and i % 37 == 5:
            cells[i % 3] = ["", "NA"][i % 2]
        lines.append(",".join(cells))
    path.write_text("\n".join([*lines, *added]) + "\n")
    return path


FITS = {
    "numbers": {"formula": "y ~ x + z + g"},
    "an interaction and a function": {"formula": "y ~ x * g + I(x^2) + log(z) + poly(z, 2)"},
    "no column": {"formula": "y ~ 1"},
    "an offset": {"formula": "y ~ x + offset(z)"},
    "labels that are numbers": {"formula": "y ~ x + C(n)"},
    "counts": {"formula": "n ~ x + g", "loss": "poisson-nll"},
    "huber": {"formula": "y ~ x + z", "loss": "huber"},
    "two classes": {"formula": "two ~ x + g"},
    "two classes with weights": {"formula": "two ~ x + g", "weights": "w"},
    "hinge": {"formula": "two ~ x + g", "loss": "hinge"},
    "three classes": {"formula": "three ~ x + g"},
    "classes that are numbers": {"formula": "n ~ x", "loss": "cross-entropy"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, call in FITS.items():
        found[name] = sightline.solve(made(), output=folder / name.replace(" ", "-"), **call).folder
    return found


def same_bytes(cli, folder, path, *options, out):
    """stdout and a file, at once and by pieces."""
    at_once, by_piece = (cli("predict", folder, path, *options, *m) for m in ((), ("--memory", "1")))
    assert at_once.code == 0
    assert by_piece == at_once
    assert cli("predict", folder, path, *options, "--memory", "1", "-o", out).code == 0
    assert out.read_bytes().decode() == at_once.out
    assert len(at_once.out.splitlines()) == ROWS + 1
    assert [entry.name for entry in out.parent.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.parametrize("name", FITS)
def test_predictions_have_the_same_bytes(cli, sizes, runs, tmp_path, name):
    same_bytes(cli, runs[name], write(tmp_path / "d.csv", made()), out=tmp_path / "out.csv")


@pytest.mark.parametrize("kind", ["prediction", "confidence"])
def test_intervals_have_the_same_bytes(cli, sizes, runs, tmp_path, kind):
    path = write(tmp_path / "d.csv", made())
    for name in ("numbers", "an interaction and a function", "no column"):
        same_bytes(cli, runs[name], path, "--interval", 0.9, "--kind", kind, out=tmp_path / "out.csv")


@pytest.mark.parametrize("unseen", ["reference", "other"])
def test_unseen_categories_are_counted_over_all_pieces(cli, sizes, runs, tmp_path, unseen):
    columns = made()
    columns["g"] = np.where(np.arange(ROWS) % 50 == 3, "new", columns["g"])
    columns["g"][-1] = "late"
    path = write(tmp_path / "d.csv", columns)
    for name in ("numbers", "three classes"):
        same_bytes(cli, runs[name], path, "--unseen", unseen, out=tmp_path / "out.csv")
        said = cli("predict", runs[name], path, "--unseen", unseen, "--memory", "1").err
        assert said.startswith("column 'g' of d.csv: 8 rows with a category not trained on")  # and one that misses x
        assert said.count("\n") == 1
        found = [cli("evaluate", runs[name], path, "--unseen", unseen, *m) for m in ((), ("--memory", "1"))]
        assert found[0] == found[1]
        assert "8 rows with a category not trained on" in found[0].err


def test_an_unseen_category_in_the_last_piece_is_named_by_its_line(cli, sizes, runs, tmp_path):
    path = write(tmp_path / "d.csv", made(), added=["1,1000,late,1,1,yes,low,1"])
    for command in ("predict", "evaluate"):
        at_once, by_piece = (cli(command, runs["numbers"], path, *m) for m in ((), ("--memory", "1")))
        assert (by_piece.code, by_piece.err) == (3, at_once.err)
        assert f"d.csv line {ROWS + 2}, column g: 'late' is no category" in by_piece.err


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ("1,1000,a,1", "4 fields where the header has 8"),
        ("many,1000,a,1,1,yes,low,1", "column x: 'many' is not a number"),
        ("1,-1,a,1,1,yes,low,1", "log(z) has no value at z = -1"),
        ("inf,1000,a,1,1,yes,low,1", "column x: inf is no finite number"),
        ('1,"1000,a,1,1,yes,low,1', "is never closed"),
    ],
)
def test_a_bad_row_in_the_last_piece_leaves_the_old_file_alone(cli, sizes, runs, tmp_path, bad, what):
    path, out = write(tmp_path / "d.csv", made(), added=[bad]), tmp_path / "out.csv"
    out.write_text("old")
    name = "an interaction and a function"
    at_once = cli("predict", runs[name], path)
    by_piece = cli("predict", runs[name], path, "--memory", "1", "-o", out)
    assert (by_piece.code, by_piece.err) == (3, at_once.err)
    assert what in by_piece.err
    assert f"line {ROWS + 2}" in by_piece.err
    assert out.read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["d.csv", "out.csv"]


def test_metrics_of_a_bad_row_and_a_target_that_is_no_class(cli, sizes, runs, tmp_path):
    for name, bad, what in (
        ("numbers", "1,1000,a,many,1,yes,low,1", "column y: 'many' is not a number"),
        ("two classes", "1,1000,a,1,1,maybe,low,1", "column two: 'maybe' is no category"),
        ("two classes with weights", "1,1000,a,1,1,yes,low,-1", "column w: -1 is no weight"),
    ):
        path = write(tmp_path / "d.csv", made(), added=[bad])
        at_once, by_piece = (cli("evaluate", runs[name], path, *m) for m in ((), ("--memory", "1")))
        assert (by_piece.code, by_piece.err) == (3, at_once.err)
        assert f"d.csv line {ROWS + 2}, {what}" in by_piece.err


def compared(found, want):
    """The same values, numbers to 1e-12 of what they are, or of 1 where they may cancel."""
    if isinstance(want, dict):
        assert list(found) == list(want)
        for key in want:
            compared(found[key], want[key])
    elif isinstance(want, list):
        assert len(found) == len(want)
        for a, b in zip(found, want, strict=True):
            compared(a, b)
    elif isinstance(want, float):
        assert found == pytest.approx(want, rel=1e-12, abs=1e-12)
    else:
        assert found == want


@pytest.mark.parametrize("name", FITS)
def test_metrics_are_those_of_rows_in_memory(sizes, runs, tmp_path, name):
    path, run = write(tmp_path / "d.csv", made()), sightline.load(runs[name])
    compared(run.evaluate(path, memory=1), run.evaluate(path))


def test_metrics_against_scikit_learn(sizes, runs, tmp_path):
    """Of the rows that the run was trained on, with ties among the scores: x has three digits."""
    columns = made()
    path, rows = write(tmp_path / "d.csv", columns, missing=False), np.array(columns["w"]) > 0
    run = sightline.load(runs["two classes with weights"])
    found, p = run.evaluate(path, memory=1), run.probabilities(columns)[:, 1]
    yes, call = columns["two"][rows] == "yes", {"sample_weight": columns["w"][rows]}
    assert found["auc"] == pytest.approx(skm.roc_auc_score(yes, p[rows], **call), rel=1e-12)
    assert found["log_loss"] == pytest.approx(skm.log_loss(yes, p[rows], **call), rel=1e-12)
    assert found["accuracy"] == pytest.approx(skm.accuracy_score(yes, p[rows] > 0.5, **call), rel=1e-12)
    run = sightline.load(runs["three classes"])
    found, p = run.evaluate(path, memory=1), run.probabilities(columns)
    want = skm.roc_auc_score(columns["three"], p, multi_class="ovo", average="macro")
    assert found["auc"] == pytest.approx(want, rel=1e-12)
    run = sightline.load(runs["numbers"])
    found, predicted = run.evaluate(path, memory=1), run.predict(columns)
    assert found["r2"] == pytest.approx(skm.r2_score(columns["y"], predicted), rel=1e-12)
    assert found["mae"] == pytest.approx(skm.mean_absolute_error(columns["y"], predicted), rel=1e-12)


def test_python_gives_the_same_arrays(sizes, runs, tmp_path):
    path = write(tmp_path / "d.csv", made())
    for name in FITS:
        run = sightline.load(runs[name])
        np.testing.assert_array_equal(run.predict(path, memory="1"), run.predict(path))
        if run.design.classes and name != "hinge":
            np.testing.assert_array_equal(run.probabilities(path, memory="1"), run.probabilities(path))
    run = sightline.load(runs["numbers"])
    found, want = run.predict(path, 0.9, memory="1"), run.predict(path, 0.9)
    for column in ("prediction", "low", "high"):
        np.testing.assert_array_equal(found[column], want[column])


def test_packed_files_and_parquet(cli, sizes, runs, tmp_path):
    path = write(tmp_path / "d.csv", made())
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    duckdb.sql(f"COPY (FROM read_csv('{path}', nullstr = ['', 'NA'])) TO '{tmp_path / 'f.parquet'}'")
    for other in ("e.csv.gz", "f.parquet"):
        for name in ("numbers", "three classes"):
            same_bytes(cli, runs[name], tmp_path / other, out=tmp_path / "out.csv")
            run = sightline.load(runs[name])
            compared(run.evaluate(tmp_path / other, memory=1), run.evaluate(tmp_path / other))


def test_rows_of_which_none_is_left(sizes, runs, tmp_path):
    path = tmp_path / "d.csv"
    for rows, what in (
        ("1,,a,yes,1\n" * 300, "column 'x' of d.csv has no values at all"),
        ("1,,a,yes,1\n" * 300 + "1,2,a,,1\n", "every row of d.csv misses a value in one of"),
        ("1,2,a,yes,0\n" * 300, "every weight in column 'w' of d.csv is 0"),
        ("1,2,new,yes,1\n" * 300, "every row of d.csv has a category that the model was not trained on"),
    ):
        path.write_text("y,x,g,two,w\n" + rows)
        run = sightline.load(runs["two classes with weights" if "weight" in what else "two classes"])
        for memory in (None, 1):
            with pytest.raises(DataError, match=what):
                run.evaluate(path.as_posix(), memory=memory, unseen="other")
        if "x" in what:
            path.write_text("x,g\n" + ",a\n" * 300)
            assert run.predict(path, memory=1).tolist() == [None] * 300


def test_labels_that_are_numbers_in_one_piece_and_texts_in_another(monkeypatch, tmp_path):
    """A file at once takes 07 as it is written where one cell is a text, and as 7 where none is."""
    monkeypatch.setattr(slices, "PIECE", 1000)
    run, path = (
        sightline.solve({"y": [1.0, 2, 4, 3, 9], "g": ["7", "x", "7", "x", "8"]}, "y ~ C(g)"),
        tmp_path / "d.csv",
    )
    for rows in ("7,1\n" * 600 + "x,1\n", "x,1\n" * 600 + "8,1\n" * 600 + ",1\n" * 600 + "x,1\n" + "7,1\n" * 300):
        path.write_text("g,h\n" + rows)
        np.testing.assert_array_equal(run.predict(path, memory=1), run.predict(path))
    for added in ("late,1\n", "7.5,1\n"):
        path.write_text("g,h\n" + rows + added)
        for unseen in ("reference", "other"):
            np.testing.assert_array_equal(run.predict(path, memory=1, unseen=unseen), run.predict(path, unseen=unseen))
    for first, then in (("07", "x"), ("x", "07"), ("7.0", "x")):
        path.write_text("g,h\n" + f"{first},1\n" * 600 + f"{then},1\n" * 600)
        with pytest.raises(
            DataError, match=r"line \d+, column g: '(07|7\.0)' is '7' among numbers and stays '(07|7\.0)'"
        ):
            run.predict(path, memory=1, unseen="other")
    path.write_text("g,h\n" + "07,1\n" * 600)
    np.testing.assert_array_equal(run.predict(path, memory=1), run.predict(path))


@pytest.mark.parametrize("what", ["grows", "shrinks", "goes"])
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_file_that_changes_while_it_is_read(cli, runs, tmp_path, monkeypatch, what, command):
    monkeypatch.setattr(slices, "PIECE", 2000)
    path, out = write(tmp_path / "d.csv", made()), tmp_path / "out.csv"

    class Change:
        def __init__(self, _):
            self.done = False

        def __call__(self, *_):
            if self.done:
                return
            self.done = True
            if what == "goes":
                path.unlink()
            else:
                content = path.read_bytes()
                path.write_bytes(content + content[-40:] if what == "grows" else content[:-200])

    monkeypatch.setattr(apply, "Reading", Change)
    found = cli(command, runs["numbers"], path, "--memory", "1", *(["-o", out] if command == "predict" else []))
    assert found.code == 3
    assert ("is gone since" if what == "goes" else "has changed while it was read") in found.err
    assert not out.exists()


def test_when_a_file_is_read_piece_by_piece(cli, runs, tmp_path, monkeypatch):
    path, run = write(tmp_path / "d.csv", made()), sightline.load(runs["numbers"])
    used = []
    monkeypatch.setattr(tables, "_Kinds", lambda *given: used.append(1) or kinds(*given))
    run.predict(path)
    run.predict(path, memory="1 GB")
    assert not used
    run.predict(path, memory="10kB")
    run.evaluate(path, memory=10_000)
    assert len(used) == 2
    monkeypatch.setattr(by_pieces, "memory_limit", lambda: 1000.0)
    run.predict(path)
    assert len(used) == 3
    for wrong in ("much", -1, 0, 1.5):
        for ask in (run.predict, run.evaluate):
            with pytest.raises(UsageError, match="--memory cannot be"):
                ask(path, memory=wrong)
    assert cli("predict", runs["numbers"], path, "--memory", "much").code == 2


kinds = tables._Kinds


def test_how_far_the_file_is_read_is_told(cli, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "PIECE", 2000)
    monkeypatch.setattr(reading, "PATIENCE", 0.0)
    path = write(tmp_path / "d.csv", made())
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("d.csv", "e.csv.gz"):
        for command in ("predict", "evaluate"):
            *lines, last = cli(command, runs["numbers"], tmp_path / name, "--memory", "1").err.splitlines()
            assert lines
            for line in lines:
                assert re.fullmatch(rf"reading .*{name}: \d?\d %, \d+ rows, \d+ MB/s, .+ left", line)
            assert f"{name}: 100 %, {ROWS} rows, " in last
    assert cli("evaluate", runs["numbers"], path, "--memory", "1", "--json").err == ""


def test_the_folder_of_the_output_is_looked_for_first(cli, runs, tmp_path, monkeypatch):
    path = write(tmp_path / "d.csv", made())
    monkeypatch.setattr(tables.Tables, "each", lambda *_: pytest.fail("read before the output was looked at"))
    found = cli("predict", runs["numbers"], path, "-o", tmp_path / "none" / "out.csv")
    assert found.code == 3
    assert "there is no folder" in found.err


def test_a_disk_without_room(runs, tmp_path, monkeypatch):
    path, run = write(tmp_path / "d.csv", made()), sightline.load(runs["two classes"])
    monkeypatch.setattr(slices, "PIECE", 2000)
    monkeypatch.setattr(ranking, "HELD", 100)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ranking, "open", full, raising=False)
        with pytest.raises(DataError, match=r"the scores of d\.csv cannot be written to .*No space left"):
            run.evaluate(path, memory=1)
    want = run.predict(path)
    with monkeypatch.context() as patch:
        patch.setattr(scratch.tempfile, "mkstemp", full)
        patch.setattr(slices, "read_plain", lambda *_: None)
        if hasattr(os, "memfd_create"):  # pieces are kept in memory then
            np.testing.assert_array_equal(run.predict(path, memory=1), want)
        patch.delattr(os, "memfd_create", raising=False)
        with pytest.raises(DataError, match=r"a piece of d\.csv cannot be written to .*No space left"):
            run.predict(path, memory=1)
    monkeypatch.setattr(ranking.shutil, "disk_usage", lambda _: type("usage", (), {"free": 1000})())
    with pytest.raises(DataError, match=r"the scores of d\.csv take .* are free: make room there"):
        run.evaluate(path, memory=1)


def many(path, n):
    """Some 160 bytes in a row."""
    rng = np.random.default_rng(0)
    columns = {f"x{j}": rng.normal(size=n).round(4) for j in range(20)}
    columns["y"] = (sum(columns.values()) + rng.normal(size=n)).round(4)
    columns["k"] = np.where(columns["y"] > 0, "yes", "no")
    duckdb.sql(f"COPY (SELECT * FROM columns) TO '{path}' (FORMAT csv)")
    return columns


def test_an_interrupt_leaves_no_file_behind(runs, tmp_path):
    path, out = tmp_path / "d.csv", tmp_path / "out.csv"
    line = b"0.123,1000.5,a,1.5,1,yes,low,1\n"
    path.write_bytes(b"x,z,g,y,n,two,three,w\n" + line * 2_000_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "sightline", "predict", runs["numbers"], path, "--memory", "1MB", "-o", out],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.csv.*.part")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["d.csv"]


CHILD = """
import sys, json
from sightline.data import slices
slices.PIECE = 2**21  # of which both files have many
import numpy, duckdb, sightline, sightline.run, scipy.special
from sightline.cli import main
def own():
    return {k: int(v.split()[0]) for k, v in (line.split(':') for line in open('/proc/self/status')) if k == 'VmHWM'}['VmHWM']
before = own()
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code
print(own() - before, file=sys.stderr)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the largest size of a process")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file of 160 MB and one of 40 take the same, and what is said of the larger one is right."""
    small, large, out = tmp_path / "small.csv", tmp_path / "large.csv", tmp_path / "out.csv"
    many(small, 250_000)
    columns = many(large, 1_000_000)
    some = {name: values[:2000] for name, values in columns.items()}
    numbers = sightline.solve(some, "y ~ " + " + ".join(f"x{j}" for j in range(20)), output=tmp_path / "a")
    classes = sightline.solve(some, "k ~ x0 + x1 + x2", output=tmp_path / "b")

    def grown(*arguments):
        taken = []
        for path in (small, large):
            command = [sys.executable, "-c", CHILD, *(path if a is None else a for a in arguments), "--memory", "1MB"]
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            taken.append(int(found.stderr.splitlines()[-1]) * 1024)
        assert taken[0] < 400e6
        return taken[1] - taken[0], found.stdout

    assert grown("predict", numbers.folder, None, "-o", out)[0] < 60e6
    X = np.column_stack([columns[f"x{j}"] for j in range(20)])
    weight = numbers.predictor.weight[0]
    want = X @ weight + numbers.predictor.bias[0]
    np.testing.assert_allclose(np.loadtxt(out, skiprows=1), want, rtol=1e-9, atol=1e-9)
    growth, said = grown("evaluate", numbers.folder, None, "--json")
    assert growth < 60e6
    assert json.loads(said)["mse"] == pytest.approx(np.mean((columns["y"] - want) ** 2), rel=1e-10)
    growth, said = grown("evaluate", classes.folder, None, "--json")
    assert growth < 60e6
    score = X[:, :3] @ classes.predictor.weight[0]
    assert json.loads(said)["auc"] == pytest.approx(skm.roc_auc_score(columns["k"] == "yes", score), rel=1e-9)


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("what", ["predict", "evaluate"])
def test_a_text_among_numbers_is_named_wherever_it_stands(runs, tmp_path, monkeypatch, what, left_out):
    """In the last of many rows, of a table that is looked at some rows at a time; and in a row that misses others."""
    path, run = write(tmp_path / "d.csv", made()), sightline.load(runs["numbers"])
    monkeypatch.setattr(tables, "ROWS", 50)
    with open(path) as file:
        header = file.readline().strip().split(",")
        last = dict(zip(header, file.readline().strip().split(","), strict=True))
    last["x"] = "17O"
    if left_out:
        last["z"] = ""
    with open(path, "a") as file:
        file.write(",".join(last.values()) + "\n")
    lines = path.read_text().count("\n")
    for memory in (None, 1):
        with pytest.raises(DataError, match=rf"d\.csv line {lines}, column x: '17O' is not a number; correct the cell"):
            getattr(run, what)(path, memory=memory)
