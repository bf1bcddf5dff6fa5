"""A file read piece by piece: the same answer, the same counts and the same complaints as one that is read at once."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

import sightline
from sightline import by_pieces, coded_rows, trainable
from sightline.coded_sums import coded_moments
from sightline.data import column_writer, disk, parquet, slices, storing
from sightline.errors import DataError, UsageError
from sightline.linear.exact import least_squares
from sightline.linear.from_triangle import least_squares_from_triangle
from sightline.linear.moments import Moments
from sightline.prepare import prepare_for
from sightline.settings import RunSettings

from .cli.conftest import cli as cli

ROWS = 900


@pytest.fixture(params=[(700, 7), (5_000, 100), (2**24, coded_rows.UNIT)], ids=["tiny", "small", "usual"])
def sizes(request, monkeypatch):
    """Bytes of a piece and rows of a block."""
    piece, block = request.param
    monkeypatch.setattr(slices, "PIECE", piece)
    monkeypatch.setattr(coded_rows, "UNIT", block)


def write(path, *, late="late", end="\n", delimiter=",", quoted=True):
    """Numbers, categories of which one comes in the last rows, missing values, weights that may be 0, quoted cells."""
    rng = np.random.default_rng(0)
    lines = [delimiter.join(["x", "z", "group", "w", "note", "y"])]
    for i in range(ROWS):
        x, z = round(rng.normal(), 3), round(1e4 + rng.normal(), 2)
        group = late if i == ROWS - 2 else "abc"[rng.integers(3)]
        weight = ["0", "1", "2.5"][rng.integers(3)]
        y = round(2 * x - z + "abcl".index(group[0]) + rng.normal(), 3)
        note = f'"says ""{i}""{delimiter} and{end}more"' if quoted and i % 50 == 3 else f"n{i}"
        cells = [str(x), str(z), group, weight, note, str(y)]
        if i % 97 == 5:
            cells[i % 2] = "NA"
        lines.append(delimiter.join(cells))
    path.write_bytes((end.join(lines) + end * (len(delimiter) - 1) + end).encode())
    return path


def both(path, formula, **settings):
    at_once = sightline.solve(path, formula, **settings)
    by_piece = sightline.solve(path, formula, memory=1, **settings)
    return at_once, by_piece


def close(found, want, tolerance, scale):
    if want is None:
        assert found is None
    else:
        assert found == pytest.approx(want, rel=tolerance, abs=tolerance * scale)


def compared(at_once, by_piece, tolerance=1e-10):
    """Coefficients by 1e-10: those of rows in memory are refined beyond float64, so this is float64's own rounding."""
    assert by_piece.result["accuracy"]["path"] in ("moments", "QR by blocks")
    for a, b in zip(at_once.coefficients, by_piece.coefficients, strict=True):
        assert a.term == b.term
        for name in ("estimate", "std_error", "t", "low", "high"):
            close(getattr(b, name), getattr(a, name), tolerance, a.std_error or 1.0)
    for name, value in at_once.result["fit"].items():
        close(by_piece.result["fit"][name], value, tolerance, 0.01 if "r2" in name else 0.0)
    assert at_once.source == by_piece.source  # rows, what was left out, fingerprint
    a, b = at_once.design, by_piece.design
    assert (a.terms, a.constant, a.columns, a.encoding.to_dict()) == (
        b.terms, b.constant, b.columns, b.encoding.to_dict()
    )  # fmt: skip
    for name in ("center", "scale", "low", "high"):  # to the bit, and not `exact`: numbers on the disk are doubles
        np.testing.assert_array_equal(getattr(b, name), getattr(a, name))


FORMULAS = [
    "y ~ x", "y ~ x + z", "y ~ x + z + group", "y ~ x * group - 1", "y ~ log(z) + I(x^2) + C(group, reference='b')",
    "y ~ x + C(w)", "exp(x) ~ z", "y ~ 1", "I(y / 100) ~ x",
]  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_same_answer_at_any_size_of_pieces(sizes, tmp_path, formula):
    compared(*both(write(tmp_path / "d.csv"), formula))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("formula", FORMULAS[:6])
def test_moments_are_those_of_rows_in_memory_to_the_bit(sizes, tmp_path, formula, weights):
    path = write(tmp_path / "d.csv")
    a, b = (
        prepare_for(RunSettings(memory=memory, weights=weights), str(path), formula, target=None).rows
        for memory in (None, 1)
    )
    found, want = coded_moments(b.blocks, b.y[:, None], b.weight), Moments.of(a.X, a.y, a.weight)
    for name in ("n", "x_mean", "y_mean", "xx", "xy", "yy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(want, name))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("standardize", [True, False])
def test_training_is_the_same(sizes, tmp_path, weights, standardize):
    path = write(tmp_path / "d.csv")
    call = {"weights": weights, "standardize": standardize, "epochs": 7, "lr": 0.1 if standardize else 1e-9}
    runs = [sightline.fit(path, "y ~ x + z + group", output=False, memory=m, **call) for m in (None, 1)]
    for a, b in zip(*(run.epochs for run in runs), strict=True):
        assert b.train_loss == pytest.approx(a.train_loss, rel=1e-12)
        assert list(b.parameters.values()) == pytest.approx(list(a.parameters.values()), rel=1e-10, abs=1e-12)
    assert runs[0].verdict.name == runs[1].verdict.name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mini_batches_are_those_of_rows_in_memory(sizes, tmp_path, dtype):
    """To the bit: the same rows, standardized by the same numbers, in the same order."""
    path = write(tmp_path / "d.csv")
    call = {"batch_size": 32, "epochs": 3, "lr": 0.01, "dtype": dtype, "output": False}
    runs = [sightline.fit(path, "y ~ x + z + group", memory=m, **call) for m in (None, 1)]
    for a, b in zip(*(run.epochs for run in runs), strict=True):
        assert (a.train_loss, a.running_loss, dict(a.parameters)) == (b.train_loss, b.running_loss, dict(b.parameters))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_on_the_disk_stay_there(tmp_path, dtype):
    rows = np.arange(200_000.0).reshape(-1, 2)
    blocks = (rows[first : first + 7000] for first in range(0, len(rows), 7000))
    found = disk.written(blocks, tmp_path / "rows.bin", dtype, rows.shape)
    assert isinstance(found, disk.DiskArray)
    np.testing.assert_array_equal(found, rows.astype(dtype))
    part = found[65_000:66_000]
    assert type(part) is np.ndarray
    np.testing.assert_array_equal(part, rows[65_000:66_000].astype(dtype))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("l2", [None, 0.5])
def test_with_weights_and_a_penalty(sizes, tmp_path, weights, l2):
    compared(*both(write(tmp_path / "d.csv"), "y ~ x + z + group", weights=weights, l2=l2))


@pytest.mark.parametrize("kind", ["tsv", "crlf", "gz", "utf-16", "no end"])
def test_files_of_every_kind(sizes, tmp_path, kind):
    path = tmp_path / ("d.tsv" if kind == "tsv" else "d.csv")
    write(path, delimiter="\t" if kind == "tsv" else ",", end="\r\n" if kind == "crlf" else "\n")
    content = path.read_bytes()
    if kind == "gz":
        path = tmp_path / "d.csv.gz"
        path.write_bytes(gzip.compress(content))
    if kind == "utf-16":
        path.write_text(content.decode(), encoding="utf-16")
    if kind == "no end":
        path.write_bytes(content.rstrip())
    compared(*both(path, "y ~ x + z + group"))


@pytest.mark.parametrize("size", [7, 250, 122_880])
@pytest.mark.parametrize("weights", [None, "w"])
def test_parquet(sizes, tmp_path, monkeypatch, size, weights):
    monkeypatch.setattr(parquet, "ROWS", size)
    path = tmp_path / "d.parquet"
    duckdb.sql(f"COPY (FROM read_csv('{write(tmp_path / 'd.csv')}', nullstr='NA')) TO '{path}' (ROW_GROUP_SIZE 100)")
    compared(*both(path, "y ~ x + z + group", weights=weights))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3] + b"damage" + content[len(content) // 3 + 6 :])
    with pytest.raises(DataError, match=r"d\.parquet"):
        sightline.solve(path, "y ~ x + z + group", memory=1)


def test_columns_that_repeat_each_other_or_stay_the_same(sizes, tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=300).round(4)
    near = (x + 1e-5 * rng.normal(size=300)).round(9)
    lines = [f"{a},{b},{2 * a:.4f},7,{a + b + rng.normal():.4f}" for a, b in zip(x, near, strict=True)]
    path = tmp_path / "d.csv"
    path.write_text("x,near,twice,same,y\n" + "\n".join(lines) + "\n")
    compared(*both(path, "y ~ x + near"), tolerance=1e-7)
    compared(*both(path, "y ~ x + same"))
    at_once, by_piece = both(path, "y ~ x + twice")
    assert [w.code for w in by_piece.verdict.warnings] == [w.code for w in at_once.verdict.warnings] == ["SL-COLLINEAR"]
    assert by_piece.result["loss"] == pytest.approx(at_once.result["loss"], rel=1e-10)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("near", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_least_squares_from_the_triangle(intercept, near, penalty):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(9000, 4))
    X[:, 3] = X[:, 0] + near * rng.normal(size=9000)
    y, weight = X @ [1, 2, 3, 1] + 0.1 * rng.normal(size=9000) + 1, rng.uniform(0.5, 2, size=9000)
    call = {"intercept": intercept, "weight": weight, "weight_decay": penalty}
    found, want = least_squares_from_triangle(X, y, **call), least_squares(X, y, **call)
    assert found.rank == want.rank
    np.testing.assert_allclose(found.theta, want.theta, rtol=1e-14 * want.condition, atol=1e-14 * want.condition)
    np.testing.assert_allclose(found.singular, want.singular, rtol=1e-9, atol=1e-14)
    assert (found.rss, found.tss, found.mass) == pytest.approx((want.rss, want.tss, want.mass), rel=1e-12)


def said(path, formula, kind=DataError, **settings):
    with pytest.raises(kind) as caught:
        sightline.solve(path, formula, memory=1, **settings)
    return str(caught.value)


def test_a_bad_row_at_the_end_is_named_as_when_it_is_read_at_once(sizes, tmp_path):
    path = tmp_path / "d.csv"
    good = "".join(f"{i},{i % 7}\n" for i in range(400))
    for bad in ("5\n", "1,2,3\n", '"7,8\n'):
        path.write_text("x,y\n" + good + bad)
        with pytest.raises(DataError) as caught:
            sightline.solve(path, "y ~ x")
        assert said(path, "y ~ x") == str(caught.value)
        assert "line 402" in str(caught.value)
    for cell in ("inf", "1e999"):
        path.write_text("x,y\n" + good + f"{cell},2\n")
        assert "line 402, column x" in said(path, "y ~ x")
    path.write_text("x,y\n" + good + "0,2\n3,4\n")
    assert "line 2, column" in said(path, "y ~ log(x)")
    path.write_text("x,y\n" + good.replace("0,0\n", "1,0\n", 1) + "0,2\n3,4\n")
    assert "line 402, column" in said(path, "y ~ log(x)")


@pytest.mark.parametrize("first", [True, False])
def test_a_column_of_numbers_and_texts_names_the_text(sizes, tmp_path, first):
    path = tmp_path / "d.csv"
    lines = [f"{i},{i % 7}" for i in range(400)]
    lines.insert(0 if first else 399, "many,3")
    path.write_text("x,y\n" + "\n".join(lines) + "\n")
    message = said(path, "y ~ x")
    line = 2 if first else 401
    assert message.startswith(f"d.csv line {line}, column x: 'many' is not a number; correct the cell")
    if not first:  # what is said of it where all is in memory begins with the same words
        with pytest.raises(DataError, match=r"d\.csv line 401, column x: 'many' is not a number; correct the cell"):
            sightline.solve(path, "y ~ x")


def test_bytes_that_are_no_text_and_decimal_commas(sizes, tmp_path):
    path = tmp_path / "d.csv"
    good = b"".join(b"%d,%d\n" % (i, i % 7) for i in range(400))
    path.write_bytes(b"x,y\n" + good + b"\xff,1\n" + good)
    assert said(path, "y ~ x").startswith("d.csv line 402: byte 0xff is not UTF-8")
    path.write_bytes(b"x;y\n" + b"".join(b"%d,5;%d\n" % (i, i % 7) for i in range(400)))
    assert "has decimal commas" in said(path, "y ~ x")


def test_what_needs_all_rows_at_once_is_refused(tmp_path):
    path = write(tmp_path / "d.csv")
    assert "poly(x, 2) learns from all rows" in said(path, "y ~ poly(x, 2)", UsageError)
    assert "scale(x) learns from all rows" in said(path, "y ~ scale(x)", UsageError)
    run = sightline.fit(path, "y ~ x", memory=1, epochs=3, output=tmp_path / "runs")
    with pytest.raises(UsageError, match="eject needs all rows at once"):
        sightline.eject(run, tmp_path / "script.py")


def test_every_row_is_proved_only_in_memory(cli, tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("x,y\n1,2\n2,4.5\n3,5\n4,9\n")
    assert cli("solve", path, "y ~ x", "--prove").code == 0
    found = cli("solve", path, "y ~ x", "--prove", "--memory", "1kB")
    assert found.code == 0
    found = cli("solve", path, "y ~ x", "--prove", "--memory", "1")
    assert found.code == 2
    assert "--prove needs all rows at once" in found.err


def test_rows_that_are_of_no_use(sizes, tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("x,y\n" + "1,NA\n" * 300)
    assert said(path, "y ~ x").startswith("column 'y' of d.csv has no values at all")
    path.write_text("x,y\n" + "1,NA\n" * 300 + "NA,2\n")
    assert "every row of d.csv misses a value" in said(path, "y ~ x")
    path.write_text("x,y\n" + "1,NA\n" * 300 + "2,2\n")
    assert "d.csv has 1 usable row after leaving out 300 rows with missing values" in said(path, "y ~ x")
    path.write_text("x,y,w\n" + "1,3,0\n" * 300)
    assert "every weight in column 'w' of d.csv is 0" in said(path, "y ~ x", weights="w")
    path.write_text("x,y,w\n" + "1,3,1\n" * 300 + "1,3,-2\n")
    assert "line 302, column w: -2 is no weight" in said(path, "y ~ x", weights="w")


@pytest.mark.parametrize("what", ["grows", "shrinks", "goes"])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, what):
    monkeypatch.setattr(slices, "PIECE", 2000)
    path = write(tmp_path / "d.csv")
    chosen = sightline.settings.RunSettings(memory=1)
    done = []

    def change(*_):
        if done:
            return
        done.append(True)
        if what == "goes":
            path.unlink()
        else:
            content = path.read_bytes()
            path.write_bytes(content + b"1,1,a,1,n,1\n" if what == "grows" else content[:-200])

    with pytest.raises(DataError, match="is gone since" if what == "goes" else "has changed while it was read"):
        sightline.prepare.prepare_for(chosen, path, "y ~ x", target=None, heard=change)


@pytest.mark.parametrize("room", [0, 1, 40])
@pytest.mark.parametrize("weights", [None, "w"])
def test_a_disk_without_room_is_said_and_the_file_is_read_for_each_pass(
    sizes, cli, tmp_path, monkeypatch, room, weights
):  # fmt: skip
    """No number is written from some moment on: the answer is the same."""
    path = write(tmp_path / "d.csv")
    left = [room]

    def full(before):
        def write_some(self, values):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            before(self, values)

        return write_some

    at_once = sightline.solve(path, "y ~ x + z + group", weights=weights)
    monkeypatch.setattr(column_writer.ColumnWriter, "write", full(column_writer.ColumnWriter.write))
    compared(at_once, sightline.solve(path, "y ~ x + z + group", memory=1, weights=weights))
    left[0] = room
    said = cli("fit", path, "y ~ x", "--memory", 1, "--epochs", 2, "--output", tmp_path / "runs").err
    full_at_last = left[0] < 0  # small files are written in few parts
    assert full_at_last or room == 40
    assert ("has no room for its numbers (No space left on device)" in " ".join(said.split())) == full_at_last


def test_targets_stay_in_memory_where_the_disk_has_no_room(tmp_path, monkeypatch):
    numbers = disk.Numbers(tmp_path / "a.bin")
    numbers.add(np.arange(3.0))

    def full(path, mode="r"):
        if mode == "ab":
            raise OSError(28, "No space left on device")
        return open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "open", full, raising=False)
        numbers.add(np.arange(2.0))
    numbers.add(np.array([7.0]))
    assert numbers.array().tolist() == [0, 1, 2, 0, 1, 7]
    assert not (tmp_path / "a.bin").exists()


def test_training_on_rows_that_the_disk_has_no_room_for_says_what_it_takes(tmp_path, monkeypatch):
    path = write(tmp_path / "d.csv")
    monkeypatch.setattr(trainable.shutil, "disk_usage", lambda _: type("usage", (), {"free": 1000})())
    with pytest.raises(DataError, match="are free: make room there, or let TMPDIR name another folder"):
        sightline.fit(path, "y ~ x", memory=1, batch_size=10, epochs=1, output=False)


def test_when_a_file_is_read_piece_by_piece(tmp_path, monkeypatch):
    path = write(tmp_path / "d.csv")
    used = []
    monkeypatch.setattr(by_pieces, "Store", lambda *a: used.append(1) or storing.Store(*a))
    sightline.solve(path, "y ~ x")
    sightline.solve(path, "y ~ x", memory="1 GB")
    assert not used
    sightline.solve(path, "y ~ x", memory="10kB")
    assert len(used) == 1
    monkeypatch.setattr(by_pieces, "memory_limit", lambda: 1000.0)
    sightline.solve(path, "y ~ x")
    assert len(used) == 2
    for wrong in ("much", -1, 0, 1.5):
        with pytest.raises(UsageError, match="--memory cannot be"):
            sightline.solve(path, "y ~ x", memory=wrong)


def test_memory_limit_is_half_of_the_machine():
    assert 1e8 < by_pieces.memory_limit() < 1e15


def test_the_command_goes_on_from_its_folder(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "PIECE", 5000)
    path = write(tmp_path / "d.csv")
    call = ["fit", path, "y ~ x + group", "--memory", "1kB", "--epochs", 20, "--json", "--output", tmp_path / "runs"]
    code, out, _ = cli(*call)
    assert code == 0
    at_once = sightline.fit(path, "y ~ x + group", epochs=20, output=False)
    assert [c["estimate"] for c in json.loads(out)["coef"]] == pytest.approx(
        [c.estimate for c in at_once.coefficients], rel=1e-10
    )
    folder = next((tmp_path / "runs").iterdir())
    assert sightline.load(folder).settings.memory == 1000
    assert (folder / "figures" / "overview.png").is_file()
    assert "d.csv: " in (
        said := cli("fit", path, "y ~ x", "--memory", 1, "--epochs", 2, "--output", tmp_path / "b").err
    )
    assert "; read piece by piece" in " ".join(said.split())
    code, out, _ = cli("resume", folder, "--epochs", 30, "--json")
    assert (code, json.loads(out)["epochs"]) == (0, 30)


CHILD = """
import sys, json
from sightline.data import slices
slices.PIECE = 2**21  # of which both files have many
import numpy, torch, duckdb, sightline, sightline.solution, scipy.special, scipy.linalg
def own():
    return {k: int(v.split()[0]) for k, v in (line.split(':') for line in open('/proc/self/status')) if k == 'VmHWM'}['VmHWM']
before = own()
run = sightline.solve(sys.argv[1], target='y', memory=sys.argv[2])
print(json.dumps([own() - before, [c.estimate for c in run.coefficients], [c.std_error for c in run.coefficients]]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the largest size of a process")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file of 160 MB and one of 40 take the same, which is less than the larger one's numbers alone."""
    rng = np.random.default_rng(0)
    taken, found = [], []
    for n in (250_000, 1_000_000):
        columns = {f"x{j}": rng.normal(size=n).round(4) for j in range(20)}
        columns["y"] = (sum(columns.values()) + rng.normal(size=n)).round(4)
        path = tmp_path / f"{n}.csv"
        duckdb.sql(f"COPY (SELECT * FROM columns) TO '{path}' (FORMAT csv)")
        out = subprocess.run([sys.executable, "-c", CHILD, path, "1MB"], capture_output=True, text=True, check=True)
        size, *rest = json.loads(out.stdout)
        taken.append(size * 1024)
        found.append(rest)
    assert taken[1] < 500e6
    assert taken[1] < taken[0] + 40e6
    X = np.column_stack([np.ones(n), *list(columns.values())[:-1]])
    want = np.linalg.lstsq(X, columns["y"], rcond=None)[0]
    np.testing.assert_allclose(found[1][0], want, rtol=1e-10)
