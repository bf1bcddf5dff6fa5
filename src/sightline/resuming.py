"""A run gone on with: what was asked for, the last checkpoint that holds, and the same loop from there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .again import prepare_again
from .data.design import Design
from .engines.devices import device_named
from .engines.stepping import settings_used
from .errors import RunError, UsageError
from .given import plain_number
from .job import Job, Sink
from .records import Epoch
from .restoring import readable_records, restored
from .run import Run, load
from .runs.store import RunFolder, find_run
from .settings import RunSettings
from .stopping import Rule
from .trainable import make_problem
from .tuning import choose_step
from .words import count

__all__ = ["Resumption", "resume", "resuming"]

OVER = {  # reasons for which a run ends that more epochs do not change
    "converged": "it has converged, there is nothing left to do",
    "frozen": "rounding swallows every step, so no epoch more can change it",
}


def resume(
    run: Run | str | os.PathLike[str], epochs: int | None = None, *, data: object = None, sinks: Sequence[Sink] = ()
) -> Run:
    """Go on with a run from its last checkpoint, to what was asked for, or to `epochs` epochs in all.

    θₖ → θₖ₊₁ → ... as if it had never been stopped: parameters, the optimizer's and the schedule's state, epoch and
    seconds are those of the checkpoint, the records before it stay, and on the same machine with the same number of
    threads the numbers are those of the straight run, bit for bit. A run that has nothing left to do is returned as
    it is. `run` is a run, an id or a folder; `data` is needed where the rows were in no file, or have moved.

    Raises RunError where the rows have changed, the checkpoints are damaged, or another process has the run in use;
    UsageError where the number of epochs cannot be changed; nothing that is written is touched then.

    >>> import tempfile
    >>> from sightline import fit
    >>> heights = {"height": [150, 160, 170, 175, 185], "weight": [55, 70, 64, 80, 75]}
    >>> half = fit(heights, "weight ~ height", lr=0.1, epochs=5, output=tempfile.mkdtemp(), figures="none")
    >>> whole = resume(half, epochs=10, data=heights)
    >>> [record.number for record in whole.epochs] == list(range(11))
    True
    """
    with resuming(run, epochs, data=data) as found:
        if isinstance(found, str):
            return load(_folder_of(run))
        for note in found.notes:
            warnings.warn(note, stacklevel=2)
        trained = found.run(sinks=sinks)
    if (figures := trained.settings.figures) != "none":
        from .views.figures import save_figures

        save_figures(trained, every=figures == "every")
    return trained


@dataclass(frozen=True)
class Resumption:
    """A run that is ready to go on: its job with the state of the checkpoint, the records until there, and what there
    is to say about it.
    """

    folder: RunFolder
    settings: RunSettings
    job: Job
    done: Sequence[Epoch]
    notes: Sequence[str]

    def run(self, *, sinks: Sequence[Sink] = (), rules: Sequence[Rule] = ()) -> Run:
        """Train on, into the same folder."""
        self.folder.go_on(self.done[-1] if self.done else None, settings=self.settings.to_dict())
        return self.job.go_on(self.folder, self.done, sinks=sinks, rules=rules)


@contextmanager
def resuming(
    run: Run | str | os.PathLike[str], epochs: int | None = None, *, data: object = None
) -> Iterator[Resumption | str]:
    """The run ready to go on, and locked meanwhile; a sentence where there is nothing left to do."""
    path = _folder_of(run)
    folder = RunFolder.open(path)
    try:
        asked = _Asked.of(folder, epochs)
        yield asked.ended or _prepared(folder, asked, data)
    finally:
        folder.close()


def _folder_of(run: Run | str | os.PathLike[str]) -> Path:
    if not hasattr(run, "folder"):
        return find_run(run)
    if run.folder is None:
        raise UsageError("this run was written to no folder: fit it with output, or fit it again with more epochs")
    return run.folder


@dataclass(frozen=True)
class _Asked:
    """What run.json says of a run: its settings, as they were and as they are to be, its records, and, where nothing
    is left to do, why.
    """

    settings: RunSettings
    before: RunSettings
    engine: str | None
    records: Sequence[Epoch]
    ended: str

    @classmethod
    def of(cls, folder: RunFolder, epochs: int | None) -> _Asked:
        values, name = folder.manifest, folder.path.name
        if values.get("kind") == "module":
            raise UsageError(
                f"run {name} trained a module of your own, which only your program can make again: call "
                f"sightline.fit_module(model, data, ..., resume={name!r}) there"
            )
        try:
            before = RunSettings(**values["settings"])
            engine = values["result"]["engine"]["name"] if "result" in values else None
        except (KeyError, TypeError, AttributeError):
            raise _damaged(folder) from None
        if engine == "exact":
            raise UsageError(f"run {name} was solved, not trained: train one with sightline fit")
        records = readable_records(folder.path)
        settings = before if epochs is None else replace(before, epochs=plain_number(epochs))
        ended = _ended(name, values, records, epochs)
        return cls(settings, before, engine, records, ended)


def _damaged(folder: RunFolder) -> RunError:
    return RunError(f"{folder.path / 'run.json'} is damaged: restore the folder from a copy or train again")


def _ended(name: str, values: Mapping[str, Any], records: Sequence[Epoch], epochs: int | None) -> str:
    """Why there is nothing left to do; empty where there is."""
    stop = records[-1].stop if records else None
    last = records[-1].number if records else 0
    if values.get("status") == "done" and stop is not None:
        if stop.reason in OVER:
            return f"run {name} is finished after {count(last, 'epoch')}: {OVER[stop.reason]}"
        if stop.reason == "diverged":
            raise UsageError(f"run {name} diverged ({stop.sentence}): fit again with a smaller learning rate")
        if epochs is None:
            return f"run {name} is finished, {stop.sentence}: --epochs with more than {last:,} goes on with it"
    if epochs is not None and (epochs < last or (epochs == last and stop is not None)):
        raise UsageError(f"run {name} has {count(last, 'epoch')} already: give --epochs a number above {last:,}")
    return ""


def _prepared(folder: RunFolder, asked: _Asked, data: object) -> Resumption:
    values, name = folder.manifest, folder.path.name
    try:
        formula, source = Design.from_dict(values["design"]).formula, values["source"]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RunError(
            f"{folder.path / 'run.json'} is damaged: restore the folder from a copy or train again"
        ) from None
    otherwise = f"give them again, as sightline.resume({name!r}, data=...), or save them to a file and fit that"
    prepared = prepare_again(name, source, asked.settings, formula, data=data, otherwise=otherwise)
    settings, elsewhere = _here(asked.settings, name)
    job = Job.of(prepared, settings)
    engine = asked.engine or ("autograd" if elsewhere and job.engine_name != "quadratic" else None)
    if engine not in (None, job.engine_name):  # more epochs, or another device, would pay for another one
        job = Job.of(prepared, replace(settings, engine=str(engine)))
    _check_same(job, asked, name)
    done, notes = restored(folder, job, asked.records, begun=asked.engine is not None)
    return Resumption(folder, settings, job, done, [*elsewhere, *notes])


def _here(settings: RunSettings, name: str) -> tuple[RunSettings, list[str]]:
    """The settings for this machine, and where they are others, why: without the GPU of the run the CPU goes on."""
    try:
        device_named(settings.device)
    except UsageError as error:
        if " is busy: " in error.message:  # and will be free again
            raise
        reason = error.message.partition(": ")[0]
        note = (
            f"run {name} was trained on {settings.device}, and {reason}: it goes on on the CPU, whose numbers are the "
            "same to rounding"
        )
        return replace(settings, device="cpu"), [note]
    return settings, []


def _check_same(job: Job, asked: _Asked, name: str) -> None:
    """Refuse another number of epochs where rate or schedule were made for the one that was asked for."""
    if asked.settings.epochs == asked.before.epochs:
        return
    truth, rows = job.truth, job.prepared.rows
    step = choose_step(asked.before, truth, job.start)
    problem = make_problem(truth.layout, asked.before, step, rows, job.start)
    was, now = (settings_used(p.optimizer, p.stepping) for p in (problem, job.problem))
    if was == now:
        return
    differing = next(key for key in now if was.get(key) != now[key])
    what = f"schedule {job.settings.schedule or 'of the warm-up'}" if differing == "schedule" else differing
    was_for, now_for = (
        "no given number of epochs" if n is None else count(n, "epoch")
        for n in (asked.before.epochs, asked.settings.epochs)
    )
    raise UsageError(
        f"the {what} of run {name} is made for {was_for}, and for {now_for} it would be another one from the first "
        f"epoch on: fit again with --epochs {asked.settings.epochs}"
    )
