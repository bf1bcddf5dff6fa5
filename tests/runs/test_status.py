"""A run that was killed is told from one that is running, by the lock that the system takes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from threading import Event, Thread

import pytest

import sightline
from sightline.runs.lock import Lock, is_held
from sightline.runs.store import RunFolder, list_runs, status_of

from .killing import table

ENDLESS = ["--lr", "1e-9", "--epochs", "100000000", "--figures", "none"]


def content(folder):
    """Every file, with when it was written."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file()}


def started(*arguments):
    """A process of its own that trains, once it has written some records."""
    return subprocess.Popen(
        [sys.executable, "-m", "sightline", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def until(process, true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def records_of(output):
    return sum(path.stat().st_size for path in output.glob("*/epochs.jsonl"))


@pytest.fixture
def output(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_a_run_says_running_and_killed_when_it_was(tmp_path, output, cli):
    process = started("fit", table(tmp_path / "t.csv"), "y ~ u", *ENDLESS)
    until(process, lambda: records_of(output) > 2000)
    (folder,) = output.iterdir()
    assert [r["status"] for r in json.loads(cli("runs", "--json").out)] == ["running"]
    listed = cli("runs").out
    assert " running " in listed
    assert "killed" not in listed
    shown = cli("show", folder)
    assert shown.code == 3
    assert f"run {folder.name} has no result yet (its status is running): wait for it" in " ".join(shown.err.split())
    assert process.poll() is None
    process.kill()
    process.communicate()
    before = content(folder)
    assert json.loads(before["run.json"][0])["status"] == "running"
    assert [r["status"] for r in json.loads(cli("runs", "--json").out)] == ["killed"]
    listed = cli("runs").out.splitlines()
    assert " killed " in listed[1]
    assert listed[-1] == f"killed: the process that wrote the run is gone; go on with: sightline resume {folder.name}"
    for more in ([], ["--json"]):
        shown = cli("show", folder, *more)
        assert (shown.code, shown.out) == (3, "")
        assert f"(its status is killed): go on with sightline resume {folder.name}" in " ".join(shown.err.split())
    assert content(folder) == before


def test_a_run_that_was_gone_on_with_and_killed(tmp_path, output, cli):
    """It has a result, of before."""
    data = table(tmp_path / "t.csv")
    done = cli("fit", data, "y ~ u", "--lr", "1e-9", "--epochs", "5", "--figures", "none")
    (folder,) = output.iterdir()
    assert done.code == 0
    assert json.loads(cli("show", folder, "--json").out)["status"] == "done"
    assert "result before" not in cli("show", folder).err
    process = started("resume", folder, "--epochs", "100000000")
    until(process, lambda: records_of(output) > 5000)
    assert json.loads(cli("show", folder, "--json").out)["status"] == "running"
    assert "the run is going on at this moment; this is its result before" in cli("show", folder).err
    assert " running " in cli("runs").out
    process.kill()
    process.communicate()
    before = content(folder)
    shown = json.loads(cli("show", folder, "--json").out)
    assert (shown["status"], shown["epochs"]) == ("killed", 5)
    told = "killed: the process that wrote the run is gone; this is its result before; go on with: sightline resume "
    assert f"{told}{folder.name}" in cli("show", folder.name).err
    assert cli("runs", "--output", output).out.splitlines()[-1].endswith(f"; go on with: sightline resume {folder}")
    assert " killed " in cli("runs").out.splitlines()[1]
    assert json.loads(cli("runs", "--json").out)[0]["status"] == "killed"
    assert content(folder) == before


def test_every_other_status_is_as_it_was_written(tmp_path):
    for status in ("done", "failed", "interrupted"):
        RunFolder.create(tmp_path, {}).finish(status)
    assert sorted(r["status"] for r in list_runs(tmp_path)) == ["done", "failed", "interrupted"]


def test_a_run_that_ends_while_one_looks_is_not_called_killed(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    old = dict(folder.manifest)
    assert status_of(folder.path, old) == "running"
    folder.finish("done")
    assert status_of(folder.path, old) == "done"


def test_looking_keeps_nobody_from_the_run(tmp_path):
    """A lock that is taken while others look all the time."""
    stop = Event()

    def look():
        while not stop.is_set():
            is_held(tmp_path)

    lookers = [Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(200):
            lock = Lock(tmp_path)
            assert is_held(tmp_path)
            lock.release()
    finally:
        stop.set()
        for looker in lookers:
            looker.join()
    assert not is_held(tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_a_lock_cannot_be_asked_for_the_run_is_not_called_killed(tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path, {})
    folder.close()
    (folder.path / "lock.json").write_text("left behind")

    def unknown(*_, **__):
        raise OSError(95, "Operation not supported")

    assert list_runs(tmp_path)[0]["status"] == "killed"
    monkeypatch.setattr("sightline.runs.lock._take", unknown)
    assert list_runs(tmp_path)[0]["status"] == "running"


def test_load_says_it_too(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    with pytest.raises(sightline.RunError, match=r"its status is running\): wait for it$"):
        sightline.load(folder.path)
    folder.close()
    with pytest.raises(sightline.RunError, match=rf"its status is killed\): go on with sightline resume {folder.id}$"):
        sightline.load(folder.path)
