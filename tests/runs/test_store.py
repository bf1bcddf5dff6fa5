"""The run folder: written safely, read back the same, and no damage goes unnoticed or costs more than it must."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import stat
from pathlib import Path

import pytest
import torch

import sightline
from sightline.records import Epoch, Stop
from sightline.runs.checkpoint import read_checkpoints, save_state
from sightline.runs.files import write_bytes, write_json
from sightline.runs.store import RunFolder, find_run, list_runs, read_epochs


def test_records_are_read_back_as_they_were(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    records = [
        Epoch(0, None, 1 / 3, None, 0.1, 3e-6, 0, 0.0, {"Intercept": -35.0, "height": 0.1 + 0.2}),
        Epoch(
            1,
            1 / 3,
            5e-324,
            None,
            1.7e308,
            3e-6,
            5,
            0.5,
            {"Intercept": -0.0, "height": 1e-300},
            Stop("epochs", "all run"),
        ),
    ]
    for record in records:
        folder.append(record)
    folder.finish("done")
    assert list(read_epochs(folder.path)) == records
    assert math.copysign(1.0, list(read_epochs(folder.path))[1].parameters["Intercept"]) == -1.0


def test_numbers_that_are_not_finite_become_null(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    folder.append(Epoch(0, float("inf"), float("nan"), None, None, 1.0, 0, 0.0, {"w": float("-inf")}))
    folder.finish("failed")
    line = (folder.path / "epochs.jsonl").read_text()
    values = json.loads(line, parse_constant=lambda name: pytest.fail(name))
    assert values["running_loss"] is None
    assert values["parameters"] == {"w": None}


def test_a_last_line_cut_short_is_left_out_and_damage_before_it_is_named(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    for number in range(3):
        folder.append(Epoch(number, None, 1.0, None, None, 1.0, 0, 0.0))
    folder.finish("done")
    path = folder.path / "epochs.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2][:20]]))
    assert [e.number for e in read_epochs(folder.path)] == [0, 1]
    path.write_text("\n".join([lines[0], lines[1][:20], lines[2]]))
    with pytest.raises(sightline.RunError, match="line 2 is damaged: restore the folder"):
        list(read_epochs(folder.path))


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_json(path, {"old": True})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sightline.runs.files.os.fsync", full)
    with pytest.raises(sightline.RunError, match="No space left on device; free space there"):
        write_bytes(path, b"new")
    assert json.loads(path.read_text()) == {"old": True}
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_ids_are_never_shared(tmp_path):
    ids = [RunFolder.create(tmp_path, {}) for _ in range(50)]
    assert len({f.id for f in ids}) == 50
    for folder in ids:
        folder.finish("done")
    assert [r["run"] for r in list_runs(tmp_path)] != []


def test_runs_are_found_by_folder_id_and_unique_beginning(tmp_path):
    for name in ("abcd", "abff", "1234"):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "run.json", {"run": name})
    assert find_run(tmp_path / "abcd") == tmp_path / "abcd"
    assert find_run("1", tmp_path).name == "1234"
    assert find_run("abf", tmp_path).name == "abff"
    with pytest.raises(sightline.RunError, match="'ab' fits 2 runs: abcd, abff; give more of the id"):
        find_run("ab", tmp_path)
    with pytest.raises(sightline.RunError, match=r"no run 'abce' in .*did you mean 'abcd'"):
        find_run("abce", tmp_path)
    for hostile in ("../../etc", "", "*", "a*", ".."):
        with pytest.raises(sightline.RunError):
            find_run(hostile, tmp_path / "nothing")


def test_state_round_trip(tmp_path):
    state = {
        "module": {"weight": torch.tensor([[1.5, float("nan")]]), "bias": torch.tensor([2.0])},
        "optimizer": {
            "state": {0: {"step": torch.tensor(3.0), "buffer": None, "best": -math.inf, "al": [None, 1e-300]}},
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}],
        },
    }
    save_state(tmp_path, state, epoch=7, seconds=0.5)
    (back,) = read_checkpoints(tmp_path)
    assert (back.epoch, back.seconds) == (7, 0.5)
    assert torch.equal(back.state["module"]["weight"].nan_to_num(9.0), torch.tensor([[1.5, 9.0]]))
    assert back.state["optimizer"] == state["optimizer"]
    json.loads((tmp_path / "state.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_crash_in_the_middle_marks_the_run_failed(heights, tmp_path):
    def sink(epoch):
        if epoch.number == 3:
            raise RuntimeError("a reader fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        sightline.fit(heights, "weight ~ height", lr=0.1, epochs=10, output=tmp_path, figures="none", sinks=[sink])
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert [e.number for e in read_epochs(folder)] == [0, 1, 2, 3]
    with pytest.raises(sightline.RunError, match="has no result yet"):
        sightline.load(folder)


def test_nothing_in_a_run_folder_is_pickle(heights, tmp_path):
    run = sightline.fit(heights, "weight ~ height", output=tmp_path)
    for path in run.folder.rglob("*"):
        if path.is_file():
            assert path.suffix in {".json", ".jsonl", ".safetensors", ".png"}
            assert not path.read_bytes().startswith((b"\x80", b"PK"))


@pytest.mark.parametrize(
    "damage", [{"covariance_factor": "a"}, {"covariance_factor": [1]}, {"source": 5}, {"level": None}]
)
def test_a_damaged_manifest_is_named(heights, tmp_path, damage):
    run = sightline.fit(heights, "weight ~ height", output=tmp_path, figures="none")
    path = run.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    if "covariance_factor" in damage:
        with pytest.raises(sightline.RunError, match="restore the folder"):
            sightline.load(run.folder)
    else:
        assert sightline.load(run.folder).predict({"height": [172.0]}) == run.predict({"height": [172.0]})


@pytest.mark.parametrize("content", [b"null\nnull\n", b"\xff\xfe{}\n{}\n"])
def test_damaged_records_are_named(heights, tmp_path, content):
    run = sightline.fit(heights, "weight ~ height", output=tmp_path, figures="none")
    (run.folder / "epochs.jsonl").write_bytes(content)
    with pytest.raises(sightline.RunError, match="line 1 is damaged"):
        sightline.load(run.folder)


@pytest.fixture
def calls(monkeypatch):
    """What is asked of the disk, in order: syncs by the name of the file or folder, renames by both names."""
    seen, fsync, replace = [], os.fsync, os.replace

    def synced(file):
        told = os.fstat(file)
        fsync(file)
        seen.append(("sync", told.st_ino, stat.S_ISDIR(told.st_mode)))

    def renamed(path, to):
        inode = os.stat(path).st_ino
        replace(path, to)
        seen.append(("rename", inode, Path(to).name))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    return seen


def test_a_file_is_synced_before_its_rename_and_the_folder_after_it(tmp_path, calls):
    write_bytes(tmp_path / "run.json", b"new")
    inode = (tmp_path / "run.json").stat().st_ino
    assert calls == [
        ("sync", inode, False),
        ("rename", inode, "run.json"),
        ("sync", tmp_path.stat().st_ino, True),
    ]


def test_the_older_generation_of_a_checkpoint_is_on_the_disk_before_the_newer_takes_its_names(tmp_path, calls):
    save_state(tmp_path, {"w": torch.ones(2)}, epoch=1, seconds=0.0)
    old = {name: (tmp_path / name).stat().st_ino for name in ("state.json", "state.safetensors")}
    calls.clear()
    save_state(tmp_path, {"w": torch.zeros(2)}, epoch=2, seconds=0.0)
    new = {name: (tmp_path / name).stat().st_ino for name in ("state.json", "state.safetensors")}
    folder = ("sync", tmp_path.stat().st_ino, True)
    assert calls == [
        ("sync", new["state.safetensors"], False),
        ("sync", new["state.json"], False),
        ("rename", old["state.json"], "state.previous.json"),
        ("rename", old["state.safetensors"], "state.previous.safetensors"),
        folder,
        ("rename", new["state.safetensors"], "state.safetensors"),
        ("rename", new["state.json"], "state.json"),
        folder,
    ]


def test_whatever_renames_reach_the_disk_one_checkpoint_is_whole(tmp_path, monkeypatch):
    """A disk that keeps any of the renames since the last sync of the folder, in any order, and loses the others."""
    before, synced, states = {}, {}, []

    def look():
        return {p.name: p.read_bytes() for p in folder.iterdir()}

    def renamed(path, to):
        pending.append((Path(path).name, Path(to).name))
        os.rename(path, to)

    def sync(path):
        states.append((dict(synced), list(pending)))
        pending.clear()
        synced.clear()
        synced.update(look())

    folder, pending = tmp_path / "run", []
    folder.mkdir()
    for epoch in (1, 2):
        save_state(folder, {"w": torch.full((2,), float(epoch))}, epoch=epoch, seconds=0.0)
    before = look()
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr("sightline.runs.checkpoint.sync_folder", sync)
    monkeypatch.setattr("sightline.runs.files.sync_folder", sync)
    synced.update(before)
    save_state(folder, {"w": torch.full((2,), 3.0)}, epoch=3, seconds=0.0)
    assert [len(renames) for _, renames in states] == [2, 2]
    new = {f".{name}.{os.getpid()}.part": (folder / name).read_bytes() for name in ("state.json", "state.safetensors")}
    for number, (files, renames) in enumerate(states):
        for kept in (order for n in range(3) for order in itertools.permutations(renames, n)):
            disk = {**files, **new}
            for source, target in kept:
                disk[target] = disk.pop(source)
            place = tmp_path / f"disk-{number}-{len(list(tmp_path.iterdir()))}"
            place.mkdir()
            for name, content in disk.items():
                (place / name).write_bytes(content)
            found = [c for c in read_checkpoints(place) if not isinstance(c, str)]
            assert found[0].epoch in ({2} if number == 0 else {2, 3})
            assert found[0].state["w"].tolist() == [float(found[0].epoch)] * 2


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_folders_is_no_error(tmp_path, monkeypatch, code):
    fsync = os.fsync

    def files_only(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(file)

    monkeypatch.setattr(os, "fsync", files_only)
    write_bytes(tmp_path / "run.json", b"new")
    assert (tmp_path / "run.json").read_bytes() == b"new"


def test_a_folder_that_cannot_be_opened_is_not_synced(tmp_path, monkeypatch):
    """As on Windows."""
    opened = os.open

    def files_only(path, *arguments, **named):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", files_only)
    write_bytes(tmp_path / "run.json", b"new")
    assert (tmp_path / "run.json").read_bytes() == b"new"


def test_a_folder_whose_sync_fails_is_told_and_left_open_by_nobody(tmp_path, monkeypatch):
    fsync, tried = os.fsync, []

    def failing(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            tried.append(file)
            raise OSError(errno.EIO, "Input/output error")
        fsync(file)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(sightline.RunError, match="Input/output error; free space there or check the disk"):
        write_bytes(tmp_path / "run.json", b"new")
    (file,) = tried
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)
