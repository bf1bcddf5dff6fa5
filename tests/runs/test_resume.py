"""Going on with a run: the bits of the run that was never stopped, and nothing lost where something is wrong."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import sightline
from sightline.job import Job
from sightline.prepare import prepare_for
from sightline.records import Stop
from sightline.runs import checkpoint
from sightline.runs.lock import Lock
from sightline.runs.store import RunFolder, read_epochs
from sightline.settings import RunSettings

from .killing import FAMILIES, MODULES, KilledRun, bytes_of, differing, of_module, of_table, records, results, table

FORMULA = "y ~ u + v + w + kind"
CASES = {
    "quadratic": {"lr": 0.05, "epochs": 30},
    "quadratic float32 momentum": {"lr": 0.05, "momentum": 0.9, "dtype": "float32", "epochs": 30},
    "until converged": {},
    "until frozen": {"lr": 0.3, "dtype": "float32"},
    "full batch on the rows": {"engine": "autograd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "epochs": 20},
    "mini-batches": {"batch_size": 16, "lr": 0.01, "momentum": 0.9, "seed": 5, "epochs": 12},
    "mini-batches float32": {"batch_size": 16, "lr": 0.01, "dtype": "float32", "epochs": 12},
    "accumulated": {"batch_size": 16, "accumulate": 3, "clip_norm": 0.3, "lr": 0.05, "epochs": 12},
    "adam": {"optimizer": "adam", "batch_size": 32, "epochs": 12},
    "nadam": {"optimizer": "nadam", "epochs": 12},
    "rmsprop": {"optimizer": "rmsprop", "opt": {"momentum": 0.5, "centered": True}, "epochs": 12},
    "lbfgs": {"optimizer": "lbfgs", "opt": {"max_iter": 3, "line_search_fn": "none"}, "lr": 0.1, "epochs": 12},
    "lbfgs line search": {"optimizer": "lbfgs", "opt": {"max_iter": 1}, "loss": "huber", "epochs": 12},
    "lasso": {"l1": 0.1, "lr": 0.05, "momentum": 0.5, "epochs": 20},
    "ridge": {"l2": 0.1, "lr": 0.05, "epochs": 20},
    "plateau": {"schedule": "plateau", "schedule_opt": {"patience": 1}, "batch_size": 16, "lr": 0.3, "epochs": 20},
    "plateau warm-up": {"schedule": "plateau", "warmup": 8, "lr": 0.3, "epochs": 20},
    "one-cycle": {"schedule": "one-cycle", "batch_size": 16, "lr": 0.05, "epochs": 12},
    "cosine warm-up": {"schedule": "cosine", "warmup": 3, "optimizer": "adamw", "lr": 0.05, "epochs": 12},
    "multi-step": {"schedule": "multi-step", "lr": 0.05, "epochs": 12},
    "absolute error": {"loss": "l1", "lr": 0.05, "epochs": 12},
}


@pytest.fixture
def data(tmp_path):
    return table(tmp_path / "table.csv")


def trained(data, output, *, until=None, formula=FORMULA, **settings):
    """A fit that is stopped after the record `until`, or not at all."""
    chosen = RunSettings.of({"figures": "none", **settings})
    job = Job.of(prepare_for(chosen, data, formula, target=None), chosen)
    stop = Stop("interrupted", "stopped here")
    run = job.run(output=output, rules=[lambda record: stop if record.number == until else None])
    return run.folder


@pytest.mark.parametrize("case", CASES)
def test_the_bits_of_the_run_that_was_never_stopped(data, tmp_path, case):
    straight = trained(data, tmp_path / "straight", **CASES[case])
    last = records(straight)[-1].number
    for until in (0, last // 2):
        folder = trained(data, tmp_path / f"at-{until}", until=until, **CASES[case])
        assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
        run = sightline.resume(folder)
        assert not differing(straight, folder)
        assert [replace(e, seconds=0.0) for e in run.epochs] == records(straight)
        seconds = [e.seconds for e in read_epochs(folder)]
        assert seconds == sorted(seconds)
        manifest = json.loads((folder / "run.json").read_text())
        assert manifest["status"] == "done"
        assert [r["epoch"] for r in manifest["resumed"]] == [until]


@pytest.mark.parametrize("settings", [{"batch_size": 16}, {"optimizer": "adam"}, {"optimizer": "lbfgs"}])
@pytest.mark.parametrize("classes", [2, 3])
def test_classes(data, tmp_path, settings, classes):
    if classes == 2:
        rows = [line.split(",") for line in data.read_text().splitlines()[1:]]
        data.write_text("\n".join(["u,v,kind", *(f"{r[0]},{r[1]},{float(r[3]) > 0}" for r in rows), ""]))
    settings = {"epochs": 10, "lr": 0.1, **settings, "formula": "kind ~ u + v"}
    straight = trained(data, tmp_path / "straight", **settings)
    folder = trained(data, tmp_path / "stopped", until=4, **settings)
    sightline.resume(folder)
    assert not differing(straight, folder)


def test_stopped_again_and_again(data, tmp_path):
    settings = {"batch_size": 16, "optimizer": "adam", "epochs": 12}
    straight = trained(data, tmp_path / "straight", **settings)
    folder = trained(data, tmp_path / "stopped", until=2, **settings)
    for until in (2, 3, 7):

        def fall(record, until=until):
            if record.number == until:
                raise RuntimeError("a reader fell over")

        with pytest.raises(RuntimeError, match="fell over"):
            sightline.resume(folder, sinks=[fall])
        assert json.loads((folder / "run.json").read_text())["status"] == "failed"
        assert list(read_epochs(folder))[-1].number == until
    sightline.resume(folder)
    assert not differing(straight, folder)
    assert not list(folder.glob("lock*"))


def test_more_epochs_than_were_asked_for(data, tmp_path, cli):
    for number, settings in enumerate(
        [
            {"lr": 0.05},
            {"batch_size": 16, "optimizer": "adam", "lr": 0.01},
            {"schedule": "plateau", "lr": 0.3},
            {"schedule": "cosine", "schedule_opt": {"T_max": 40}, "lr": 0.1},
        ]
    ):
        straight = trained(data, tmp_path / f"straight-{number}", epochs=20, **settings)
        folder = trained(data, tmp_path / f"short-{number}", epochs=8, **settings)
        done = cli("resume", folder, "--epochs", 20)
        assert done.code == 0
        assert "goes on after epoch 8, to 20 epochs" in done.err
        assert not differing(straight, folder)
        assert [e.stop.reason if e.stop else None for e in read_epochs(folder)] == [*[None] * 20, "epochs"]
        assert sightline.load(folder).settings.epochs == 20
        with pytest.raises(sightline.UsageError, match=r"has 20 epochs already: give --epochs a number above 20"):
            sightline.resume(folder, epochs=20)


@pytest.mark.parametrize("name", ["cosine", "one-cycle", "linear", "step", "exponential"])
def test_a_schedule_made_for_the_number_of_epochs_refuses_another(data, tmp_path, name):
    folder = trained(data, tmp_path / "r", schedule=name, lr=0.1, epochs=12)
    before = bytes_of(folder), (folder / "run.json").read_bytes(), (folder / "epochs.jsonl").read_bytes()
    with pytest.raises(
        sightline.UsageError, match=rf"schedule {name} of run .* is made for 12 epochs, and for 20 epochs"
    ):
        sightline.resume(folder, epochs=20)
    assert before == (bytes_of(folder), (folder / "run.json").read_bytes(), (folder / "epochs.jsonl").read_bytes())


def test_a_rate_made_for_the_number_of_epochs_refuses_another(data, tmp_path):
    folder = trained(data, tmp_path / "r", loss="l1", epochs=12)
    with pytest.raises(sightline.UsageError, match=r"the lr of run .* is made for 12 epochs"):
        sightline.resume(folder, epochs=400)


def test_a_run_that_has_nothing_left_to_do_says_so(data, tmp_path, cli):
    folder = trained(data, tmp_path / "r")
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    for more in ([], ["--epochs", 100_000]):
        done = cli("resume", folder, *more)
        assert (done.code, done.out) == (0, "")
        assert "it has converged, there is nothing left to do" in " ".join(done.err.split())
    assert json.loads(cli("resume", folder, "--json").out)["verdict"] == "CONVERGED"
    assert sightline.resume(folder).verdict.name == "CONVERGED"
    assert before == {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    short = trained(data, tmp_path / "short", lr=0.01, epochs=3)
    assert "all 3 epochs were run: --epochs with more than 3 goes on" in " ".join(cli("resume", short).err.split())


def test_what_cannot_be_gone_on_with(data, tmp_path):
    with pytest.raises(sightline.UsageError, match=r"diverged .* fit again with a smaller learning rate"):
        sightline.resume(trained(data, tmp_path / "r", lr=9.0, epochs=100))
    with pytest.raises(sightline.UsageError, match="was solved, not trained"):
        sightline.resume(sightline.solve(data, FORMULA, output=tmp_path / "s"))
    with pytest.raises(sightline.UsageError, match="was written to no folder"):
        sightline.resume(sightline.fit(data, FORMULA, output=False))
    with pytest.raises(sightline.RunError, match="no run 'nothing'"):
        sightline.resume("nothing")
    folder = trained(data, tmp_path / "d", lr=0.01, epochs=3)
    with pytest.raises(sightline.UsageError, match=r"--epochs cannot be '2.5'"):
        sightline.resume(folder, epochs=2.5)
    (folder / "run.json").write_text('{"format": 1}')
    with pytest.raises(sightline.RunError, match=r"run.json is damaged: restore the folder"):
        sightline.resume(folder)


@pytest.fixture
def half(data, tmp_path, monkeypatch):
    """A run stopped at epoch 6, with checkpoints of epochs 5 and 6, as if killed."""
    monkeypatch.setattr(checkpoint, "PAUSE", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)

    def fall(record):
        if record.number == 6:
            raise RuntimeError("a reader fell over")

    settings = {"batch_size": 16, "optimizer": "adam", "lr": 0.01, "epochs": 12}
    with pytest.raises(RuntimeError, match="fell over"):
        sightline.fit(data, FORMULA, figures="none", output=tmp_path / "half", sinks=[fall], **settings)
    (folder,) = (tmp_path / "half").iterdir()
    found = [c.epoch for c in checkpoint.read_checkpoints(folder, folder.name)]
    assert found == [6, 5]
    return folder, trained(data, tmp_path / "straight", **settings)


def previous_is_used(half, match):
    folder, straight = half
    with pytest.warns(UserWarning, match=match) as seen:
        sightline.resume(folder)
    assert len(seen) == 1
    assert str(seen[0].message).endswith("goes on from the checkpoint before it, at epoch 5")
    assert not differing(straight, folder)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("file", ["state.json", "state.safetensors"])
def test_a_file_cut_short_is_named_and_the_one_before_it_used(half, file, share):
    path = half[0] / file
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    previous_is_used(half, rf"^{file} is damaged")


def test_every_flipped_bit_of_the_tensors_and_every_that_matters_of_the_json_is_noticed(half):
    folder = half[0]
    good = next(checkpoint.read_checkpoints(folder, folder.name))
    for file in ("state.safetensors", "state.json"):
        path = folder / file
        whole = path.read_bytes()
        for place in range(0, len(whole), 1 if file == "state.safetensors" else 7):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
            found = next(checkpoint.read_checkpoints(folder, folder.name))
            if isinstance(found, str):
                assert found.startswith("state.")
                continue
            assert file == "state.json"  # white space, or a number spelled otherwise
            assert whole[place : place + 1].isspace() or json.loads(path.read_text()) == json.loads(whole)
            assert found.epoch == good.epoch
            assert all(torch.equal(found.state["module"][k], v) for k, v in good.state["module"].items())
        path.write_bytes(whole)


@pytest.mark.parametrize("file", ["state.json", "state.safetensors"])
def test_a_flipped_bit_costs_one_generation(half, file):
    path = half[0] / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    previous_is_used(half, rf"^{file} is damaged")


def test_a_missing_file_costs_one_generation(half):
    (half[0] / "state.safetensors").unlink()
    previous_is_used(half, r"^state.safetensors is damaged, missing or of another run")


def test_checkpoints_of_others_are_named(half, data, tmp_path):
    folder, _ = half
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    other = trained(data, tmp_path / "other", batch_size=16, optimizer="adam", lr=0.01, epochs=12, until=6)
    for name in ("state.json", "state.safetensors"):
        shutil.copy(other / name, folder / name)
    previous_is_used(half, rf"^state.json belongs to run {other.name}")
    for formula, changed, match in (
        ("y ~ u", {}, r"holds another model \(weight float64 \(1, 1\), bias float64 \(1,\), and the run trains weight"),
        (FORMULA, {"dtype": "float32"}, "holds another model .*float32"),
        (FORMULA, {"optimizer": "sgd"}, "holds the state of another optimizer"),
        (FORMULA, {"schedule": "plateau"}, "holds the state of another optimizer"),
    ):
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        settings = {"batch_size": 16, "optimizer": "adam", "lr": 0.01, "epochs": 12, **changed}
        other = trained(data, tmp_path / "others", formula=formula, until=6, **settings)
        found = next(checkpoint.read_checkpoints(other, other.name))
        checkpoint.save_state(folder, found.state, epoch=6, seconds=1.0, run=folder.name)
        shutil.copy(kept / "state.previous.json", folder)
        shutil.copy(kept / "state.previous.safetensors", folder)
        previous_is_used(half, match)


def test_another_version_is_named(half):
    path = half[0] / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    previous_is_used(half, r"^state.json has format 9, and this sightline reads 1")


def test_records_that_a_crash_lost_cost_one_generation(half):
    path = half[0] / "epochs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]) + lines[6][:30])
    previous_is_used(half, r"^state.json is of epoch 6, and epochs.jsonl ends before")


def test_records_beyond_the_checkpoint_are_cut_off(half):
    folder, straight = half
    lines = (straight / "epochs.jsonl").read_bytes().splitlines(keepends=True)
    with open(folder / "epochs.jsonl", "ab") as file:
        file.write(b"".join(lines[7:10]) + lines[10][:25])
    sightline.resume(folder)
    assert not differing(straight, folder)


@pytest.mark.parametrize("damage", [b"", b"{}", b"null", b"\xff\xfe", b"[" * 100_000])
def test_where_both_are_bad_a_sentence_says_what_to_do_and_nothing_is_touched(half, cli, damage):
    folder = half[0]
    for name in ("state.json", "state.previous.json"):
        (folder / name).write_bytes(damage)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    done = cli("resume", folder)
    assert done.code == 3
    assert "state.json is damaged and state.previous.json is damaged" in done.err
    assert done.err.rstrip().endswith("restore the folder from a copy or train again")
    assert before == {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_finished_run_without_its_state_does_not_begin_again(data, tmp_path):
    folder = trained(data, tmp_path / "r", lr=0.05, epochs=5)
    (folder / "state.json").unlink()
    with pytest.raises(sightline.RunError, match=r"cannot go on, for its state.json is missing: restore the folder"):
        sightline.resume(folder, epochs=9)


def test_stopped_before_the_first_checkpoint_it_begins_again(data, tmp_path):
    straight = trained(data, tmp_path / "straight", lr=0.05, epochs=9)

    def fall(record):
        if record.number == 3:
            raise RuntimeError("a reader fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        sightline.fit(data, FORMULA, lr=0.05, epochs=9, figures="none", output=tmp_path / "r", sinks=[fall])
    (folder,) = (tmp_path / "r").iterdir()
    with pytest.raises(sightline.RunError, match=f"has no result yet .* go on with sightline resume {folder.name}"):
        sightline.load(folder)
    with pytest.warns(UserWarning, match="was stopped before its first checkpoint: it begins again"):
        sightline.resume(folder)
    assert not differing(straight, folder)


@pytest.mark.parametrize("at", range(18))
def test_each_operation_that_fails_leaves_a_run_to_go_on_with(half, monkeypatch, at):
    """The checkpoint's fsyncs and renames fail one after the other, as on a full disk; nothing written is lost."""
    folder, straight = half
    real = {name: getattr(os, name) for name in ("fsync", "replace")}
    calls = []

    def failing(name):
        def call(*arguments):
            calls.append(name)
            if len(calls) - 1 == at:
                raise OSError(28, "No space left on device")
            return real[name](*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in real:
            patch.setattr(os, name, failing(name))
        with pytest.raises((sightline.RunError, OSError), match="No space left on device"):
            sightline.resume(folder)
    assert [e.number for e in read_epochs(folder)][:6] == list(range(6))
    sightline.resume(folder)
    assert not differing(straight, folder)
    assert not list(folder.glob(".*"))


def test_changed_data_are_noticed_and_nothing_is_lost(data, tmp_path, cli):
    folder = trained(data, tmp_path / "r", until=4, lr=0.05, epochs=9)
    straight = trained(data, tmp_path / "straight", lr=0.05, epochs=9)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    whole = data.read_text()
    data.write_text(whole.replace("0", "1", 1))
    done = cli("resume", folder)
    assert done.code == 3
    assert f"table.csv' has changed since run {folder.name} was trained on it: restore it, or fit again" in done.err
    data.unlink()
    assert "which is gone: put it back" in cli("resume", folder).err
    assert before == {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    moved = tmp_path / "moved.csv"
    moved.write_text(whole)
    sightline.resume(folder, data=moved)
    assert not differing(straight, folder)


def test_data_in_memory_have_to_be_given_again(tmp_path, heights, cli):
    settings = {"lr": 0.1, "figures": "none"}
    straight = sightline.fit(heights, "weight ~ height", epochs=9, output=tmp_path / "straight", **settings)
    run = sightline.fit(heights, "weight ~ height", epochs=5, output=tmp_path / "r", **settings)
    done = cli("resume", run.folder, "--epochs", 9)
    assert done.code == 3
    assert "data that are in no file: give them again, as sightline.resume(" in done.err
    with pytest.raises(sightline.RunError, match="the dict has changed since run"):
        sightline.resume(run, epochs=9, data={**heights, "weight": [55.0, 70.0, 64.0, 80.0, 76.0]})
    assert sightline.resume(run, epochs=9, data=heights).to_dict()["loss"] == straight.result["loss"]
    assert not differing(straight.folder, run.folder)


def test_a_run_in_use_is_refused_and_a_lock_left_behind_is_not(data, tmp_path, cli):
    folder = trained(data, tmp_path / "r", until=2, lr=0.05, epochs=5)
    lock = Lock(folder)
    done = cli("resume", folder)
    assert done.code == 3
    assert f"run {folder.name} is in use by process {os.getpid()} on " in done.err
    assert "wait until it ends, or stop that process" in done.err
    lock.release()
    lock.release()
    (folder / "lock.json").write_text('{"pid": 1, "host": "elsewhere", "since": "2020-01-01"}\n' * 3)
    (folder / ".state.json.1.part").write_text("half")
    sightline.resume(folder)
    assert not list(folder.glob("*lock*"))
    assert not list(folder.glob(".*"))


def test_a_run_that_trains_cannot_be_gone_on_with(data, tmp_path):
    seen = []

    def sink(record):
        (folder,) = (tmp_path / "r").iterdir()
        with pytest.raises(sightline.RunError, match="is in use by process"):
            RunFolder.open(folder)
        seen.append(record.number)

    sightline.fit(data, FORMULA, lr=0.05, epochs=2, figures="none", output=tmp_path / "r", sinks=[sink])
    assert seen == [0, 1, 2]


def hold(folder, ready, go):
    lock = Lock(folder)
    ready.set()
    go.wait(30)
    del lock


def test_of_two_processes_one_gets_the_run(data, tmp_path):
    folder = trained(data, tmp_path / "r", until=2, lr=0.05, epochs=5)
    processes = multiprocessing.get_context("forkserver")
    ready, go = processes.Event(), processes.Event()
    other = processes.Process(target=hold, args=(folder, ready, go))
    other.start()
    assert ready.wait(60)
    with pytest.raises(sightline.RunError, match=f"is in use by process {other.pid} on"):
        sightline.resume(folder)
    other.kill()
    other.join()
    assert (folder / "lock.json").exists()
    assert sightline.resume(folder).result["epochs"] == 5


def test_a_resume_that_is_interrupted_is_saved(data, tmp_path):
    folder = trained(data, tmp_path / "r", until=5, lr=1e-9, epochs=100_000_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "sightline", "resume", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while (folder / "epochs.jsonl").stat().st_size < 20_000:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "STOPPED_EARLY" in out
    assert "Traceback" not in err
    last = list(read_epochs(folder))[-1]
    assert last.stop.reason == "interrupted"
    assert next(checkpoint.read_checkpoints(folder, folder.name)).epoch == last.number > 5
    assert results(folder)["epochs"] == last.number


def test_a_resume_that_was_killed_leaves_the_result_that_was_there(data, tmp_path):
    folder = trained(data, tmp_path / "r", lr=0.05, epochs=5)
    before = results(folder)

    def fall(record):
        if record.number == 7:
            raise RuntimeError("a reader fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        sightline.resume(folder, epochs=9, sinks=[fall])
    assert results(folder) == before
    assert [e.number for e in sightline.load(folder).epochs] == list(range(6))
    sightline.resume(folder)
    assert results(folder)["epochs"] == 9


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_at_random_moments(tmp_path, family):
    chance = random.Random(f"kills of {family}")
    killed_equals_straight(of_table(table(tmp_path / "table.csv"), FAMILIES[family]), tmp_path, chance)


@pytest.mark.parametrize("family", MODULES)
def test_trainings_of_modules_killed_at_random_moments(tmp_path, family):
    killed_equals_straight(of_module(family), tmp_path, random.Random(f"kills of a module with {family}"))


def killed_equals_straight(begin, tmp_path, chance):
    straight = KilledRun(begin, tmp_path / "straight", chance).undisturbed()
    run = KilledRun(begin, tmp_path / "killed", chance)
    while not run.live(0.4 if run.kills < 3 else 1e6):
        assert not isinstance(run.newest(), str)
    assert not differing(straight, run.folder)


def test_the_model_loads_without_sightline_after_a_resume(data, tmp_path):
    folder = trained(data, tmp_path / "r", until=2, lr=0.05, epochs=5)
    run = sightline.resume(folder)
    held = load_file(folder / "model.safetensors")
    assert torch.equal(held["weight"], run.model.weight.detach())
    save_file(held, tmp_path / "copy.safetensors")
