"""Numbers of a file that are kept in a folder: read once, gone on with where they were interrupted, and given up when
the file is another one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import duckdb
import numpy as np
import pytest

import sightline
from sightline import answer_of_many
from sightline.coded_rows import CodedRows
from sightline.data import slices
from sightline.data.column_writer import ColumnWriter
from sightline.data.slices import RowPieces, TextPieces
from sightline.data.storing import Store
from sightline.errors import DataError, UsageError
from sightline.runs import lock
from sightline.runs.lock import Lock

from .cli.conftest import cli as cli

ROWS = 4000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(slices, "PIECE", 5000)


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    lines = [
        f"{x:.4f},{'abc'[i % 3]},{i % 5},{x + i % 3 + e:.4f}" for i, (x, e) in enumerate(rng.normal(size=(ROWS, 2)))
    ]
    lines[7] = "NA,a,1,2.5"
    (tmp_path / "d.csv").write_text("x,g,k,y\n" + "\n".join(lines) + "\n")
    return tmp_path / "d.csv"


@pytest.fixture
def read(monkeypatch):
    """The rows of the pieces that were read from a file."""
    found = []
    for kind in (TextPieces, RowPieces):
        before = kind.read if kind is RowPieces else kind._table

        def counted(self, *args, _before=before):
            table = _before(self, *args)
            found.append(table.rows)
            return table

        monkeypatch.setattr(kind, "read" if kind is RowPieces else "_table", counted)
    return found


def estimates(run):
    return [(c.estimate, c.std_error) for c in run.coefficients]


FORMULA = "y ~ x + g + C(k)"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_second_run_reads_nothing(path, tmp_path, read, kind):
    if kind == "parquet":
        duckdb.sql(f"COPY (FROM read_csv('{path}', nullstr='NA')) TO '{tmp_path / 'd.parquet'}'")
        path = tmp_path / "d.parquet"
    first = sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    assert sum(read) == ROWS
    second = sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    assert sum(read) == ROWS
    assert estimates(second) == estimates(first)  # to the bit
    assert (second.source, second.design.to_dict()) == (first.source, first.design.to_dict())
    at_once = sightline.solve(path, FORMULA)
    np.testing.assert_allclose(np.array(estimates(first)), np.array(estimates(at_once)), rtol=1e-9)
    assert first.source == at_once.source


@pytest.mark.parametrize("weights", [None, "k"])
def test_the_sums_of_the_same_design_are_kept_too(path, tmp_path, monkeypatch, weights):
    """A second answer takes one pass, over the residuals."""
    passes = []
    blocks = CodedRows.blocks
    monkeypatch.setattr(CodedRows, "blocks", lambda self, *a: passes.append(1) or blocks(self, *a))
    kept, formula = {"cache": tmp_path / "kept", "weights": weights}, "y ~ x + g"
    first = sightline.solve(path, formula, **kept)
    assert len(passes) == 3
    del passes[:]
    again = sightline.solve(path, formula, **kept)
    assert len(passes) == 1
    assert estimates(again) == estimates(first)
    assert (again.result["fit"], again.design.to_dict()) == (first.result["fit"], first.design.to_dict())
    other = sightline.solve(path, "y ~ g + x", **kept)  # another order of the columns
    np.testing.assert_allclose(sorted(estimates(other)), sorted(estimates(first)), rtol=1e-10)
    held = [sightline.fit(path, formula, **kept, validation=0.2, epochs=2, output=False) for _ in range(2)]
    at_once = sightline.fit(path, formula, weights=weights, validation=0.2, epochs=2, output=False)
    for run in held:
        assert [e.valid_loss for e in run.epochs] == pytest.approx([e.valid_loss for e in at_once.epochs], rel=1e-10)
    assert sightline.solve(path, formula, **kept, l2=0.1).coefficients != first.coefficients


def test_other_columns_are_read_and_the_same_in_another_formula_are_not(path, tmp_path, read):
    kept = {"cache": str(tmp_path / "kept")}
    sightline.solve(path, "y ~ x + k", **kept)
    sightline.solve(path, "y ~ x * k", **kept)
    assert sum(read) == ROWS
    sightline.solve(path, "y ~ x", **kept)
    assert sum(read) == 2 * ROWS


@pytest.mark.parametrize("change", ["grows", "is another one"])
def test_a_file_that_changed_is_read_anew(path, tmp_path, read, change):
    sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    if change == "grows":
        with open(path, "a") as file:
            file.write("1,a,2,3\n")
    else:
        content = path.read_text().replace("b", "c", 1)
        path.write_text(content)
        os.utime(path, ns=(1, 1))
    found = sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    assert sum(read) == 2 * ROWS + (change == "grows")
    np.testing.assert_allclose(
        np.array(estimates(found)), np.array(estimates(sightline.solve(path, FORMULA))), rtol=1e-9
    )


@pytest.mark.parametrize("after", [0, 1, 5])
def test_what_was_interrupted_goes_on_to_the_same_bits(path, tmp_path, read, monkeypatch, after):
    whole = sightline.solve(path, FORMULA, cache=tmp_path / "whole")
    del read[:]
    add, left = Store._add, [after]

    def interrupted(self, piece):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        add(self, piece)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_add", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"are kept in .*: the same command goes on from there"):
            sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    (folder,) = (tmp_path / "kept").iterdir()
    kept = sum(json.loads(line)["read"] for line in (folder / "pieces.jsonl").read_text().splitlines()) if after else 0
    with open(folder / "c0.bin", "ab") as file:  # of a piece that was half written
        file.write(b"12345")
    if after:
        with open(folder / "pieces.jsonl", "a") as file:
            file.write('{"mark": [12')
    del read[:]
    again = sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    assert sum(read) == ROWS - kept
    assert estimates(again) == estimates(whole)
    assert again.source == whole.source  # with the fingerprint of the whole file


def test_a_message_at_the_place_of_a_row_that_came_from_the_cache(path, tmp_path):
    with open(path, "a") as file:
        file.write("-3,a,2,3\n")
    sightline.solve(path, "y ~ x + k", cache=tmp_path / "kept")
    for _ in range(2):
        with pytest.raises(sightline.errors.DataError, match=r"d\.csv line \d+, column x.*log"):
            sightline.solve(path, "y ~ log(x) + k", cache=tmp_path / "kept")


def test_one_process_at_a_time_uses_the_folder(path, tmp_path, cli):
    sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    lock = Lock(next((tmp_path / "kept").iterdir()))
    said = cli("fit", path, FORMULA, "--cache", tmp_path / "kept", "--epochs", 2, "--output", tmp_path / "runs")
    assert said.code == 0
    assert "is in use by another process" in " ".join(said.err.split())
    lock.release()


def test_the_command_says_where_the_numbers_came_from_and_resume_takes_them(path, tmp_path, cli, read):
    call = ["fit", path, FORMULA, "--cache", tmp_path / "kept", "--epochs", 3, "--output", tmp_path / "runs"]
    assert "read piece by piece" in " ".join(cli(*call).err.split())
    assert f"allofitfrom{tmp_path / 'kept'}" in "".join(cli(*call).err.split())
    folder = sorted((tmp_path / "runs").iterdir())[0]
    before = sum(read)
    assert cli("resume", folder, "--epochs", 5).code == 0
    assert sum(read) == before == ROWS


def test_a_folder_that_cannot_be(path, tmp_path, cli):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--cache: .* cannot be written"):
        sightline.solve(path, FORMULA, cache=tmp_path / "file" / "kept")
    with pytest.raises(UsageError, match="--cache cannot be '3': give the name of a folder"):
        sightline.solve(path, FORMULA, cache=3)


SLOWLY = """
import sys, time
from sightline.data import slices, storing
slices.PIECE = 5000
add = storing.Store._add
def slow(self, piece):
    add(self, piece)
    print("one", flush=True)
    time.sleep(0.3)
storing.Store._add = slow
sys.argv = ["sightline", *sys.argv[1:]]
import sightline.cli
sightline.cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_while_it_reads_loses_nothing(path, tmp_path, how, read):
    call = [sys.executable, "-c", SLOWLY, "solve", path, FORMULA, "--cache", tmp_path / "kept"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(3):
            process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "are kept in" in " ".join(said.split())
    found = sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    assert 0 < sum(read) < ROWS
    np.testing.assert_allclose(
        np.array(estimates(found)), np.array(estimates(sightline.solve(path, FORMULA))), rtol=1e-9
    )


def _shorter(folder):
    os.truncate(folder / "c0.bin", 1000)


def _gone(folder):
    (folder / "c0.bin").unlink()


def _garbage(folder):
    with open(folder / "pieces.jsonl", "r+b") as journal:
        lines = journal.read().split(b"\n")
        journal.seek(0)
        journal.truncate()
        journal.write(b"\n".join([*lines[:-2], b"\0" * 40, b""]))


def _half(folder):
    """What a machine that lost its power may have: a journal without its end, and less than it says."""
    lines = (folder / "pieces.jsonl").read_text().splitlines()
    (folder / "pieces.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    os.truncate(folder / "c1.bin", 10)


def _other_sums(folder):
    (sums,) = folder.glob("sums-*")
    np.savez(sums / "moments.npz", other=np.zeros(3))
    np.savez(sums / "spread.npz", mass=1.0)


def _short_target(folder):
    (sums,) = folder.glob("sums-*")
    os.truncate(sums / "target.bin", 1000)


@pytest.mark.parametrize("damage", [_shorter, _gone, _garbage, _half, _other_sums, _short_target])
def test_a_cache_that_is_not_what_was_written_is_read_anew(path, tmp_path, damage):
    first = sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    other = sightline.solve(path, "y ~ x * g + k")
    (folder,) = (tmp_path / "kept").iterdir()
    damage(folder)
    again = sightline.solve(path, FORMULA, cache=tmp_path / "kept")
    assert estimates(again) == estimates(first)
    damage(folder)
    found = sightline.solve(path, "y ~ x * g + k", cache=tmp_path / "kept")
    np.testing.assert_allclose(np.array(estimates(found)), np.array(estimates(other)), rtol=1e-9)


def test_a_folder_without_any_room_is_not_used_and_that_is_said(path, tmp_path, cli, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lock.os, "write", full)
        found = cli("solve", path, "y ~ x", "--cache", tmp_path / "kept")
    assert found.code == 0
    assert "kept has no room (No space left on device), so these numbers are not kept" in " ".join(found.err.split())
    assert not list((tmp_path / "kept").glob("*/lock.json"))


@pytest.mark.parametrize("change", ["other numbers", "grows", "is cut off", "goes"])
def test_a_file_that_changes_between_two_passes_is_refused(path, tmp_path, monkeypatch, change):
    """No number of it is kept, as the disk has no room, so it is read again for each pass."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ColumnWriter, "write", full)
    moments, text = answer_of_many._moments, path.read_bytes()

    def changed(*arguments):
        if change == "goes":
            path.unlink()
        else:
            new = {"grows": text + b"1,a,1,1\n", "is cut off": text[:-50], "other numbers": text.replace(b"1.", b"7.")}
            path.write_bytes(new[change])
        return moments(*arguments)

    monkeypatch.setattr(answer_of_many, "_moments", changed)
    with pytest.raises(DataError, match="is gone since" if change == "goes" else "has changed while it was read"):
        sightline.solve(path, "y ~ x + g", memory=1)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once there")
def test_sigterm_takes_temporary_files_with_it(tmp_path):
    lines = b"0.1234567,1.5\n0.5,2.5\n0.75,2.0\n"
    (tmp_path / "large.csv").write_bytes(b"x,y\n" + lines * 1_500_000)
    (tmp_path / "scratch").mkdir()
    program = (
        "from sightline.data import slices; slices.PIECE = 2**16; from sightline.cli import main; "
        f"main(['solve', {str(tmp_path / 'large.csv')!r}, 'y ~ x', '--memory', '1MB'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    )
    deadline = time.monotonic() + 60
    while not any((tmp_path / "scratch").glob("*/c0.bin")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 143, said
    assert "rows of large.csv; with --cache DIR the same command would go on from there" in " ".join(said.split())
    assert not list((tmp_path / "scratch").iterdir())
