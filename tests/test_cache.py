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
from sightline.coded_rows import CodedRows
from sightline.data import slices
from sightline.data.slices import RowPieces, TextPieces
from sightline.data.storing import Store
from sightline.errors import UsageError
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
