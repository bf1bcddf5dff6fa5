"""`fit_module` keeps what `train` yields, and goes on after every kind of stop with the bits of the straight run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, WeightedRandomSampler

import sightline
from sightline.runs import checkpoint
from sightline.runs.store import read_epochs, read_manifest
from tests.modules.plain import same_bits, shuffled
from tests.modules.resuming import BATCHES, EPOCHS, OPTIMIZERS, fitted, made, rows, same_runs, step, without_time

FORWARDS = {"lbfgs": 3}  # of a step


@pytest.fixture(autouse=True)
def _checkpoints_all_the_time(monkeypatch):
    monkeypatch.setattr(checkpoint, "PAUSE", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1.0)


@pytest.mark.parametrize("own", [True, False])
def test_its_records_are_those_of_train(own):
    run = fitted("adam", own=own)
    model, optimizer = made("adam")
    records = list(
        sightline.train(
            model, shuffled(rows(), 16, own=own), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=EPOCHS,
            valid=rows(), restore_best=False,
        )
    )  # fmt: skip
    assert without_time(run.epochs) == without_time(records)
    assert same_bits(run.model, model)
    assert list(read_epochs(run.folder)) == list(run.epochs)
    assert same_bits(run.load_into(made("adam")[0]), model)


@pytest.mark.parametrize("schedule", ["none", "step"])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_half_and_then_the_rest_is_the_straight_run(name, own, schedule):
    straight = fitted(name, own=own, schedule=schedule)
    half = fitted(name, own=own, schedule=schedule, epochs=EPOCHS // 2)
    rest = fitted(name, own=own, schedule=schedule, resume=half.folder)
    assert same_runs(straight, rest)
    assert straight.verdict == rest.verdict


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_fresh_process_goes_on(name, tmp_path):
    straight = fitted(name)
    half = fitted(name, epochs=EPOCHS // 2)
    done = subprocess.run(
        [sys.executable, "-m", "tests.modules.resuming", name, str(half.folder), str(tmp_path / "resumed.pt")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "resumed.pt")
    assert found["epochs"] == [repr(record) for record in without_time(straight.epochs)]
    state = straight.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found["state"].items())


def folder_of(tmp_path):
    (path,) = (tmp_path / "out").iterdir()
    return path


def broken():
    raise ArithmeticError("the model breaks down")


def pressed():
    os.kill(os.getpid(), signal.SIGINT)


def terminated():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("how", [broken, pressed, terminated])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stopped_at_a_random_step_is_the_straight_run(name, own, how, tmp_path):
    chance = random.Random(f"{name} {own} {how.__name__}")
    straight = fitted(name, own=own)
    for attempt in range(3):
        at = chance.randrange(2, EPOCHS * BATCHES * FORWARDS.get(name, 1))
        output = tmp_path / str(attempt) / "out"
        try:
            fitted(name, own=own, stop_at=at, stop=how, output=output)
        except ArithmeticError:
            assert how is broken
        folder = folder_of(output.parent)
        assert read_manifest(folder)["status"] == ("failed" if how is broken else "interrupted")
        assert same_runs(straight, fitted(name, own=own, resume=folder)), at


@pytest.mark.parametrize("schedule", ["none", "one-cycle", "step"])
@pytest.mark.parametrize("custom", [False, True])
def test_stopped_at_each_step_of_an_epoch_is_the_straight_run(custom, schedule, tmp_path):
    options = {"schedule": schedule, **({"step": step} if custom else {})}
    straight = fitted("adam", **options)
    for at in range(BATCHES, 2 * BATCHES + 2):
        output = tmp_path / str(at) / "out"
        fitted("adam", stop_at=at, stop=pressed, output=output, **options)
        assert same_runs(straight, fitted("adam", resume=folder_of(output.parent), **options)), at


@pytest.mark.parametrize(
    "options", [{"accumulate": 4}, {"autocast": torch.float16}, {"measure": 2}, {"clip_norm": 0.1}]
)
def test_stopped_twice_with_what_goes_around_a_step(options, tmp_path):
    straight = fitted("momentum", **options)
    fitted("momentum", stop_at=9, stop=pressed, output=tmp_path / "out", **options)
    fitted("momentum", stop_at=11, stop=pressed, resume=folder_of(tmp_path), **options)
    assert same_runs(straight, fitted("momentum", resume=folder_of(tmp_path), **options))


def test_a_sink_that_breaks_down(tmp_path):
    def sink(record):
        if record.number == 3:
            broken()

    straight = fitted("rmsprop", own=False)
    with pytest.raises(ArithmeticError):
        fitted("rmsprop", own=False, sinks=[sink], output=tmp_path / "out")
    assert same_runs(straight, fitted("rmsprop", own=False, resume=folder_of(tmp_path)))


def test_stopped_before_the_first_checkpoint_it_begins_again_with_the_result_of_the_straight_run(tmp_path, monkeypatch):
    straight = fitted("adam")
    monkeypatch.setattr(checkpoint, "PAUSE", 60.0)
    with pytest.raises(ArithmeticError):
        fitted("adam", output=tmp_path / "out", sinks=[lambda record: broken()])
    with pytest.warns(UserWarning, match="was stopped before its first checkpoint: it begins again") as told:
        again = fitted("adam", resume=folder_of(tmp_path))
    assert told[0].filename.endswith("resuming.py")  # the line that called
    assert same_runs(straight, again)
    assert {**again.result, "run": None} == {**straight.result, "run": None}


def test_stopped_when_all_epochs_were_run_it_has_the_result_of_the_straight_run(tmp_path, monkeypatch):
    straight = fitted("adam")
    with monkeypatch.context() as patched:
        patched.setattr("sightline.modules.fit.save_model", lambda *_: broken())
        with pytest.raises(ArithmeticError):
            fitted("adam", output=tmp_path / "out")
    again = fitted("adam", resume=folder_of(tmp_path))
    assert same_runs(straight, again)
    assert {**again.result, "run": None} == {**straight.result, "run": None}


def test_rows_in_memory_stopped_within_an_epoch(tmp_path):
    def run(**options):
        model, optimizer = made("adam")
        model.stop_at, model.stop = options.pop("stop_at", None), pressed
        return sightline.fit_module(
            model, rows(), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=4, batch_size=16, valid=0.2,
            **options,
        )  # fmt: skip

    straight = run()
    run(stop_at=8, output=tmp_path / "out")
    assert same_runs(straight, run(resume=folder_of(tmp_path)))


def test_the_same_objects_go_on_in_a_notebook(tmp_path):
    """The cell is run once more with resume=..., and model, optimizer and schedule are where they were left."""
    straight = fitted("adam", schedule="one-cycle")
    model, optimizer = made("adam")
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.05, total_steps=EPOCHS * BATCHES, cycle_momentum=False
    )
    loader = shuffled(rows(), 16)
    call = {"loss": nn.CrossEntropyLoss(), "optimizer": optimizer, "schedule": schedule, "epochs": EPOCHS,
            "valid": rows(), "restore_best": False}  # fmt: skip
    model.stop_at, model.stop = 15, pressed
    run = sightline.fit_module(model, loader, **call)
    assert run.verdict.name == "STOPPED_EARLY"
    assert same_runs(straight, sightline.fit_module(model, loader, resume=run, **call))


class Drawn(IterableDataset):
    """Rows that a generator of its own draws."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(3)

    def __iter__(self):
        for _ in range(90):
            x = torch.randn(5, generator=self.generator)
            yield x, (x.sum() > 0).long()


def weighted():
    sampler = WeightedRandomSampler(torch.arange(90.0), 90, generator=torch.Generator().manual_seed(4))
    return DataLoader(rows(), batch_size=16, sampler=sampler)


LOADERS = {
    "stream": lambda: DataLoader(Drawn(), batch_size=16),
    "weighted": weighted,
    "workers": lambda: DataLoader(rows(), batch_size=16, shuffle=True, num_workers=2),
}


@pytest.mark.parametrize("name", LOADERS)
def test_the_streams_of_every_loader_are_saved(name, tmp_path):
    def run(**options):
        model, optimizer = made("adam")
        model.stop_at, model.stop = options.pop("stop_at", None), pressed
        loss = nn.CrossEntropyLoss()
        return sightline.fit_module(model, LOADERS[name](), loss=loss, optimizer=optimizer, epochs=3, **options)

    straight = run()
    run(stop_at=9, output=tmp_path / "out")
    assert same_runs(straight, run(resume=folder_of(tmp_path)))


def test_the_summary_shows_the_epoch_that_was_kept():
    def fitted_rows():
        model, optimizer = made("momentum")
        x, y = rows().tensors
        return sightline.fit_module(
            model, (x[:60], y[:60]), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=60, batch_size=10,
            valid=(x[60:], y[60:]), output=False,
        )  # fmt: skip

    run = fitted_rows()
    kept = run.result["kept_epoch"]
    assert kept == min(run.epochs, key=lambda record: record.valid_loss).number
    assert any(line.split()[:1] == [str(kept)] for line in run.summary().splitlines())


def test_a_run_that_has_had_its_epochs_is_returned_as_it_is(tmp_path):
    def fitted(epochs, **options):
        torch.manual_seed(3)
        x = torch.randn(40, 3)
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        sgd = torch.optim.SGD(model.parameters(), lr=0.5)
        return sightline.fit_module(
            model, (x[:30], x[:30, :1]), loss=nn.MSELoss(), optimizer=sgd, epochs=epochs, batch_size=10,
            valid=(x[30:], x[30:, :1]), **options,
        )  # fmt: skip

    run = fitted(5, output=tmp_path)
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    again = fitted(5, resume=run.folder)
    assert again.to_dict() == run.to_dict()
    assert list(again.epochs) == list(run.epochs)
    assert all(torch.equal(p, q) for p, q in zip(again.model.parameters(), run.model.parameters(), strict=True))
    assert {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()} == before
    with pytest.raises(sightline.UsageError, match="has 5 epochs already: give at least 5"):
        fitted(4, resume=run.folder)
    longer = fitted(7, resume=run.folder)
    assert [e.number for e in longer.epochs] == list(range(8))
