"""The command `eject`."""

from __future__ import annotations

import subprocess
import sys

import sightline


def test_writes_a_script_that_runs_by_itself(cli, heights_csv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = sightline.fit(heights_csv, "weight ~ height", epochs=3, lr=0.1)
    done = cli("eject", run.result["run"], "-o", "alone.py")
    lines = (tmp_path / "alone.py").read_text().count("\n")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"wrote alone.py, {lines} lines of plain PyTorch\nit reads {heights_csv}\n"
    ran = subprocess.run([sys.executable, "-I", "alone.py"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("Epoch: 1, train loss: 4809.2000\n")
    again = cli("eject", run.result["run"], "-o", "alone.py")
    assert (again.code, again.out) == (2, "")
    assert "--force" in again.err
    assert cli("eject", run.result["run"], "-o", "alone.py", "--force").code == 0


def test_tells_of_the_table_beside_it(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("g,y\na,1\nb,2\na,1.5\nb,3\n")
    run = sightline.fit("d.csv", "y ~ g", epochs=3, lr=0.1)
    done = cli("eject", run.folder, "-o", "s.py")
    assert done.out.endswith(f"wrote {tmp_path / 's.csv'}, which it reads\n")


def test_needs_a_file_and_a_run(cli, heights_csv):
    run = sightline.fit(heights_csv, "weight ~ height", epochs=3, lr=0.1)
    assert cli("eject", run.result["run"]).code == 2
    assert cli("eject", "nothing", "-o", "s.py").code == 3
